"""A workspace that may fail, and Dolly's client of it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from slack_sdk.web.async_client import AsyncWebClient

from bot.conversation import ConversationId, Turn
from bot.local.workspace import Workspace
from bot.local.workspace.clock import ManualClock
from bot.slack.answering.output_filter import OutputFilter
from bot.slack.answering.own_messages import whole_text
from bot.slack.answering.reply_stream import ReplyStream
from bot.slack.client import Identity, PacedClient, authenticate, web_client
from bot.slack.pacing import Pacer
from bot.words import Words
from tests.bot.slack.memory_journal import Job, MemoryJournal
from tests.scenarios.faults import Faults

ASHA, BEN, GENERAL = "U0ASHA00001", "U0BEN000001", "C0GENERAL01"


@pytest.fixture
def faults(monkeypatch: pytest.MonkeyPatch) -> Faults:
    monkeypatch.setattr("bot.slack.client.FIRST_RETRY_SECONDS", 0.01)
    monkeypatch.setattr("random.random", lambda: 0.0)  # the jitter of slack_sdk's waits
    return Faults(monkeypatch)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def workspace(faults: Faults, clock: ManualClock) -> AsyncIterator[Workspace]:
    workspace = Workspace(clock=clock)
    await workspace.start()
    yield workspace
    await workspace.stop()


@pytest.fixture
def client(workspace: Workspace, pacer: Pacer) -> PacedClient:
    return web_client(workspace.identity.bot_token, workspace.api_url, None, pacer)


@pytest.fixture
async def identity(client: AsyncWebClient) -> Identity:
    return await authenticate(client)


@pytest.fixture
async def turn(workspace: Workspace) -> Turn:
    """Asha's question in #general."""
    message = workspace.timeline.post(GENERAL, ASHA, "a question")
    conversation = ConversationId(workspace.identity.team_id, GENERAL, message["ts"])
    return Turn(conversation, message["ts"], ASHA, "a question")


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
        return [whole_text(message) for message in self.messages]

    @property
    def states(self) -> list[str | None]:
        return [self._workspace.timeline.stream_state(GENERAL, message["ts"]) for message in self.messages]

    @property
    def jobs(self) -> list[str | None]:
        """The job that each message is marked with."""
        marks = [message.get("metadata", {}).get("event_payload", {}) for message in self.messages]
        return [mark.get("job_id") for mark in marks]

    @property
    def rateable(self) -> list[bool]:
        """Whether each message has thumbs under it, once."""
        kinds = [[block["type"] for block in message.get("blocks", [])] for message in self.messages]
        assert max((types.count("context_actions") for types in kinds), default=0) <= 1
        return ["context_actions" in types for types in kinds]

    async def says(self, *texts: str) -> None:
        async with asyncio.timeout(5):
            while self.texts != list(texts):
                await asyncio.sleep(0.005)


@pytest.fixture
def thread(workspace: Workspace, turn: Turn) -> Thread:
    return Thread(workspace, turn)


@pytest.fixture
def job(turn: Turn) -> Job:
    return Job(turn.job_id)


@pytest.fixture
def pacer() -> Pacer:
    """One that never lets anybody wait."""
    return Pacer(scale=1e6)


@pytest.fixture
def no_streams() -> Pacer:
    """One that knows that Slack has no streams here."""
    pacer = Pacer(scale=1e6)
    pacer.streams_refused()
    return pacer


async def english() -> Words:
    """What a reader reads whose locale is an English one."""
    return Words()


Worker = Callable[[MemoryJournal, Pacer], ReplyStream]


@pytest.fixture
def worker(client: PacedClient, identity: Identity, turn: Turn) -> Worker:
    """Makes the reply of one worker; its client keeps to its pacer from then on."""

    def make(journal: MemoryJournal, pacer: Pacer) -> ReplyStream:
        client.pacer = pacer
        return ReplyStream(client, identity, turn, journal, pacer, english, OutputFilter())

    return make
