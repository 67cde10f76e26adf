"""A rating finds its answer, and is kept only as long as the answer is remembered when it is given."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from redis.asyncio import Redis

from bot.conversation import ConversationId, Exchange, Turn
from bot.preferences import ChannelRules
from bot.ratings import Ratings
from bot.store.corrections import Corrections
from bot.store.feedback import FeedbackStore
from bot.store.forgetting import Forgetting
from bot.store.layout import Layout
from bot.store.mailbox import Mailbox
from bot.store.memory import Memory, dump, load
from bot.store.preferences import PreferenceStore
from bot.store.sealing import Sealing

LAYOUT, SEALING = Layout("T1/B1", 2), Sealing([bytes(range(32))])
ASHA, BEN = "U0ASHA", "U0BEN"
THREAD, DIRECT = ConversationId("T1", "C1", "100.000100"), ConversationId("T1", "D1", "100.000100")
ANSWER_TS = ("100.000200", "100.000300")


class Kept:
    """All that a rating touches."""

    def __init__(self, redis: Redis) -> None:
        self.redis = redis
        self.mailbox = Mailbox(redis, LAYOUT, SEALING)
        self.memory = Memory(redis, LAYOUT, SEALING)
        self.store = FeedbackStore(redis, LAYOUT, SEALING)
        self.preferences = PreferenceStore(redis, LAYOUT, SEALING)
        self.forgetting = Forgetting(redis, LAYOUT, SEALING)
        self.ratings = Ratings(self.memory, self.store, self.preferences, clock=lambda: 5.0)

    async def answer(self, conversation: ConversationId = THREAD) -> None:
        """Have a question of Asha's answered."""
        await self.mailbox.enqueue(Turn(conversation, conversation.root_ts, ASHA, "What is a loom?"))
        claim = await self.mailbox.claim()
        assert claim is not None
        exchange = Exchange(
            conversation.root_ts, ASHA, "What is a loom?", "A frame.", 9, (), ANSWER_TS, (), "m1", "abc"
        )
        await self.mailbox.commit(claim, exchange)


@pytest.fixture
def kept(redis: Redis) -> Kept:
    return Kept(redis)


@pytest.mark.parametrize("ts", [THREAD.root_ts, *ANSWER_TS])
async def test_an_answer_is_found_by_its_question_and_by_each_of_its_messages(kept: Kept, ts: str) -> None:
    await kept.answer()
    rated = await kept.ratings.rate(THREAD, ts, BEN, "up")
    assert rated is not None
    assert (rated.ts, rated.model, rated.prompt_hash, rated.answer_ts) == (THREAD.root_ts, "m1", "abc", ANSWER_TS)
    assert await kept.ratings.of(THREAD, ts, BEN) == rated
    assert await kept.ratings.withdraw(THREAD, ts, BEN)
    assert not await kept.ratings.withdraw(THREAD, ts, BEN)


async def test_an_answer_of_an_earlier_dolly_has_no_model(kept: Kept) -> None:
    await kept.answer()
    key = f"{LAYOUT.prefix_of(THREAD)}memory:{THREAD}"
    stored: Any = await kept.redis.lindex(key, 0)
    head, _, sealed = stored.rpartition("|")
    texts = SEALING.open(str(THREAD), sealed).replace(', "model": "m1", "prompt_hash": "abc"', "")
    assert "m1" not in texts
    writing: Any = kept.redis.lset(key, 0, f"{head}|{SEALING.seal(str(THREAD), texts)}")
    await writing
    rated = await kept.ratings.rate(THREAD, THREAD.root_ts, BEN, "up")
    assert rated is not None
    assert (rated.model, rated.prompt_hash, rated.answer) == ("", "", "A frame.")


async def test_an_answer_that_is_about_to_be_remembered_is_waited_for(kept: Kept) -> None:
    rating = asyncio.create_task(kept.ratings.rate(THREAD, ANSWER_TS[0], BEN, "up"))
    await asyncio.sleep(0.15)
    assert not rating.done()
    await kept.answer()
    assert await rating is not None


