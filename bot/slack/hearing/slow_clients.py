"""Connections of those who send a byte now and then: closed, so that nobody keeps many open and the others out."""

import asyncio
from collections.abc import Awaitable, Callable

from aiohttp import web

Make = Callable[[], web.RequestHandler]


class SlowClients:
    """Closes each connection whose first request has not begun, its headers whole, after `seconds`.

    aiohttp itself waits for a first request for ever; how long it waits for a later one is its keepalive_timeout.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._waiting: dict[object, asyncio.TimerHandle] = {}

    def watched(self, make: Make) -> Make:
        """The same protocols as `make` makes, one for each connection."""

        def made() -> web.RequestHandler:
            protocol = make()
            later = asyncio.get_running_loop().call_later
            self._waiting[protocol] = later(self._seconds, self._close, protocol)
            return protocol

        return made

    def _close(self, protocol: web.RequestHandler) -> None:
        del self._waiting[protocol]
        protocol.force_close()

    def middleware(self) -> Callable[..., Awaitable[web.StreamResponse]]:
        """What tells of each request that has begun."""

        @web.middleware
        async def begun(
            request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
        ) -> web.StreamResponse:
            if (timer := self._waiting.pop(request.protocol, None)) is not None:
                timer.cancel()
            return await handler(request)

        return begun
