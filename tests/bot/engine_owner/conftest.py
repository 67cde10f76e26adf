"""Dolly's own engine with its owner, on a machine of scripted engines."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from bot.engine_owner import Configured, EngineOwner
from bot.store.served_models import ServedModels
from tests.promotion import Hash, Machine, Promoter, model_file, told_of


@dataclass
class Place:
    """What stands around an owner, and outlives it."""

    redis: Redis
    folder: Path
    machine: Machine = field(default_factory=Machine)
    has_room: bool = True
    told: list[str] = field(default_factory=list)
    urls: list[str] = field(default_factory=list)
    """Where the first engine of each owner was."""

    def __post_init__(self) -> None:
        self.promoter = Promoter(self.redis)
        self.shipped = model_file(self.folder, "small")

    def model(self, name: str, revision: str) -> Hash:
        """A model that is to be promoted."""
        return told_of(model_file(self.folder, name), revision)

    @asynccontextmanager
    async def owned(self, shipped: Path | None = None) -> AsyncIterator[None]:
        """Dolly runs, for as long as the body does."""
        owner = EngineOwner(
            ServedModels(self.redis),
            self.machine.open,
            Configured(shipped or self.shipped, keys=("### End",)),
            has_room_for=lambda _: self.has_room,
            tell=self.told.append,
        )
        async with owner.running() as url:
            self.urls.append(url)
            yield

    async def current(self) -> Hash:
        return dict(await self.redis.hgetall("model:current"))

    async def owner(self) -> Any:
        """What is said of the engine's owner."""
        return json.loads(await self.redis.get("model:owner") or "null")

    async def until(self, condition: Callable[[], Awaitable[bool]], seconds: float = 20) -> None:
        async with asyncio.timeout(seconds):
            while not await condition():
                await asyncio.sleep(0.01)

    async def settled(self, revision: str, *running: str) -> None:
        """Wait until this is in service, these models run, and what the store says of addresses is true."""

        async def is_settled() -> bool:
            current, canary = await self.current(), await self.redis.hgetall("model:canary")
            urls = {engine.url for engine in self.machine.engines if engine.is_running}
            named = {served["url"] or self.urls[-1] for served in (current, canary) if served}
            return (
                current.get("revision") == revision
                and sorted(self.machine.running) == sorted(running)
                and named <= urls
            )

        await self.until(is_settled)


@pytest.fixture
def place(redis: Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """Nobody waits for longer than it takes to see that something is waited for."""
    monkeypatch.setattr("tests.promotion.OwnEngine.loading_seconds", 0.05)
    monkeypatch.setattr("bot.engine_owner.owner.LOOK_SECONDS", 0.02)
    monkeypatch.setattr("bot.engine_owner.own_engines.LOOK_SECONDS", 0.02)
    monkeypatch.setattr("bot.engine_owner.own_engines.SHORTEST_DRAIN_SECONDS", 0.4)
    monkeypatch.setattr("bot.engine_owner.own_engines.QUIET_SECONDS", 0.2)
    return Place(redis, tmp_path)
