"""A text generation server that says what a test scripts: TGI 3.3.7's chat contract to the byte.

    async with ScriptedEngine(Script(text="Hello.")) as engine:
        client = ModelClient(engine.url)

Written after TGI's router (router/src/{server,lib,chat,infer/mod}.rs, 3.3.7) and axum 0.7's event stream. The
dialects "vllm", "sglang" and "llama.cpp" answer the same chat requests, and differ in their models, window and
counting endpoints only.
"""

import asyncio
import json
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal, Self

from aiohttp import web
from aiohttp.typedefs import Handler

from tests.engine_dialects import VERSION, Dialect, Messages, dialect_routes, render, tokenize

KEEP_ALIVE = b":\n\n"  # axum's default comment, every 15 s in TGI
DONE = b"data: [DONE]\n\n"


@dataclass(frozen=True)
class Script:
    """What the engine does with one chat request. `after` counts tokens of `text` that were sent before."""

    text: str | Callable[[Messages], str] = "Hello from the scripted engine."
    finish_reason: str = "stop"
    first_token_seconds: float = 0
    tokens_per_second: float = 0
    """0 sends them all at once."""

    end: Literal["finish", "error", "cut", "hang"] = "finish"
    """An error event, a dropped connection, or silence (keep-alives only) instead of the rest of the text."""
    after: int = 0
    error: str = "Request failed during generation: Server error: CUDA out of memory"
    keep_alive_seconds: float = 0.05

    refusal: tuple[int, str | dict[str, Any]] | None = None
    """Status and body of an answer that is no stream; str is sent as plain text."""
    overloaded: bool = False
    """TGI's overload: an error event in a 200 stream, its status said to be 422."""
    lines: Sequence[bytes | float] | None = None
    """The stream's bytes as they are, instead of all above: a recorded stream, or a broken one. Numbers are
    pauses in seconds."""


@dataclass
class Request:
    """A chat request that came in, and how it went. Times are time.monotonic()."""

    body: dict[str, Any]
    headers: dict[str, str]
    tokens_sent: int = 0
    finished: bool = False
    """Whether the script was played to its end."""
    disconnected_at: float | None = None
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def messages(self) -> Messages:
        messages: Messages = self.body["messages"]
        return messages


