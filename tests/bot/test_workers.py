"""Workers and responder between a real mailbox and a scripted engine; Slack's side is a notebook."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from redis.asyncio import Redis
from structlog.testing import capture_logs

from bot.attachments import Attached
from bot.audit import AuditLog
from bot.collaborators import Journal, Stopped
from bot.conversation import ConversationId, Line, Standing, Turn
from bot.engines import Engines
from bot.errors import SlackError, SlackUnreachable
from bot.guidance import Guidance
from bot.model_client import ModelClient
from bot.responder import AnswerStyle, Responder
from bot.store.claims import Claim
from bot.store.layout import Layout
from bot.store.mailbox import Mailbox
from bot.store.memory import Memory
from bot.store.preferences import PreferenceStore
from bot.store.sealing import Sealing
from bot.store.served_models import Candidate, Owner, ServedModel, ServedModels
from bot.store.settlings import Settling, Settlings
from bot.turns import ATTEMPTS, Turns
from bot.words import Words
from bot.workers import Workers
from tests.scripted_engine import Script, ScriptedEngine

WORDS = Words()
LAYOUT = Layout("T1/B1")
PREFIX = LAYOUT.prefixes[0]
SEALING = Sealing([bytes(32)])
THREAD = ConversationId("T1", "C1", "100.000100")


@dataclass
class Note:
    """What came to one reply."""

    turn: Turn
    journal: Journal
    thinking_shown: bool = False
    noticed: list[str] = field(default_factory=list)
    heard: list[str] = field(default_factory=list)
    signed: tuple[str, str] = ("", "")
    loading_shown: bool = False
    text: str = ""
    sentence: str | None = None
    finished: bool = False
    abandoned: bool = False
    stop_after: int | None = None
    refusal: Exception | None = None

    async def begin(self) -> None:
        self.thinking_shown = True

    def hear(self, texts: Iterable[str]) -> None:
        self.heard += texts

    def sign(self, model: str, prompt_hash: str) -> None:
        self.signed = (model, prompt_hash)

    async def loading(self) -> None:
        self.loading_shown = True

    async def notice(self, sentence: str) -> None:
        await self.journal.intend("placed")
        self.noticed.append(sentence)

    async def write(self, delta: str) -> None:
        self.text += delta
        if self.stop_after is not None and len(self.text) >= self.stop_after:
            raise Stopped

    async def finish(self, sentence: str | None = None) -> None:
        if self.refusal is not None:
            raise self.refusal
        await self.journal.intend("stream")
        await self.journal.posted(f"9{self.turn.ts}")
        self.sentence, self.finished = sentence, True

    async def stop(self, sentence: str) -> None:
        await self.finish(sentence)

    async def abandon(self) -> None:
        self.abandoned = True


@dataclass
class Notebook:
    """Slack's side: remembers the replies, knows what was said in a thread before."""

    earlier: list[Line] = field(default_factory=list)
    prepare: Callable[[Note], None] = lambda _: None
    stands: dict[str, Standing] = field(default_factory=dict)
    """By the question's ts, answers that stand in the thread and the store has lost."""
    looks: list[Exception] = field(default_factory=list)
    """With what the next looks for them fail."""
    looked: list[str] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)

    def reply(self, turn: Turn, journal: Journal) -> Note:
        note = Note(turn, journal)
        self.prepare(note)
        self.notes.append(note)
        return note

    async def standing(self, turn: Turn, journal: Journal) -> Standing | None:
        self.looked.append(turn.ts)
        if self.looks:
            raise self.looks.pop(0)
        return self.stands.get(turn.ts)

    async def words(self, turn: Turn) -> Words:
        return WORDS

    async def readable(self, text: str) -> str:
        return text

    async def earlier_messages(self, turn: Turn) -> list[Line]:
        return self.earlier

    async def line(self, message: Mapping[str, Any]) -> Line | None:
        return Line(message["ts"], message["user"], f"{message['user']}: {message['text']}")

    async def attached(self, turn: Turn) -> list[Attached]:
        return []

    async def settle(self, settling: Settling) -> bool:
        return True


