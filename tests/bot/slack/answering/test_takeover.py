"""A worker dies or is paused anywhere on the way of an answer; another one brings it. It stands there once."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

import pytest
from slack_sdk.web.async_client import AsyncWebClient

from bot.conversation import Standing, Turn
from bot.errors import LeaseLost, SlackUnreachable
from bot.local.workspace import Workspace
from bot.local.workspace.clock import ManualClock
from bot.slack.answering.answer_messages import AnswerMessages
from bot.slack.answering.markdown import MARKDOWN_CHARACTERS
from bot.slack.client import Identity
from bot.slack.pacing import Pacer
from tests.bot.slack.conftest import GENERAL, Thread, Worker
from tests.bot.slack.memory_journal import Job, MemoryJournal, Point
from tests.scenarios.faults import Faults

WHOLE = "Once upon a time there was an answer."
LONG = "word " * (MARKDOWN_CHARACTERS * 5 // 2 // 5)
POINTS: list[Point] = ["intended", "made", "recorded"]


@pytest.fixture(params=["stream", "placed"])
def first_pacer(request: pytest.FixtureRequest, pacer: Pacer, no_streams: Pacer) -> Pacer:
    """In which shape the first worker begins."""
    return pacer if request.param == "stream" else no_streams


Kill = Callable[[Coroutine[Any, Any, None], asyncio.Event], Coroutine[Any, Any, None]]


@pytest.fixture
async def killed() -> Kill:
    """Runs something until an event, and kills it: nothing of it goes on, and nobody cleans up."""
    before = asyncio.all_tasks()

    async def kill(work: Coroutine[Any, Any, None], when: asyncio.Event) -> None:
        working = asyncio.create_task(work)
        waiting = asyncio.create_task(when.wait())
        async with asyncio.timeout(5):
            await asyncio.wait({working, waiting}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        left = asyncio.all_tasks() - before - {asyncio.current_task()}
        for task in left:
            if "bot/slack" in str(task.get_coro()) or task in (working, waiting):
                task.cancel()
        with suppress(asyncio.CancelledError):
            await working

    return kill


async def answer(
    worker: Worker, journal: MemoryJournal, pacer: Pacer, *deltas: str, model: str = "team/dolly@1"
) -> None:
    """What a worker does with one answer, in the order of bot/responder.py."""
    reply = worker(journal, pacer)
    await reply.begin()
    reply.sign(model, "0a1b2c")
    for delta in deltas:
        await reply.write(delta)
        await asyncio.sleep(0.03)
    await reply.finish()


def stands_once(thread: Thread, job: Job, *texts: str) -> None:
    assert [text.strip() for text in thread.texts] == [text.strip() for text in texts]
    assert "streaming" not in thread.states
    assert thread.jobs == [job.job_id] * len(texts)
    assert set(job.posts) >= {message["ts"] for message in thread.messages}


@pytest.mark.parametrize("point", POINTS)
async def test_what_stands_there_says_which_model_wrote_it(
    worker: Worker, job: Job, thread: Thread, first_pacer: Pacer, pacer: Pacer, killed: Kill, point: Point
) -> None:
    """The one who brought it, be it another than the one who began."""
    journal = job.claim()
    journal.stops_at = point
    await killed(answer(worker, journal, first_pacer, "Some", " other", " text", model="old@1"), journal.stopped)
    await answer(worker, job.claim(), pacer, WHOLE, model="new@2")
    stands_once(thread, job, WHOLE)
    (message,) = thread.messages
    assert message["metadata"]["event_payload"] == {"job_id": job.job_id, "model": "new@2", "prompt_hash": "0a1b2c"}


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("text", [WHOLE, LONG], ids=["short", "long"])
async def test_killed_at_its_first_message(
    worker: Worker, job: Job, thread: Thread, first_pacer: Pacer, pacer: Pacer, killed: Kill, point: Point, text: str
) -> None:
    journal = job.claim()
    journal.stops_at = point
    await killed(answer(worker, journal, first_pacer, "Some", " other", " text"), journal.stopped)
    there = [message["ts"] for message in thread.messages]
    assert len(there) == (0 if point == "intended" else 1)
    await answer(worker, job.claim(), pacer, text)
    stands_once(thread, job, *([text] if text == WHOLE else pieces_of(text)))
    assert [message["ts"] for message in thread.messages][: len(there)] == there, "the message that was there stays"


def pieces_of(text: str) -> list[str]:
    return [text[start : start + MARKDOWN_CHARACTERS] for start in range(0, len(text.strip()), MARKDOWN_CHARACTERS)]


@pytest.mark.parametrize("said", ["Some", "Some other text that is longer than what comes then"])
async def test_killed_while_it_wrote(
    worker: Worker, job: Job, thread: Thread, first_pacer: Pacer, pacer: Pacer, killed: Kill, said: str
) -> None:
    visible = asyncio.Event()

    async def write() -> None:
        reply = worker(job.claim(), first_pacer)
        await reply.begin()
        for word in said.split(" "):
            await reply.write(word + " ")
            await asyncio.sleep(0.02)
        while not thread.texts or thread.texts[0].strip() != said:
            await asyncio.sleep(0.01)
        visible.set()
        await asyncio.Event().wait()

    await killed(write(), visible)
    await answer(worker, job.claim(), pacer, WHOLE)
    stands_once(thread, job, WHOLE)


async def test_killed_after_its_end_and_before_the_commit(
    worker: Worker, job: Job, thread: Thread, first_pacer: Pacer, pacer: Pacer
) -> None:
    await answer(worker, job.claim(), first_pacer, "Another", " answer.")
    await thread.says("Another answer.")
    await answer(worker, job.claim(), pacer, WHOLE)
    stands_once(thread, job, WHOLE)


async def test_a_long_answer_becomes_a_short_one(
    worker: Worker, job: Job, thread: Thread, first_pacer: Pacer, pacer: Pacer
) -> None:
    await answer(worker, job.claim(), first_pacer, LONG)
    assert len(thread.messages) == 3
    journal = job.claim()
    await answer(worker, journal, pacer, WHOLE)
    stands_once(thread, job, WHOLE)
    assert list(journal.posting.ts) == [message["ts"] for message in thread.messages], "what is gone is no answer"
    await answer(worker, job.claim(), pacer, LONG)
    stands_once(thread, job, *pieces_of(LONG))


async def test_many_workers_die_one_after_the_other(
    worker: Worker, job: Job, thread: Thread, pacer: Pacer, no_streams: Pacer, killed: Kill
) -> None:
    for number, point in enumerate(POINTS * 3):
        journal = job.claim()
        journal.stops_at = point
        await killed(answer(worker, journal, no_streams if number % 2 else pacer, "Some", " text"), journal.stopped)
    await answer(worker, job.claim(), pacer, WHOLE)
    stands_once(thread, job, WHOLE)


async def test_the_stream_that_was_left_is_ended_before_there_is_new_text(
    worker: Worker, job: Job, thread: Thread, pacer: Pacer, killed: Kill
) -> None:
    for point in POINTS[1:]:
        journal = job.claim()
        journal.stops_at = point
        await killed(answer(worker, journal, pacer, "Some"), journal.stopped)
        await worker(job.claim(), pacer).begin()
        assert thread.states == ["stopped"]


async def test_a_stream_that_slack_ended_meanwhile(
    worker: Worker, job: Job, thread: Thread, pacer: Pacer, killed: Kill, clock: ManualClock
) -> None:
    journal = job.claim()
    journal.stops_at = "recorded"
    await killed(answer(worker, journal, pacer, "Some"), journal.stopped)
    await clock.advance(301)
    await answer(worker, job.claim(), pacer, WHOLE)
    stands_once(thread, job, WHOLE)


# --- a worker that was only paused --------------------------------------------------------------------------------


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("is_done", [True, False])
async def test_a_paused_worker_wakes_after_another_took_over(
    worker: Worker, job: Job, thread: Thread, first_pacer: Pacer, pacer: Pacer, point: Point, is_done: bool
) -> None:
    journal, next_journal = job.claim(), None
    journal.stops_at = point
    zombie = asyncio.create_task(answer(worker, journal, first_pacer, "Some", " other", " text"))
    async with asyncio.timeout(5):
        await journal.stopped.wait()
    next_journal = job.claim()
    reply = worker(next_journal, pacer)
    await reply.begin()
    await reply.write(WHOLE)
    if is_done:
        await reply.finish()
    journal.goes_on.set()
    with pytest.raises(LeaseLost):
        await zombie
    await asyncio.sleep(0.05)
    if not is_done:
        await reply.finish()
    stands_once(thread, job, WHOLE)


async def test_what_a_paused_worker_makes_too_late_is_taken_back(
    worker: Worker, job: Job, thread: Thread, first_pacer: Pacer, pacer: Pacer
) -> None:
    """It is paused after its intent; the other reads a thread in which nothing stands yet."""
    journal = job.claim()
    journal.stops_at = "intended"
    zombie = asyncio.create_task(answer(worker, journal, first_pacer, "Some"))
    async with asyncio.timeout(5):
        await journal.stopped.wait()
    await answer(worker, job.claim(), pacer, WHOLE)
    journal.goes_on.set()
    with pytest.raises(LeaseLost):
        await zombie
    stands_once(thread, job, WHOLE)


async def test_what_is_being_taken_back_is_nobodys_answer(
    worker: Worker, job: Job, thread: Thread, first_pacer: Pacer, pacer: Pacer
) -> None:
    """The other worker finds a message that the paused one is just about to delete."""
    journal = job.claim()
    journal.stops_at = "made"
    zombie = asyncio.create_task(answer(worker, journal, first_pacer, "Some"))
    async with asyncio.timeout(5):
        await journal.stopped.wait()
    next_journal = job.claim()
    journal.stops_at = "disowned"
    journal.stopped.clear()
    journal.goes_on.set()
    async with asyncio.timeout(5):
        await journal.stopped.wait()
    await answer(worker, next_journal, pacer, WHOLE)
    journal.goes_on.set()
    with pytest.raises(LeaseLost):
        await zombie
    stands_once(thread, job, WHOLE)


async def test_killed_before_it_took_a_message_back_the_next_one_does(
    worker: Worker, job: Job, thread: Thread, no_streams: Pacer, killed: Kill
) -> None:
    """Also where it has use for one: what is being taken back is no part of an answer any more."""
    await answer(worker, job.claim(), no_streams, LONG)
    assert len(thread.texts) == 3
    last = thread.messages[-1]["ts"]
    journal = job.claim()
    journal.stops_at = "disowned"
    await killed(answer(worker, journal, no_streams, LONG[: MARKDOWN_CHARACTERS + 100]), journal.stopped)
    assert thread.messages[-1]["ts"] == last
    assert last not in job.recorded
    await answer(worker, job.claim(), no_streams, LONG)
    stands_once(thread, job, *pieces_of(LONG))
    assert last not in job.recorded


async def test_a_paused_worker_writes_over_nothing(
    worker: Worker, job: Job, thread: Thread, first_pacer: Pacer, pacer: Pacer
) -> None:
    zombie = worker(job.claim(), first_pacer)
    await zombie.begin()
    await zombie.write("Some")
    await thread.says("Some")
    await answer(worker, job.claim(), pacer, WHOLE)
    with suppress(LeaseLost):
        await zombie.write(" other")
        await asyncio.sleep(0.05)
        await zombie.write(" text")
    with suppress(LeaseLost):
        await zombie.finish()
    await zombie.abandon()
    stands_once(thread, job, WHOLE)


# --- messages of others ----------------------------------------------------------------------------------------------


async def test_other_messages_of_dollys_own_are_left_alone(
    worker: Worker, job: Job, thread: Thread, pacer: Pacer, workspace: Workspace, killed: Kill, turn: Turn
) -> None:
    bot = workspace.identity.bot_user_id

    def post(text: str, **more: Any) -> str:
        message = workspace.timeline.post(GENERAL, bot, text, thread_ts=turn.ts, as_app=True, **more)
        return str(message["ts"])

    job.recorded.add(post("recorded"))
    marks = {"event_type": "dolly_answer", "event_payload": {"job_id": "another"}}
    post("of another job", metadata=marks)
    journal = job.claim()
    journal.stops_at = "made"
    await killed(answer(worker, journal, pacer, "Some"), journal.stopped)
    post("a double")
    await answer(worker, job.claim(), pacer, WHOLE)
    assert thread.texts == ["recorded", "of another job", WHOLE]


async def test_a_message_that_was_deleted_is_posted_anew(
    worker: Worker, job: Job, thread: Thread, first_pacer: Pacer, pacer: Pacer, client: AsyncWebClient
) -> None:
    await answer(worker, job.claim(), first_pacer, LONG)
    await client.chat_delete(channel=GENERAL, ts=job.posts[0])
    journal = job.claim()
    await answer(worker, journal, pacer, LONG)
    stands_once(thread, job, *pieces_of(LONG))
    assert list(journal.posting.ts) == [message["ts"] for message in thread.messages], "what is gone is no answer"


# --- Slack does not say whether ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["lost", "cut", 503, "internal_error", "fatal_error"])
async def test_whether_a_message_was_made_is_found_out_by_the_next_worker(
    worker: Worker, job: Job, thread: Thread, first_pacer: Pacer, pacer: Pacer, faults: Faults, fault: str
) -> None:
    faults.next("chat.startStream", fault)
    faults.next("chat.postMessage", fault)
    with pytest.raises(SlackUnreachable):
        await answer(worker, job.claim(), first_pacer, "Some", " text")
    assert len(thread.messages) == (fault == "lost")
    faults.none()
    await answer(worker, job.claim(), pacer, WHOLE)
    stands_once(thread, job, WHOLE)


@pytest.mark.parametrize("method", ["chat.appendStream", "chat.stopStream", "chat.update"])
@pytest.mark.parametrize("fault", ["lost", "cut", 503, "internal_error"])
async def test_a_call_whose_answer_is_lost_doubles_no_text(
    worker: Worker, job: Job, thread: Thread, first_pacer: Pacer, faults: Faults, method: str, fault: str
) -> None:
    faults.next(method, fault)
    deltas = [word + " " for word in WHOLE.split()]
    await answer(worker, job.claim(), first_pacer, *deltas)
    stands_once(thread, job, WHOLE)


async def test_a_thread_that_may_not_be_read_is_answered_all_the_same(
    worker: Worker, job: Job, thread: Thread, pacer: Pacer, faults: Faults, killed: Kill
) -> None:
    journal = job.claim()
    journal.stops_at = "intended"
    await killed(answer(worker, journal, pacer, "Some"), journal.stopped)
    faults.always("conversations.replies", "missing_scope")
    await answer(worker, job.claim(), pacer, WHOLE)
    stands_once(thread, job, WHOLE)


async def test_a_thread_that_cannot_be_read_now_is_waited_for(
    worker: Worker, job: Job, thread: Thread, pacer: Pacer, faults: Faults, killed: Kill
) -> None:
    journal = job.claim()
    journal.stops_at = "made"
    await killed(answer(worker, journal, pacer, "Some"), journal.stopped)
    faults.always("conversations.replies", 503)
    with pytest.raises(SlackUnreachable):
        await answer(worker, job.claim(), pacer, WHOLE)
    faults.none()
    await answer(worker, job.claim(), pacer, WHOLE)
    stands_once(thread, job, WHOLE)


async def test_a_cancelled_worker_still_writes_down_what_it_is_making(
    worker: Worker, job: Job, thread: Thread, first_pacer: Pacer, pacer: Pacer
) -> None:
    journal = job.claim()
    journal.stops_at = "made"
    reply = worker(journal, first_pacer)

    async def work() -> None:
        await reply.begin()
        await reply.write("Some")
        await asyncio.Event().wait()

    working = asyncio.create_task(work())
    await journal.stopped.wait()
    working.cancel()
    abandoning = asyncio.create_task(reply.abandon())
    await asyncio.sleep(0.02)
    journal.goes_on.set()
    await abandoning
    assert job.posts == [message["ts"] for message in thread.messages]
    assert "streaming" not in thread.states
    await answer(worker, job.claim(), pacer, WHOLE)
    stands_once(thread, job, WHOLE)


@pytest.mark.parametrize("point", [*POINTS, "disowned"])
async def test_killed_while_it_was_answered_again(
    worker: Worker, job: Job, thread: Thread, first_pacer: Pacer, pacer: Pacer, killed: Kill, point: Point
) -> None:
    """The new answer has the old one's messages; whoever dies over them, it stands there once, at the same place."""
    await answer(worker, job.claim(), first_pacer, LONG)
    there = [message["ts"] for message in thread.messages]
    again = Job(f"{job.job_id}~")
    again.shape, again.posts, again.recorded = "placed", [*job.posts], {*job.recorded}
    journal = again.claim()
    journal.stops_at = point
    await killed(answer(worker, journal, pacer, "Another", " answer", " begins"), journal.stopped)
    await answer(worker, again.claim(), pacer, WHOLE)
    stands_once(thread, again, WHOLE)
    assert [message["ts"] for message in thread.messages] == there[:1]


