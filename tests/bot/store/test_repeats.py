"""A question is answered once more: one job at a time, in the old messages; memory has the new answer for the old."""

from dataclasses import replace
from typing import Any

import pytest
from redis.asyncio import Redis

from bot.conversation import ConversationId, Exchange, Posting, Shown, Turn
from bot.errors import LeaseLost, TooManyWaiting
from bot.store.claims import Claim
from bot.store.corrections import Corrections
from bot.store.forgetting import Forgetting
from bot.store.layout import Layout
from bot.store.mailbox import Mailbox
from bot.store.memory import Memory
from bot.store.repeats import Repeats
from bot.store.sealing import Sealing
from bot.store.settlings import Settlings

THREAD = ConversationId("T1", "C1", "100.000100")
LAYOUT, SEALING = Layout("T1/B1"), Sealing([bytes(32)])


def turn(ts: str, text: str = "", again: str = "") -> Turn:
    return Turn(THREAD, ts, "U1", text or ts, again=again)


def exchange(ts: str, answer: str, *answer_ts: str, tokens: int = 10) -> Exchange:
    return Exchange(ts, "U1", ts, answer, tokens, answer_ts=answer_ts)


@pytest.fixture
def mailbox(redis: Redis) -> Mailbox:
    return Mailbox(redis, LAYOUT, SEALING, memory_tokens=100)


@pytest.fixture
def repeats(redis: Redis, mailbox: Mailbox) -> Repeats:
    return Repeats(redis, LAYOUT, SEALING, mailbox, waiting_per_user=3)


@pytest.fixture
def memory(redis: Redis) -> Memory:
    return Memory(redis, LAYOUT, SEALING)


async def claimed(mailbox: Mailbox) -> Claim:
    claim = await mailbox.claim()
    assert claim is not None
    return claim


async def answered(mailbox: Mailbox, *exchanges: Exchange) -> None:
    for each in exchanges:
        await mailbox.enqueue(turn(each.ts))
        claim = await claimed(mailbox)
        for ts in each.answer_ts:
            await mailbox.note_post(claim, ts)
        await mailbox.commit(claim, each)


FIRST, SECOND, THIRD = "100.000100", "100.000200", "100.000300"
EXCHANGES = (exchange(FIRST, "one", "100.000110", "100.000120"), exchange(SECOND, "two", "100.000210"))


async def test_the_new_answer_takes_the_old_ones_messages_and_its_place(
    mailbox: Mailbox, repeats: Repeats, memory: Memory
) -> None:
    await answered(mailbox, *EXCHANGES)
    assert await repeats.ask(turn(FIRST, again="x")) == "stored"
    claim = await claimed(mailbox)
    assert claim.posting == Posting("placed", ("100.000110", "100.000120"))
    assert await mailbox.note_post(claim, "100.000110"), "it is this job's by now"
    await mailbox.commit(claim, exchange(FIRST, "another", "100.000110"))
    assert [each.answer for each in await memory.read(THREAD)] == ["another", "two"]


async def test_it_is_stored_once_and_there_is_one_at_a_time(mailbox: Mailbox, repeats: Repeats) -> None:
    await answered(mailbox, *EXCHANGES)
    assert [await repeats.ask(turn(FIRST, again=by)) for by in "xyx"] == ["stored", "waiting", "before"]
    claim = await claimed(mailbox)
    assert await repeats.ask(turn(FIRST, again="z")) == "waiting"
    await mailbox.commit(claim, EXCHANGES[0])
    assert [await repeats.ask(turn(FIRST, again=by)) for by in "zu"] == ["before", "stored"]


async def test_what_is_not_remembered_is_not_answered_again(mailbox: Mailbox, repeats: Repeats, redis: Redis) -> None:
    assert await repeats.ask(turn(FIRST, again="x")) == "unknown"
    await answered(mailbox, *EXCHANGES)
    await repeats.ask(turn(FIRST, again="x"))
    claim = await claimed(mailbox)
    await Forgetting(redis, LAYOUT, SEALING).conversation(THREAD)
    with pytest.raises(LeaseLost):
        await mailbox.commit(claim, EXCHANGES[0])
    assert await repeats.ask(turn(FIRST, again="y")) == "unknown"
    assert await mailbox.claim() is None


async def test_it_waits_for_the_answer_under_way_and_goes_before_later_questions(
    mailbox: Mailbox, repeats: Repeats
) -> None:
    await answered(mailbox, EXCHANGES[0])
    await mailbox.enqueue(turn(SECOND))
    second = await claimed(mailbox)
    await mailbox.enqueue(turn(THIRD))
    await repeats.ask(turn(FIRST, again="x"))
    assert await mailbox.claim() is None
    await mailbox.commit(second, EXCHANGES[1])
    order = []
    while claim := await mailbox.claim():
        order.append((claim.turn.ts, claim.turn.again))
        await mailbox.commit(claim, None)
    assert order == [(FIRST, "x"), (THIRD, "")]


async def test_nobody_may_have_more_waiting_than_others(mailbox: Mailbox, repeats: Repeats) -> None:
    await answered(mailbox, EXCHANGES[0])
    for ts in (SECOND, THIRD, "100.000400"):
        await mailbox.enqueue(turn(ts))
    with pytest.raises(TooManyWaiting):
        await repeats.ask(turn(FIRST, again="x"))


