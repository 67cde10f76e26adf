"""How turns end when something does not work on the way: told once, sooner or later, and never in silence."""

import time

import pytest
from redis.asyncio import Redis

from bot.conversation import Exchange, Line, Standing, Turn
from bot.errors import SlackError, SlackUnreachable, StoreUnavailable
from bot.store.connection import losses
from bot.store.corrections import Corrections
from bot.store.dead_letters import DeadLetters
from bot.store.mailbox import Mailbox
from bot.store.memory import Memory
from bot.store.repeats import Repeats
from bot.turns import ATTEMPTS
from tests.bot.test_workers import LAYOUT, PREFIX, SEALING, THREAD, WORDS, Note, desk
from tests.scripted_engine import Script

AWAY = SlackUnreachable("chat.postEphemeral", "503")
QUESTION = Turn(THREAD, "100.000100", "U1", "hi")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.turns.RETRY_SECONDS", 0.01)


# --- refusals -------------------------------------------------------------------------------------------------------


async def test_a_refusal_that_slack_does_not_take_now_is_told_later(redis: Redis) -> None:
    async with desk(redis) as at:
        at.gate.closed, at.gate.refusals = True, [AWAY] * (ATTEMPTS + 2)
        await at.mailbox.enqueue(QUESTION)
        await at.until(lambda: len(at.gate.refusals) < ATTEMPTS)
        at.gate.closed = False  # what was decided once stays
        await at.until_committed()
        assert at.gate.told == [("100.000100", "quota_questions 1790000000")]
        assert (at.gate.asked, at.engine.requests, at.slack.notes) == (1, [], [])


async def test_a_refusal_that_has_waited_for_long_is_no_apology(redis: Redis) -> None:
    async with desk(redis, answer_within_seconds=0) as at:
        at.gate.closed, at.gate.refusals = True, [AWAY]
        await at.mailbox.enqueue(QUESTION)
        await at.until_committed()
        assert at.gate.told == [("100.000100", "quota_questions 1790000000")]
        assert at.slack.notes == []


async def test_a_refusal_that_cannot_be_told_at_all_ends_the_turn(redis: Redis) -> None:
    async with desk(redis) as at:
        at.gate.closed = True
        at.gate.refusals = [SlackError("chat.postEphemeral", "user_not_in_channel")]
        await at.mailbox.enqueue(QUESTION)
        await at.until_committed()
        assert (at.gate.told, at.slack.notes) == ([], []), "it is for their eyes only"


async def test_what_was_refused_when_it_came_is_told_by_a_worker(redis: Redis) -> None:
    async with desk(redis) as at:
        await at.mailbox.refuse(QUESTION, "question_too_long", is_final=False)
        await at.until_committed()
        assert at.gate.told == [("100.000100", "question_too_long")]
        assert (at.gate.asked, at.engine.requests, at.slack.notes) == (0, [], [])


async def test_whoever_takes_a_turn_over_asks_the_quotas_too(redis: Redis) -> None:
    async with desk(redis) as at:
        at.gate.closed = True
        await at.mailbox.enqueue(QUESTION)
        claim = await at.mailbox.claim()  # of a worker that dies at once
        assert claim is not None
        await at.mailbox.fail(claim, delay_seconds=0)
        await at.until_committed()
        assert at.gate.told == [("100.000100", "quota_questions 1790000000")]
        assert at.engine.requests == []


async def test_a_turn_is_counted_once_however_often_it_is_claimed(redis: Redis) -> None:
    async with desk(redis, Script(overloaded=True)) as at:
        await at.mailbox.enqueue(QUESTION)
        await at.until(lambda: len(at.engine.requests) == 3)
        at.engine.script = Script(text="Yes.")
        await at.until_committed()
        assert at.gate.asked == 1


# --- apologies ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_kept", [False, True])
async def test_an_apology_waits_for_slack_as_an_answer_does(redis: Redis, is_kept: bool) -> None:
    refusals: list[Exception | None] = [SlackError("chat.postMessage", "invalid_blocks"), AWAY, AWAY, None]
    if is_kept:
        refusals.insert(0, SlackUnreachable("chat.stopStream", "503"))

    def refused(note: Note) -> None:
        note.refusal = refusals[len(at.slack.notes)]

    async with desk(redis, answer_within_seconds=0) as at:
        at.slack.prepare = refused
        note = await at.ask("hi")
        assert (note.text, note.sentence) == ("", WORDS.say("apology"))
        await at.until_committed()
        assert len(at.slack.notes) == len(refusals)
        assert (await at.mailbox.report()).dead == 1
        assert len(at.engine.requests) == 1


