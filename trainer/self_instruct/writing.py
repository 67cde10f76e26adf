"""Text from an engine for a prompt: over /v1/completions, or /v1/chat/completions where a model only answers.

Engines read the same values differently, and refuse different ones; `VALUES` is the table of what each is sent. Where
a text ends is never left to them: TGI takes four stop strings at most, and writes what it stopped at.
"""

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import httpx2 as httpx

from trainer.errors import EngineFailed
from trainer.evaluation.engine import BUSY_PAUSES_SECONDS, TOO_LONG
from trainer.self_instruct.prompts import Prompt

EngineKind = Literal["llama.cpp", "tgi", "vllm", "other"]
Finish = Literal["stop", "length"]
CONNECT_SECONDS = 10.0
TGI_REPETITION_PENALTY = 1.1


@dataclass(frozen=True, slots=True)
class Drawing:
    """How a text is drawn."""

    max_tokens: int
    temperature: float
    top_p: float
    presence_penalty: float


@dataclass(frozen=True, slots=True)
class Values:
    """What one kind of engine is sent."""

    greedy_temperature: bool
    """Whether temperature 0 may be said; where not, leaving it out is greedy."""
    whole_top_p: bool
    """Whether top_p 1 may be said."""
    presence_penalty: bool
    """Whether it has one; where not, a repetition penalty stands in."""
    further: Mapping[str, Any]


VALUES: dict[EngineKind, Values] = {
    # Examples that many prompts begin with are read once: a slot keeps what it has read.
    "llama.cpp": Values(True, True, True, {"cache_prompt": True}),
    "vllm": Values(True, True, True, {}),
    # TGI turns a presence penalty of x into a repetition penalty of x + 2, which writes nonsense.
    "tgi": Values(False, False, False, {}),
    "other": Values(True, True, True, {}),
}


@dataclass(frozen=True, slots=True)
class Written:
    """What came of a prompt."""

    text: str
    is_cut: bool
    """Whether it ends where the tokens ended, and not by itself or at a stop."""


class Unusable(Exception):
    """A reply that nothing can be taken from; `why` counts it."""

    def __init__(self, why: str, said: str = "") -> None:
        super().__init__(why)
        self.why, self.said = why, said


class Writer:
    """An engine that writes. `async with` closes it."""

    def __init__(self, url: str, *, api_key: str | None = None, timeout_seconds: float = 300.0) -> None:
        self.url = url.rstrip("/").removesuffix("/v1")
        self.kind: EngineKind = "other"
        self.model = "tgi"
        # trust_env would send a proxy, or a password of ~/.netrc, where prompts go to a machine of one's own.
        self._http = httpx.AsyncClient(
            timeout=httpx.Timeout(timeout_seconds, connect=CONNECT_SECONDS),
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=0),
            headers={b"Authorization": f"Bearer {api_key.strip()}".encode()} if api_key else None,
            trust_env=False,
        )

    async def __aenter__(self) -> "Writer":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    async def recognise(self) -> None:
        """Which engine it is, and the name of what it serves."""
        info = await self._said("/info")
        if isinstance(info.get("max_total_tokens"), int):
            self.kind = "tgi"
            return
        listed = (await self._said("/v1/models")).get("data")
        first = listed[0] if isinstance(listed, list) and listed and isinstance(listed[0], dict) else {}
        self.model = str(first.get("id") or self.model)
        kinds: dict[str, EngineKind] = {"llamacpp": "llama.cpp", "vllm": "vllm"}
        self.kind = kinds.get(str(first.get("owned_by")), "other")

    async def goes_on(self) -> bool:
        """Whether it takes raw prompts. Raises EngineFailed where nobody is there."""
        try:
            await self.write(Prompt("1.", ()), Drawing(1, 0.0, 1.0, 0.0), is_chat=False, seed=0)
        except Unusable as reply:
            return reply.why != "unknown_route"
        return True

    async def write(self, prompt: Prompt, drawing: Drawing, *, is_chat: bool, seed: int) -> Written:
        """What the model writes, cut at the first of the prompt's stops.

        Raises Unusable for a reply that holds no text, comes too late or whose prompt is too long; EngineFailed where
        there is nobody, or every prompt would be refused.
        """
        route = "/v1/chat/completions" if is_chat else "/v1/completions"
        said: dict[str, Any] = (
            {"messages": [{"role": "user", "content": prompt.text}]} if is_chat else {"prompt": prompt.text}
        )
        response = await self._post(route, said | self._values(drawing, seed))
        if response.status_code in (401, 403):
            raise EngineFailed(f"The engine at {self.url} wants another key: it is taken from ENGINE_API_KEY.")
        if response.status_code in (404, 405, 501):
            raise Unusable("unknown_route")
        if response.status_code in (400, 413, 422) and any(sign in response.text for sign in TOO_LONG):
            raise Unusable("prompt_too_long")
        if response.status_code >= 500:
            raise Unusable("engine_error", response.text)
        if response.status_code != 200:
            raise EngineFailed(f"The engine at {self.url} refused a prompt with status {response.status_code}.")
        try:
            choice = response.json()["choices"][0]
            text = choice["message"]["content"] if is_chat else choice["text"]
            is_cut = choice.get("finish_reason") == "length"
        except (ValueError, LookupError, TypeError, AttributeError):
            raise Unusable("no_completion", response.text) from None
        if not isinstance(text, str) or not text.strip():
            raise Unusable("empty")
        return _cut(text, is_cut, prompt.stops)

    async def _post(self, route: str, body: Mapping[str, Any]) -> httpx.Response:
        """Asks again after a pause where the engine is busy, or away for a moment."""
        for pause_seconds in (*BUSY_PAUSES_SECONDS, None):
            try:
                response = await self._http.post(self.url + route, json=body)
            except httpx.TimeoutException:
                raise Unusable("timed_out") from None
            except httpx.HTTPError as error:
                if pause_seconds is None:
                    said = str(error) or type(error).__name__
                    raise EngineFailed(f"The engine at {self.url} cannot be reached ({said}). Is it running?") from None
            else:
                if response.status_code not in (429, 503) or pause_seconds is None:
                    return response
            await asyncio.sleep(pause_seconds)
        raise AssertionError("the last try returns or raises")

    def _values(self, drawing: Drawing, seed: int) -> dict[str, Any]:
        values = VALUES[self.kind]
        said: dict[str, Any] = {"model": self.model, "max_tokens": drawing.max_tokens, "seed": seed, **values.further}
        if drawing.temperature > 0 or values.greedy_temperature:
            said["temperature"] = drawing.temperature
        if drawing.top_p < 1 or values.whole_top_p:
            said["top_p"] = drawing.top_p
        if drawing.presence_penalty and values.presence_penalty:
            said["presence_penalty"] = drawing.presence_penalty
        elif drawing.presence_penalty:
            said["repetition_penalty"] = TGI_REPETITION_PENALTY
        return said

    async def _said(self, path: str) -> dict[str, Any]:
        """What the engine tells of itself; nothing where it does not."""
        try:
            said = (await self._http.get(self.url + path)).json()
        except (httpx.HTTPError, ValueError):
            return {}
        return said if isinstance(said, dict) else {}


def _cut(text: str, is_cut: bool, stops: Sequence[str]) -> Written:
    found = [match.start() for stop in stops if (match := re.search(re.escape(stop), text))]
    return Written(text[: min(found)], False) if found else Written(text, is_cut)
