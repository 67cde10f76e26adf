"""One answer on its way into a thread. Failures of every kind are in tests/scenarios/test_failing_slack.py."""

import asyncio
from typing import Any

import pytest
from slack_sdk.web.async_client import AsyncWebClient

from bot.conversation import Turn
from bot.errors import SlackError, SlackUnreachable
from bot.local.workspace import Workspace
from bot.local.workspace.clock import ManualClock
from bot.responder import Stopped
from bot.slack.client import Identity
from bot.slack.pacing import Cadence
from bot.slack.reply_stream import ReplyStream
from bot.words import Words
from tests.bot.slack.conftest import ASHA, GENERAL
from tests.scenarios.faults import Faults


class Thread:
    """What stands under the question."""

    def __init__(self, workspace: Workspace, turn: Turn) -> None:
        self._workspace = workspace
        self._turn = turn

    @property
    def messages(self) -> list[dict[str, Any]]:
        return self._workspace.timeline.replies(GENERAL, self._turn.ts)[0][1:]

    @property
    def texts(self) -> list[str]:
        return [message["text"] for message in self.messages]

    @property
    def states(self) -> list[str | None]:
        return [self._workspace.timeline.stream_state(GENERAL, message["ts"]) for message in self.messages]

    async def says(self, *texts: str) -> None:
        async with asyncio.timeout(5):
            while self.texts != list(texts):
                await asyncio.sleep(0.005)


@pytest.fixture
def thread(workspace: Workspace, turn: Turn) -> Thread:
    return Thread(workspace, turn)


@pytest.fixture
def per_minute() -> float:
    return 1e6


@pytest.fixture
def reply(client: AsyncWebClient, identity: Identity, turn: Turn, per_minute: float) -> ReplyStream:
    return ReplyStream(client, identity, turn, Cadence(per_minute), Words())


async def test_deltas_become_one_message(reply: ReplyStream, thread: Thread) -> None:
    await reply.write("Once")
    await thread.says("Once")
    await reply.write(" upon")
    await thread.says("Once upon")
    assert thread.states == ["streaming"]
    await reply.write(" a time")
    await reply.finish("_The end._")
    assert thread.texts == ["Once upon a time\n\n_The end._"]
    assert thread.states == ["stopped"]


async def test_white_space_alone_opens_nothing(reply: ReplyStream, thread: Thread) -> None:
    await reply.write(" \n")
    await asyncio.sleep(0.05)
    assert thread.texts == []
    await reply.write("Now")
    await reply.finish()
    assert [text.strip() for text in thread.texts] == ["Now"]


async def test_a_sentence_alone_is_posted(reply: ReplyStream, thread: Thread) -> None:
    await reply.finish("Sorry.")
    assert thread.texts == ["Sorry."]
    assert thread.states == [None]


@pytest.mark.parametrize("per_minute", [100])
async def test_many_deltas_are_few_calls(reply: ReplyStream, thread: Thread, faults: Faults) -> None:
    """The first at once, what comes after it 0.6 s later, and the rest with the end."""
    for number in range(200):
        await reply.write(f"{number} ")
        await asyncio.sleep(0.004)
    await reply.finish()
    assert thread.texts[0].split() == [str(number) for number in range(200)]
    assert 1 <= faults.calls["chat.appendStream"] <= 4


async def test_writing_does_not_wait_for_slack(reply: ReplyStream, thread: Thread, faults: Faults) -> None:
    faults.next("chat.startStream", ("ratelimited", 1))
    for word in ["one", "two", "three"]:
        async with asyncio.timeout(0.5):
            await reply.write(word + " ")
    await reply.finish()
    assert thread.texts == ["one two three "]


async def test_stop_pressed_by_the_reader_is_told_and_nothing_more_is_written(
    reply: ReplyStream, thread: Thread, workspace: Workspace
) -> None:
    await reply.write("Once")
    await thread.says("Once")
    workspace.timeline.stop_by_user(GENERAL, thread.messages[0]["ts"])
    await reply.write(" upon")
    await asyncio.sleep(0.1)
    with pytest.raises(Stopped):
        await reply.write(" a time")
    await reply.stop("_Stopped._")
    assert thread.texts == ["Once"]


async def test_stop_without_slacks_help_says_so(reply: ReplyStream, thread: Thread) -> None:
    await reply.write("Once")
    await thread.says("Once")
    await reply.stop("_Stopped._")
    assert thread.texts == ["Once\n\n_Stopped._"]
    assert thread.states == ["stopped"]


async def test_a_sentence_for_a_stream_that_has_ended_is_posted(
    reply: ReplyStream, thread: Thread, clock: ManualClock
) -> None:
    await reply.write("Once")
    await thread.says("Once")
    await clock.advance(301)
    await reply.finish("_The end._")
    assert thread.texts == ["Once", "_The end._"]


async def test_an_abandoned_answer_stays_as_it_is(reply: ReplyStream, thread: Thread, faults: Faults) -> None:
    await reply.write("Once")
    await thread.says("Once")
    faults.next("chat.appendStream", ("ratelimited", 1))
    await reply.write(" upon")
    await asyncio.sleep(0.05)
    async with asyncio.timeout(0.5):
        await reply.abandon()
    await asyncio.sleep(0.05)
    assert thread.texts == ["Once"]
    assert faults.calls["chat.appendStream"] == 1


async def test_a_refusal_is_not_an_absence(reply: ReplyStream, faults: Faults) -> None:
    faults.always("chat.postMessage", "is_archived")
    with pytest.raises(SlackError):
        await reply.finish("Sorry.")
    faults.always("chat.postMessage", "cut")
    with pytest.raises(SlackUnreachable):
        await reply.finish("Sorry.")


async def test_thinking_is_shown_and_is_never_a_reason_to_fail(
    reply: ReplyStream, workspace: Workspace, turn: Turn, faults: Faults
) -> None:
    await reply.thinking()
    assert workspace.timeline.status(GENERAL, turn.ts)
    for fault in ("missing_scope", "cut", 503):
        faults.always("assistant.threads.setStatus", fault)
        await reply.thinking()


async def test_posts_unfurl_nothing(
    reply: ReplyStream, client: AsyncWebClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slack would load a link that a model wrote, and so tell its owner what was said."""
    sent: list[dict[str, Any]] = []

    async def post(**arguments: Any) -> None:
        sent.append(arguments)

    monkeypatch.setattr(client, "chat_postMessage", post)
    await reply.finish("See https://example.org")
    assert sent[0]["unfurl_links"] is sent[0]["unfurl_media"] is False


async def test_the_reader_is_named(reply: ReplyStream, client: AsyncWebClient, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[dict[str, Any]] = []

    async def start(**arguments: Any) -> dict[str, str]:
        sent.append(arguments)
        return {"ts": "1.2"}

    monkeypatch.setattr(client, "chat_startStream", start)
    await reply.write("Hi")
    await asyncio.sleep(0)
    assert (sent[0]["recipient_user_id"], sent[0]["recipient_team_id"]) == (ASHA, "T0DOLLYWS01")
    await reply.abandon()
