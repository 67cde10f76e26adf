"""A workspace that may fail, and Dolly's client of it."""

from collections.abc import AsyncIterator

import pytest
from slack_sdk.web.async_client import AsyncWebClient

from bot.conversation import ConversationId, Turn
from bot.local.workspace import Workspace
from bot.local.workspace.clock import ManualClock
from bot.slack.client import Identity, authenticate, web_client
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
def client(workspace: Workspace) -> AsyncWebClient:
    return web_client(workspace.identity.bot_token, workspace.api_url)


@pytest.fixture
async def identity(client: AsyncWebClient) -> Identity:
    return await authenticate(client)


@pytest.fixture
async def turn(workspace: Workspace) -> Turn:
    """Asha's question in #general."""
    message = workspace.timeline.post(GENERAL, ASHA, "a question")
    conversation = ConversationId(workspace.identity.team_id, GENERAL, message["ts"])
    return Turn(conversation, message["ts"], ASHA, "a question")