async def test_nothing_is_kept_of_an_answer_that_nobody_remembers(kept: Kept) -> None:
    assert await kept.ratings.rate(THREAD, "1.000001", BEN, "up") is None
    assert await kept.ratings.correct(THREAD, "1.000001", BEN, "Better.", "") is None
    assert [key async for key in kept.redis.scan_iter(match="*")] == []


async def forget(kept: Kept) -> None:
    await kept.forgetting.conversation(THREAD)


async def delete(kept: Kept) -> None:
    await Corrections(kept.redis, LAYOUT, SEALING, memory_seconds=60).withdraw(THREAD, THREAD.root_ts)
    await kept.store.drop(THREAD, THREAD.root_ts)


@pytest.mark.parametrize("erase", [forget, delete])
async def test_what_is_forgotten_while_it_is_rated_stays_forgotten(
    kept: Kept, erase: Callable[[Kept], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    await kept.answer()
    put = kept.store.put

    async def late(*given: Any) -> None:
        await erase(kept)
        await put(*given)

    monkeypatch.setattr(kept.store, "put", late)
    assert await kept.ratings.rate(THREAD, THREAD.root_ts, BEN, "down") is None
    assert await kept.store.of_conversation(THREAD) == []
    assert await kept.store.newest(BEN, 5) == []


async def test_consent_is_the_channels_when_it_is_given_and_may_only_be_taken_back(kept: Kept) -> None:
    await kept.answer()
    await kept.answer(DIRECT)
    await kept.preferences.set_channel("C1", ChannelRules(training_consent=True))
    rated = await kept.ratings.rate(THREAD, THREAD.root_ts, BEN, "down")
    assert rated is not None
    assert rated.consent
    private = await kept.ratings.rate(DIRECT, DIRECT.root_ts, BEN, "down")
    assert private is not None
    assert not private.consent

    await kept.preferences.set_channel("C1", ChannelRules(training_consent=False))
    corrected = await kept.ratings.correct(THREAD, THREAD.root_ts, BEN, "Better.", "")
    assert corrected is not None
    assert not corrected.consent
    await kept.preferences.set_channel("C1", ChannelRules(training_consent=True))
    corrected = await kept.ratings.correct(THREAD, THREAD.root_ts, BEN, "Best.", "")
    assert corrected is not None
    assert (corrected.correction, corrected.consent) == ("Best.", False), "the form that was signed said no"


async def test_a_correction_of_an_answer_that_was_replaced_is_none_of_the_new_one(kept: Kept) -> None:
    await kept.answer()
    rated = await kept.ratings.rate(THREAD, THREAD.root_ts, BEN, "down")
    assert rated is not None
    other = Exchange(THREAD.root_ts, ASHA, "What is a loom?", "A machine.", 9, (), ANSWER_TS)
    key = f"{LAYOUT.prefix_of(THREAD)}memory:{THREAD}"
    writing: Any = kept.redis.lset(key, 0, dump(other, str(THREAD), SEALING))
    await writing
    assert await kept.ratings.correct(THREAD, THREAD.root_ts, BEN, rated.draft, "") is None
    assert await kept.store.of_conversation(THREAD) == [rated]
    again = await kept.ratings.rate(THREAD, THREAD.root_ts, BEN, "down")
    assert again is not None
    assert again.answer == "A machine.", "rated once more, the new one is meant"


async def test_a_deleted_part_of_an_answer_takes_what_everybody_said_along(kept: Kept) -> None:
    await kept.answer()
    for rater_id in (ASHA, BEN):
        await kept.ratings.rate(THREAD, THREAD.root_ts, rater_id, "up")
    await kept.store.drop(THREAD, "9.000009")
    assert len(await kept.store.of_conversation(THREAD)) == 2
    await kept.store.drop(THREAD, ANSWER_TS[1])
    assert await kept.store.of_conversation(THREAD) == []
    assert await kept.store.newest(BEN, 5) == []


def test_an_exchange_is_stored_with_its_model() -> None:
    exchange = Exchange("1.0", ASHA, "q", "a", 1, model="team/dolly-2026-11", prompt_hash="0123456789ab")
    stored = dump(exchange, "c", SEALING)
    assert load(stored, "c", SEALING) == exchange
    assert "dolly" not in stored, "sealed"
