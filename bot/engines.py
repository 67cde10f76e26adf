"""Which engine answers a turn: in its channels the canary's, elsewhere that of the model in service, or the configured.

What is in service is read at the start of every turn, and the turn keeps its engine to its end. So a promotion is two
writes to the store: running answers finish where they began, the next turn asks the new engine.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import structlog

from bot.errors import ModelLoading, StoreUnavailable
from bot.model_client import EngineReport, ModelClient
from bot.store.served_models import Canary, Candidate, ServedModel, ServedModels

log = structlog.get_logger(__name__)

STORE_SECONDS = 1.0
TOLD_SECONDS = 0.3
"""How long a turn waits for the store, and whoever only wants to know: what was known before is a good guess."""

Where = tuple[str, str, str, tuple[str, ...]]
"""Address, name, revision and keys: engines that differ in one of them are asked by different clients."""


@dataclass(frozen=True, slots=True)
class InService:
    """What writes the answers, as people are told."""

    model: str
    """Name and revision."""
    since: float = 0.0
    """In seconds since 1970; 0 where nobody knows."""
    trained_on: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Known:
    """What the store said last."""

    current: ServedModel | None = None
    canary: Canary | None = None
    is_held: bool = False

    def of(self, channel_id: str) -> ServedModel | None:
        if self.canary is not None and channel_id in self.canary.channels:
            return self.canary.model
        return self.current

    @property
    def models(self) -> Iterable[ServedModel]:
        canary = self.canary.model if self.canary else None
        return (model for model in (self.current, canary) if model is not None)


@dataclass(slots=True)
class _Engine:
    client: ModelClient
    borrowers: int = 0
    """That use it just now."""


class Engines:
    """Gives each turn its engine. `configured` stays open; the clients of all others are opened and closed here."""

    def __init__(self, models: ServedModels, configured: ModelClient) -> None:
        self._models = models
        self._configured = configured
        self._known = _Known()
        self._engines: dict[Where, _Engine] = {}

    @asynccontextmanager
    async def of(self, channel_id: str) -> AsyncIterator[ModelClient]:
        """The engine for one turn in the channel. Raises ModelLoading where no answer may begin now."""
        known = await self._look()
        if known.is_held:
            raise ModelLoading("A new model is being loaded, and there is room for one only: answers wait for it.")
        async with self._lent(known.of(channel_id)) as client:
            yield client

    async def in_service(self) -> InService:
        """What answers wherever no canary does; without a name where only the engine could tell, and has not yet."""
        current = (await self._look(TOLD_SECONDS)).current
        async with self._lent(current) as client:
            model = client.served_model
        return InService(model, current.since, current.trained_on) if current else InService(model)

    async def learn(self) -> None:
        """Ask the engine in service who it is, where that is not known. Raises EngineError."""
        async with self._lent((await self._look(TOLD_SECONDS)).current) as client:
            await client.window_tokens()

    async def report(self) -> EngineReport:
        """What the engine in service says of itself just now. Raises EngineError."""
        async with self._lent((await self._look(TOLD_SECONDS)).current) as client:
            return await client.report()

    async def close(self) -> None:
        """To be called when no turn is being answered any more."""
        engines, self._engines = self._engines, {}
        for engine in engines.values():
            await engine.client.close()

    async def _look(self, seconds: float = STORE_SECONDS) -> _Known:
        """What is in service; where the store does not answer, what was known goes on to hold."""
        try:
            async with asyncio.timeout(seconds):
                candidate, canary, current = await self._models.all()
                is_held = candidate is not None and await self._is_held(candidate)
        except (StoreUnavailable, TimeoutError) as error:
            log.warning("models_not_read", error=type(error).__name__)
            return self._known
        if _revision(current) != _revision(self._known.current):
            log.info("model_in_service", revision=_revision(current))
        self._known = known = _Known(current, canary, is_held)
        await self._close_unused()
        return known

    async def _is_held(self, candidate: Candidate) -> bool:
        """Whether the owner of the engine, who lives, is about to stop the one that answers, or has done so."""
        if candidate.state not in ("holding", "ready"):
            return False
        owner = await self._models.owner()
        return owner is not None and (candidate.state == "holding" or owner.holds == 1)

    @asynccontextmanager
    async def _lent(self, model: ServedModel | None) -> AsyncIterator[ModelClient]:
        """The client of the engine that serves `model`; it stays open for as long as the body runs."""
        if model is None:
            yield self._configured
            return
        where = _where(model)
        if where not in self._engines:
            client = self._configured.serving(model.name, model.revision, keys=model.keys, url=model.url)
            self._engines[where] = _Engine(client)
        engine = self._engines[where]
        engine.borrowers += 1
        try:
            yield engine.client
        finally:
            engine.borrowers -= 1
            await self._close_unused()

    async def _close_unused(self) -> None:
        """Close the clients of engines that nobody asks now, and that are in service no more."""
        wanted = {_where(model) for model in self._known.models}
        for where in [where for where, engine in self._engines.items() if not engine.borrowers and where not in wanted]:
            await self._engines.pop(where).client.close()


def _where(model: ServedModel) -> Where:
    return model.url, model.name, model.revision, model.keys


def _revision(model: ServedModel | None) -> str:
    return model.revision if model else ""
