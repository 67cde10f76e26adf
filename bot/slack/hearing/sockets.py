"""Socket Mode: the WebSockets that this process holds open to Slack, two of them, so that there is always one."""

import asyncio
import time
from typing import Any

import structlog
from slack_bolt.adapter.socket_mode.async_internals import send_async_response
from slack_bolt.adapter.socket_mode.internals import build_headers
from slack_bolt.app.async_app import AsyncApp
from slack_bolt.request.async_request import AsyncBoltRequest
from slack_sdk.errors import SlackApiError
from slack_sdk.socket_mode.aiohttp import SocketModeClient
from slack_sdk.socket_mode.request import SocketModeRequest

from bot.background import for_ever
from bot.errors import SlackError
from bot.slack.app import dispatch
from bot.slack.client import FIRST_RETRY_SECONDS, LONGEST_RETRY_SECONDS, UNREACHABLE, error_name, is_passing

log = structlog.get_logger(__name__)

SOCKETS = 2
"""Slack allows ten for an app, so five processes with two each."""
PING_SECONDS = 5
"""How often the socket is asked for a sign of life, and how long the client waits before it connects again."""
OTHER_SOCKET_SECONDS = 10.0
"""How long a socket waits for another one that is connecting; Slack warns about so long before it closes one."""
SHORTEST_LIFE_SECONDS = 1.0
"""A socket that Slack sends away at once, because there are too many, does not come back sooner."""


class Sockets:
    """Slack's client closes a socket before it opens the next, whenever Slack asks for that (every few hours). What
    happens meanwhile goes to the other socket; the two never connect at the same time."""

    def __init__(self, app: AsyncApp, app_token: str) -> None:
        self._app = app
        connecting = asyncio.Lock()
        self._clients = [_Client(app, app_token, connecting) for _ in range(SOCKETS)]
        for client in self._clients:
            client.socket_mode_request_listeners.append(self._handle)
        self._tasks: list[asyncio.Task[None]] = []

    def hears(self) -> bool:
        """Whether Slack's events can come in."""
        return any(client.is_live for client in self._clients)

    async def open(self) -> None:
        """Return when the first socket is open; the others follow. Raises SlackError when the token is refused."""
        first, *others = self._clients
        first.wss_uri = await _address(first)
        await first.connect()
        self._tasks = [asyncio.create_task(for_ever(client.keep_address_fresh, "address")) for client in self._clients]
        self._tasks += [asyncio.create_task(client.join()) for client in others]

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for client in self._clients:
            await client.close()  # type: ignore[no-untyped-call]

    async def _handle(self, client: Any, request: SocketModeRequest) -> None:
        """Have the app take an envelope, and acknowledge it: over a new socket where the old one closed meanwhile."""
        start = time.time()
        readable = AsyncBoltRequest(mode="socket_mode", body=request.payload, headers=build_headers(request))
        await send_async_response(client, request, await dispatch(self._app, readable), start)


class _Client(SocketModeClient):
    """Slack's client of one socket, which waits its turn to connect again."""

    def __init__(self, app: AsyncApp, app_token: str, connecting: asyncio.Lock) -> None:
        super().__init__(app_token, logger=app.logger, web_client=app.client, ping_interval=PING_SECONDS)
        self._connecting = connecting
        self._connected_at = 0.0

    @property
    def is_live(self) -> bool:
        return (
            not self.closed and not self.stale and self.current_session is not None and not self.current_session.closed
        )

    async def connect_to_new_endpoint(self, force: bool = False) -> None:
        has_turn = False
        try:
            async with asyncio.timeout(OTHER_SOCKET_SECONDS):
                await self._connecting.acquire()
            has_turn = True
        except TimeoutError:
            pass  # the other one hears nothing either
        try:
            await asyncio.sleep(self._connected_at + SHORTEST_LIFE_SECONDS - time.monotonic())
            await super().connect_to_new_endpoint(force)
        finally:
            if has_turn:
                self._connecting.release()

    async def connect(self) -> None:
        await super().connect()  # type: ignore[no-untyped-call]
        self._connected_at = time.monotonic()

    async def join(self) -> None:
        """Open a socket beside one that is open."""
        while not self.is_live:
            try:
                await self.connect_to_new_endpoint()
            except Exception as error:  # whatever it is, there is to be another socket
                log.warning("socket_not_open", reason=type(error).__name__, retry_seconds=PING_SECONDS)
                await asyncio.sleep(PING_SECONDS)

    async def keep_address_fresh(self) -> None:
        """Ask for a new address while there is no connection; to be done again and again.

        An address is good for one connection, soon; the client would try one that has become useless for ever.
        """
        await asyncio.sleep(1.5 * PING_SECONDS)
        if not await self.is_connected():
            self.wss_uri = None


async def _address(client: SocketModeClient) -> str:
    """Where the first socket is to be opened. An unreachable Slack is asked again.

    The client would ask by itself, and for ever, even with a token that Slack refuses.
    """
    wait_seconds = FIRST_RETRY_SECONDS
    while True:
        try:
            return str(await client.issue_new_wss_url())
        except SlackApiError as error:
            if not is_passing(error):
                raise SlackError("apps.connections.open", error_name(error)) from None
            reason = error_name(error)
        except UNREACHABLE as error:
            reason = type(error).__name__
        log.warning("socket_not_open", reason=reason, retry_seconds=wait_seconds)
        await asyncio.sleep(wait_seconds)
        wait_seconds = min(wait_seconds * 2, LONGEST_RETRY_SECONDS)
