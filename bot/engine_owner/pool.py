"""A fixed set of addresses at which engines may run that outlive their owner, as containers do."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from bot.engine_owner.own_engines import Engine


class Place(Protocol):
    """Runs one engine at one address, or none: a slot, or a Deployment."""

    @property
    def url(self) -> str: ...
    async def serving(self) -> Path | None:
        """The directory that is served there. Raises LocalPartError."""

    async def serve(self, path: Path) -> None:
        """Returns when the model answers; one that is served already goes on. Raises LocalPartError."""

    async def clear(self) -> None:
        """Returns when nobody answers there any more."""

    async def requests(self) -> int:
        """How many it is answering, or has waiting."""


class Pool:
    """Gives engines their places: whichever has been free for longest, so that a model that takes another's place
    answers at another address, and nobody reaches it before it is in service."""

    def __init__(self, places: Sequence[Place]) -> None:
        self._free = list(places)

    async def running(self) -> list[tuple[Engine, Path]]:
        """Those that an owner before this one left. Raises LocalPartError."""
        found: list[tuple[Engine, Path]] = []
        for place in list(self._free):
            if path := await place.serving():
                self._free.remove(place)
                found.append((_Placed(self, place, path), path))
            else:
                await place.clear()  # it may be ending, or have been made without a model
        return found

    def open(self, path: Path, _: int) -> Engine:
        """An engine that is not yet started; there are never more than places."""
        return _Placed(self, self._free.pop(0), path)

    def free(self, place: Place) -> None:
        """Nobody is there any more."""
        self._free.append(place)


class _Placed:
    """An engine at its place (bot.engine_owner.own_engines.Engine)."""

    def __init__(self, pool: Pool, place: Place, path: Path) -> None:
        self._pool = pool
        self._place = place
        self._path = path

    @property
    def url(self) -> str:
        return self._place.url

    async def start(self) -> None:
        await self._place.serve(self._path)

    async def stop(self) -> None:
        try:
            await self._place.clear()
        finally:
            self._pool.free(self._place)

    async def requests(self) -> int:
        return await self._place.requests()