class OpenGate:
    """Lets everybody in, and counts."""

    def __init__(self) -> None:
        self.closed = False
        self.spent = 0
        self.asked = 0
        self.told: list[tuple[str, str]] = []
        self.refusals: list[Exception] = []
        """With what the next tellings fail."""

    async def refused(self, turn: Turn) -> str | None:
        self.asked += 1
        return "quota_questions 1790000000" if self.closed else None

    async def tell(self, turn: Turn, verdict: str) -> None:
        if self.refusals:
            raise self.refusals.pop(0)
        self.told.append((turn.ts, verdict))

    async def spend(self, user_id: str, tokens: int) -> None:
        self.spent += tokens


@dataclass
class Desk:
    """A running responder and what stands around it."""

    mailbox: Mailbox
    memory: Memory
    slack: Notebook
    engine: ScriptedEngine
    gate: OpenGate

    async def ask(self, text: str, ts: str = "100.000100", **fields: object) -> Note:
        """Ask, and wait until the turn is over."""
        before = sum(note.finished for note in self.slack.notes)
        conversation = fields.pop("conversation", THREAD)
        assert isinstance(conversation, ConversationId)
        await self.mailbox.enqueue(Turn(conversation, ts, "U1", text, **fields))  # type: ignore[arg-type]
        await self.until(lambda: sum(note.finished for note in self.slack.notes) > before)
        return next(note for note in reversed(self.slack.notes) if note.finished)

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not condition():
                await asyncio.sleep(0.005)

    async def until_committed(self) -> None:
        async with asyncio.timeout(10):
            while await self.mailbox._client.exists(f"{PREFIX}mailbox:{THREAD}"):
                await asyncio.sleep(0.005)


@asynccontextmanager
async def desk(
    redis: Redis,
    script: Script | None = None,
    *,
    lease_seconds: float = 5,
    window_tokens: int = 2048,
    answer_within_seconds: float = 60,
    **limits: Any,
) -> AsyncIterator[Desk]:
    async with ScriptedEngine(script, window_tokens=window_tokens) as engine:
        model = ModelClient(engine.url, **limits)
        mailbox, memory = Mailbox(redis, LAYOUT, SEALING, lease_seconds=lease_seconds), Memory(redis, LAYOUT, SEALING)
        slack, gate = Notebook(), OpenGate()
        style = AnswerStyle("You are Dolly.", max_tokens=100)
        guidance = Guidance(PreferenceStore(redis, LAYOUT, SEALING), style.system_prompt)
        engines = Engines(ServedModels(redis), model)
        responder = Responder(memory, engines, slack, guidance, style)
        workers = Workers(
            mailbox,
            Turns(mailbox, responder, gate, AuditLog(None), answer_within_seconds=answer_within_seconds),
            Settlings(redis, LAYOUT, SEALING),
            slack.settle,
            concurrent_answers=4,
        )
        running = asyncio.create_task(workers.run())
        try:
            yield Desk(mailbox, memory, slack, engine, gate)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            await engines.close()
            await model.close()


async def test_a_question_is_answered_and_remembered(redis: Redis) -> None:
    async with desk(redis, Script(text="Paris.")) as at:
        note = await at.ask("Capital of France?")
        assert (note.text, note.sentence, note.thinking_shown) == ("Paris.", None, True)
        await at.until_committed()
        (exchange,) = await at.memory.read(THREAD)
        assert [message.content for message in exchange.messages] == ["Capital of France?", "Paris."]
        assert exchange.tokens > 0
        assert note.signed == (exchange.model, exchange.prompt_hash) == ("team/dolly", exchange.prompt_hash)
        assert len(exchange.prompt_hash) == 12


async def test_a_follow_up_carries_the_earlier_turn(redis: Redis) -> None:
    async with desk(redis, Script(text=lambda messages: f"{len(messages)} messages")) as at:
        await at.ask("one")
        note = await at.ask("two", "100.000200")
        assert note.text == "4 messages"
        sent = at.engine.requests[-1].messages
        assert [message["role"] for message in sent] == ["system", "user", "assistant", "user"]
        assert [message["content"] for message in sent] == ["You are Dolly.", "one", "2 messages", "two"]


