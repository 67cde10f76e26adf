"""Quotas on a real store: who may still ask, when it opens again, and that nothing but numbers is kept."""

import asyncio
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from limits.aio.storage.redis import redispy
from redis.asyncio import Redis

from bot.errors import StoreUnavailable
from bot.quotas import QuotaReport, Quotas, Refusal
from bot.store.connection import Client, connect
from bot.store.layout import Layout
from tests.bot.store.servers import cluster, debians_redis, running, valkey

LAYOUT = Layout("T1/B1")


class Clock:
    """The time by which questions are counted."""

    def __init__(self) -> None:
        self.ahead_seconds = 0.0

    def time(self) -> float:
        return time.time() + self.ahead_seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(redispy, "time", SimpleNamespace(time=clock.time))
    return clock


def quotas(redis: Client, *, questions_per_minute: int = 0, tokens_per_day: int = 0, layout: Layout = LAYOUT) -> Quotas:
    return Quotas(redis, layout, questions_per_minute=questions_per_minute, tokens_per_day=tokens_per_day)


async def refused(quotas: Quotas, user_id: str = "U1") -> Refusal:
    refusal = await quotas.admit(user_id)
    assert refusal is not None
    return refusal


async def test_a_person_may_ask_so_often_and_the_next_minute_again(redis: Redis, clock: Clock) -> None:
    three = quotas(redis, questions_per_minute=3)
    began = time.time()
    for _ in range(3):
        assert await three.admit("U1") is None
        clock.ahead_seconds += 10
    refusal = await refused(three)
    assert refusal.quota == "questions"
    assert began + 60 <= refusal.opens_at <= time.time() + 62
    assert refusal == await refused(three), "a refused question does not push the time away"
    clock.ahead_seconds = refusal.opens_at - time.time()
    assert await three.admit("U1") is None, "at that second it is open"
    assert (await refused(three)).opens_at > refusal.opens_at, "for as many as were asked a minute ago"


async def test_people_do_not_use_up_each_others_quota(redis: Redis) -> None:
    one = quotas(redis, questions_per_minute=1)
    assert await one.admit("U1") is None
    assert await one.admit("U2") is None
    await refused(one, "U1")


async def test_replicas_count_together_and_two_dollies_on_one_server_do_not(redis: Redis) -> None:
    assert await quotas(redis, questions_per_minute=1).admit("U1") is None
    await refused(quotas(redis, questions_per_minute=1))
    other = quotas(redis, questions_per_minute=1, layout=Layout("T2/B1"))
    assert await other.admit("U1") is None


async def test_of_many_questions_at_once_no_more_than_the_quota_pass(redis: Redis) -> None:
    ten = quotas(redis, questions_per_minute=10)
    refusals = await asyncio.gather(*(ten.admit("U1") for _ in range(50)))
    assert refusals.count(None) == 10


async def test_tokens_of_a_day_count_even_beyond_what_was_left(redis: Redis) -> None:
    thousand = quotas(redis, tokens_per_day=1000)
    await thousand.spend(600)
    assert await thousand.admit("U1") is None
    await thousand.spend(600)
    refusal = await refused(thousand)
    assert refusal.quota == "tokens"
    assert time.time() + 86_390 < refusal.opens_at <= time.time() + 86_402
    assert (await refused(thousand, "U2")).quota == "tokens", "it is the whole workspace's"


async def test_tokens_are_free_again_a_day_after_the_first_of_them(redis: Redis) -> None:
    thousand = quotas(redis, tokens_per_day=1000)
    await thousand.spend(600)
    (key,) = await redis.keys("*")
    await redis.expire(key, 100)  # as if most of the day were over
    await thousand.spend(600)
    assert time.time() + 90 < (await refused(thousand)).opens_at <= time.time() + 102, "a later use moves nothing"
    await redis.pexpire(key, 1)
    await asyncio.sleep(0.01)
    assert await thousand.admit("U1") is None


async def test_a_question_refused_for_tokens_does_not_count_as_one(redis: Redis) -> None:
    both = quotas(redis, questions_per_minute=1, tokens_per_day=10)
    await both.spend(10)
    assert (await refused(both)).quota == "tokens"
    await redis.flushall()
    assert await both.admit("U1") is None


async def test_without_quotas_everything_passes_and_nothing_is_stored(redis: Redis) -> None:
    none = quotas(redis)
    for _ in range(100):
        assert await none.admit("U1") is None
    await none.spend(10**9)
    assert await redis.keys("*") == []


