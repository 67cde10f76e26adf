"""The line "Dolly is thinking…": there as long as an answer is prepared, and no longer."""

import asyncio
from collections.abc import Callable

import pytest
from slack_sdk.web.async_client import AsyncWebClient

from bot.conversation import Turn
from bot.local.workspace import Workspace
from bot.local.workspace.clock import ManualClock
from bot.slack.answering.reply_stream import ReplyStream
from bot.slack.answering.thinking import Thinking
from bot.slack.pacing import Pacer
from bot.words import Words
from tests.bot.local.workspace.bare_app import eventually
from tests.bot.slack.conftest import GENERAL, Thread, Worker, english
from tests.bot.slack.memory_journal import Job

THINKING = Words().say("thinking")


@pytest.fixture
def line(workspace: Workspace, turn: Turn) -> Callable[[], str]:
    """What the thread's line says."""

    def line() -> str:
        status = workspace.timeline.status(GENERAL, turn.ts)
        return str(status["status"]) if status else ""

    return line


async def test_the_line_outlasts_slacks_two_minutes(
    client: AsyncWebClient, turn: Turn, clock: ManualClock, line: Callable[[], str]
) -> None:
    thinking = Thinking(client, turn, english, clock.sleep)
    await thinking.show()
    for _ in range(4):
        await clock.advance(100)
        await eventually(lambda: line() == THINKING)
    await thinking.clear()
    assert line() == ""
    await clock.advance(100)
    await asyncio.sleep(0.05)
    assert line() == ""


async def test_while_a_new_model_is_loaded_it_says_so(
    worker: Worker, job: Job, pacer: Pacer, no_streams: Pacer, thread: Thread, line: Callable[[], str]
) -> None:
    await worker(job.claim(), pacer).loading()
    assert line() == Words().say("model_loading")
    assert thread.texts == []
    reply: ReplyStream = worker(job.claim(), pacer)
    await reply.begin()
    assert line() == THINKING
    await reply.abandon()

    await worker(job.claim(), no_streams).loading()
    assert thread.texts == [Words().say("waiting_for_model")], "where Slack shows no such line, it stands there"


async def test_it_does_not_come_back_over_an_answer(
    worker: Worker, job: Job, pacer: Pacer, thread: Thread, line: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.slack.answering.thinking.RENEWED_SECONDS", 0.02)
    reply: ReplyStream = worker(job.claim(), pacer)
    await reply.begin()
    assert line() == THINKING
    await reply.write("Once")
    await thread.says("Once")
    await asyncio.sleep(0.1)
    assert line() == ""
    await reply.abandon()


async def test_who_gives_up_an_answer_leaves_no_line(
    worker: Worker, job: Job, pacer: Pacer, line: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.slack.answering.thinking.RENEWED_SECONDS", 0.02)
    reply = worker(job.claim(), pacer)
    await reply.begin()
    await reply.abandon()
    await asyncio.sleep(0.1)
    assert line() == ""