async def test_an_edit_begins_it_again_and_a_deletion_ends_it(
    mailbox: Mailbox, repeats: Repeats, memory: Memory, redis: Redis
) -> None:
    corrections = Corrections(redis, LAYOUT, SEALING)
    await answered(mailbox, *EXCHANGES)
    await repeats.ask(turn(FIRST, "new", again="x"))
    claim = await claimed(mailbox)
    assert await corrections.revise(THREAD, FIRST, "newer") == "waiting"
    with pytest.raises(LeaseLost):
        await mailbox.commit(claim, EXCHANGES[0])
    claim = await claimed(mailbox)
    assert claim.turn == turn(FIRST, "newer", again="x")
    assert [each.question for each in await memory.read(THREAD)] == ["newer", SECOND]
    await corrections.withdraw(THREAD, FIRST)
    with pytest.raises(LeaseLost):
        await mailbox.commit(claim, EXCHANGES[0])
    assert [each.ts for each in await memory.read(THREAD)] == [SECOND]
    assert await mailbox.claim() is None


async def test_a_new_answer_that_is_longer_takes_no_more_room_than_there_is(
    mailbox: Mailbox, repeats: Repeats, memory: Memory
) -> None:
    third = exchange(THIRD, "three", "100.000310", tokens=40)
    await answered(mailbox, *EXCHANGES, third)
    await repeats.ask(turn(SECOND, again="x"))
    await mailbox.commit(await claimed(mailbox), replace(EXCHANGES[1], tokens=60))
    assert [each.ts for each in await memory.read(THREAD)] == [SECOND, THIRD]
    await repeats.ask(turn(SECOND, again="y"))
    await mailbox.commit(await claimed(mailbox), replace(EXCHANGES[1], tokens=61))
    assert [each.ts for each in await memory.read(THREAD)] == [THIRD]


async def test_one_whose_question_was_pushed_out_of_memory_is_not_remembered(
    mailbox: Mailbox, repeats: Repeats, memory: Memory
) -> None:
    await answered(mailbox, EXCHANGES[0])
    await mailbox.enqueue(turn(SECOND))
    second = await claimed(mailbox)
    await repeats.ask(turn(FIRST, again="x"))
    await mailbox.commit(second, replace(EXCHANGES[1], tokens=95))
    await mailbox.commit(await claimed(mailbox), EXCHANGES[0])
    assert [each.ts for each in await memory.read(THREAD)] == [SECOND]


async def test_where_a_worker_of_the_old_answer_may_still_write_the_thread_is_read_again(
    mailbox: Mailbox, repeats: Repeats, redis: Redis
) -> None:
    await mailbox.enqueue(turn(FIRST))
    await mailbox.fail(await claimed(mailbox), delay_seconds=0)
    claim = await claimed(mailbox)
    await mailbox.note_shape(claim, "placed")
    await mailbox.note_post(claim, "100.000110")
    await mailbox.commit(claim, exchange(FIRST, "one", "100.000110"))
    await repeats.ask(turn(FIRST, again="x"))
    await mailbox.commit(await claimed(mailbox), exchange(FIRST, "another", "100.000110"))
    assert await redis.exists(f"{LAYOUT.prefixes[0]}settling:{THREAD}/{FIRST}~")


async def test_a_thread_that_is_read_again_has_the_old_answer_put_back_no_more(
    mailbox: Mailbox, repeats: Repeats, redis: Redis
) -> None:
    settlings, due = Settlings(redis, LAYOUT, SEALING), LAYOUT.prefixes[0] + "settle"
    await mailbox.enqueue(turn(FIRST))
    await mailbox.fail(await claimed(mailbox), delay_seconds=0)
    for again in ("", "x", "y"):
        if again:
            assert await repeats.ask(turn(FIRST, again=again)) == "stored"
            jobs: Any = await redis.zrange(due, 0, -1)
            await redis.zadd(due, dict.fromkeys(jobs, 0))
            while settling := await settlings.next():
                assert (settling.kept, settling.shown) == (("100.000110",), {})
        claim = await claimed(mailbox)
        await mailbox.note_shape(claim, "placed")
        await mailbox.note_post(claim, "100.000110")
        answer = exchange(FIRST, f"answer {again}", "100.000110")
        await mailbox.commit(claim, answer, shown={"100.000110": Shown(answer.answer)})
    await redis.zadd(due, {f"{THREAD}/{FIRST}~": 0})
    settling = await settlings.next()
    assert settling is not None
    assert settling.shown == {"100.000110": Shown("answer y")}


async def test_a_stop_finds_it_by_its_question_by_its_message_and_where_it_waits(
    mailbox: Mailbox, repeats: Repeats
) -> None:
    await answered(mailbox, *EXCHANGES)
    await repeats.ask(turn(FIRST, again="x"))
    assert not await mailbox.request_stop(THREAD, "100.000150", ["100.000210"]), "of the other answer"
    assert await mailbox.request_stop(THREAD, "100.000150", question_ts=FIRST)
    claim = await claimed(mailbox)
    assert claim.is_stopped
    stop = mailbox.stop_of(claim)
    assert stop.is_set()
    await mailbox.commit(claim, None)
    await repeats.ask(turn(FIRST, again="y"))
    claim = await claimed(mailbox)
    stop = mailbox.stop_of(claim)
    assert not stop.is_set()
    assert not await mailbox.request_stop(THREAD, "100.000250"), "pressed before it was asked for"
    assert await mailbox.request_stop(THREAD, "100.000250", ["100.000120"])
    assert stop.is_set(), "at once, where it is the same process"
    assert await mailbox.renew(claim), "within a second, where it is another one"
