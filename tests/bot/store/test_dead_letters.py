"""Dead letters on a real store: listed, asked again once and in order, dropped, forgotten meanwhile."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from redis.asyncio import Redis

from bot.conversation import ConversationId, Exchange, Posting, Turn
from bot.errors import StoreUnavailable
from bot.store.connection import Client, connect
from bot.store.dead_letters import DeadLetters
from bot.store.forgetting import Forgetting
from bot.store.layout import Layout
from bot.store.mailbox import DEDUPE_SECONDS, Mailbox
from bot.store.memory import Memory
from bot.store.repeats import Repeats
from bot.store.sealing import Sealing

LAYOUT = Layout("T1/B1", 4)
SEALING = Sealing([bytes(range(32))])
THREADS = [ConversationId("T1", "C1", f"{number}.000100") for number in range(100, 106)]
THREAD = THREADS[0]


@pytest.fixture
def mailbox(redis: Redis) -> Mailbox:
    return Mailbox(redis, LAYOUT, SEALING)


@pytest.fixture
def letters(redis: Redis) -> DeadLetters:
    return made(redis)


def made(client: Client) -> DeadLetters:
    repeats = Repeats(client, LAYOUT, SEALING, Mailbox(client, LAYOUT, SEALING), waiting_per_user=0)
    return DeadLetters(client, LAYOUT, SEALING, repeats, memory_seconds=86_400)


def question(conversation: ConversationId = THREAD, ts: str = "100.000100", **fields: Any) -> Turn:
    return Turn(conversation, ts, "U1", "why?", **fields)


async def given_up(mailbox: Mailbox, turn: Turn, reason: str = "is_archived") -> str:
    """Ask it, and bury it; its job's id."""
    await mailbox.enqueue(turn)
    claim = await mailbox.claim()
    assert claim is not None
    assert claim.turn == turn
    await mailbox.commit(claim, None, buried=reason)
    return turn.job_id


async def test_the_newest_are_listed_of_all_partitions(mailbox: Mailbox, letters: DeadLetters) -> None:
    for number, thread in enumerate(THREADS):
        await given_up(mailbox, question(thread, thread.root_ts), f"reason_{number}")
        await asyncio.sleep(0.002)  # their order is by the millisecond
    found = await letters.newest(4)
    assert [letter.reason for letter in found] == ["reason_5", "reason_4", "reason_3", "reason_2"]
    assert (found[0].conversation, found[0].ts, found[0].user_id) == (THREADS[5], "105.000100", "U1")
    assert all(letter.can_be_asked for letter in found)
    assert "why?" not in repr(found)


async def test_one_that_is_asked_again_is_claimed_anew_as_if_it_had_just_come(
    redis: Redis, mailbox: Mailbox, letters: DeadLetters
) -> None:
    job_id = await given_up(mailbox, question())
    prefix = LAYOUT.prefix_of(THREAD)
    await redis.delete(f"{prefix}seen:{job_id}")  # a day later
    assert await letters.ask_again(job_id)
    assert await letters.newest(10) == []
    assert not await mailbox.enqueue(question()), "a late delivery is the same question"
    assert DEDUPE_SECONDS - 5 < await redis.ttl(f"{prefix}seen:{job_id}") <= DEDUPE_SECONDS
    claim = await mailbox.claim()
    assert claim is not None
    assert (claim.turn, claim.attempt, claim.claims, claim.posting.ts) == (question(), 1, 1, ())
    assert (claim.verdict, claim.is_admitted, claim.kept) == (None, False, None)
    assert claim.age_seconds < 5
    await mailbox.commit(claim, Exchange("100.000100", "U1", "why?", "because", tokens=5))
    assert (await mailbox.report()).waiting == 0
    assert await mailbox.claim() is None


async def test_a_second_click_does_nothing(mailbox: Mailbox, letters: DeadLetters) -> None:
    job_id = await given_up(mailbox, question())
    assert sorted(await asyncio.gather(*(letters.ask_again(job_id) for _ in range(8)))) == [False] * 7 + [True]
    assert not await letters.drop(job_id)
    claim = await mailbox.claim()
    assert claim is not None
    await mailbox.commit(claim, None)
    assert not await letters.ask_again(job_id)
    assert await mailbox.claim() is None


