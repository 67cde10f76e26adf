"""How Slack's events reach Dolly: it connects out (Socket Mode), or Slack connects in (signed HTTP)."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
from aiohttp import web
from slack_bolt.adapter.socket_mode.async_handler import AsyncSocketModeHandler
from slack_bolt.async_app import AsyncApp
from slack_sdk.errors import SlackApiError

from bot.errors import LocalPartError, SlackError
from bot.slack.client import FIRST_RETRY_SECONDS, LONGEST_RETRY_SECONDS, UNREACHABLE, error_name, is_passing
from bot.slack.http_events import SERVER_LOG, web_app

log = structlog.get_logger(__name__)


@asynccontextmanager
async def socket_mode(app: AsyncApp, app_token: str) -> AsyncIterator[None]:
    """Receive events over a WebSocket. Raises SlackError when the token is refused."""
    handler = AsyncSocketModeHandler(app, app_token)
    try:
        await _connect(handler)
        yield
    finally:
        await handler.close_async()  # type: ignore[no-untyped-call]


async def _connect(handler: AsyncSocketModeHandler) -> None:
    """Open the first connection; the client itself renews it later. An unreachable Slack is asked again."""
    wait_seconds = FIRST_RETRY_SECONDS
    while True:
        try:
            await handler.connect_async()  # type: ignore[no-untyped-call]
            return
        except SlackApiError as error:
            if not is_passing(error):
                raise SlackError("apps.connections.open", error_name(error)) from None
            reason = error_name(error)
        except UNREACHABLE as error:
            reason = type(error).__name__
        log.warning("socket_not_open", reason=reason, retry_seconds=wait_seconds)
        await asyncio.sleep(wait_seconds)
        wait_seconds = min(wait_seconds * 2, LONGEST_RETRY_SECONDS)


@asynccontextmanager
async def http_events(app: AsyncApp, signing_secret: str, host: str, port: int) -> AsyncIterator[int]:
    """Receive events over HTTP; yields the port. Raises LocalPartError when the port is taken."""
    application = web_app(app, signing_secret)
    # Slack signs the bytes as they are sent, so nothing is unpacked.
    runner = web.AppRunner(application, access_log=None, auto_decompress=False, logger=SERVER_LOG)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as error:
            raise LocalPartError(
                f"Cannot receive HTTP events on {host}:{port} ({error.strerror}); set HTTP_PORT to a free port."
            ) from None
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()
