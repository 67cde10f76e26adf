"""What `inspect` says of a real server's promises."""

import pytest
from redis.asyncio import Redis

from bot.errors import StoreUnavailable
from bot.local.store import LocalStore
from bot.store.connection import connect
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