# --- the store has lost what was written down -------------------------------------------------------------------------


@pytest.fixture
def look(client: AsyncWebClient, identity: Identity, turn: Turn, pacer: Pacer) -> Callable[[Job], Any]:
    """Looks for the answer, as a worker of this job."""

    async def standing(job: Job) -> Standing | None:
        return await AnswerMessages(client, identity, turn, job.claim(), pacer).standing()

    return standing


@pytest.mark.parametrize("text", [WHOLE, LONG], ids=["short", "long"])
async def test_a_whole_answer_is_found(
    worker: Worker, job: Job, thread: Thread, first_pacer: Pacer, look: Callable[[Job], Any], text: str
) -> None:
    await answer(worker, job.claim(), first_pacer, text)
    lost = Job(job.job_id)
    found = await look(lost)
    ts = tuple(message["ts"] for message in thread.messages)
    assert found == Standing("\n\n".join(thread.texts), ts, "team/dolly@1", "0a1b2c")
    assert tuple(lost.posts) == ts, "it is written down whose they are"


async def test_where_nothing_stands_nothing_is_found(
    worker: Worker, job: Job, thread: Thread, pacer: Pacer, look: Callable[[Job], Any]
) -> None:
    assert await look(job) is None
    assert job.written == [], "the answer begins as any other"
    await answer(worker, job.claim(), pacer, WHOLE)
    stands_once(thread, job, WHOLE)


