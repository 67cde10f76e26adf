"""`dolly own-engines`: owns engines that are containers, until it is stopped; they run on without it."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack

from aiohttp import web

from bot.access import AdminPort
from bot.admin import Handler, http_server
from bot.engine_owner import EngineOwner
from bot.errors import LocalPartError

LOOK_SECONDS = 1.0


async def own_engines(owner: EngineOwner, admin: AdminPort | None, tell: Callable[[str], None]) -> None:
    """Serve what is in service, and have other models come into it. Returns when it is cancelled.

    Raises LocalPartError where nothing can be served or another owner took the engines over, StoreUnavailable.
    """
    async with AsyncExitStack() as stack:
        if admin is not None:
            handlers = {"/healthz": _healthz, "/readyz": _readyz(owner)}
            await stack.enter_async_context(http_server(admin.host, admin.port, handlers))
        url = await stack.enter_async_context(owner.running())
        tell(f"The engines are owned; {url} answered first. Ctrl-C stops this, and leaves them as they are.")
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            if not owner.is_owning:
                raise LocalPartError(
                    "Another owner took the engines over; this one ends, and changes nothing any more."
                )


async def _healthz(_: web.Request) -> web.Response:
    return web.Response(text="ok")


def _readyz(owner: EngineOwner) -> Handler:
    async def readyz(_: web.Request) -> web.Response:
        reasons = []
        if not owner.is_owning:
            reasons.append("Another owner lives, or the store has not been asked yet.")
        elif not owner.is_serving:
            reasons.append("The model in service is being loaded.")
        return web.json_response({"ready": not reasons, "reasons": reasons}, status=503 if reasons else 200)

    return readyz
