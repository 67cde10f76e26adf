"""A thread is read again: what a worker that was taken for dead wrote there after all is taken back."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from slack_sdk.web.async_client import AsyncWebClient

from bot import metrics
from bot.conversation import ConversationId, Shown, Turn
from bot.local.workspace import Workspace
from bot.local.workspace.clock import ManualClock
from bot.slack.answering.own_messages import metadata
from bot.slack.answering.settling import Settler
from bot.slack.client import Identity
from bot.slack.pacing import Pacer
from bot.store.settlings import Settling, dump, load
from tests.bot.slack.conftest import BEN, GENERAL, Thread, Worker
from tests.bot.slack.memory_journal import Job
from tests.scenarios.faults import Answer, Faults

LEASE_SECONDS = 15.0


def settled(outcome: str) -> float:
    return float(metrics.settled.labels(outcome)._value.get())


@pytest.fixture
def settler(client: AsyncWebClient, identity: Identity, job: Job, clock: ManualClock) -> Settler:
    async def recorded(_: ConversationId) -> frozenset[str]:
        return frozenset(job.recorded)

    async def disown(_: ConversationId, ts: str) -> bool:
        return ts not in job.recorded

    return Settler(client, identity, recorded, disown, lease_seconds=LEASE_SECONDS, now=clock.now)


@pytest.fixture
async def answered(worker: Worker, job: Job, pacer: Pacer, turn: Turn) -> Settling:
    """The turn has its answer, and its thread is to be read again."""
    reply = worker(job.claim(), pacer)
    await reply.begin()
    await reply.write("The answer.")
    await reply.finish()
    return Settling(turn.conversation, turn.job_id, turn.ts, tuple(job.posts), shown={})


@pytest.fixture
def post(workspace: Workspace, turn: Turn) -> Callable[..., str]:
    """Post as Dolly, past every record."""

    def post(text: str, **more: Any) -> str:
        bot = workspace.identity.bot_user_id
        return str(workspace.timeline.post(GENERAL, bot, text, thread_ts=turn.ts, as_app=True, **more)["ts"])

    return post


async def test_a_thread_with_one_answer_stays_as_it_is(settler: Settler, answered: Settling, thread: Thread) -> None:
    before = settled("single")
    assert await settler.settle(answered)
    assert thread.texts == ["The answer."]
    assert settled("single") == before + 1


async def test_what_is_marked_with_this_job_is_taken_back_at_once(
    settler: Settler, answered: Settling, thread: Thread, post: Callable[..., str]
) -> None:
    before = settled("double")
    post("Another answer.", metadata=metadata(answered.job_id))
    assert await settler.settle(answered)
    assert thread.texts == ["The answer."]
    assert settled("double") == before + 1


async def test_what_is_shown_once_more_says_still_what_wrote_it(
    settler: Settler, answered: Settling, thread: Thread
) -> None:
    (ts,) = [message["ts"] for message in thread.messages]
    shown = Shown("The answer, whole.", model="team-model@0001-3fa9c2d1", prompt_hash="0123456789ab")
    stored = load(dump({ts: shown}))
    assert stored == {ts: shown}
    assert await settler.settle(replace(answered, shown=stored))
    assert thread.messages[0]["metadata"]["event_payload"] == {
        "job_id": answered.job_id,
        "model": "team-model@0001-3fa9c2d1",
        "prompt_hash": "0123456789ab",
    }


def test_what_an_earlier_dolly_has_stored_is_read() -> None:
    assert load('{"1.2": {"markdown": "Yes.", "below": []}}') == {"1.2": Shown("Yes.")}


async def test_a_young_message_that_nobody_knows_may_be_somebodys_answer(
    settler: Settler, answered: Settling, thread: Thread, post: Callable[..., str], clock: ManualClock, job: Job
) -> None:
    mine = post("The next question's answer begins")
    post("Nobody's.")
    assert not await settler.settle(answered)
    assert len(thread.texts) == 3
    job.recorded.add(mine)
    await clock.advance(LEASE_SECONDS + 11)
    assert await settler.settle(answered)
    assert thread.texts == ["The answer.", "The next question's answer begins"]


async def test_a_stream_under_way_is_ended_and_taken_back(
    settler: Settler, answered: Settling, thread: Thread, workspace: Workspace, clock: ManualClock, turn: Turn
) -> None:
    workspace.timeline.start_stream(GENERAL, turn.ts, markdown_text="Another")
    await clock.advance(LEASE_SECONDS + 11)
    assert thread.states[-1] == "streaming"
    assert await settler.settle(answered)
    assert thread.texts == ["The answer."]


async def test_nothing_of_others_and_nothing_older_is_taken_back(
    settler: Settler, answered: Settling, thread: Thread, post: Callable[..., str], clock: ManualClock,
    workspace: Workspace, turn: Turn,
) -> None:  # fmt: skip
    post("Of another job.", metadata=metadata("another"))
    workspace.timeline.post(GENERAL, BEN, "Ben's.", thread_ts=turn.ts)
    old = thread.messages[-1]["ts"]
    post("Later.")
    await clock.advance(LEASE_SECONDS + 11)
    assert await settler.settle(Settling(answered.conversation, answered.job_id, old, answered.kept, shown={}))
    assert thread.texts == ["The answer.", "Of another job.", "Ben's."]


async def test_a_long_thread_is_read_to_its_end(
    settler: Settler,
    answered: Settling,
    thread: Thread,
    workspace: Workspace,
    post: Callable[..., str],
    turn: Turn,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("bot.slack.answering.own_messages.PAGE_MESSAGES", 10)
    for number in range(45):
        workspace.timeline.post(GENERAL, BEN, str(number), thread_ts=turn.ts)
    post("Another answer.", metadata=metadata(answered.job_id))
    assert await settler.settle(answered)
    assert "Another answer." not in thread.texts


@pytest.mark.parametrize(
    ("method", "fault", "outcome", "is_done"),
    [
        ("conversations.replies", 503, "unreachable", False),
        ("conversations.replies", "cut", "unreachable", False),
        ("conversations.replies", "channel_not_found", "refused", True),
        ("chat.delete", 503, "unreachable", False),
        ("chat.delete", "cant_delete_message", "refused", True),
        ("chat.delete", "message_not_found", "double", True),
    ],
)
async def test_what_slack_does_not_allow_or_not_now(
    settler: Settler, answered: Settling, post: Callable[..., str], faults: Faults,
    method: str, fault: Answer, outcome: str, is_done: bool,
) -> None:  # fmt: skip
    post("Another answer.", metadata=metadata(answered.job_id))
    before = settled(outcome)
    faults.always(method, fault)
    assert await settler.settle(answered) is is_done
    assert settled(outcome) == before + 1


async def test_older_text_that_a_paused_worker_put_there_is_replaced(
    settler: Settler, worker: Worker, job: Job, pacer: Pacer, turn: Turn, thread: Thread, client: AsyncWebClient
) -> None:
    await worker(job.claim(), pacer).notice("You are number 1.")
    journal = job.claim()
    reply = worker(journal, pacer)
    await reply.begin()
    await reply.write("The whole answer.")
    await reply.finish()
    (ts,) = job.posts
    await client.chat_update(channel=GENERAL, ts=ts, markdown_text="The wh")  # sent before its worker was paused
    settling = Settling(turn.conversation, turn.job_id, turn.ts, tuple(job.posts), journal.shown)
    assert await settler.settle(settling)
    assert thread.texts == ["The whole answer."]
    assert thread.rateable == [True]
    await client.chat_delete(channel=GENERAL, ts=ts)  # by a person, who does not want it back
    assert await settler.settle(settling)
    assert thread.texts == []
