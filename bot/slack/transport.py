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

PING_SECONDS = 5
"""How often the socket is asked for a sign of life, and how long the client waits before it connects again."""


@asynccontextmanager
async def socket_mode(app: AsyncApp, app_token: str) -> AsyncIterator[None]:
    """Receive events over a WebSocket. Raises SlackError when the token is refused."""
    handler = AsyncSocketModeHandler(app, app_token, ping_interval=PING_SECONDS)
    renewing = asyncio.create_task(_renew_address(handler))
    try:
        handler.client.wss_uri = await _address(handler)
        await handler.connect_async()  # type: ignore[no-untyped-call]
        yield
    finally:
        renewing.cancel()
        await handler.close_async()  # type: ignore[no-untyped-call]


async def _address(handler: AsyncSocketModeHandler) -> str:
    """Where the first socket is to be opened. An unreachable Slack is asked again.

    The client would ask by itself, and for ever, even with a token that Slack refuses.
    """
    wait_seconds = FIRST_RETRY_SECONDS
    while True:
        try:
            return str(await handler.client.issue_new_wss_url())
        except SlackApiError as error:
            if not is_passing(error):
                raise SlackError("apps.connections.open", error_name(error)) from None
            reason = error_name(error)
        except UNREACHABLE as error:
            reason = type(error).__name__
        log.warning("socket_not_open", reason=reason, retry_seconds=wait_seconds)
        await asyncio.sleep(wait_seconds)
        wait_seconds = min(wait_seconds * 2, LONGEST_RETRY_SECONDS)


async def _renew_address(handler: AsyncSocketModeHandler) -> None:
    """Have the client ask for a new address while it has no connection.

    An address is good for one connection, soon; the client would try one that has become useless for ever.
    """
    while True:
        await asyncio.sleep(1.5 * PING_SECONDS)
        if not await handler.client.is_connected():
            handler.client.wss_uri = None


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