async def test_what_was_said_before_dolly_came_is_read_once(redis: Redis) -> None:
    async with desk(redis) as at:
        at.slack.earlier = [Line("1.1", "U2", "Asha: The launch is on Friday."), Line("1.2", "U3", "Ben: At noon.")]
        await at.ask("When is the launch?", "100.000300")
        content = at.engine.requests[-1].messages[-1]["content"]
        assert content.index("Asha: The launch") < content.index("Ben: At noon") < content.index("When is the launch?")
        at.slack.earlier = [Line("1.1", "U2", "Asha: not again")]
        await at.ask("Sure?", "100.000400")
        assert at.engine.requests[-1].messages[-1]["content"] == "Sure?"
        assert "Friday" in at.engine.requests[-1].messages[1]["content"], "it stays in the memory"


async def test_a_long_thread_is_cut_to_its_newest_lines(redis: Redis) -> None:
    async with desk(redis, window_tokens=400) as at:
        at.slack.earlier = [Line(f"1.{n}", "U3", f"Ben: line number {n} of many") for n in range(300)]
        note = await at.ask("What was last?", "100.000300")
        assert note.text
        content = at.engine.requests[-1].messages[-1]["content"]
        assert "line number 299" in content
        assert "line number 0 " not in content
        assert content.endswith("What was last?")


async def test_old_turns_make_room(redis: Redis) -> None:
    async with desk(redis, Script(text="word " * 60), window_tokens=400) as at:
        for number in range(6):
            await at.ask(f"question {number}", f"100.00{number:04d}")
        contents = [message["content"] for message in at.engine.requests[-1].messages]
        assert contents[0] == "You are Dolly."
        assert contents[-1] == "question 5"
        assert "question 0" not in contents
        assert "question 4" in contents


async def test_a_question_that_is_too_long_gets_a_sentence(redis: Redis) -> None:
    async with desk(redis) as at:
        note = await at.ask("word " * 10_000)
        assert (note.text, note.sentence) == ("", WORDS.say("question_too_long"))
        assert at.engine.requests == []


async def test_an_empty_question_gets_a_greeting_without_the_model(redis: Redis) -> None:
    async with desk(redis) as at:
        assert (await at.ask("")).sentence == WORDS.say("empty_question")
        assert at.engine.requests == []


