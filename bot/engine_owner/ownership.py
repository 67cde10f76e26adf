"""The sign in the store that the engine has an owner, who lives: without it, nobody asks for another model."""

import asyncio
import os
import socket
from collections.abc import Callable

import structlog

from bot.store.served_models import Owner, ServedModel, ServedModels

log = structlog.get_logger(__name__)

BEAT_SECONDS = 5.0
WAIT_SECONDS = 1.0
OWNED_SECONDS = 15.0
"""How long after its last sign of life an owner counts as one."""


class Ownership:
    """This process's claim to be the owner. `holds` says how many engines there may be at once, `serves` whether they
    read a "directory"."""

    def __init__(self, models: ServedModels, holds: Callable[[], int], *, serves: str = "") -> None:
        self._models = models
        self._holds = holds
        self._serves = serves
        self._told: Owner | None = None
        self._is_warned = False
        self._beating = asyncio.Lock()
        self.is_held = False

    async def beat(self) -> None:
        """Give a sign of life, or take over from an owner who is gone. Raises StoreUnavailable."""
        async with self._beating:
            await self._beat()

    async def _beat(self) -> None:
        owner = Owner(self._holds(), socket.gethostname(), os.getpid(), self._serves)
        before = [self._told] if self._told is not None else []
        other = None if self.is_held else await self._models.owner()
        if other is not None and _is_gone(other):
            before.append(other)
        was_held, self.is_held = self.is_held, await self._models.own(owner, OWNED_SECONDS, instead_of=before)
        self._told = owner if self.is_held else None
        if was_held and not self.is_held:
            log.error("engine_lost", reason="Another Dolly owns the engine now; this one changes nothing any more.")
        elif other is not None and not self.is_held and not self._is_warned:
            self._is_warned = True
            log.warning(
                "engine_owned_elsewhere",
                host=other.host,
                reason="Another owner of these engines lives; this one waits for its end."
                if self._serves
                else "Another Dolly on this store owns the engine; give all of them one ENGINE_URL.",
            )

    async def wait(self) -> None:
        """Return when the engines are this process's. Raises StoreUnavailable."""
        await self.beat()
        while not self.is_held:
            await asyncio.sleep(WAIT_SECONDS)
            await self.beat()

    async def keep(self) -> None:
        """Give one sign after the other. Raises StoreUnavailable."""
        while True:
            await asyncio.sleep(BEAT_SECONDS)
            await self.beat()

    async def let_go(self) -> None:
        """Nobody owns the engine, in a moment. Raises StoreUnavailable."""
        if self._told is not None:
            await self._models.own(self._told, 1)
        self._told, self.is_held = None, False


async def leave_own_engine(models: ServedModels) -> ServedModel | None:
    """For a Dolly that is given an engine: what one of its own served is in service no more; what that was.

    None where nothing was, or the owner of that engine lives. Raises StoreUnavailable.
    """
    owner = await models.owner()
    if owner is not None and not _is_gone(owner):
        return None
    return await models.leave_own_engine()


def _is_gone(owner: Owner) -> bool:
    """Whether it was a process of this machine that runs no more, or had this one's number."""
    if not owner.pid or owner.host != socket.gethostname():
        return False
    if owner.pid == os.getpid():
        return True
    try:
        os.kill(owner.pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass
    return False
