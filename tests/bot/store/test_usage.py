"""Who uses how much, on a real store: counted by day and person, forgotten with them; and quotas of their own."""

from datetime import UTC, date, datetime, timedelta

import pytest
from redis.asyncio import Redis

from bot.errors import StoreUnavailable
from bot.store.connection import connect
from bot.store.forgetting import Forgetting
from bot.store.layout import Layout
from bot.store.own_quotas import OwnQuotas
from bot.store.sealing import Sealing
from bot.store.usage import DAYS_KEPT, Usage, Used

LAYOUT = Layout("T1/B1", 2)
SEALING = Sealing([bytes(range(32))])


class Calendar:
    """The day that it is."""

    def __init__(self) -> None:
        self.day = date(2026, 11, 1)

    def today(self) -> date:
        return self.day


async def test_questions_and_tokens_are_counted_by_person_and_day(redis: Redis) -> None:
    calendar = Calendar()
    usage = Usage(redis, LAYOUT, calendar.today)
    await usage.count("U1", 100)
    calendar.day += timedelta(days=6)
    for user, tokens in (("U1", 20), ("U1", 3), ("U2", 0)):
        await usage.count(user, tokens)
    assert await usage.of_days(1) == {"U1": Used(2, 23), "U2": Used(1, 0)}
    assert await usage.of_days(7) == {"U1": Used(3, 123), "U2": Used(1, 0)}
    calendar.day += timedelta(days=1)
    assert await usage.of_days(7) == {"U1": Used(2, 23), "U2": Used(1, 0)}
    assert await usage.of_days(1) == {}


async def test_the_counts_are_the_owners_and_go_by_themselves(redis: Redis) -> None:
    await Usage(redis, LAYOUT).count("U1", 100)
    assert await Usage(redis, Layout("T2/B1")).of_days(1) == {}
    (key,) = await redis.keys("*")
    assert str(key).startswith(LAYOUT.prefix + "usage:")
    assert DAYS_KEPT * 86_400 - 5 < await redis.ttl(key) <= DAYS_KEPT * 86_400
    await redis.hset(key, "U1/of a later version", "7")
    assert await Usage(redis, LAYOUT).of_days(1) == {"U1": Used(1, 100)}


async def test_they_are_forgotten_with_the_person_or_the_team_and_a_quota_with_the_team_only(redis: Redis) -> None:
    calendar = Calendar()
    usage, own = Usage(redis, LAYOUT, calendar.today), OwnQuotas(redis, LAYOUT)
    calendar.day = today = datetime.now(UTC).date()
    for _ in range(3):
        calendar.day -= timedelta(days=5)
        await usage.count("U1", 5)
        await usage.count("U2", 5)
    calendar.day = today
    await own.set("U1", 1)
    await own.set("U2", 0)
    forgetting = Forgetting(redis, LAYOUT, SEALING)
    await forgetting.user("U1")
    assert await usage.of_days(DAYS_KEPT) == {"U2": Used(3, 15)}
    assert await own.all() == {"U1": 1, "U2": 0}, "nobody shakes off a limit by being forgotten"
    await forgetting.team()
    assert await redis.keys("*") == []


async def test_a_quota_of_ones_own_is_set_and_taken_away(redis: Redis) -> None:
    own = OwnQuotas(redis, LAYOUT)
    assert await own.of("U1") is None
    await own.set("U1", 50)
    await own.set("U2", 0)
    assert (await own.of("U1"), await own.of("U2"), await own.of("U3")) == (50, 0, None)
    await own.set("U1", None)
    assert await own.all() == {"U2": 0}


async def test_a_store_that_is_away_says_so() -> None:
    nowhere = connect("redis://127.0.0.1:1/0")
    usage, own = Usage(nowhere, LAYOUT), OwnQuotas(nowhere, LAYOUT)
    for act in (usage.count("U1", 1), usage.of_days(7), usage.forget("U1"), own.of("U1"), own.set("U1", 1)):
        with pytest.raises(StoreUnavailable):
            await act
    await nowhere.aclose()