async def test_keys_are_the_owners_and_go_by_themselves(redis: Redis) -> None:
    both = quotas(redis, questions_per_minute=5, tokens_per_day=1000)
    await both.admit("U1")
    await both.spend(7)
    ttls = {str(key): await redis.ttl(key) for key in await redis.keys("*")}
    assert {key.split("/", 2)[1].partition(":")[2] for key in ttls} == {"quota:questions", "quota:tokens"}
    assert all(key.startswith(LAYOUT.prefix) for key in ttls)
    assert sorted(-(-ttl // 60) for ttl in ttls.values()) == [1, 1440], "a minute, and a day"


async def test_a_person_may_have_a_quota_of_their_own(redis: Redis) -> None:
    two = quotas(redis, questions_per_minute=2)
    await two.set_own("U1", 1)
    await two.set_own("U2", 0)
    assert await two.admit("U1") is None
    assert (await refused(two, "U1")).quota == "questions"
    assert [await two.admit("U2") for _ in range(5)] == [None] * 5
    assert [await two.admit("U3") for _ in range(2)] == [None] * 2
    await refused(two, "U3")
    await quotas(redis, questions_per_minute=2).set_own("U1", None)
    assert [await two.admit("U1") for _ in range(2)] == [None] * 2
    await refused(two, "U1")


async def test_somebody_may_be_limited_where_nobody_else_is(redis: Redis) -> None:
    free = quotas(redis)
    await free.set_own("U1", 1)
    assert await free.admit("U1") is None
    await refused(free, "U1")
    assert await free.admit("U2") is None


async def test_what_was_used_may_count_no_more(redis: Redis) -> None:
    both = quotas(redis, questions_per_minute=1, tokens_per_day=10)
    for user in ("U1", "U2"):
        assert await both.admit(user) is None
    await both.reset_person("U1")
    assert await both.admit("U1") is None
    await refused(both, "U2")
    await both.set_own("U1", 3)
    assert await both.admit("U1") is None
    await both.reset_person("U1")
    assert [await both.admit("U1") for _ in range(3)] == [None] * 3
    await both.spend(70)
    assert (await refused(both, "U3")).quota == "tokens"
    await both.reset_tokens()
    assert await both.admit("U3") is None


async def test_what_holds_and_what_is_used_is_reported(redis: Redis) -> None:
    both = quotas(redis, questions_per_minute=20, tokens_per_day=1000)
    assert await both.report() == QuotaReport(20, {}, 1000, tokens_used=0, day_ends_at=0)
    await both.spend(1200)
    await both.set_own("U2", 0)
    report = await both.report()
    assert (report.own, report.tokens_used) == ({"U2": 0}, 1200)
    assert time.time() + 86_390 < report.day_ends_at <= time.time() + 86_402
    assert await quotas(redis).report() == QuotaReport(0, {"U2": 0}, 0, tokens_used=0, day_ends_at=0)


async def test_a_store_that_is_away_admits_nobody() -> None:
    nowhere = connect("redis://127.0.0.1:1/0")
    both = Quotas(nowhere, LAYOUT, questions_per_minute=1, tokens_per_day=1)
    with pytest.raises(StoreUnavailable):
        await both.admit("U1")
    with pytest.raises(StoreUnavailable):
        await both.spend(1)
    await nowhere.aclose()


async def both_quotas_hold(client: Client) -> None:
    both = quotas(client, questions_per_minute=2, tokens_per_day=100)
    for user in (f"U{number}" for number in range(8)):
        assert await both.admit(user) is None
        assert await both.admit(user) is None
        assert (await refused(both, user)).quota == "questions"
    await both.spend(70)
    await both.spend(70)
    assert (await refused(both)).quota == "tokens"


async def test_they_hold_on_debians_redis(tmp_path: Path) -> None:
    with running(debians_redis(), tmp_path / "redis") as server:
        client = connect(server.url)
        await both_quotas_hold(client)
        await client.aclose()


async def test_they_hold_on_a_cluster(tmp_path: Path) -> None:
    with cluster(valkey(), tmp_path) as nodes:
        client = connect(nodes[0].url, cluster=True)
        await both_quotas_hold(client)
        for node in nodes:
            node.ask("SCRIPT", "FLUSH")  # as after a node's restart
        assert (await refused(quotas(client, questions_per_minute=2), "U7")).quota == "questions"
        await client.aclose()
