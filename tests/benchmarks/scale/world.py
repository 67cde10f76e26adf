"""What Dolly lives among, in virtual time: processors, engines that write for many at once, Slack and its limits."""

import asyncio
import copy
import itertools
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, cast

from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_slack_response import AsyncSlackResponse

from bot.local.workspace.web_api.rate_limits import RateLimits
from bot.slack.client import PacedClient
from bot.slack.pacing import Pacer

SHOWING = ("chat.startStream", "chat.postMessage", "response_url")


class Processor:
    """One core: what comes first is done first."""

    def __init__(self) -> None:
        self._free_at = 0.0
        self.busy_seconds = 0.0

    async def work(self, seconds: float) -> None:
        now = asyncio.get_running_loop().time()
        self._free_at = max(self._free_at, now) + seconds
        self.busy_seconds += seconds
        await asyncio.sleep(self._free_at - now)


@dataclass(frozen=True)
class EngineSpeed:
    """How fast an engine reads and writes, in tokens per second."""

    one: float
    """What a single answer is written at."""
    all: float
    """What all answers together are written at, at most."""
    reads: float
    """Prompts, one after the other."""
    at_once: int = 256
    """Answers that are written at once; further ones wait."""
    step_seconds: float = 0.25
    """How often text is looked for."""


class Engine:
    """One engine. Each answer gets its share of what it writes."""

    def __init__(self, speed: EngineSpeed) -> None:
        self._speed = speed
        self._reader = Processor()
        self._places = asyncio.Semaphore(speed.at_once)
        self.writing = 0
        self.written_tokens = 0.0

    async def stream(self, prompt_tokens: int, tokens: int) -> AsyncIterator[int]:
        """The tokens of an answer, as many as come at a time."""
        speed = self._speed
        async with self._place():
            await self._reader.work(prompt_tokens / speed.reads)
            yield 1
            due, left = 0.0, tokens - 1
            while left:
                await asyncio.sleep(speed.step_seconds)
                due += min(speed.one, speed.all / self.writing) * speed.step_seconds
                some = min(int(due), left)
                due, left = due - some, left - some
                self.written_tokens += some
                if some:
                    yield some

    @asynccontextmanager
    async def _place(self) -> AsyncIterator[None]:
        async with self._places:
            self.writing += 1
            try:
                yield
            finally:
                self.writing -= 1


@dataclass
class Answer:
    """What is seen of one, in seconds after its question."""

    asked_at: float
    claimed: float = 0.0
    shown: float | None = None
    whole: float | None = None
    is_streamed: bool = False
    is_refused: bool = False


class _Clock:
    """The loop's time, as the workspace's limits ask for it."""

    def now(self) -> float:
        return asyncio.get_running_loop().time()


class Slack(PacedClient):
    """Dolly's own client, with its pacing; behind it no HTTP, but Slack's limits as the workspace has them."""

    def __init__(self, pacer: Pacer, seconds_per_call: float) -> None:
        super().__init__(token="xoxb-simulated")
        self.pacer = pacer
        self.limits = RateLimits(cast(Any, _Clock()))
        self.seconds_per_call = seconds_per_call
        self.calls: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self._numbers = itertools.count(1)
        self._answer: Answer | None = None

    def of(self, answer: Answer) -> "Slack":
        """The same for one answer."""
        twin = copy.copy(self)
        twin._answer = answer
        return twin

    async def _counted_call(self, api_method: str, *, is_last: bool, **options: Any) -> AsyncSlackResponse:
        channel = str((options.get("json") or {}).get("channel", ""))
        return cast(AsyncSlackResponse, await self.called(api_method, channel))

    async def called(self, method: str, channel: str) -> dict[str, Any]:
        """What Slack answers. Raises SlackApiError where its limits are exceeded."""
        await asyncio.sleep(self.seconds_per_call / 2)
        self.calls[method] += 1
        seconds = None if method == "response_url" else self.limits.retry_after(method, channel)
        if seconds is not None:
            self.refused[method] += 1
            refusal = SimpleNamespace(
                status_code=429, headers={"Retry-After": str(seconds)}, data={"error": "ratelimited"}
            )
            raise SlackApiError("ratelimited", cast(Any, refusal))  # type: ignore[no-untyped-call]
        answer = self._answer
        if answer is not None and answer.shown is None and method in SHOWING:
            answer.shown = asyncio.get_running_loop().time() - answer.asked_at
            answer.is_streamed = method == "chat.startStream"
        await asyncio.sleep(self.seconds_per_call / 2)
        return {"ok": True, "ts": f"{next(self._numbers)}.000000", "messages": []}
