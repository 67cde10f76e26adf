"""The trainer's promote and Dolly's own owner of engines, in one store: neither knows the other's code."""

import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from bot.engine_owner import Configured, EngineOwner
from bot.local.store import LocalStore
from bot.store.connection import connect as connect_bot
from bot.store.served_models import ServedModels
from tests.conftest import Background
from tests.trainer.evaluation.stand_in import StandIn, completion, standing_in
from tests.trainer.revisions import add
from trainer import attempts
from trainer.connection import connect
from trainer.errors import NotPromoted
from trainer.registry import Registry
from trainer.serving import Serving
from trainer.stages.promote import promote, rollback, settle


class ScriptedEngine:
    """Says what its file holds; one of a file that says so answers nothing."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._running = contextlib.ExitStack()
        self._engine: StandIn | None = None

    @property
    def url(self) -> str:
        assert self._engine
        return self._engine.url

    @property
    def is_running(self) -> bool:
        return self._engine is not None

    async def start(self) -> None:
        text = self.path.read_text().removeprefix("GGUF ")
        self._engine = self._running.enter_context(standing_in(completion("" if text == "mute" else text)))

    async def stop(self) -> None:
        self._running.close()
        self._engine = None

    async def requests(self) -> int:
        return 0


class Machine:
    """Where Dolly runs, with a small model of its own."""

    def __init__(self, folder: Path) -> None:
        self.has_room = True
        self.engines: list[ScriptedEngine] = []
        self.shipped = folder / "small.gguf"
        self.shipped.write_text("GGUF shipped")

    def open(self, path: Path, number: int) -> ScriptedEngine:
        self.engines.append(ScriptedEngine(path))
        return self.engines[-1]

    @property
    def running(self) -> list[str]:
        """What the engines that run say."""
        return sorted(each.path.read_text().removeprefix("GGUF ") for each in self.engines if each.is_running)

    @contextlib.asynccontextmanager
    async def dolly(self, store_url: str) -> AsyncIterator[None]:
        client = connect_bot(store_url)
        owner = EngineOwner(
            ServedModels(client), self.open, Configured(self.shipped), has_room_for=lambda _: self.has_room
        )
        async with owner.running():
            yield
        await client.aclose()


@pytest.fixture
def client(local_store: LocalStore) -> Iterator[Redis]:
    client = connect(local_store.url)
    client.flushall()
    yield client
    client.close()


@pytest.fixture
def machine(
    client: Redis,
    tmp_path: Path,
    local_store: LocalStore,
    background: Background,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Machine]:
    """Dolly runs on it, and nobody waits for longer than it takes to see that something is waited for."""
    monkeypatch.setattr("bot.engine_owner.owner.LOOK_SECONDS", 0.02)
    monkeypatch.setattr("bot.engine_owner.own_engines.LOOK_SECONDS", 0.02)
    monkeypatch.setattr("bot.engine_owner.own_engines.SHORTEST_DRAIN_SECONDS", 0.4)
    monkeypatch.setattr("bot.engine_owner.own_engines.QUIET_SECONDS", 0.2)
    machine = Machine(tmp_path)
    dolly = machine.dolly(local_store.url)
    background.run(dolly.__aenter__())
    until(lambda: client.hget("model:current", "revision") == "shipped")
    yield machine
    background.run(dolly.__aexit__(None, None, None))


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path / "models")


def until(condition: Callable[[], Any], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_forth_and_back(machine: Machine, registry: Registry, client: Redis) -> None:
    serving, first, second = Serving(client), add(registry, "first"), add(registry, "second")
    promote(registry, serving, first, by="U1")
    until(lambda: machine.running == ["first"])
    promote(registry, serving, second, by="U1")
    until(lambda: machine.running == ["second"])
    rollback(registry, serving, by="U1")
    until(lambda: machine.running == ["first"])
    promote(registry, serving, second, canary=["C1"], by="U1")
    assert machine.running == ["first", "second"]
    rollback(registry, serving, by="U1")
    until(lambda: machine.running == ["first"])
    promote(registry, serving, second, canary=["C1"], by="U1")
    promote(registry, serving, second, by="U1")
    until(lambda: machine.running == ["second"])
    assert sum(engine.path.parent.name == second for engine in machine.engines) == 3  # the canary's is kept


def test_back_to_the_model_that_dolly_came_with(machine: Machine, registry: Registry, client: Redis) -> None:
    serving, first = Serving(client), add(registry, "first")
    promote(registry, serving, first, by="U1")
    until(lambda: machine.running == ["first"])
    rollback(registry, serving, by="U1")
    until(lambda: machine.running == ["shipped"])
    assert client.hget("model:current", "revision") == "shipped"
    assert registry.current() is None


@pytest.mark.parametrize("has_room", [True, False])
def test_what_does_not_answer_leaves_what_did(
    has_room: bool, machine: Machine, registry: Registry, client: Redis
) -> None:
    machine.has_room = has_room
    until(lambda: client.get("model:owner"))
    serving, first, mute = Serving(client), add(registry, "first"), add(registry, "mute")
    promote(registry, serving, first, by="U1")
    until(lambda: machine.running == ["first"])
    with pytest.raises(NotPromoted, match="answered nothing"):
        promote(registry, serving, mute, by="U1")
    until(lambda: machine.running == ["first"])
    current: dict[Any, Any] = client.hgetall("model:current")
    assert current["revision"] == first == registry.current()
    (running,) = (engine for engine in machine.engines if engine.is_running)
    until(lambda: client.hget("model:current", "url") == running.url)


@pytest.mark.parametrize("has_room", [True, False])
def test_what_a_killed_promotion_left_is_settled(
    has_room: bool, machine: Machine, registry: Registry, client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.has_room = has_room
    serving, first = Serving(client), add(registry, "first")

    def die(*_: Any) -> None:
        raise SystemExit

    with monkeypatch.context() as patched:
        patched.setattr(attempts, "_ask", die)
        patched.setattr(attempts, "resolve", lambda *_: None)
        with pytest.raises(SystemExit):
            promote(registry, serving, first, by="U1")
    assert client.hget("model:candidate", "state") == "ready"
    settle(registry, serving)
    until(lambda: machine.running == ["shipped"])
    promote(registry, serving, first, by="U1")
    until(lambda: machine.running == ["first"])
