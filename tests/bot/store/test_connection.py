"""What `inspect` says of a real server's promises."""

import asyncio
import time

import pytest
from redis.asyncio import Redis
from redis.exceptions import OutOfMemoryError

from bot.errors import StoreUnavailable
from bot.local.store import LocalStore
from bot.store.connection import connect, losses, store_errors
from bot.store.inspection import inspect


async def test_dollys_own_store_keeps_its_promises(redis: Redis) -> None:
    report = await inspect(redis)
    assert report.safe, report


@pytest.mark.parametrize(
    ("name", "unsafe", "safe", "says"),
    [
        ("appendonly", "no", "yes", "append-only file is off"),
        ("appendfsync", "everysec", "always", "power cut"),
        ("maxmemory-policy", "allkeys-lru", "noeviction", "memory is full"),
    ],
)
async def test_each_broken_promise_is_named(redis: Redis, name: str, unsafe: str, safe: str, says: str) -> None:
    await redis.config_set(name, unsafe)
    try:
        report = await inspect(redis)
    finally:
        await redis.config_set(name, safe)
    assert not report.safe
    assert len(report.unsafe) == 1
    assert says in report.unsafe[0]
    assert name in report.unsafe[0]


async def test_what_a_server_will_not_tell_is_not_called_safe(redis: Redis, local_store: LocalStore) -> None:
    await redis.acl_setuser("narrow", enabled=True, passwords=["+secret"], keys=["*"], commands=["+@all", "-config"])
    narrow = Redis.from_url(local_store.url, username="narrow", password="secret", decode_responses=True)
    try:
        report = await inspect(narrow)
    finally:
        await narrow.aclose()
        await redis.acl_deluser("narrow")
    assert not report.safe
    assert not report.unsafe
    assert len(report.unknown) == 3


async def test_a_wrong_password_is_said_plainly(redis: Redis, local_store: LocalStore) -> None:
    stranger = Redis.from_url(local_store.url, username="stranger", password="wrong", decode_responses=True)
    with pytest.raises(StoreUnavailable, match="user or password"):
        await inspect(stranger)
    await stranger.aclose()


async def test_no_server_is_said_plainly() -> None:
    nowhere = connect("redis://127.0.0.1:1/0")
    with pytest.raises(StoreUnavailable, match="does not answer"):
        await inspect(nowhere)
    await nowhere.aclose()


async def test_a_lost_connection_is_noted_though_nobody_is_told(
    redis: Redis, local_store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(losses, "last", 0.0)
    client = connect(local_store.url)
    await client.ping()
    assert losses.last == 0.0
    asking = asyncio.ensure_future(client.blpop(["nothing"], timeout=1))
    await asyncio.sleep(0.1)
    await redis.client_kill_filter(_type="normal", skipme=True)
    assert await asking is None, "it was asked once more, of the same server"
    assert time.time() - losses.last < 5
    await client.aclose()


async def test_a_store_that_does_not_answer_may_have_lost_something(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(losses, "last", 0.0)
    with pytest.raises(StoreUnavailable):
        async with store_errors(0.01):
            await asyncio.sleep(1)
    assert losses.last
    monkeypatch.setattr(losses, "last", 0.0)
    with pytest.raises(StoreUnavailable):
        async with store_errors():
            raise OutOfMemoryError("a full one has not")
    assert not losses.last
