"""What people think of answers is kept sealed, replaced, reviewed, withdrawn, forgotten with whom it is about."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
from redis.asyncio import Redis

from bot.conversation import ConversationId
from bot.feedback import Feedback, KeptFeedback, Review
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


async def test_a_review_is_kept_beside_the_raters_own_words(store: FeedbackStore) -> None:
    corrected = replace(GOOD, rating="down", correction="A frame to weave on.")
    await store.put(THREAD, corrected)
    [seen] = await store.all()
    assert (seen.feedback, seen.waits) == (corrected, True)
    assert await store.by_name(seen.name) == seen
    reviewed = corrected.reviewed(
        "approved",
        CHANDRA,
        edit="A frame for weaving.",
        neighbours=("What is a spindle?",),
        neighbour_names=("T1/C2/200.000100/200.000100/U0ASHA/U0BEN",),
        paraphrases=("Explain looms.",),
    )
    assert await store.review(seen, reviewed)
    [kept] = await store.all()
    assert kept.feedback == reviewed
    assert (kept.feedback.correction, kept.feedback.lesson) == ("A frame to weave on.", "A frame for weaving.")
    assert not kept.waits
    assert kept.feedback.unreviewed() == corrected
    assert corrected.reviewed("approved", CHANDRA, edit=corrected.correction).edit == "", "that is no edit"


async def changed(store: FeedbackStore, seen: KeptFeedback) -> None:
    await store.put(THREAD, replace(seen.feedback, correction="Something else."))


async def reviewed(store: FeedbackStore, seen: KeptFeedback) -> None:
    assert await store.review(seen, seen.feedback.reviewed("rejected", BEN))


async def withdrawn(store: FeedbackStore, seen: KeptFeedback) -> None:
    await store.withdraw(THREAD, seen.feedback.ts, seen.feedback.rater_id)


@pytest.mark.parametrize("meanwhile", [changed, reviewed, withdrawn])
async def test_a_review_of_what_is_another_by_now_is_not_written(
    store: FeedbackStore, meanwhile: Callable[[FeedbackStore, KeptFeedback], Awaitable[None]]
) -> None:
    await store.put(THREAD, replace(GOOD, rating="down", correction="A frame to weave on."))
    [seen] = await store.all()
    await meanwhile(store, seen)
    before = await store.all()
    assert not await store.review(seen, seen.feedback.reviewed("approved", CHANDRA))
    assert await store.all() == before
    assert (await store.by_name(seen.name) is None) == (meanwhile is withdrawn)


async def test_of_two_reviewers_one_is_told_that_it_is_reviewed(store: FeedbackStore) -> None:
    await store.put(THREAD, replace(GOOD, rating="down", correction="A frame to weave on."))
    [seen] = await store.all()
    both = [store.review(seen, seen.feedback.reviewed("approved", who)) for who in (ASHA, CHANDRA)]
    assert sorted(await asyncio.gather(*both)) == [False, True]


async def test_all_of_the_team_and_of_no_other(store: FeedbackStore, redis: Redis) -> None:
    for at in range(10):
        conversation = ConversationId("T1", f"C{at % 3}", f"{at + 1}.000100")
        await store.put(conversation, replace(GOOD, ts=conversation.root_ts, at=float(at)))
    await FeedbackStore(redis, Layout("T2/B1"), SEALING).put(replace(THREAD, team_id="T2"), GOOD)
    assert [kept.feedback.at for kept in await store.all()] == [float(at) for at in range(9, -1, -1)]


async def test_what_an_earlier_dolly_stored_opens_unreviewed(store: FeedbackStore, redis: Redis) -> None:
    await store.put(THREAD, GOOD)
    key = f"{LAYOUT.prefix_of(THREAD)}feedback:{THREAD}"
    [(field, sealed)] = (await hash_of(redis, key)).items()
    values = json.loads(SEALING.open(str(THREAD), sealed))
    for name in ("review", "reviewer_id", "edit", "neighbours", "neighbour_names", "paraphrases"):
        del values[name]
    values["of_a_later_dolly"] = 1
    writing: Any = redis.hset(key, field, SEALING.seal(str(THREAD), json.dumps(values)))
    await writing
    assert await store.of_conversation(THREAD) == [GOOD]


async def hash_of(redis: Redis, key: str) -> dict[str, str]:
    reading: Any = redis.hgetall(key)
    return dict(await reading)


@pytest.mark.parametrize(
    ("words", "left"),
    [({}, "approved"), ({"edit": "A frame for weaving."}, ""), ({"paraphrases": ("Explain looms.",)}, "")],
)
async def test_a_reviewer_is_forgotten_with_what_they_wrote(
    store: FeedbackStore, forgetting: Forgetting, words: Any, left: Review
) -> None:
    corrected = replace(GOOD, rating="down", correction="A frame to weave on.")
    await store.put(THREAD, corrected)
    [seen] = await store.all()
    await store.review(seen, corrected.reviewed("approved", CHANDRA, **words))
    assert CHANDRA in await forgetting.rated(THREAD)
    await forgetting.user(CHANDRA)
    assert await store.of_conversation(THREAD) == [replace(corrected, review=left)]


async def test_what_does_not_open_is_left_out(store: FeedbackStore, redis: Redis) -> None:
    await store.put(THREAD, GOOD)
    await FeedbackStore(redis, LAYOUT, Sealing([bytes(32)])).put(THREAD, replace(GOOD, rater_id=CHANDRA))
    assert await store.of_conversation(THREAD) == [GOOD]
    assert await store.newest(CHANDRA, 5) == []
