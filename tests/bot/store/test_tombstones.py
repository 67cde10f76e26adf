"""What stays forgotten of the lines that Slack shows."""

import pytest
from redis.asyncio import Redis

from bot.conversation import ConversationId, Line
from bot.store.layout import Layout
from bot.store.sealing import Sealing
from bot.store.tombstones import Target, Tombstones

LAYOUT = Layout("T1/B1", 4)
OLD, NEW = bytes(range(32)), bytes(32)
ASHA, BEN, DOLLY = "U0ASHA", "U0BEN", "B1"
THREAD = ConversationId("T1", "C1", "100.000100")
OTHER = ConversationId("T1", "C1", "200.000100")
ELSEWHERE = ConversationId("T1", "C2", "300.000100")
NOW = 1_700_000_000
LINES = [
    Line(f"{NOW + at}.000000", user_id, f"{user_id}: said")
    for at, user_id in [(1, ASHA), (2, BEN), (3, DOLLY), (4, ASHA), (5, BEN), (6, DOLLY), (7, "")]
]


def tombstones(redis: Redis, *keys: bytes) -> Tombstones:
    return Tombstones(redis, LAYOUT, Sealing(keys))


async def left(stones: Tombstones, conversation: ConversationId) -> str:
    """When what is left was said."""
    return "".join(str(int(line.ts[:10]) - NOW) for line in await stones.unforgotten(conversation, LINES))


@pytest.mark.parametrize(
    ("target", "thread", "other", "elsewhere"),
    [
        (Target(), "4567", "4567", "4567"),
        (Target(channel_id="C1"), "4567", "4567", "1234567"),
        (Target(THREAD), "4567", "1234567", "1234567"),
        (Target(user_id=ASHA), "24567", "24567", "24567"),
        (Target(user_id=BEN), "14567", "14567", "14567"),
        (Target(THREAD, user_id=ASHA), "24567", "1234567", "1234567"),
        (Target(user_id="U0NOBODY"), "1234567", "1234567", "1234567"),
    ],
)
async def test_what_was_said_before_goes_and_what_was_said_since_stays(
    redis: Redis, target: Target, thread: str, other: str, elsewhere: str
) -> None:
    """With a person's lines go Dolly's of before: it cannot be told any more which of them answered that person."""
    stones = tombstones(redis, OLD)
    await stones.put({stones.of(target): NOW + 3.5})
    assert [await left(stones, place) for place in (THREAD, OTHER, ELSEWHERE)] == [thread, other, elsewhere]


async def test_the_latest_counts_in_whatever_order_they_come(redis: Redis) -> None:
    stones = tombstones(redis, OLD)
    for at in (2.5, 4.5, 3.5):
        await stones.put({stones.of(Target(THREAD)): NOW + at})
    assert await left(stones, THREAD) == "567"


async def test_those_of_an_older_key_hold_and_another_apps_do_not(redis: Redis) -> None:
    old = tombstones(redis, OLD)
    await old.put({old.of(Target()): NOW + 9})
    assert await left(tombstones(redis, NEW, OLD), THREAD) == ""
    assert await left(tombstones(redis, NEW), THREAD) == "1234567"
    assert await left(Tombstones(redis, Layout("T1/B2"), Sealing([OLD])), THREAD) == "1234567"


@pytest.mark.parametrize("keys", [(), (OLD,)], ids=["plain", "keyed"])
async def test_they_name_nobody_and_stay(redis: Redis, keys: tuple[bytes, ...]) -> None:
    stones = tombstones(redis, *keys)
    await stones.put({stones.of(Target(user_id=ASHA)): NOW + 3.5})
    [key] = [key async for key in redis.scan_iter()]
    assert ASHA not in key
    assert await redis.ttl(key) == -1
