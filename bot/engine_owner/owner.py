"""The owner of Dolly's own engine: what the store says is in service runs, and what it does not say ends.

All that is in progress stands in the store. So whoever comes after an owner that was killed, at whatever moment, starts
what is in service, and gives up what was only about to be.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import structlog

from bot.background import for_ever
from bot.engine_owner.model_files import Directories, GgufFiles, ModelFiles
from bot.engine_owner.own_engines import Engine, OpenEngine, OwnEngines
from bot.engine_owner.ownership import Ownership
from bot.engine_owner.serving import ENGINES, Configured, HasRoomFor, Serving
from bot.errors import LocalPartError, StoreUnavailable
from bot.store.served_models import Candidate, ServedModels

log = structlog.get_logger(__name__)

LOOK_SECONDS = 0.5
RETRY_SECONDS = 2.0
READY_SECONDS = 180.0
"""How long a candidate waits to be promoted once it answers."""
ABANDONED_SECONDS = 5.0
"""How long nobody may be promoting until that is certain."""

INTERRUPTED = "Whoever starts engines was interrupted before this model was in service; promote it again."
NOT_PROMOTED = f"Nobody promoted this model within {READY_SECONDS:g} s of its start; promote it again."
ABANDONED = "Whoever promoted this model is gone; promote it again."
CANARY_RUNS = (
    "A canary runs beside the model in service, and two engines are the most: promote it or roll it back first."
)


FindEngines = Callable[[], Awaitable[Sequence[tuple[Engine, Path]]]]
"""The engines that an owner before this one left running, each with what it serves."""


class EngineOwner:
    """Runs the engines: one, and a second one for a canary, or while another model comes into service."""

    def __init__(
        self,
        models: ServedModels,
        open_engine: OpenEngine,
        configured: Configured,
        *,
        has_room_for: HasRoomFor,
        find_engines: FindEngines | None = None,
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        """With `find_engines`, engines are containers: they serve directories and outlive their owner, and each Dolly
        is configured with the address of one. Without it they are Dolly's own: they serve files, and end with it.
        """
        self._models = models
        self._engines = OwnEngines(open_engine)
        self._has_room_for = has_room_for
        self._find_engines = find_engines
        is_shared = find_engines is not None
        self._files: ModelFiles = Directories() if is_shared else GgufFiles()
        self._serving = Serving(
            models, self._engines, configured, has_room_for, tell, files=self._files, is_shared=is_shared
        )
        self._ownership = Ownership(models, self._holds, serves="directory" if is_shared else "")
        self._is_holding = False
        """Whether a candidate takes the place of what is in service, for want of room."""
        self._ready = ("", 0.0)
        """The last attempt that got as far, and when."""
        self._alone_since: float | None = None
        """Since when there is a candidate, and nobody who promotes it."""
        self.is_serving = False
        """Whether what is in service has been started."""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[str]:
        """Serve what is in service, and what is asked for later. Gives the address of the engine that answers first.

        Raises LocalPartError where no engine starts, StoreUnavailable where the store does not answer at the start.
        """
        tasks: list[asyncio.Task[None]] = []
        try:
            if self._find_engines is not None:
                await self._ownership.wait()  # two owners would take each other's engines for their own
                tasks.append(asyncio.create_task(for_ever(self._keep_ownership, "engine_ownership")))
                await self._adopt(await self._find_engines())
            await self._serving.start()
            await self._ownership.beat()
            if self._ownership.is_held:
                await self._serving.settle()
            tasks.append(asyncio.create_task(for_ever(self._follow, "engine_owner")))
            if self._find_engines is None:
                tasks.append(asyncio.create_task(for_ever(self._keep_ownership, "engine_ownership")))
            self.is_serving = True
            yield self._serving.first_url
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            with suppress(StoreUnavailable):
                await self._ownership.let_go()
            await (self._engines.stop_all() if self._find_engines is None else self._engines.leave())

    @property
    def is_owning(self) -> bool:
        """Whether the engines are this process's to start and stop."""
        return self._ownership.is_held

    async def _adopt(self, found: Sequence[tuple[Engine, Path]]) -> None:
        for engine, path in found:
            sha256 = ""
            with suppress(LocalPartError):  # what is there no more is nothing that anybody wants
                sha256 = await self._files.sha256_of(path)
            self._engines.adopt(engine, path, sha256)
            log.info("engine_found", model=path.name, engine=engine.url)

    async def _keep_ownership(self) -> None:
        try:
            await self._ownership.keep()
        except StoreUnavailable as error:
            log.warning("store_unavailable", reason=str(error))
            await asyncio.sleep(RETRY_SECONDS)

    def _holds(self) -> int:
        """How many engines there may be at once."""
        if self._is_holding:
            return 1
        return ENGINES if len(self._engines) > 1 or self._has_room_for(self._serving.path) else 1

    async def _follow(self) -> None:
        """Look once, and do what is to be done."""
        await asyncio.sleep(LOOK_SECONDS)
        if not self._ownership.is_held:
            return
        try:
            await self._look()
        except (StoreUnavailable, LocalPartError) as error:
            log.error("engine_not_followed", error=type(error).__name__, reason=str(error))
            await asyncio.sleep(RETRY_SECONDS)

    async def _look(self) -> None:
        # What is in service is read last: a candidate that was ready a moment ago may be that now, and is kept.
        candidate = await self._attend(await self._models.candidate())
        canary = await self._models.canary()
        current = await self._serving.current()
        ready = candidate if candidate is not None and candidate.state == "ready" else None
        if ready is None:
            self._is_holding = False
        if not self._is_holding:
            current = await self._serving.serve(current)
            canary = await self._serving.serve_canary(canary) if canary else None
        served = [current, *(each.model for each in (canary, ready) if each is not None)]
        self._engines.keep({self._serving.url_of(model) for model in served})

    # --- what is to be in service -----------------------------------------------------------------------------------

    async def _attend(self, candidate: Candidate | None) -> Candidate | None:
        """Bring a candidate further, where it is the owner's turn; None where it is none any more."""
        if candidate is None or candidate.state in ("failed", "refused", "promoted"):
            self._alone_since = None
            return None
        if await self._is_in_service(candidate):
            return None
        if await self._is_abandoned():
            return await self._models.note(candidate, "refused", reason=ABANDONED)
        if candidate.state == "wanted":
            return await self._take(candidate)
        if candidate.state in ("starting", "holding"):  # nobody does it any more
            return await self._models.note(candidate, "failed", reason=INTERRUPTED)
        if candidate.state == "ready":
            if self._engines.at(candidate.model.url) is None:
                return await self._models.note(candidate, "failed", reason=INTERRUPTED)
            attempt, since = self._ready
            if attempt == candidate.id and time.monotonic() - since > READY_SECONDS:
                return await self._models.note(candidate, "failed", reason=NOT_PROMOTED)
        return candidate

    async def _is_in_service(self, candidate: Candidate) -> bool:
        """Whether it has come into service already, though nobody has said so of the candidate yet."""
        canary = await self._models.canary()
        served = (await self._models.current(), canary.model if canary else None)
        return any(model is not None and model.attempt == candidate.id != "" for model in served)

    async def _is_abandoned(self) -> bool:
        """Whether nobody promotes the candidate any more."""
        if await self._models.is_promoting():
            self._alone_since = None
            return False
        if self._alone_since is None:
            self._alone_since = time.monotonic()
        return time.monotonic() - self._alone_since >= ABANDONED_SECONDS

    async def _take(self, wanted: Candidate) -> Candidate | None:
        """Start a candidate beside what is in service, or in its place where there is no room for both."""
        model = wanted.model
        own = self._engines.reuse(Path(model.path), model.sha256)
        if own is None and len(self._engines) >= ENGINES:
            if self._engines.is_draining or await self._models.canary() is None:
                return wanted  # there will be room
            return await self._models.note(wanted, "failed", reason=CANARY_RUNS)
        candidate = await self._models.note(wanted, "starting")
        try:
            path = await self._files.check(model)
            if candidate is not None and own is None and not self._has_room_for(path):
                candidate = await self._hold(candidate)
            if candidate is None:
                return None
            own = own or await self._engines.start(path, model.sha256)
        except LocalPartError as error:
            log.warning("candidate_failed", revision=model.revision, reason=str(error))
            if candidate is None:
                return None
            await self._serving.serve(await self._serving.current())  # what a hold has stopped, before the hold ends
            return await self._models.note(candidate, "failed", reason=str(error))
        self._ready = (candidate.id, time.monotonic())
        await self._ownership.beat()  # whether there is a second engine is known before it is ready
        return await self._models.note(candidate, "ready", url=own.engine.url)

    async def _hold(self, candidate: Candidate) -> Candidate | None:
        """Have no answer begin, and stop the engine when none is being written."""
        self._is_holding = True
        await self._ownership.beat()
        holding = await self._models.note(candidate, "holding")
        if holding is not None:
            await self._engines.end(self._serving.url_of(await self._serving.current()))
        return holding
