"""An engine on loopback that writes what a function of the request says: of a good model, or of a bad one."""

import json
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from trainer.self_instruct.prompts import IS_CLASSIFICATION, RAW

Reply = Callable[[dict[str, Any]], tuple[int, Any]]

THINGS = (
    *("anchor", "basket", "candle", "dragon", "engine", "feather", "garden", "hammer"),
    *("island", "jacket", "kettle", "ladder", "mirror", "needle", "orchard"),
)
DEEDS = (
    *("Describe", "Compare", "Explain", "Summarize", "Invent", "Praise", "Criticize"),
    *("Rewrite", "Name", "Sell", "Explore", "Defend", "Sort", "Judge"),
)


@dataclass
class Scripted:
    reply: Reply
    models: dict[str, Any] = field(default_factory=lambda: {"data": [{"id": "team/model", "owned_by": "llamacpp"}]})
    info: dict[str, Any] | None = None
    """What TGI says at /info."""
    has_completions: bool = True
    url: str = ""
    requests: list[dict[str, Any]] = field(default_factory=list)


def text(written: str, finish: str = "stop") -> tuple[int, Any]:
    """A completion, raw and as a chat's answer."""
    choice = {"index": 0, "text": written, "finish_reason": finish}
    return 200, {"choices": [choice | {"message": {"role": "assistant", "content": written}}]}


def asked(body: dict[str, Any]) -> str:
    """The prompt, raw or as a chat's one message."""
    prompt: str = body["prompt"] if "prompt" in body else body["messages"][0]["content"]
    return prompt


def good_model(body: dict[str, Any]) -> tuple[int, Any]:
    """New tasks by the request's seed; every fifth a classification; an instance or two of each."""
    prompt, rng = asked(body), random.Random(body["seed"])
    if prompt == "1.":
        return text(" Hello")
    if prompt.startswith(RAW.instructions[0]) or "Go on with the list" in prompt:
        tasks = [f"{rng.choice(DEEDS)} a {' '.join(rng.sample(THINGS, 4))} for {rng.random()}" for _ in range(3)]
        return text("\n".join(f"{number}. {task}" for number, task in enumerate(tasks, 9)).removeprefix("9."))
    if prompt.startswith(IS_CLASSIFICATION):
        return text(" Yes\n\nTask: more" if "Sort" in prompt.rsplit("Task:", 1)[1] else " No")
    if prompt.startswith(RAW.outputs_first[0]):
        return text("Class label: light\nInput: a feather\nClass label: heavy\nInput: an anchor\n\nTask: more")
    assert prompt.startswith(RAW.inputs_first[0])
    return text(f"Example 1\nInput: item {rng.random()}\nOutput: answer {rng.random()}\n\nTask: more")


class _Handler(BaseHTTPRequestHandler):
    server: "_Server"

    def do_POST(self) -> None:
        told = self.server.told
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/v1/completions" and not told.has_completions:
            return self._say(404, {})
        told.requests.append(body)
        self._say(*told.reply(body))

    def do_GET(self) -> None:
        told = self.server.told
        said = told.info if self.path == "/info" else told.models if self.path == "/v1/models" else None
        self._say(200 if said is not None else 404, said or {})

    def _say(self, status: int, said: Any) -> None:
        sent = said.encode() if isinstance(said, str) else json.dumps(said).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(sent)))
        self.end_headers()
        self.wfile.write(sent)

    def log_message(self, format: str, *values: Any) -> None:
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, told: Scripted) -> None:
        self.told = told
        super().__init__(("127.0.0.1", 0), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Who was killed in the middle of an answer."""


@contextmanager
def scripted(reply: Reply = good_model, **more: Any) -> Iterator[Scripted]:
    told = Scripted(reply, **more)
    server = _Server(told)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    told.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield told
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def write_seeds(path: Path, number: int = 12) -> Path:
    """Tasks of the team's own, a third of them classifications."""
    rng = random.Random(7)
    lines = [
        {
            "instruction": f"{DEEDS[index]} the {' '.join(rng.sample(THINGS, 5))} of our office {index}",
            "instances": [{"input": f"input {index}" if index % 2 else "", "output": f"output {index}"}],
            "is_classification": index % 3 == 0,
        }
        for index in range(number)
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    return path
