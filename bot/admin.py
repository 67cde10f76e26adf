"""The admin port, for whoever watches Dolly: /metrics, /healthz and /readyz. Nothing here needs a password, nor shows
what people write or who they are.

    /healthz    200: the process is alive; it should be restarted when this is not answered
    /readyz     200: it hears Slack, its store answers, its workers run; else 503 with a sentence for each reason
    /metrics    Prometheus' text format (bot/metrics.py)

The metrics are those of the process, so of one replica; the queue's are the store's, so the same for all replicas.
"""

import asyncio
import logging
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web
from prometheus_client.aiohttp import make_aiohttp_handler

from bot import metrics
from bot.errors import LocalPartError, StoreUnavailable
from bot.store.claims import QueueReport

STORE_SECONDS = 2.0
"""How long the store may take: Prometheus waits for ten seconds and shows nothing at all then."""

SERVER_LOG = logging.getLogger("aiohttp.server.admin")

Readiness = Callable[[], Awaitable[list[str]]]
"""What keeps Dolly from answering, the store aside: a sentence each."""
Report = Callable[[], Awaitable[QueueReport]]


@asynccontextmanager
async def admin_server(
    host: str, port: int, readiness: Readiness, queue_report: Report, *, store_seconds: float = STORE_SECONDS
) -> AsyncIterator[int]:
    """Serve as long as the body runs; yields the port. Raises LocalPartError when the port is taken."""
    admin = _Admin(readiness, queue_report, store_seconds)
    application = web.Application()
    application.router.add_get("/healthz", admin.healthz)
    application.router.add_get("/readyz", admin.readyz)
    application.router.add_get("/metrics", admin.metrics)
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
    def __init__(self, readiness: Readiness, queue_report: Report, store_seconds: float) -> None:
        self._readiness = readiness
        self._queue_report = queue_report
        self._store_seconds = store_seconds
        self._prometheus = make_aiohttp_handler()

    async def healthz(self, _: web.Request) -> web.Response:
        return web.Response(text="ok")

    async def readyz(self, _: web.Request) -> web.Response:
        reasons = await self._readiness()
        try:
            await self._asked_store()
        except StoreUnavailable as error:
            reasons = [*reasons, str(error)]
        return web.json_response({"ready": not reasons, "reasons": reasons}, status=503 if reasons else 200)

    async def metrics(self, request: web.Request) -> web.StreamResponse:
        try:
            _show(await self._asked_store())
        except StoreUnavailable:
            _show(None)
        return await self._prometheus(request)

    async def _asked_store(self) -> QueueReport:
        try:
            async with asyncio.timeout(self._store_seconds):
                return await self._queue_report()
        except TimeoutError:
            raise StoreUnavailable(f"The store did not answer within {self._store_seconds:g} s.") from None


def _show(report: QueueReport | None) -> None:
    """What is not known is NaN: an old number would say that all is as it was."""
    metrics.store_up.set(report is not None)
    metrics.oldest_unanswered.set(report.oldest_seconds if report else math.nan)
    metrics.waiting.set(report.waiting if report else math.nan)
    metrics.leased.set(report.leased if report else math.nan)
    metrics.dead.set(report.dead if report else math.nan)
