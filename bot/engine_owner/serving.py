"""What is in service has an engine, and its address stands in the store."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import structlog

from bot.engine_owner.model_files import ModelFiles
from bot.engine_owner.own_engines import OwnEngine, OwnEngines
from bot.errors import LocalPartError
from bot.store.served_models import Canary, ServedModel, ServedModels

log = structlog.get_logger(__name__)

SHIPPED = "shipped"
"""The revision of the model that Dolly was configured with."""
ENGINES = 2
"""As many run at once, at most."""

HasRoomFor = Callable[[Path], bool]
"""Whether there may be one more engine, with the model in the file."""


@dataclass(frozen=True, slots=True)
class Configured:
    """The model that Dolly serves where no other was promoted."""

    path: Path
    """A whole one."""
    manifest: str = ""
    keys: tuple[str, ...] = ()


class Serving:
    """Starts engines for the model in service and for the canary, where none runs."""

    def __init__(
        self,
        models: ServedModels,
        engines: OwnEngines,
        configured: Configured,
        has_room_for: HasRoomFor,
        tell: Callable[[str], None],
        *,
        files: ModelFiles,
        is_shared: bool,
    ) -> None:
        """With `is_shared`, each Dolly is configured with an address of its own choice, so that all addresses are
        written down; without, an empty one stands for the first engine, which this process started for itself.
        """
        self._models = models
        self._engines = engines
        self._configured = configured
        self._has_room_for = has_room_for
        self._tell = tell
        self._files = files
        self._is_shared = is_shared
        self.first_url = ""
        """Where the first engine is: what an empty address in the store stands for, when this process wrote it."""
        self._last: ServedModel | None = None
        """What was in service when that was last looked at."""

    @property
    def path(self) -> Path:
        """The file of the model in service."""
        return Path(self._last.path) if self._last else self._configured.path

    async def start(self) -> None:
        """Serve what is in service, or else what is configured. Raises LocalPartError, StoreUnavailable."""
        current = await self._models.current()
        promoted = current if current is not None and current.revision != SHIPPED else None
        own = await self._promoted(promoted) if promoted else None
        if own is None:
            own = await self._running(self._configured.path)
            self._tell(f"The engine is ready, with the model {own.path.stem}.")
        self.first_url = own.engine.url

    async def settle(self) -> None:
        """Write down where that is, now that nobody else owns the engine, and what it is if it is something else."""
        current, first = await self._models.current(), self._engines.at(self.first_url)
        assert first is not None, "it was started just before"
        if current is None:
            return  # nobody waits for it; see `current`
        is_shipped = current.revision == SHIPPED
        if current.path != str(first.path) if is_shipped else current.sha256 != first.sha256:
            self._last = await self._declare(first)
        elif await self._models.move_current(current.revision, url := self._written(first)) and not is_shipped:
            self._last = replace(current, url=url)

    async def _promoted(self, model: ServedModel) -> OwnEngine | None:
        """The engine of a model that was promoted; None where it cannot be served any more, which is told."""
        try:
            own = await self._running(await self._files.check(model), model.sha256)
        except LocalPartError as error:
            self._tell_unserved(model, error)
            return None
        self._tell(f"The engine is ready, with the model {model.name} {model.revision}.")
        return own

    async def _running(self, path: Path, sha256: str = "") -> OwnEngine:
        """The first engine: one that was found, or a new one, for which others make room. Raises LocalPartError."""
        own = next((own for own in self._engines if own.path == path and (own.sha256 == sha256 or not sha256)), None)
        if own is not None:
            await own.engine.start()  # it may still be loading
            return own
        if len(self._engines) >= ENGINES or not self._has_room_for(path):
            await self._engines.stop_all()
        return await self._engines.start(path, sha256)

    def _written(self, own: OwnEngine) -> str:
        """Its address, as it is written down."""
        return "" if own.engine.url == self.first_url and not self._is_shared else own.engine.url

    def _tell_unserved(self, model: ServedModel, error: LocalPartError) -> None:
        log.error("model_not_served", revision=model.revision, reason=str(error))
        configured = self._configured.path.stem
        self._tell(f"The model {model.revision} cannot be served, so {configured} answers in its place. {error}")

    async def current(self) -> ServedModel:
        """What is in service; written down where that is the configured model, and nobody has said so."""
        stored, first = await self._models.current(), self._engines.at(self.first_url)
        if self._last is None and first is not None:  # it was started without waiting for its hash
            first.sha256 = await self._files.sha256_of(first.path)
            if stored is None or (stored.revision == SHIPPED and stored.sha256 != first.sha256):
                stored = await self._declare(first)
        if stored is None and self._last is not None:  # the store has lost it
            await self._models.set_current(self._last)
        self._last = stored or self._last
        assert self._last is not None, "the first engine is stopped only when something else is in service"
        return self._last

    async def _declare(self, own: OwnEngine) -> ServedModel:
        """Write down that the configured model is in service."""
        own.sha256 = own.sha256 or await self._files.sha256_of(own.path)
        model = ServedModel(
            SHIPPED,
            name=own.path.stem,
            path=str(own.path),
            sha256=own.sha256,
            manifest=self._configured.manifest,
            keys=self._configured.keys,
            url=self._written(own),
            since=time.time(),
        )
        await self._models.set_current(model)
        return model

    def url_of(self, model: ServedModel) -> str:
        """Where it answers."""
        return model.url or self.first_url

    async def serve(self, current: ServedModel) -> ServedModel:
        """Have an engine for what is in service: after a hold that came to nothing there is none."""
        if self._engines.at(self.url_of(current)):
            return current
        try:
            path = await self._files.check(current)
            own = self._engines.reuse(path, current.sha256)
            if own is None and not self._has_room_for(path):
                await self._engines.stop_all()  # none of them serves what is in service
            own = own or await self._engines.start(path, current.sha256)
        except LocalPartError as error:
            self._tell_unserved(current, error)
            path = self._configured.path
            running = next((each for each in self._engines if each.path == path), None)
            self._last = await self._declare(running or await self._engines.start(path, ""))
        else:
            await self._models.move_current(current.revision, own.engine.url)
            self._last = replace(current, url=own.engine.url)
        return self._last

    async def serve_canary(self, canary: Canary) -> Canary | None:
        """Have an engine for the canary, after a restart; where there cannot be one, its channels go without it."""
        if self._engines.at(canary.model.url) or self._engines.is_draining:
            return canary
        model = canary.model
        try:
            path = await self._files.check(model)
            own = self._engines.reuse(path, model.sha256)
            if own is None and (len(self._engines) >= ENGINES or not self._has_room_for(path)):
                raise LocalPartError("There is no room for it beside the model in service.")
            own = own or await self._engines.start(path, model.sha256)
        except LocalPartError as error:
            log.error("canary_not_served", revision=model.revision, reason=str(error))
            self._tell(f"The model {model.revision} is no canary any more. {error}")
            await self._models.drop_canary()
            return None
        await self._models.move_canary(model.revision, own.engine.url)
        return replace(canary, model=replace(model, url=own.engine.url))
