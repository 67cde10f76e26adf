import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import ConstantBackoff

from bot.errors import LocalPartError
from bot.local import store as store_module
from bot.local.store import LocalStore

Until = Callable[[Callable[[], bool]], Awaitable[None]]
Running = Callable[[int], bool]


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[LocalStore]:
    store = LocalStore(tmp_path / "data")
    await store.start()
    yield store
    await store.stop()


@pytest.fixture
async def client(store: LocalStore) -> AsyncIterator[Redis]:
    async with patient_client(store.url) as client:
        yield client


def patient_client(url: str) -> Redis:
    """A client that tries again for five seconds, as Dolly's does."""
    return Redis.from_url(url, retry=Retry(ConstantBackoff(0.05), 100))


def mode(path: Path) -> str:
    return oct(path.stat().st_mode & 0o777)


async def test_every_write_is_on_disk_and_nothing_is_evicted(client: Redis) -> None:
    settings = await client.config_get("appendonly", "appendfsync", "maxmemory-policy", "save", "port")

    assert settings == {
        "appendonly": "yes",
        "appendfsync": "always",
        "maxmemory-policy": "noeviction",
        "save": "",
        "port": "0",
    }


async def test_nobody_else_may_reach_it(store: LocalStore, tmp_path: Path) -> None:
    assert mode(tmp_path / "data") == "0o700"
    assert mode(tmp_path / "data" / "store.sock") == "0o700"


async def test_a_killed_server_is_back_with_its_data_for_the_same_client(store: LocalStore, client: Redis) -> None:
    await client.set("said", "before the kill")
    assert store.pid is not None

    os.kill(store.pid, signal.SIGKILL)

    assert await client.get("said") == b"before the kill"


async def test_what_was_written_is_there_after_a_restart(tmp_path: Path) -> None:
    for expected in (None, b"1", b"2"):
        store = LocalStore(tmp_path)
        await store.start()
        async with Redis.from_url(store.url) as client:
            assert await client.get("starts") == expected
            await client.incr("starts")
        await store.stop()
        assert store.pid is None