@pytest.mark.parametrize(
    ("script", "limits", "key", "kept"),
    [
        (Script(overloaded=True), {}, "engine_overloaded", ""),
        (
            Script(refusal=(429, {"error": "Model is overloaded", "error_type": "overloaded"})),
            {},
            "engine_overloaded",
            "",
        ),
        (Script(refusal=(422, {"error": "template", "error_type": "template_error"})), {}, "engine_refused", ""),
        (Script(text="one two three four", end="error", after=2), {}, "engine_broke", "one two"),
        (Script(text="one two three four", end="cut", after=2), {}, "engine_broke", "one two"),
        (Script(text="one two", end="hang", after=2), {"between_tokens_seconds": 0.2}, "engine_slow", "one two"),
        (Script(first_token_seconds=5), {"first_token_seconds": 0.2}, "engine_slow", ""),
        (Script(text=""), {}, "engine_silent", ""),
    ],
)
async def test_an_engine_in_trouble_is_one_plain_sentence_and_what_was_written_stays(
    redis: Redis, script: Script, limits: dict[str, Any], key: str, kept: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.turns.RETRY_SECONDS", 0.01)
    async with desk(redis, script, answer_within_seconds=0, **limits) as at:
        note = await at.ask("hello")
        assert note.sentence == WORDS.say(key)
        assert note.text.strip() == kept


@pytest.mark.parametrize("away", ["stopped", "overloaded"])
async def test_an_engine_that_is_away_is_waited_for_and_the_reader_told(
    redis: Redis, away: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.turns.NOTICE_SECONDS", 0.0)
    async with desk(redis, Script(overloaded=True) if away == "overloaded" else None) as at:
        port = at.engine.port
        if away == "stopped":
            await at.engine.stop()
        asking = asyncio.create_task(at.ask("hello"))
        await at.until(lambda: any(note.noticed for note in at.slack.notes))
        assert "number 1" in next(note.noticed[0] for note in at.slack.notes if note.noticed)
        if away == "stopped":
            await at.engine.start(port)
        at.engine.script = Script(text="Here I am.")
        note = await asking
        assert (note.text, note.sentence) == ("Here I am.", None)
        assert note.journal.posting.shape is not None


@pytest.mark.parametrize("key", ["engine_unreachable", "engine_overloaded"])
async def test_an_engine_that_stays_away_is_said_in_the_end(redis: Redis, key: str) -> None:
    async with desk(redis, Script(overloaded=True), answer_within_seconds=0.3) as at:
        if key == "engine_unreachable":
            await at.engine.stop()
        assert (await at.ask("hello")).sentence == WORDS.say(key)
        await at.until_committed()
        assert (await at.mailbox.report()).dead == 1


async def test_an_answer_that_slack_does_not_take_now_is_brought_later_and_not_written_again(redis: Redis) -> None:
    async with desk(redis, Script(text="Paris.")) as at:
        outage = SlackUnreachable("chat.stopStream", "503")
        at.slack.prepare = lambda note: setattr(note, "refusal", outage if len(at.slack.notes) < 2 else None)
        note = await at.ask("Capital of France?")
        assert note.text == "Paris."
        assert len(at.slack.notes) == 3
        assert len(at.engine.requests) == 1
        await at.until_committed()
        (exchange,) = await at.memory.read(THREAD)
        assert (exchange.answer, exchange.answer_ts) == ("Paris.", ("9100.000100",))


async def test_who_is_over_a_quota_gets_no_answer(redis: Redis) -> None:
    async with desk(redis) as at:
        at.gate.closed = True
        await at.mailbox.enqueue(Turn(THREAD, "100.000100", "U1", "hi"))
        await at.until_committed()
        assert at.engine.requests == []
        at.gate.closed = False
        await at.ask("hi", "100.000200")
        await at.until(lambda: at.gate.spent > 0)


async def test_a_question_found_too_late_gets_one_line(redis: Redis) -> None:
    async with desk(redis) as at:
        assert (await at.ask("hi", is_late=True)).sentence == WORDS.say("too_late")
        assert at.engine.requests == []


async def test_stop_pressed_while_writing_keeps_what_was_written(redis: Redis) -> None:
    async with desk(redis, Script(text="one two three four five", tokens_per_second=100)) as at:
        at.slack.prepare = lambda note: setattr(note, "stop_after", 6)
        note = await at.ask("hello")
        assert note.sentence == WORDS.say("stopped")
        assert "five" not in note.text
        await at.engine.requests[0].ended.wait()
        assert not at.engine.requests[0].finished, "the engine's slot is free again"


async def test_stop_asked_for_before_the_first_word(redis: Redis) -> None:
    async with desk(redis, Script(first_token_seconds=30)) as at:
        asking = asyncio.create_task(at.ask("hello"))
        await at.engine.asked.wait()
        await at.mailbox.request_stop(THREAD, "100.000150")
        note = await asking
        assert (note.text, note.sentence) == ("", WORDS.say("stopped"))
        await asyncio.wait_for(at.engine.requests[0].ended.wait(), 5)


async def test_the_first_answer_in_a_direct_message_says_how_it_works_once(redis: Redis) -> None:
    async with desk(redis) as at:
        sentences = [
            (
                await at.ask(
                    "hi",
                    f"10{number}.000100",
                    conversation=ConversationId("T1", "D1", f"10{number}.000100"),
                    is_direct=True,
                )
            ).sentence
            for number in range(2)
        ]
        assert sentences == [WORDS.say("thread_hint"), None]


async def test_a_slash_question_is_answered_without_a_thread_and_remembered_for_its_buttons(redis: Redis) -> None:
    async with desk(redis) as at:
        at.slack.earlier = [Line("1.1", "U3", "Ben: not for a command")]
        note = await at.ask("hi", "100.000300", response_url="http://127.0.0.1:9/r")
        assert note.text
        assert at.engine.requests[-1].messages[-1]["content"] == "hi"
        await at.until_committed()
        assert [exchange.question for exchange in await at.memory.read(THREAD)] == ["hi"]


async def test_an_answer_that_slack_refuses_ends_the_turn(redis: Redis) -> None:
    async with desk(redis) as at:
        at.slack.prepare = lambda note: setattr(note, "refusal", SlackError("chat.postMessage", "is_archived"))
        await at.mailbox.enqueue(Turn(THREAD, "100.000100", "U1", "hi"))
        await at.until(lambda: bool(at.slack.notes))
        await at.until_committed()
        assert len(at.slack.notes) == 1


async def test_a_mistake_in_dolly_is_tried_again_and_then_apologised_for(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.turns.RETRY_SECONDS", 0.01)
    async with desk(redis) as at:

        async def mistake() -> None:
            raise ZeroDivisionError

        at.slack.prepare = lambda note: setattr(note, "begin", mistake) if len(at.slack.notes) < ATTEMPTS else None
        note = await at.ask("hello")
        assert note.sentence == WORDS.say("apology")
        await at.until_committed()
        assert len(at.slack.notes) == ATTEMPTS + 1
        assert (await at.mailbox.report()).dead == 1


async def test_a_worker_that_lost_its_lease_writes_no_more(redis: Redis) -> None:
    async with desk(redis, Script(text="slow " * 500, tokens_per_second=50), lease_seconds=0.6) as at:
        await at.mailbox.enqueue(Turn(THREAD, "100.000100", "U1", "hi"))
        await at.until(lambda: bool(at.slack.notes) and bool(at.slack.notes[0].text))
        await redis.hincrby(f"{PREFIX}claim:{THREAD}", "fence", 1)  # somebody else has claimed it
        await at.until(lambda: at.engine.requests[0].ended.is_set())
        assert not at.slack.notes[0].finished
        assert at.slack.notes[0].abandoned
        assert not at.engine.requests[0].finished


async def test_answers_under_way_are_handed_back_at_the_end(redis: Redis) -> None:
    async with desk(redis, Script(first_token_seconds=30)) as at:
        await at.mailbox.enqueue(Turn(THREAD, "100.000100", "U1", "hi"))
        await at.engine.asked.wait()
    claim = await at.mailbox.claim()
    assert claim is not None, "at once, without waiting for the lease to end"
    assert (claim.attempt, claim.claims) == (1, 2), "and that does not count"


async def test_so_is_a_turn_that_was_just_being_claimed(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    claim, has_claimed = Mailbox.claim, asyncio.Event()

    async def claim_slowly(mailbox: Mailbox) -> Claim | None:
        claimed = await claim(mailbox)
        if claimed is not None:
            has_claimed.set()
            await asyncio.sleep(0.1)
        return claimed

    with monkeypatch.context() as slowly:
        slowly.setattr(Mailbox, "claim", claim_slowly)
        async with desk(redis) as at:
            await at.mailbox.enqueue(Turn(THREAD, "100.000100", "U1", "hi"))
            await has_claimed.wait()
    again = await at.mailbox.claim()
    assert again is not None, "at once, without waiting for the lease to end"
    assert (again.attempt, again.claims) == (1, 2), "and that does not count"


async def test_four_conversations_are_answered_side_by_side(redis: Redis) -> None:
    async with desk(redis, Script(first_token_seconds=0.3)) as at:
        threads = [ConversationId("T1", "C1", f"10{number}.000100") for number in range(4)]
        started = asyncio.get_running_loop().time()
        for thread in threads:
            await at.mailbox.enqueue(Turn(thread, thread.root_ts, "U1", "hi"))
        await at.until(lambda: len(at.slack.notes) == 4 and all(note.finished for note in at.slack.notes))
        assert len(at.engine.requests) == 4
        assert asyncio.get_running_loop().time() - started < 4 * 0.3


# --- in the background ----------------------------------------------------------------------------------------------


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.background.PAUSE_SECONDS", 0.05)
    monkeypatch.setattr("bot.workers.SETTLE_IDLE_SECONDS", 0.05)
    monkeypatch.setattr("bot.workers.STORE_RETRY_SECONDS", 0.05)
    monkeypatch.setattr("bot.store.settlings.PAUSE_MS", 10)


async def test_a_mistake_in_one_thread_does_not_end_settling(
    redis: Redis, monkeypatch: pytest.MonkeyPatch, quick: None
) -> None:
    settled: list[str] = []

    async def settle(_: Notebook, settling: Settling) -> bool:
        if settling.turn_ts == "1.0":
            raise KeyError("messages")
        settled.append(settling.turn_ts)
        return True

    monkeypatch.setattr(Notebook, "settle", settle)
    for when, ts in enumerate(("1.0", "2.0")):
        job_id = f"{THREAD}/{ts}"
        await redis.zadd(f"{PREFIX}settle", {job_id: when})
        await redis.hset(f"{PREFIX}settling:{job_id}", mapping={"conversation": str(THREAD), "ts": ts, "posts": ""})
    with capture_logs() as logs:
        async with desk(redis) as at:
            await at.until(lambda: settled == ["2.0"])
            await at.until(lambda: len([line for line in logs if line["event"] == "background_failed"]) > 1)
    assert await redis.zrange(f"{PREFIX}settle", 0, -1) == [f"{THREAD}/1.0"], "it is tried again"


@pytest.mark.parametrize("method", ["claim", "renew"])
async def test_a_mistake_in_the_mailbox_ends_neither_claims_nor_leases(
    redis: Redis, monkeypatch: pytest.MonkeyPatch, quick: None, method: str
) -> None:
    wanted: Callable[..., Awaitable[Any]] = getattr(Mailbox, method)
    calls = 0

    async def mistaken(mailbox: Mailbox, *given: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise KeyError(method)
        return await wanted(mailbox, *given)

    monkeypatch.setattr(Mailbox, method, mistaken)
    with capture_logs() as logs:  # to show a traceback in colours would take as long as the lease
        async with desk(redis, Script(first_token_seconds=2.5), lease_seconds=2) as at:
            assert (await at.ask("hello")).text
            assert len(at.slack.notes) == 1, "the lease was kept"
            assert calls > 2
    assert [line["error"] for line in logs if line["log_level"] == "error"] == ["KeyError"]


# --- while a new model is loaded --------------------------------------------------------------------------------------


async def holding(redis: Redis) -> Candidate:
    """The engine's owner, who has room for one engine, holds answers back."""
    models = ServedModels(redis)
    await models.own(Owner(1), 60)
    candidate = Candidate("attempt", "holding", ServedModel("0001-3fa9c2d1"))
    await models.want(candidate)
    return candidate


async def test_no_answer_begins_while_a_model_is_loaded_and_all_do_then(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.turns.LOADING_RETRY_SECONDS", 0.02)
    candidate = await holding(redis)
    async with desk(redis, Script(text="Paris.")) as at:
        asking = asyncio.create_task(at.ask("Capital of France?"))
        await at.until(lambda: len(at.slack.notes) > 12)
        assert at.engine.requests == []
        assert sum(note.loading_shown for note in at.slack.notes) in (3, 4), "the 1st, 2nd, 4th … time"
        assert not any(note.thinking_shown or note.noticed or note.finished for note in at.slack.notes)

        ready = await ServedModels(redis).note(candidate, "ready", url="http://127.0.0.1:1")
        assert ready is not None
        seen = len(at.slack.notes)
        await at.until(lambda: len(at.slack.notes) > seen + 2)  # it was not promoted yet
        assert at.engine.requests == []

        await ServedModels(redis).note(ready, "refused", reason="It said nothing.")
        assert (await asking).text == "Paris."
        assert (await redis.hgetall(f"{PREFIX}job:{THREAD}/100.000100")).get("attempts", "1") == "1"


async def test_a_question_waits_so_long_for_a_model_and_no_longer(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.turns.LOADING_RETRY_SECONDS", 0.02)
    await holding(redis)
    async with desk(redis, answer_within_seconds=0.3) as at:
        note = await at.ask("Capital of France?")
        assert (note.text, note.sentence) == ("", WORDS.say("engine_unreachable"))
        assert at.engine.requests == []


async def test_a_hold_whose_owner_is_gone_holds_nothing(redis: Redis) -> None:
    await holding(redis)
    await redis.delete("model:owner")
    async with desk(redis, Script(text="Paris.")) as at:
        assert (await at.ask("Capital of France?")).text == "Paris."
