"""A fixed set of addresses at which engines may run that outlive their owner, as containers do."""

import asyncio
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
        self._places = places
        self._free: asyncio.Queue[Place] = asyncio.Queue()
        for place in places:
            self._free.put_nowait(place)

    async def running(self) -> list[tuple[Engine, Path]]:
        """Those that an owner before this one left. Raises LocalPartError."""
        found: list[tuple[Engine, Path]] = []
        for place in [self._free.get_nowait() for _ in self._places]:
            if path := await place.serving():
                found.append((_Placed(self._free, path, place), path))
            else:
                await place.clear()  # it may be ending, or have been made without a model
                self._free.put_nowait(place)
        return found

    def open(self, path: Path, _: int) -> Engine:
        """An engine that is not yet started; it waits for a place that is still being cleared."""
        return _Placed(self._free, path)


class _Placed:
    """An engine at its place (bot.engine_owner.own_engines.Engine)."""

    def __init__(self, free: asyncio.Queue[Place], path: Path, place: Place | None = None) -> None:
        self._free = free
        self._path = path
        self._place = place

    @property
    def url(self) -> str:
        return self._place.url if self._place else ""

    async def start(self) -> None:
        self._place = self._place or await self._free.get()
        await self._place.serve(self._path)

    async def stop(self) -> None:
        place, self._place = self._place, None
        if place is not None:
            try:
                await place.clear()
            finally:
                self._free.put_nowait(place)

    async def requests(self) -> int:
        return await self._place.requests() if self._place else 0
