"""Which jobs somebody in Slack is told of, by which process, and how far that is."""

import asyncio

import pytest
from redis.asyncio import Redis

from bot.store.followed import KEPT, Followed, ToldSoFar
from bot.store.layout import Layout


@pytest.fixture
def followed(redis: Redis) -> Followed:
    return Followed(redis, Layout("T1/B1"))


async def test_one_process_tells_and_another_takes_over(followed: Followed) -> None:
    assert await followed.lead("one", 1)
    assert await followed.lead("one", 1)
    assert not await followed.lead("two", 1)
    await asyncio.sleep(1.1)
    assert await followed.lead("two", 30)
    await followed.resign("one")
    assert not await followed.lead("one", 30), "who does not lead cannot resign"
    await followed.resign("two")
    assert await followed.lead("one", 30)


async def test_a_job_is_followed_to_its_end_and_remembered_after(followed: Followed, redis: Redis) -> None:
    for number in range(KEPT + 3):
        await followed.follow(f"job-{number}", float(number))
    await followed.end("job-0")
    assert len(await followed.open()) == KEPT + 2
    assert (await followed.open())[0] == "job-1"
    asked = await followed.asked()
    assert (len(asked), asked[0]) == (KEPT, f"job-{KEPT + 2}")
    other = Followed(redis, Layout("T2/B2"))
    assert await other.open() == []


async def test_what_was_told_is_there_after_a_restart(followed: Followed, redis: Redis) -> None:
    assert await followed.told("job") == ToldSoFar()
    told = ToldSoFar("D1", "1.2", "abc", is_concluded=True)
    await followed.note("job", told)
    assert await followed.told("job") == told
    assert 0 < await redis.ttl("dolly:{T1/B1}:following:job") <= 30 * 86_400