async def test_a_slack_that_is_away_for_a_day_ends_the_turn(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.turns.UNDELIVERED_SECONDS", 0)
    async with desk(redis) as at:
        at.slack.prepare = lambda note: setattr(note, "begin", away)
        await at.mailbox.enqueue(QUESTION)
        await at.until_committed()
        assert (await at.mailbox.report()).dead == 1


async def away() -> None:
    raise AWAY


@pytest.mark.parametrize("reason", ["account_inactive", "token_revoked"])
async def test_where_dolly_is_no_more_a_turn_is_a_dead_letter_at_once(redis: Redis, reason: str) -> None:
    async with desk(redis) as at:
        at.slack.prepare = lambda note: setattr(note, "refusal", SlackError("chat.postMessage", reason))
        await at.mailbox.enqueue(QUESTION)
        await at.until_committed()
        assert len(at.slack.notes) == 1, "no apology is tried"
        assert await redis.hget(f"{PREFIX}letter:{QUESTION.job_id}", "reason") == reason


async def test_an_answer_that_broke_is_written_whole_when_it_is_asked_for_again(redis: Redis) -> None:
    async with desk(redis, Script(text="one two three four", end="error", after=2)) as at:
        assert (await at.ask("hi")).sentence == WORDS.say("engine_broke")
        await at.until_committed()
        assert [exchange.answer for exchange in await at.memory.read(THREAD)] == ["one two"]
        repeats = Repeats(redis, LAYOUT, SEALING, at.mailbox)
        letters = DeadLetters(redis, LAYOUT, SEALING, repeats, memory_seconds=60)
        [letter] = await letters.newest(5)
        at.engine.script = Script(text="one two three four")
        assert await letters.ask_again(letter.job_id)
        await at.mailbox.enqueue(Turn(THREAD, "100.000900", "U2", "and then?"))
        await at.until_committed()
        exchanges = await at.memory.read(THREAD)
        assert [(each.ts, each.answer) for each in exchanges] == [
            ("100.000100", "one two three four"),
            ("100.000900", "one two three four"),
        ]
        assert exchanges[0].answer_ts == ("9100.000100",), "in the messages of what was there"


# --- what comes again after its dedupe mark is gone ------------------------------------------------------------------


async def test_a_message_that_comes_long_after_its_answer_has_none_more_and_holds_up_nobody(redis: Redis) -> None:
    async with desk(redis, Script(text="Yes.")) as at:
        await at.ask("hi")
        await at.until_committed()
        await redis.delete(f"{PREFIX}seen:{QUESTION.job_id}")
        assert await at.mailbox.enqueue(QUESTION)
        await at.mailbox.enqueue(Turn(THREAD, "100.000900", "U2", "and then?"))
        await at.until_committed()
        assert [exchange.ts for exchange in await at.memory.read(THREAD)] == ["100.000100", "100.000900"]
        assert [note.text for note in at.slack.notes] == ["Yes.", "", "Yes."]
        assert len(at.engine.requests) == 2


# --- a store that is away in the middle -----------------------------------------------------------------------------


async def test_a_store_that_is_away_now_and_then_is_no_attempt(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    read, blips = Memory.read, [StoreUnavailable("The store does not answer.")] * (ATTEMPTS + 2)

    async def reading(memory: Memory, *where: object) -> list[Exchange]:
        if blips:
            raise blips.pop()
        return await read(memory, *where)  # type: ignore[arg-type]

    monkeypatch.setattr(Memory, "read", reading)
    async with desk(redis, Script(text="Paris.")) as at:
        note = await at.ask("Capital of France?")
        assert (note.text, note.sentence) == ("Paris.", None)
        await at.until_committed()
        assert at.gate.asked == 1


async def test_a_store_that_is_away_for_the_answer_and_its_end_is_no_attempt(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker waits until the turn can be handed back, as long as its lease lasts."""
    async with desk(redis, Script(text="Paris.")) as at:
        fail, tries = at.mailbox.fail, 0

        async def failing(*args: object, **options: object) -> None:
            nonlocal tries
            tries += 1
            if tries <= 3:
                raise StoreUnavailable("The store does not answer.")
            await fail(*args, **options)  # type: ignore[arg-type]

        async def reading(memory: Memory, *where: object) -> list[Exchange]:
            if tries <= 3:
                raise StoreUnavailable("The store does not answer.")
            return []

        monkeypatch.setattr(at.mailbox, "fail", failing)
        monkeypatch.setattr(Memory, "read", reading)
        assert (await at.ask("Capital of France?")).text == "Paris."
        assert tries == 4


# --- answers that the store has lost ----------------------------------------------------------------------------------

FOUND = Standing("Paris.", ("100.000200",), "team/dolly@1", "0a1b2c")
ROOT = Turn(THREAD, THREAD.root_ts, "U1", "Capital of France?")


async def test_an_answer_that_stands_there_is_remembered_and_not_given_again(redis: Redis) -> None:
    async with desk(redis) as at:
        at.slack.stands = {ROOT.ts: FOUND}
        await at.mailbox.enqueue(ROOT)
        await at.until_committed()
        (exchange,) = await at.memory.read(THREAD)
        assert [message.content for message in exchange.messages] == ["Capital of France?", "Paris."]
        assert (exchange.answer_ts, exchange.model) == (("100.000200",), "team/dolly@1")
        assert exchange.tokens > 0
        assert (at.engine.requests, at.slack.notes, at.gate.asked, at.gate.spent) == ([], [], 0, 0)


async def test_of_a_thread_that_nothing_is_remembered_of_all_is_read_at_the_next_question(redis: Redis) -> None:
    async with desk(redis) as at:
        at.slack.stands = {"100.000900": FOUND}
        await at.mailbox.enqueue(Turn(THREAD, "100.000900", "U1", "and now?"))
        await at.until_committed()
        assert await at.memory.read(THREAD) == []
        at.slack.earlier = [Line("100.000900", "U1", "Asha: and now?"), Line("100.000950", "B1", "dolly: Paris.")]
        await at.ask("Sure?", "100.001000")
        assert "dolly: Paris." in at.engine.requests[-1].messages[-1]["content"]


async def test_a_kept_answer_that_stands_there_is_not_brought_again(redis: Redis) -> None:
    mailbox = Mailbox(redis, LAYOUT, SEALING)
    await mailbox.enqueue(QUESTION)
    claim = await mailbox.claim()
    assert claim is not None
    await mailbox.note_kept(claim, Exchange(QUESTION.ts, "U1", "hi", "Hello.", 9))
    async with desk(redis) as at:
        at.slack.stands = {QUESTION.ts: FOUND}
        await mailbox.fail(claim, delay_seconds=0)
        await at.until_committed()
        assert [note.finished for note in at.slack.notes] == []


async def test_what_was_edited_or_asked_again_is_answered_whatever_stands_there(redis: Redis) -> None:
    async with desk(redis, Script(overloaded=True), answer_within_seconds=0) as at:
        await at.mailbox.enqueue(QUESTION)
        await at.until_committed()
        at.slack.stands, at.slack.looked = {QUESTION.ts: FOUND}, []
        letters = DeadLetters(redis, LAYOUT, SEALING, Repeats(redis, LAYOUT, SEALING, at.mailbox), memory_seconds=60)
        at.engine.script = Script(text="Yes.")
        [letter] = await letters.newest(5)
        assert await letters.ask_again(letter.job_id)
        await at.until_committed()
        assert [exchange.answer for exchange in await at.memory.read(THREAD)] == ["Yes."]
        assert at.slack.looked == []
    mailbox = Mailbox(redis, LAYOUT, SEALING)
    await mailbox.enqueue(Turn(THREAD, "100.000500", "U1", "hi"))
    await Corrections(redis, LAYOUT, SEALING, memory_seconds=60).revise(THREAD, "100.000500", "ho")
    edited = await mailbox.claim()
    assert edited is not None
    assert (edited.turn.text, edited.is_anew) == ("ho", True)


async def test_where_slack_is_away_the_look_waits_and_where_it_refuses_the_question_is_answered(redis: Redis) -> None:
    async with desk(redis) as at:
        at.slack.looks = [SlackUnreachable("conversations.replies", "503")] * 2
        at.slack.looks.append(SlackError("conversations.replies", "missing_scope"))
        assert (await at.ask("hi")).finished
        await at.until_committed()
        assert len(at.slack.looked) == 3
        assert len(await at.memory.read(THREAD)) == 1
        assert len(at.engine.requests) == 1


async def test_a_look_is_taken_only_where_the_store_may_have_lost_something(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(losses, "last", 0.0)
    async with desk(redis) as at:
        first, second = f"{time.time() + 5:.6f}", f"{time.time() + 6:.6f}"
        await at.ask("asked since Dolly began", first)
        await at.until_committed()
        assert at.slack.looked == []
        monkeypatch.setattr(losses, "last", time.time() + 7)
        await at.ask("asked before the connection was lost", second)
        assert at.slack.looked == [second]
        await at.until_committed()
        assert await redis.zcard(f"{PREFIX}settle") == 1, "a worker that the store has lost may still write there"
