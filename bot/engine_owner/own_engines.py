"""The engines that run on this machine, each with its file: started, drained, stopped."""

import asyncio
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import structlog

log = structlog.get_logger(__name__)

LOOK_SECONDS = 0.25
QUIET_SECONDS = 3.0
"""Without a request for so long, an engine has none to come: whoever was given its address has asked by then, or asks
another later."""
SHORTEST_DRAIN_SECONDS = 5.0
LONGEST_DRAIN_SECONDS = 900.0


class Engine(Protocol):
    """A server of one model, on an address that stays the same (bot.local.engine.LocalEngine)."""

    @property
    def url(self) -> str: ...
    async def start(self) -> None:
        """Returns when it answers. Raises LocalPartError."""

    async def stop(self) -> None:
        """Ends it, whatever it is doing."""

    async def requests(self) -> int:
        """How many it is answering, or has waiting."""


OpenEngine = Callable[[Path, int], Engine]
"""An engine for the model in a file, not yet started; the number tells those apart that run at the same time."""


@dataclass(slots=True, eq=False)
class OwnEngine:
    """One that runs."""

    engine: Engine
    number: int
    path: Path
    sha256: str
    draining: asyncio.Task[None] | None = None


class OwnEngines:
    """Those that run."""

    def __init__(self, open_engine: OpenEngine) -> None:
        self._open_engine = open_engine
        self._engines: list[OwnEngine] = []
        self._stopping: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._engines)

    def __iter__(self) -> Iterator[OwnEngine]:
        return iter(self._engines)

    @property
    def is_draining(self) -> bool:
        """Whether one of them will be gone soon."""
        return any(own.draining for own in self._engines)

    def at(self, url: str) -> OwnEngine | None:
        """The one at this address."""
        return next((own for own in self._engines if own.engine.url == url), None)

    def reuse(self, path: Path, sha256: str) -> OwnEngine | None:
        """One that serves the file, if there is one; it is stopped no more until `keep` says so again."""
        own = next((own for own in self._engines if (own.path, own.sha256) == (path, sha256)), None)
        if own is not None:
            _stay(own)
        return own

    def adopt(self, engine: Engine, path: Path, sha256: str) -> None:
        """One that runs already, and that nobody here has started."""
        self._engines.append(OwnEngine(engine, self._number(), path, sha256))

    def _number(self) -> int:
        return min(set(range(1, len(self) + 2)) - {own.number for own in self._engines})

    async def start(self, path: Path, sha256: str) -> OwnEngine:
        """One more. Raises LocalPartError."""
        number = self._number()
        own = OwnEngine(self._open_engine(path, number), number, path, sha256)
        self._engines.append(own)
        try:
            await own.engine.start()
        except BaseException:
            await self._stop(own)
            raise
        log.info("engine_started", model=path.name, number=number)
        return own

    def keep(self, urls: Collection[str]) -> None:
        """Drain and then stop all but those at `urls`; one that is among them again is stopped no more."""
        for own in self._engines:
            if own.engine.url not in urls and own.draining is None:
                own.draining = asyncio.create_task(self._end(own))
            elif own.engine.url in urls:
                _stay(own)

    async def end(self, url: str) -> None:
        """Drain and stop the one at `url`, and wait for that."""
        if own := self.at(url):
            await drained(own.engine)
            await self._stop(own)

    async def leave(self) -> None:
        """Have them run on as they are, with nobody who ends them; what is being ended is."""
        for own in self._engines:
            _stay(own)
        await asyncio.gather(*self._stopping)

    async def stop_all(self, *, but: Collection[str] = ()) -> None:
        """Stop them as they are."""
        for own in [own for own in self._engines if own.engine.url not in but]:
            _stay(own)
            await self._stop(own)
        await asyncio.gather(*self._stopping)

    async def _end(self, own: OwnEngine) -> None:
        await drained(own.engine)
        own.draining = None  # it is too late to take it back
        await self._stop(own)
        log.info("engine_stopped", model=own.path.name, number=own.number)

    async def _stop(self, own: OwnEngine) -> None:
        """It is no more one of them at once, and gone when this returns; whoever is cancelled leaves that to go on."""
        if own in self._engines:
            self._engines.remove(own)
        stopping = asyncio.create_task(own.engine.stop())
        self._stopping.add(stopping)
        stopping.add_done_callback(self._stopping.discard)
        await asyncio.shield(stopping)


def _stay(own: OwnEngine) -> None:
    if own.draining is not None:
        own.draining.cancel()
    own.draining = None


async def drained(engine: Engine) -> None:
    """Return when the engine has had no request for a while, or is taking far too long."""
    now = asyncio.get_running_loop().time
    began = asked = now()
    while now() - began < LONGEST_DRAIN_SECONDS:
        if await engine.requests():
            asked = now()
        if now() - began >= SHORTEST_DRAIN_SECONDS and now() - asked >= QUIET_SECONDS:
            return
        await asyncio.sleep(LOOK_SECONDS)
    log.warning("engine_not_drained", seconds=LONGEST_DRAIN_SECONDS)
