"""What is edited or deleted in Slack, on a real Valkey: what waits, is being answered, or is remembered, follows."""

from dataclasses import replace
from unittest.mock import AsyncMock

import pytest
from redis.asyncio import Redis

from bot.attachments import Attachment
from bot.conversation import Line
from bot.errors import LeaseLost, TooManyWaiting
from bot.store.corrections import Corrections
from bot.store.mailbox import Mailbox
from bot.store.memory import Memory
from bot.store.settlings import Settlings
from tests.bot.store.test_mailbox import EXCHANGE, LAYOUT, OTHER_THREAD, SEALING, THREAD, claimed, turn

FILE = Attachment("F1", "notes.txt", "text/plain", 5, "https://files.example/1")


@pytest.fixture
def mailbox(redis: Redis) -> Mailbox:
    return Mailbox(redis, LAYOUT, SEALING)


@pytest.fixture
def memory(redis: Redis) -> Memory:
    return Memory(redis, LAYOUT, SEALING)


@pytest.fixture
def corrections(redis: Redis) -> Corrections:
    return Corrections(redis, LAYOUT, SEALING)


async def test_a_message_that_was_too_long_is_taken_when_it_is_made_shorter(
    mailbox: Mailbox, corrections: Corrections
) -> None:
    for is_told in (False, True):
        asked = replace(turn(f"100.00{is_told:04d}"), files=(FILE,))
        assert await mailbox.refuse(asked, "question_too_long", is_final=False)
        assert not await mailbox.refuse(asked, "question_too_long", is_final=False)
        if is_told:
            await mailbox.commit(await claimed(mailbox), None)
        assert await corrections.revise(THREAD, asked.ts, "short") == "unknown"
        assert await mailbox.enqueue(replace(asked, text="short"))
        assert not await mailbox.enqueue(replace(asked, text="short"))
        claim = await claimed(mailbox)
        assert (claim.turn, claim.verdict) == (replace(asked, text="short"), None)
        await mailbox.commit(claim, None)


async def test_a_refusal_that_is_edited_has_its_messages_place_and_not_its_own(
    mailbox: Mailbox, corrections: Corrections
) -> None:
    first, second = turn("100.000100"), turn("100.000200")
    await mailbox.enqueue(first)
    await mailbox.refuse(second, "question_too_long", is_final=False)
    teller = await claimed(mailbox)
    assert teller.turn.ts == second.ts, "a refusal need not wait"
    assert await corrections.revise(THREAD, second.ts, "short") == "unknown"
    with pytest.raises(LeaseLost):
        await mailbox.commit(teller, None)
    assert await mailbox.enqueue(replace(second, text="short"))
    for asked in (first, replace(second, text="short")):
        claim = await claimed(mailbox)
        assert claim.turn == asked
        await mailbox.commit(claim, None)
    assert (await mailbox.report()).waiting == 0


async def test_an_edit_is_no_way_past_the_limit(redis: Redis, corrections: Corrections) -> None:
    mailbox = Mailbox(redis, LAYOUT, SEALING, waiting_per_user=1)
    first, second = turn("100.000100"), turn("100.000200")
    await mailbox.enqueue(first)
    for text in ("one more", "one more!"):
        with pytest.raises(TooManyWaiting):
            await mailbox.enqueue(replace(second, text=text))
        assert await mailbox.refuse(second, "too_many_waiting", is_final=True)
        assert await corrections.revise(THREAD, second.ts, text) == "unknown"
    await mailbox.commit(await claimed(mailbox), None)
    assert await mailbox.enqueue(second), "there is room by now"


async def test_an_edit_reaches_a_waiting_turn(mailbox: Mailbox, corrections: Corrections) -> None:
    await mailbox.enqueue(turn())
    assert await corrections.revise(THREAD, "100.000100", "bye") == "waiting"
    assert (await claimed(mailbox)).turn.text == "bye"
    assert await corrections.revise(OTHER_THREAD, "200.000100", "?") == "unknown"


async def test_an_edit_begins_an_answer_under_way_again(mailbox: Mailbox, corrections: Corrections) -> None:
    await mailbox.enqueue(turn())
    old = await claimed(mailbox)
    await mailbox.note_shape(old, "stream")
    await mailbox.note_post(old, "101.000100")
    assert await corrections.revise(THREAD, "100.000100", "bye") == "waiting"
    with pytest.raises(LeaseLost):
        await mailbox.commit(old, EXCHANGE)
    new = await claimed(mailbox)
    assert (new.turn.text, new.attempt, new.posting.ts) == ("bye", 1, ("101.000100",))


