"""Answers from an engine over /v1/chat/completions: llama.cpp started here on a GGUF file, or one that runs elsewhere.

TGI, vLLM and llama.cpp all speak it; the engine applies the model's own chat template and stop ids, as it will for
people.
"""

import json
import os
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import httpx2 as httpx

from trainer.errors import BadInput, EngineFailed
from trainer.records import Message

START_TIMEOUT_SECONDS = 300.0
"""Reading a model of many gigabytes from a slow disk."""

ANSWER_TIMEOUT_SECONDS = 600.0
BUSY_PAUSES_SECONDS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
"""Waits before asking again an engine that says 429 or 503."""

GGUF_MAGIC = b"GGUF"
CANNOT_LOAD = "llama.cpp cannot load"
"""How llama_server.py's last words begin."""
TOO_LONG = ("exceed_context_size", "inputs` tokens", "input tokens", "maximum context length", "max_total_tokens")
"""How llama.cpp, TGI and vLLM say that a prompt leaves no room for an answer."""

Finish = Literal["stop", "length"]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model wrote, and whether it ended by itself (`stop`) or was cut off (`length`)."""

    text: str
    finish: Finish | None
    """None where an answer comes from elsewhere, and nobody knows."""
    tokens: int
    """Generated ones, the end token included, as the engine counts them; 0 where nobody knows."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """How answers are drawn."""

    max_new_tokens: int = 256
    temperature: float = 0.0
    """0 is greedy."""
    top_p: float | None = None
    seed: int = 42


class Answering(Protocol):
    """What writes answers: an engine, or transformers where no engine serves a model of its kind."""

    def answers(
        self,
        conversations: Sequence[Sequence[Message]],
        sampling: Sampling,
        *,
        at_once: int,
        answered: Callable[[], None],
    ) -> list[Answer | None]:
        """One for each conversation; None where it is longer than the window."""
        ...


class Engine:
    """An engine at a URL. Closed by `close`, or by leaving it as a context manager."""

    def __init__(
        self,
        url: str,
        *,
        model: str = "tgi",
        api_key: str | None = None,
        timeout_seconds: float = ANSWER_TIMEOUT_SECONDS,
    ) -> None:
        """`url` is the server's root, with or without `/v1`. `model` is the name it serves, which `recognise` asks."""
        self.url = url.rstrip("/").removesuffix("/v1")
        self._model = model
        # trust_env would send a proxy, or a password of ~/.netrc, where prompts go to a machine of one's own.
        self._http = httpx.Client(
            timeout=httpx.Timeout(timeout_seconds, connect=10.0),
            # A connection an answer: an engine may close an idle one in the moment in which it is used again.
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=0),
            headers={b"Authorization": f"Bearer {api_key.strip()}".encode()} if api_key else None,
            trust_env=False,
        )

    def __enter__(self) -> "Engine":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    def recognise(self) -> str | None:
        """The name of what the engine serves, where it says one; vLLM answers requests with that name alone.

        TGI takes any name but `tgi` for an adapter's, and answers without one where it does not know it.
        """
        try:
            info = self._http.get(f"{self.url}/info").json()
            if isinstance(info.get("max_total_tokens"), int):
                self._model = "tgi"
                return str(info.get("model_id"))
        except (httpx.HTTPError, ValueError, AttributeError):
            pass  # no TGI
        name = self.served_model()
        self._model = name or self._model
        return name

    def served_model(self) -> str | None:
        """The name under which the engine serves its model, where it says one."""
        try:
            return str(self._http.get(f"{self.url}/v1/models").json()["data"][0]["id"])
        except (httpx.HTTPError, ValueError, LookupError, TypeError):
            return None

    def answer(self, messages: Sequence[Message], sampling: Sampling) -> Answer | None:
        """The model's answer; None where the prompt is longer than the engine's window.

        Raises EngineFailed where there is no answer: nobody there, a refusal, nonsense.
        """
        body = self._request(messages, sampling)
        for pause_seconds in (*BUSY_PAUSES_SECONDS, None):
            try:
                response = self._http.post(f"{self.url}/v1/chat/completions", json=body)
            except httpx.HTTPError as error:
                raise self._unreachable(error) from None
            if response.status_code not in (429, 503) or pause_seconds is None:
                break
            time.sleep(pause_seconds)
        if response.status_code != 200:
            self._check_refusal(response.status_code, response.text)
            return None
        try:
            reply = response.json()
            choice = reply["choices"][0]
            finish: Finish = "length" if choice["finish_reason"] == "length" else "stop"
            tokens = int((reply.get("usage") or {}).get("completion_tokens") or 0)
            return Answer(choice["message"].get("content") or "", finish, tokens)
        except (ValueError, LookupError, TypeError, AttributeError):
            raise EngineFailed(
                f"The engine at {self.url} answered something that is no chat completion: {_start(response.text)}"
            ) from None

    def answers(
        self,
        conversations: Sequence[Sequence[Message]],
        sampling: Sampling,
        *,
        at_once: int = 4,
        answered: Callable[[], None] = lambda: None,
    ) -> list[Answer | None]:
        """An answer for each conversation, in their order. `answered` is called after each, in this thread."""
        pool = ThreadPoolExecutor(at_once)
        asked = [pool.submit(self.answer, messages, sampling) for messages in conversations]
        try:
            found = []
            for one in asked:
                found.append(one.result())
                answered()
            return found
        except EngineFailed:
            pool.shutdown(cancel_futures=True)  # the others' answers are of no use; what is under way ends soon
            raise
        finally:
            pool.shutdown(wait=False, cancel_futures=True)  # Ctrl-C waits for none

    def stream(self, messages: Sequence[Message], sampling: Sampling) -> Generator[str, None, None]:
        """The answer's text as it comes. Raises EngineFailed as `answer` does, and where the prompt is too long."""
        body = self._request(messages, sampling) | {"stream": True}
        try:
            with self._http.stream("POST", f"{self.url}/v1/chat/completions", json=body) as response:
                if response.status_code != 200:
                    response.read()
                    self._check_refusal(response.status_code, response.text)
                    raise EngineFailed("The conversation is longer than the model's window: begin a new one.")
                for line in response.iter_lines():
                    if line.startswith("data: {"):
                        yield from self._delta(json.loads(line[6:]))
        except httpx.HTTPError as error:
            raise self._unreachable(error) from None

    def _delta(self, event: dict[str, Any]) -> Iterator[str]:
        if "error" in event:
            raise EngineFailed(f"The engine at {self.url} gave up: {_start(str(event['error']))}")
        for choice in event.get("choices", ()):
            if text := (choice.get("delta") or {}).get("content"):
                yield text

    def _request(self, messages: Sequence[Message], sampling: Sampling) -> dict[str, Any]:
        """TGI samples unless told 0; penalties and the rest stay absent: each engine's neutral value is another."""
        body: dict[str, Any] = {
            "model": self._model,
            "messages": [_wire(message) for message in messages],
            "max_tokens": sampling.max_new_tokens,
            "temperature": sampling.temperature,
            "seed": sampling.seed,
        }
        if sampling.top_p is not None and sampling.top_p < 1:  # TGI refuses 1
            body["top_p"] = sampling.top_p
        return body

    def _check_refusal(self, status: int, text: str) -> None:
        """Returns where the prompt was too long; raises EngineFailed for every other refusal."""
        if status in (401, 403):
            raise EngineFailed(f"The engine at {self.url} wants another key: it is taken from ENGINE_API_KEY.")
        if status not in (400, 413, 422) or not any(sign in text for sign in TOO_LONG):
            raise EngineFailed(f"The engine at {self.url} refused a prompt with status {status}: {_start(text)}")

    def _unreachable(self, error: httpx.HTTPError) -> EngineFailed:
        if isinstance(error, httpx.TimeoutException):
            return EngineFailed(f"The engine at {self.url} did not answer in time ({type(error).__name__}).")
        return EngineFailed(
            f"The engine at {self.url} cannot be reached ({error or type(error).__name__}). Is it running?"
        )


