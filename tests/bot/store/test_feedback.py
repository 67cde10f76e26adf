"""What people think of answers is kept sealed, replaced, withdrawn, and forgotten with whom it is about."""

from dataclasses import replace

import pytest
from redis.asyncio import Redis

from bot.conversation import ConversationId
from bot.feedback import Feedback
from bot.store.feedback import FeedbackStore
from bot.store.forgetting import Forgetting, Forgotten
from bot.store.layout import Layout
from bot.store.sealing import Sealing

LAYOUT = Layout("T1/B1", 4)
SEALING = Sealing([bytes(range(32))])
ASHA, BEN, CHANDRA = "U0ASHA", "U0BEN", "U0CHANDRA"
THREAD, OTHER = ConversationId("T1", "C1", "100.000100"), ConversationId("T1", "C2", "200.000100")
GOOD = Feedback("100.000100", ASHA, BEN, "up", "What is a loom?", "A frame.", "team/dolly", "abc", True, 1_000.0)


@pytest.fixture
def store(redis: Redis) -> FeedbackStore:
    return FeedbackStore(redis, LAYOUT, SEALING)


@pytest.fixture
def forgetting(redis: Redis) -> Forgetting:
    return Forgetting(redis, LAYOUT, SEALING)


async def test_a_person_has_one_opinion_of_an_answer(store: FeedbackStore, redis: Redis) -> None:
    await store.put(THREAD, GOOD)
    assert await store.of(THREAD, GOOD.ts, BEN) == GOOD
    bad = replace(GOOD, rating="down", correction="A frame to weave on.", at=1_001.0)
    await store.put(THREAD, bad)
    by_asha = replace(GOOD, rater_id=ASHA, at=1_002.0)
    await store.put(THREAD, by_asha)
    assert await store.of_conversation(THREAD) == [by_asha, bad]
    assert await store.newest(BEN, 5) == [(THREAD, bad)]
    dump = [await redis.hgetall(key) async for key in redis.scan_iter(match="*feedback:*")]
    assert len(dump) == 1
    assert "loom" not in str(dump)
    assert "weave" not in str(dump)

    assert await store.withdraw(THREAD, GOOD.ts, BEN)
    assert not await store.withdraw(THREAD, GOOD.ts, BEN)
    assert await store.of_conversation(THREAD) == [by_asha]
    assert await store.newest(BEN, 5) == []


async def test_the_newest_come_first_over_all_partitions(store: FeedbackStore) -> None:
    for at in range(20):
        conversation = ConversationId("T1", "C1", f"{at + 1}.000100")
        await store.put(conversation, replace(GOOD, ts=conversation.root_ts, at=float(at)))
    listed = await store.newest(BEN, 3)
    assert [feedback.at for _, feedback in listed] == [19, 18, 17]


async def test_it_is_forgotten_with_its_conversation(
    store: FeedbackStore, forgetting: Forgetting, redis: Redis
) -> None:
    await store.put(THREAD, GOOD)
    await store.put(OTHER, replace(GOOD, ts=OTHER.root_ts))
    assert await forgetting.conversation(THREAD) == Forgotten(conversations=1, feedback=1)
    assert await store.of_conversation(THREAD) == []
    assert [where for where, _ in await store.newest(BEN, 5)] == [OTHER]
    assert await forgetting.team() == Forgotten(conversations=1, feedback=1)
    assert [key async for key in redis.scan_iter(match="*")] == []


@pytest.mark.parametrize(("person", "left"), [(BEN, 1), (ASHA, 0), (CHANDRA, 2)])
async def test_it_is_forgotten_with_who_gave_it_and_with_who_asked(
    store: FeedbackStore, forgetting: Forgetting, person: str, left: int
) -> None:
    await store.put(THREAD, GOOD)
    await store.put(THREAD, replace(GOOD, rater_id=ASHA))
    assert await forgetting.user(person) == (Forgotten(conversations=1, feedback=2 - left) if left < 2 else Forgotten())
    assert len(await store.of_conversation(THREAD)) == left
    assert len(await store.newest(BEN, 5)) == (1 if person == CHANDRA else 0)
    assert not await forgetting.user(person)


async def test_what_does_not_open_is_left_out(store: FeedbackStore, redis: Redis) -> None:
    await store.put(THREAD, GOOD)
    await FeedbackStore(redis, LAYOUT, Sealing([bytes(32)])).put(THREAD, replace(GOOD, rater_id=CHANDRA))
    assert await store.of_conversation(THREAD) == [GOOD]
    assert await store.newest(CHANDRA, 5) == []