async def test_edits_and_deletions_reach_what_is_remembered(
    mailbox: Mailbox, corrections: Corrections, memory: Memory
) -> None:
    said = (Line("99.1", "U2", "Bo: before"), Line("99.2", "U3", "Cy: also before"))
    for ts in ("100.000100", "100.000200"):
        await mailbox.enqueue(turn(ts))
        exchange = replace(EXCHANGE, ts=ts, earlier=said, answer_ts=(ts + "1",))
        await mailbox.commit(await claimed(mailbox), exchange)
    assert await corrections.revise(THREAD, "100.000100", "hi all") == "remembered"
    assert await corrections.revise(THREAD, "99.1", "changed") == "remembered"
    await corrections.withdraw(THREAD, "99.2")
    first, second = await memory.read(THREAD)
    assert (first.question, second.question) == ("hi all", "hi")
    assert first.earlier == second.earlier == (Line("99.1", "U2", "Bo: changed"),)
    assert first.tokens >= EXCHANGE.tokens
    await corrections.withdraw(THREAD, "100.000100")
    assert await memory.read(THREAD) == [second], "a deleted question goes with its answer"
    await corrections.withdraw(THREAD, "100.0002001")
    assert await memory.read(THREAD) == [], "a deleted answer with its question"


async def test_what_changes_while_an_answer_quotes_it_is_changed_after_it(
    mailbox: Mailbox, corrections: Corrections, memory: Memory
) -> None:
    await mailbox.enqueue(turn("100.000200"))
    claim = await claimed(mailbox)
    await corrections.revise(THREAD, "99.1", "changed")
    await corrections.withdraw(THREAD, "99.2")
    said = (Line("99.1", "U2", "Bo: before"), Line("99.2", "U3", "Cy: also before"))
    await mailbox.commit(claim, replace(EXCHANGE, ts="100.000200", earlier=said))
    (exchange,) = await memory.read(THREAD)
    assert exchange.earlier == (Line("99.1", "U2", "Bo: changed"),)


async def test_a_change_that_was_left_by_a_crash_is_not_made_after_a_later_one(
    mailbox: Mailbox, corrections: Corrections, memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    await mailbox.enqueue(turn())
    claim = await claimed(mailbox)
    await corrections.revise(THREAD, "99.1", "changed")
    with monkeypatch.context() as patch:
        patch.setattr(Memory, "apply_changes", AsyncMock())  # its process has died by then
        await mailbox.commit(claim, replace(EXCHANGE, earlier=(Line("99.1", "U2", "Bo: before"),)))
    assert await corrections.revise(THREAD, "99.1", "changed again") == "remembered"
    (exchange,) = await memory.read(THREAD)
    assert exchange.earlier == (Line("99.1", "U2", "Bo: changed again"),)


async def test_a_deleted_question_is_not_answered(mailbox: Mailbox, corrections: Corrections, memory: Memory) -> None:
    for ts in ("100.000100", "100.000200"):
        await mailbox.enqueue(turn(ts))
    under_way = await claimed(mailbox)
    await corrections.withdraw(THREAD, "100.000100")
    with pytest.raises(LeaseLost):
        await mailbox.commit(under_way, EXCHANGE)
    assert (await claimed(mailbox)).turn.ts == "100.000200"
    await corrections.withdraw(THREAD, "100.000200")
    assert await mailbox.claim() is None
    assert (await mailbox.report()).waiting == 0
    assert await memory.read(THREAD) == []


async def test_what_was_shown_of_an_answer_goes_with_its_question(
    mailbox: Mailbox, corrections: Corrections, redis: Redis
) -> None:
    await mailbox.enqueue(turn())
    under_way = await claimed(mailbox)
    await mailbox.note_shape(under_way, "stream")
    await mailbox.note_post(under_way, "100.000300")
    await corrections.withdraw(THREAD, "100.000100")
    settlings = Settlings(redis, LAYOUT, SEALING)
    assert await settlings.next() is None, "its worker may still write"
    await redis.zadd(LAYOUT.prefix_of(THREAD) + "settle", {under_way.job_id: 0})
    settling = await settlings.next()
    assert settling is not None
    assert (settling.kept, settling.gone) == ((), ("100.000300",))
    assert await mailbox.recorded(THREAD) == frozenset()
