"""How Slack's events reach Dolly: it connects out (Socket Mode), or Slack connects in (signed HTTP)."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import web
from slack_bolt.async_app import AsyncApp

from bot.access import SlackAccess
from bot.errors import LocalPartError
from bot.slack.hearing.http_events import SERVER_LOG, web_app
from bot.slack.hearing.slow_clients import SlowClients
from bot.slack.hearing.sockets import Sockets

HEADER_SECONDS = 10.0
"""How long a connection may take until its first request has begun."""
REST_SECONDS = 1.0
"""How long the rest of a body is waited for whose request is answered already, refused."""
IDLE_SECONDS = 75.0
"""How long one may be idle; longer than a proxy keeps it, so that none is closed as it is taken up."""


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
    application, slow = web_app(app, signing_secret), SlowClients(HEADER_SECONDS)
    application.middlewares.append(slow.middleware())
    # Slack signs the bytes as they are sent, so nothing is unpacked.
    runner = web.AppRunner(
        application,
        access_log=None,
        auto_decompress=False,
        logger=SERVER_LOG,
        keepalive_timeout=IDLE_SECONDS,
        lingering_time=REST_SECONDS,
    )
    await runner.setup()
    assert runner.server is not None, "it was set up"
    try:
        try:
            server = await asyncio.get_running_loop().create_server(slow.watched(runner.server), host, port)
        except OSError as error:
            raise LocalPartError(
                f"Cannot receive HTTP events on {host}:{port} ({error.strerror}); set HTTP_PORT to a free port."
            ) from None
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()
    finally:
        await runner.cleanup()


@asynccontextmanager
async def listening(app: AsyncApp, slack: SlackAccess) -> AsyncIterator[tuple[Callable[[], bool], int | None]]:
    """Let Slack's events in; yields whether they can come just now, and the port to which they do, if to one."""
    if slack.app_token is not None:
        async with socket_mode(app, slack.app_token) as sockets:
            yield sockets.hears, None
        return
    assert slack.signing_secret is not None, "SlackAccess has neither an app token nor a signing secret"
    async with http_events(app, slack.signing_secret, slack.http_host, slack.http_port) as port:
        yield (lambda: True), port  # they can, as long as this process runs