async def test_a_last_write_that_a_kill_tore_is_dropped(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    await store.start()
    async with Redis.from_url(store.url) as client:
        await client.set("whole", "yes")
    await store.stop()
    with append_only_file(tmp_path).open("ab") as file:
        file.write(b"*3\r\n$3\r\nSET\r\n$5\r\nwhole\r\n$2\r\nn")

    await store.start()
    async with Redis.from_url(store.url) as client:
        assert await client.get("whole") == b"yes"
        await client.set("after", "yes")
    await store.stop()
    await store.start()
    async with Redis.from_url(store.url) as client:
        assert await client.mget("whole", "after") == [b"yes", b"yes"]
    await store.stop()


async def test_a_spoilt_file_gets_a_sentence_with_the_servers_advice(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    await store.start()
    await store.stop()
    append_only_file(tmp_path).write_bytes(b"*3\r\n$3\r\nSET\r\nspoilt\r\n" * 10)

    with pytest.raises(LocalPartError, match=r"The store ended at once .*Bad file format.*store\.log"):
        await store.start()

    assert store.pid is None


async def test_a_second_dolly_on_the_directory_is_refused(store: LocalStore, tmp_path: Path) -> None:
    with pytest.raises(LocalPartError, match=rf"process {os.getpid()}.*DOLLY_DATA"):
        await LocalStore(tmp_path / "data").start()

    async with Redis.from_url(store.url) as client:
        assert await client.ping()


async def test_a_refused_dolly_leaves_the_lock_to_its_holder(store: LocalStore, tmp_path: Path) -> None:
    for _ in range(2):
        with pytest.raises(LocalPartError, match="Another Dolly"):
            await LocalStore(tmp_path / "data").start()


@pytest.mark.parametrize("name", ["a space", "ünïcode", "per%20cent", 'quo"te', "x" * 120])
async def test_any_directory_will_do(tmp_path: Path, name: str) -> None:
    store = LocalStore(tmp_path / name)

    await store.start()
    async with Redis.from_url(store.url) as client:
        await client.set("key", "value")
    await store.stop()

    assert append_only_file(tmp_path / name).stat().st_size > 0


async def test_a_long_path_has_its_socket_elsewhere_but_always_at_the_same_place(tmp_path: Path) -> None:
    long, other = tmp_path / ("x" * 120), tmp_path / ("y" * 120)

    assert LocalStore(long).url == LocalStore(long).url != LocalStore(other).url
    assert len(LocalStore(long).url) < 100


async def test_a_socket_that_is_elsewhere_is_private_and_leaves_nothing_behind(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / ("x" * 120))
    place = Path(store.url.removeprefix("unix://")).parent

    await store.start()
    assert mode(place) == "0o700"
    await store.stop()
    assert not place.exists()


async def test_a_file_in_the_directorys_place_gets_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "data"
    path.touch()

    with pytest.raises(LocalPartError, match=r"The store cannot use the directory .*data: File exists"):
        await LocalStore(path).start()


async def test_a_machine_without_the_server_gets_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def find_nothing(name: str) -> ModuleSpec | None:
        return None

    monkeypatch.setattr(store_module, "find_spec", find_nothing)

    with pytest.raises(LocalPartError, match=r"WSL.*REDIS_URL"):
        await LocalStore(tmp_path).start()


async def test_a_killed_dolly_leaves_no_server(
    tmp_path: Path, start_parent: Callable[..., Any], running: Running, until: Until
) -> None:
    parent = start_parent(tmp_path)
    [pid] = parent.child_pids
    async with Redis.from_url(parent.store_url) as client:
        await client.set("said", "before the kill")

    parent.kill()
    store = LocalStore(tmp_path)
    await store.start()

    assert not running(pid)
    async with Redis.from_url(store.url) as client:
        assert await client.get("said") == b"before the kill"
    await store.stop()


@pytest.mark.parametrize("name", ["short", "x" * 120])
async def test_an_orphan_is_shut_down_before_a_new_server_starts(
    tmp_path: Path, start_parent: Callable[..., Any], running: Running, name: str
) -> None:
    directory = tmp_path / name
    directory.mkdir()
    parent = start_parent(directory, "--untied")
    [orphan] = parent.child_pids
    async with Redis.from_url(parent.store_url) as client:
        await client.set("said", "before the kill")
    parent.kill()
    assert running(orphan)

    store = LocalStore(directory)
    await store.start()

    assert not running(orphan)
    async with Redis.from_url(store.url) as client:
        assert await client.get("said") == b"before the kill"
    await store.stop()


async def test_an_orphan_that_hangs_is_named(
    tmp_path: Path,
    start_parent: Callable[..., Any],
    running: Running,
    until: Until,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    parent = start_parent(tmp_path, "--untied")
    [orphan] = parent.child_pids
    os.kill(orphan, signal.SIGSTOP)
    parent.kill()
    monkeypatch.setattr(store_module, "ORPHAN_TIMEOUT_SECONDS", 0.1)
    monkeypatch.setattr(store_module, "REPLY_TIMEOUT_SECONDS", 0.1)

    store = LocalStore(tmp_path)
    with pytest.raises(LocalPartError, match=rf"process {orphan}\).*End that process"):
        await store.start()
    os.kill(orphan, signal.SIGKILL)
    await until(lambda: not running(orphan))
    await store.start()
    await store.stop()


async def test_ctrl_c_in_a_terminal_lets_dolly_write_before_the_store_ends(
    tmp_path: Path, start_parent: Callable[..., Any], running: Running
) -> None:
    parent = start_parent(tmp_path, "--engine")

    os.killpg(parent.process.pid, signal.SIGINT)
    await asyncio.to_thread(parent.process.wait, 30)

    assert [pid for pid in parent.child_pids if running(pid)] == []
    store = LocalStore(tmp_path)
    await store.start()
    async with Redis.from_url(store.url) as client:
        assert await client.get("written") == b"after Ctrl-C"
    await store.stop()


def append_only_file(directory: Path) -> Path:
    [path] = (directory / "appendonlydir").glob("*.incr.aof")
    return path