async def test_it_takes_its_messages_place_and_waits_for_whoever_is_answering(
    mailbox: Mailbox, letters: DeadLetters
) -> None:
    job_id = await given_up(mailbox, question(ts="100.000200"))
    for ts in ("100.000300", "100.000400"):
        await mailbox.enqueue(question(ts=ts))
    claim = await mailbox.claim()
    assert claim is not None
    assert claim.turn.ts == "100.000300"
    assert await letters.ask_again(job_id)
    assert await mailbox.claim() is None, "a thread has one worker"
    await mailbox.commit(claim, None)
    for ts in ("100.000200", "100.000400"):
        claim = await mailbox.claim()
        assert claim is not None
        assert claim.turn.ts == ts
        await mailbox.commit(claim, None)


async def test_one_that_is_dropped_is_gone(redis: Redis, mailbox: Mailbox, letters: DeadLetters) -> None:
    job_id = await given_up(mailbox, question())
    assert await letters.drop(job_id)
    assert not await letters.drop(job_id)
    assert not await letters.ask_again(job_id)
    assert await mailbox.claim() is None
    assert await redis.keys("*letter:*") == []
    assert (await mailbox.report()).dead == 0


async def test_what_can_be_answered_no_more_is_said_so(redis: Redis, mailbox: Mailbox, letters: DeadLetters) -> None:
    slash = ConversationId("T1", "C1", "123.456.abc")
    await given_up(mailbox, question(slash, "0.000000", response_url="https://hooks.example/1"))
    assert [letter.can_be_asked for letter in await letters.newest(10)] == [False]
    await redis.flushall()
    job_id = await given_up(mailbox, question())
    await redis.hset(f"{LAYOUT.prefix_of(THREAD)}letter:{job_id}", "turn", "of another version")
    assert [letter.can_be_asked for letter in await letters.newest(10)] == [False]


async def test_what_was_forgotten_or_has_ended_is_no_letter(
    redis: Redis, mailbox: Mailbox, letters: DeadLetters
) -> None:
    job_id = await given_up(mailbox, question())
    await Forgetting(redis, LAYOUT, SEALING).user("U1")
    assert await letters.newest(10) == []
    assert not await letters.ask_again(job_id)
    job_id = await given_up(mailbox, question(ts="100.000900"))
    await redis.delete(f"{LAYOUT.prefix_of(THREAD)}letter:{job_id}")  # its time was over
    assert await letters.newest(10) == []
    assert not await letters.ask_again(job_id)


async def test_a_store_that_is_away_says_so() -> None:
    nowhere = connect("redis://127.0.0.1:1/0")
    letters = made(nowhere)
    for act in (letters.newest(10), letters.ask_again(question().job_id), letters.drop(question().job_id)):
        with pytest.raises(StoreUnavailable):
            await act
    await nowhere.aclose()


async def test_a_question_that_was_to_be_answered_anew_names_its_message(
    mailbox: Mailbox, letters: DeadLetters
) -> None:
    await given_up(mailbox, question(again="Tr1"))
    [letter] = await letters.newest(1)
    assert (letter.conversation, letter.ts) == (THREAD, "100.000100")
    assert await letters.ask_again(letter.job_id)
    claim = await mailbox.claim()
    assert claim is not None
    assert claim.turn.again == "Tr1"


@pytest.mark.parametrize("again", ["", "Tr1"])
async def test_one_that_an_answer_is_remembered_of_is_answered_in_that_ones_place(
    redis: Redis, mailbox: Mailbox, letters: DeadLetters, again: str
) -> None:
    """Given up in the middle of its answer; or while it was answered anew."""
    half = Exchange("100.000100", "U1", "why?", "half of it", tokens=5, answer_ts=("101.000100",))
    await mailbox.enqueue(question())
    claim = await mailbox.claim()
    assert claim is not None
    await mailbox.note_post(claim, "101.000100")
    await mailbox.commit(claim, half, buried="" if again else "engine_broke")
    if again:
        await given_up(mailbox, question(again=again))
    [letter] = await letters.newest(5)
    clicks = await asyncio.gather(*(letters.ask_again(letter.job_id) for _ in range(8)))
    assert sorted(clicks) == [False] * 7 + [True]
    assert await letters.newest(5) == []
    claim = await mailbox.claim()
    assert claim is not None
    assert (claim.turn.ts, claim.turn.text, claim.posting) == (half.ts, "why?", Posting("placed", ("101.000100",)))
    await mailbox.commit(claim, replace(half, answer="all of it"))
    assert [exchange.answer for exchange in await Memory(redis, LAYOUT, SEALING).read(THREAD)] == ["all of it"]
    assert await mailbox.claim() is None
