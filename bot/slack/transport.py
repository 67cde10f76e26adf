"""How Slack's events reach Dolly: it connects out (Socket Mode), or Slack connects in (signed HTTP)."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web
from slack_bolt.async_app import AsyncApp

from bot.errors import LocalPartError
from bot.slack.http_events import SERVER_LOG, web_app
from bot.slack.sockets import Sockets


@asynccontextmanager
async def socket_mode(app: AsyncApp, app_token: str) -> AsyncIterator[Sockets]:
    """Receive events over WebSockets. Raises SlackError when the token is refused."""
    sockets = Sockets(app, app_token)
    try:
        await sockets.open()
        yield sockets
    finally:
        await sockets.close()


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
