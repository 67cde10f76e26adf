"""The admin port, for whoever watches Dolly: /metrics, /healthz and /readyz. Nothing here needs a password, nor shows
what people write or who they are.

    /healthz    200: the process is alive; it should be restarted when this is not answered
    /readyz     200: it hears Slack, its store answers, its workers run; else 503 with a sentence for each reason
    /metrics    Prometheus' text format (bot/metrics.py)

The metrics are those of the process, so of one replica; the queue's are the store's, so the same for all replicas.
"""

import asyncio
import contextlib
import logging
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiohttp import web
from prometheus_client.aiohttp import make_aiohttp_handler

from bot import metrics
from bot.engines import InService
from bot.errors import LocalPartError, StoreUnavailable
from bot.store.claims import QueueReport
from bot.store.retraining import TrainerReport

STORE_SECONDS = 2.0
"""How long the store may take: Prometheus waits for ten seconds and shows nothing at all then."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

SERVER_LOG = logging.getLogger("aiohttp.server.admin")


@dataclass
class Health:
    """What can be asked of Dolly; each part is filled in as soon as it runs."""

    hears: Callable[[], bool] | None = None
    """Whether Slack's events can come in just now."""
    workers: asyncio.Task[None] | None = None
    queue_report: Callable[[], Awaitable[QueueReport]] | None = None
    trainer_report: Callable[[], Awaitable[TrainerReport]] | None = None
    in_service: Callable[[], Awaitable[InService]] | None = None

    def reasons(self) -> list[str]:
        """What keeps Dolly from hearing and answering, the store aside: a sentence each."""
        if self.hears is None or self.workers is None or self.queue_report is None:
            return ["Dolly is starting: it waits for Slack, or for its store."]
        reasons = []
        if not self.hears():
            reasons.append("Dolly does not hear Slack: none of its sockets is open.")
        if self.workers.cancelling():
            reasons.append("Dolly is stopping: it takes up no more questions.")
        elif self.workers.done():
            reasons.append("Dolly's workers have stopped; its log says why.")
        return reasons


@asynccontextmanager
async def admin_server(
    host: str, port: int, health: Health, *, store_seconds: float = STORE_SECONDS
) -> AsyncIterator[int]:
    """Serve as long as the body runs; yields the port. Raises LocalPartError when the port is taken."""
    admin = _Admin(health, store_seconds)
    handlers: dict[str, Handler] = {"/healthz": admin.healthz, "/readyz": admin.readyz, "/metrics": admin.metrics}
    async with http_server(host, port, handlers) as served_at:
        yield served_at


@asynccontextmanager
async def http_server(host: str, port: int, handlers: Mapping[str, Handler]) -> AsyncIterator[int]:
    """GET of each path, as long as the body runs; yields the port. Raises LocalPartError when the port is taken."""
    application = web.Application()
    for path, handler in handlers.items():
        application.router.add_get(path, handler)
    runner = web.AppRunner(application, access_log=None, logger=SERVER_LOG)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as error:
            raise LocalPartError(
                f"Cannot serve metrics on {host}:{port} ({error.strerror}); set ADMIN_HOST to an address of this "
                "machine and ADMIN_PORT to a free port."
            ) from None
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


class _Admin:
    def __init__(self, health: Health, store_seconds: float) -> None:
        self._health = health
        self._store_seconds = store_seconds
        self._prometheus = make_aiohttp_handler()

    async def healthz(self, _: web.Request) -> web.Response:
        return web.Response(text="ok")

    async def readyz(self, _: web.Request) -> web.Response:
        reasons = self._health.reasons()
        try:
            await self._asked_store()
        except StoreUnavailable as error:
            reasons.append(str(error))
        return web.json_response({"ready": not reasons, "reasons": reasons}, status=503 if reasons else 200)

    async def metrics(self, request: web.Request) -> web.StreamResponse:
        hears = self._health.hears
        metrics.slack_up.set(hears is not None and hears())
        try:
            _show(await self._asked_store())
        except StoreUnavailable:
            _show(None)
        else:
            await self._show_models()
        return await self._prometheus(request)

    async def _show_models(self) -> None:
        """What answers, and whether anybody trains; where that is not known now, what was shown before stays."""
        if self._health.in_service is None or self._health.trainer_report is None:
            return
        with contextlib.suppress(StoreUnavailable, TimeoutError):
            async with asyncio.timeout(self._store_seconds):
                trainer = await self._health.trainer_report()
                metrics.trainer_up.set(trainer.lives)
                metrics.retrains_waiting.set(trainer.waiting)
                metrics.model_in_service.info({"model": (await self._health.in_service()).model})

    async def _asked_store(self) -> QueueReport:
        if self._health.queue_report is None:
            raise StoreUnavailable("The store has not been asked yet.")
        try:
            async with asyncio.timeout(self._store_seconds):
                return await self._health.queue_report()
        except TimeoutError:
            raise StoreUnavailable(f"The store did not answer within {self._store_seconds:g} s.") from None


def _show(report: QueueReport | None) -> None:
    """What is not known is NaN: an old number would say that all is as it was."""
    metrics.store_up.set(report is not None and not report.partitions_away)
    metrics.partitions_away.set(report.partitions_away if report else math.nan)
    metrics.oldest_unanswered.set(report.oldest_seconds if report else math.nan)
    metrics.waiting.set(report.waiting if report else math.nan)
    metrics.leased.set(report.leased if report else math.nan)
    metrics.dead.set(report.dead if report else math.nan)
