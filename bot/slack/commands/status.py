"""`/dolly status`: which model answers, how many wait, and how long it usually takes."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from slack_bolt.context.ack.async_ack import AsyncAck
from slack_bolt.context.respond.async_respond import AsyncRespond

from bot import metrics
from bot.engines import InService
from bot.errors import EngineError, StoreUnavailable
from bot.slack.in_service import model_line
from bot.slack.payloads import identifier
from bot.slack.people import WordsOf
from bot.store.claims import QueueReport
from bot.store.connection import store_errors
from bot.words import Words

ENGINE_SECONDS = 0.8
STORE_SECONDS = 0.8
"""Of the three that Slack waits."""


class Engines(Protocol):
    """What writes the answers (bot.engines.Engines)."""

    async def learn(self) -> None: ...
    async def in_service(self) -> InService: ...


class StatusCommand:
    """Listener of the command's verb."""

    def __init__(
        self,
        engines: Engines,
        queue_report: Callable[[], Awaitable[QueueReport]],
        words_of: WordsOf,
    ) -> None:
        self._engines = engines
        self._queue_report = queue_report
        self._words_of = words_of

    async def command(self, ack: AsyncAck, respond: AsyncRespond, command: dict[str, Any], rest: str) -> bool:
        """`/dolly status`; with more words behind it, it is a question."""
        if rest:
            return False
        words = await self._words_of(identifier(command, "user_id"))
        lines = [words.say("status_title"), await self._model(words), await self._queue(words), _wait(words)]
        await ack("\n• ".join(line for line in lines if line))
        return True

    async def _model(self, words: Words) -> str:
        try:
            async with asyncio.timeout(ENGINE_SECONDS):
                await self._engines.learn()
                return model_line(await self._engines.in_service(), words)
        except (EngineError, TimeoutError):
            return words.say("status_no_model")

    async def _queue(self, words: Words) -> str:
        try:
            async with store_errors(STORE_SECONDS):
                report = await self._queue_report()
        except StoreUnavailable:
            return words.say("status_no_store")
        return words.say("status_waiting", count=report.waiting)


def _wait(words: Words) -> str:
    seconds = metrics.median(metrics.first_text_seconds)
    return "" if seconds is None else words.say("status_wait", seconds=round(seconds, 1))
