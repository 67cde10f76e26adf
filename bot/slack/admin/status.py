"""`/dolly admin status`: how engine, store and queue are, and what this replica has done since its start."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from importlib.metadata import version
from typing import Any, Protocol

from bot import metrics
from bot.audit import AuditLog
from bot.engines import InService
from bot.errors import EngineError, StoreUnavailable
from bot.model_client.dialects import EngineReport
from bot.slack.in_service import trained_on
from bot.slack.mrkdwn import date_token, escape
from bot.store.claims import QueueReport
from bot.store.connection import store_errors
from bot.store.inspection import StoreReport
from bot.words import Words

ENGINE_SECONDS = 1.0
STORE_SECONDS = 1.0
"""Of the three that Slack waits; both are asked at once."""


class Engines(Protocol):
    """What writes the answers (bot.engines.Engines)."""

    async def report(self) -> EngineReport: ...
    async def in_service(self) -> InService: ...


class AdminStatus:
    """The verb; `store` is what the store said at the start."""

    def __init__(
        self, engines: Engines, store: StoreReport, queue_report: Callable[[], Awaitable[QueueReport]], audit: AuditLog
    ) -> None:
        self._engines = engines
        self._store = store
        self._queue_report = queue_report
        self._audit = audit
        self._began = time.time()

    async def command(self, user_id: str, arguments: str, words: Words) -> dict[str, Any]:
        """All that an operator looks at first."""
        engine, queue = await asyncio.gather(self._engine_lines(words), self._store_lines(words))
        self._audit.acted(user_id, "admin_status")
        title = words.say("admin_status_title", version=version("dolly"))
        return {"text": "\n• ".join([title, *engine, *queue, *self._own_lines(words)])}

    async def _engine_lines(self, words: Words) -> list[str]:
        try:
            async with asyncio.timeout(ENGINE_SECONDS):
                report, service = await self._engines.report(), await self._engines.in_service()
        except (EngineError, TimeoutError):
            return [words.say("admin_status_no_engine")]
        model, tokens = escape(report.stamp), report.window_tokens
        lines = [words.say("admin_status_engine", model=model, dialect=report.dialect, tokens=tokens)]
        if service.since:
            since = words.say("admin_status_since", since=date_token(service.since))
            lines.append(f"{since} {trained_on(service, words)}".rstrip())
        return lines

    async def _store_lines(self, words: Words) -> list[str]:
        try:
            async with store_errors(STORE_SECONDS):
                queue = await self._queue_report()
        except StoreUnavailable:
            return [words.say("status_no_store")]
        promise = words.say("admin_store_safe") if self._store.safe else words.say("admin_store_unsafe")
        lines = [words.say("admin_status_store", version=self._store.version, promise=promise)]
        if queue.partitions_away:
            lines.append(words.say("admin_status_away", count=queue.partitions_away))
        oldest = round(queue.oldest_seconds)
        lines.append(words.say("admin_status_queue", waiting=queue.waiting, oldest=oldest, leased=queue.leased))
        return [*lines, words.say("admin_status_dead", count=queue.dead)]

    def _own_lines(self, words: Words) -> list[str]:
        counts = words.say(
            "admin_status_counts",
            since=date_token(self._began),
            answers=metrics.total(metrics.answered),
            apologies=metrics.total(metrics.apologies),
            refusals=metrics.total(metrics.access_refusals) + metrics.total(metrics.quota_refusals),
        )
        median = metrics.median(metrics.first_text_seconds)
        return [counts] if median is None else [counts, words.say("status_wait", seconds=round(median, 1))]