@contextmanager
def llama_cpp(
    gguf: Path, *, slots: int = 4, context_tokens: int = 2048, threads: int | None = None, cache_mib: int = 0
) -> Iterator[Engine]:
    """llama.cpp's server on `gguf` while the context lasts, on 127.0.0.1, at DOLLY_TRAINER_PORT or any free port.

    `slots` answers are written at the same time, each with a window of `context_tokens`, prompt and answer
    together. `threads` is all cores but one unless given: with a thread on every core, another busy process slows
    all of them to a twentieth. Prompts that begin alike are read once where `cache_mib` has room for their beginnings;
    an evaluation's do not. Raises BadInput for a file that is no GGUF, EngineFailed where the server ends.
    """
    _check_gguf(gguf)
    command = [
        *(sys.executable, "-m", "trainer.evaluation.llama_server", str(gguf.absolute())),
        *("--slots", str(slots)),
        *("--context-tokens-per-slot", str(context_tokens)),
        *("--threads", str(threads or max(1, len(os.sched_getaffinity(0)) - 1))),
        *("--cache-mib", str(cache_mib)),
        *("--parent-pid", str(os.getpid())),
    ]
    with tempfile.TemporaryFile() as log:
        # A session of its own: Ctrl-C in a terminal ends the talk or the evaluation, which then ends the server.
        server = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, start_new_session=True
        )
        try:
            url = _first_line(server, START_TIMEOUT_SECONDS)
            if url is None:
                _end(server, patience_seconds=5.0)  # its last words come after its output has ended
                log.seek(0)
                said = log.read().decode(errors="replace").strip().splitlines()
                told = [line for line in said if line.startswith(CANNOT_LOAD)] or said[
                    -3:
                ]  # llama.cpp logs by a thread
                raise EngineFailed(f"llama.cpp did not start on {gguf}: {' / '.join(told) or 'it said nothing'}")
            with Engine(url) as engine:
                yield engine
        finally:
            _end(server)


def _check_gguf(path: Path) -> None:
    try:
        with path.open("rb") as file:
            magic = file.read(len(GGUF_MAGIC))
    except OSError as error:
        raise BadInput(f"The model file {path} cannot be read ({error.strerror}).") from None
    if magic != GGUF_MAGIC:
        raise BadInput(f"The model file {path} is not a GGUF file.")


def _first_line(server: subprocess.Popen[bytes], timeout_seconds: float) -> str | None:
    """What the server prints when it is ready; None where it ends before, or is late."""
    assert server.stdout is not None
    deadline = time.monotonic() + timeout_seconds
    read = b""
    while not read.endswith(b"\n"):
        ready, _, _ = select.select([server.stdout], [], [], max(0.0, deadline - time.monotonic()))
        piece = os.read(server.stdout.fileno(), 4096) if ready else b""
        if not piece:
            return None
        read += piece
    return read.decode().strip()


def _end(server: subprocess.Popen[bytes], *, patience_seconds: float = 0.0) -> None:
    with suppress(subprocess.TimeoutExpired):
        server.wait(patience_seconds)
    server.terminate()
    try:
        server.wait(5.0)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()
    if server.stdout is not None:
        server.stdout.close()


def _wire(message: Message) -> dict[str, str]:
    wire = {"role": message.role, "content": message.content}
    return wire | {"name": message.name} if message.name else wire


def _start(text: str, characters: int = 300) -> str:
    return text if len(text) <= characters else text[:characters] + "…"