async def test_another_questions_answer_is_none(
    worker: Worker, job: Job, first_pacer: Pacer, look: Callable[[Job], Any]
) -> None:
    await answer(worker, job.claim(), first_pacer, WHOLE)
    other = Job(f"{job.job_id[:-1]}9")
    assert (await look(other), other.written) == (None, [])


@pytest.mark.parametrize("is_ended", [True, False])
async def test_what_broke_off_is_taken_over(
    worker: Worker,
    job: Job,
    thread: Thread,
    first_pacer: Pacer,
    pacer: Pacer,
    killed: Kill,
    look: Callable[[Job], Any],
    is_ended: bool,
) -> None:
    """Its worker was killed, or had the time to end what it had begun."""
    visible = asyncio.Event()

    async def write() -> None:
        reply = worker(job.claim(), first_pacer)
        await reply.begin()
        await reply.write("Some other text ")
        while not thread.texts or "other text" not in thread.texts[0]:
            await asyncio.sleep(0.01)
        if is_ended:
            await reply.abandon()
        visible.set()
        await asyncio.Event().wait()

    await killed(write(), visible)
    lost = Job(job.job_id)
    assert await look(lost) is None
    await answer(worker, lost.claim(), pacer, WHOLE)
    stands_once(thread, lost, WHOLE)