class ScriptedEngine:
    """The server. Every request plays `script`, unless one was queued for it by `then`."""

    def __init__(
        self,
        script: Script | None = None,
        *,
        dialect: Dialect = "tgi",
        model: str = "team/dolly",
        window_tokens: int = 2048,
        max_input_tokens: int | None = None,
        api_key: str | None = None,
    ) -> None:
        self.script = script or Script()
        self.dialect = dialect
        self.model = model
        self.model_sha: str | None = None
        self.window_tokens = window_tokens
        self.max_input_tokens = max_input_tokens or window_tokens - 1
        self.api_key = api_key
        self.hidden: set[str] = set()
        """Paths that a proxy before the engine does not let through."""
        self.counting_seconds: float = 0
        """How long it takes for all that is no chat request."""
        self.asked = asyncio.Event()
        """Set when the first chat request has come in."""
        self.requests: list[Request] = []
        """The chat requests, in the order in which they came."""
        self.calls: list[str] = []
        """Every call, as "GET /info"."""
        self.keys: set[str | None] = set()
        """The Authorization headers that came with any of them."""
        self._queued: deque[Script] = deque()
        self._runner: web.AppRunner | None = None
        self.url = ""

    def then(self, *scripts: Script) -> None:
        """Plays these for the next requests, one each."""
        self._queued.extend(scripts)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self, port: int = 0) -> None:
        app = web.Application(client_max_size=2_000_000, middlewares=[self._record_call])
        app.add_routes([web.post("/v1/chat/completions", self._chat), web.get("/health", self._health)])
        app.add_routes([*dialect_routes(self)])
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.01, handler_cancellation=True)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", port)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    # --- the chat route -----------------------------------------------------------------------------------

    async def _chat(self, http: web.Request) -> web.StreamResponse:
        if self.api_key and http.headers.get("Authorization", "").lower() != f"bearer {self.api_key}".lower():
            return web.Response(status=401)
        request = Request(await http.json(), dict(http.headers))
        self.requests.append(request)
        self.asked.set()
        try:
            return await self._answer(http, request, self._queued.popleft() if self._queued else self.script)
        except ConnectionError:
            request.disconnected_at = time.monotonic()
            return web.Response()  # to nobody
        except asyncio.CancelledError:
            request.disconnected_at = time.monotonic()
            raise
        finally:
            request.ended.set()

    async def _answer(self, http: web.Request, request: Request, script: Script) -> web.StreamResponse:
        if script.refusal is not None:
            await asyncio.sleep(script.first_token_seconds)
            return refuse(*script.refusal)
        if self.dialect == "vllm" and request.body["model"] != self.model:
            message = f"The model `{request.body['model']}` does not exist."
            error = {"message": message, "type": "NotFoundError", "param": "model", "code": 404}
            return refuse(404, {"error": error})
        return await self._stream(http, request, script)

    async def _stream(self, http: web.Request, request: Request, script: Script) -> web.StreamResponse:
        response = web.StreamResponse(headers={"x-compute-type": "gpu+optimized", "X-Accel-Buffering": "no"})
        response.content_type = "text/event-stream"
        response.headers["cache-control"] = "no-cache"
        response.enable_chunked_encoding()
        await response.prepare(http)
        if script.lines is not None:
            for line in script.lines:
                await (response.write(line) if isinstance(line, bytes) else asyncio.sleep(line))
        elif script.overloaded:
            await response.write(error_event("Model is overloaded") + DONE)
        elif fault := self._fault(request):
            await response.write(error_event(f"Input validation error: {fault}") + DONE)
        else:
            await self._play(http, response, request, script)
        request.finished = True
        with suppress(ConnectionError):  # the answer is whole: a client may leave before the end of the body
            await response.write_eof()
        return response

    def _fault(self, request: Request) -> str | None:
        """TGI's sentence for a request that does not fit the window."""
        prompt, answer = len(tokenize(render(request.messages))), request.body.get("max_tokens") or 0
        if prompt + answer > self.window_tokens:
            return (
                f"`inputs` tokens + `max_new_tokens` must be <= {self.window_tokens}. "
                f"Given: {prompt} `inputs` tokens and {answer} `max_new_tokens`"
            )
        if prompt > self.max_input_tokens:
            return f"`inputs` must have less than {self.max_input_tokens} tokens. Given: {prompt}"
        return None

    async def _play(self, http: web.Request, response: web.StreamResponse, request: Request, script: Script) -> None:
        text = script.text(request.messages) if callable(script.text) else script.text
        tokens = tokenize(text)
        limit = request.body.get("max_tokens") or len(tokens) + 1
        cut_short = script.end == "finish" and limit < len(tokens)
        last = script.after if script.end != "finish" else min(limit, len(tokens))
        await asyncio.sleep(script.first_token_seconds)
        for index, token in enumerate(tokens[:last]):
            reason = "length" if cut_short and index == last - 1 else None
            await response.write(self.chunk(token, reason))
            request.tokens_sent += 1
            if script.tokens_per_second:
                await asyncio.sleep(1 / script.tokens_per_second)
        if script.end == "finish":
            if not cut_short:
                await response.write(self.chunk("", script.finish_reason))
            if (request.body.get("stream_options") or {}).get("include_usage"):
                await response.write(self._usage(request, last + (not cut_short)))
            await response.write(DONE)
        elif script.end == "error":
            await response.write(error_event(script.error) + DONE)
        elif script.end == "cut":
            assert http.transport is not None
            http.transport.abort()
        else:
            while True:
                await asyncio.sleep(script.keep_alive_seconds)
                await response.write(KEEP_ALIVE)

    def chunk(self, content: str, finish_reason: str | None = None) -> bytes:
        """One token's event, keys in the order in which TGI writes them."""
        choice = {
            "index": 0,
            "delta": {"role": "assistant", "content": content},
            "logprobs": None,
            "finish_reason": finish_reason,
        }
        return self._event([choice], None)

    def _usage(self, request: Request, completion_tokens: int) -> bytes:
        prompt_tokens = len(tokenize(render(request.messages)))
        total = prompt_tokens + completion_tokens
        usage = {
            "prompt_tokens": prompt_tokens,
            "completion_tokens": completion_tokens,
            "total_tokens": total,
        }
        return self._event([], usage)

    def _event(self, choices: list[dict[str, Any]], usage: dict[str, int] | None) -> bytes:
        return event(
            {
                "object": "chat.completion.chunk",
                "id": "",
                "created": int(time.time()),
                "model": self.model,
                "system_fingerprint": f"{VERSION}-native",
                "choices": choices,
                "usage": usage,
            }
        )

    # --- what it says about itself, and counting ----------------------------------------------------------

    @web.middleware
    async def _record_call(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        self.calls.append(f"{request.method} {request.path}")
        self.keys.add(request.headers.get("Authorization"))
        if request.path in self.hidden:
            return refuse(403, "Forbidden")
        if not request.path.endswith("/completions"):
            await asyncio.sleep(self.counting_seconds)
        return await handler(request)

    async def _health(self, _: web.Request) -> web.Response:
        return web.Response()


def event(payload: object) -> bytes:
    """One server-sent event, as axum and serde_json write it."""
    return b"data: " + json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode() + b"\n\n"


def error_event(message: str) -> bytes:
    """An error in a stream that began with 200. TGI says 422 for each, whatever it is."""
    return event({"error": {"message": message, "http_status_code": 422}})


def refuse(status: int, body: str | dict[str, Any]) -> web.Response:
    if isinstance(body, str):
        return web.Response(status=status, text=body)
    return web.json_response(body, status=status)


def recorded(chunks: Iterable[dict[str, Any]]) -> list[bytes]:
    """A recorded list of chunks as the lines that carried them."""
    return [*(event(chunk) for chunk in chunks), DONE]
