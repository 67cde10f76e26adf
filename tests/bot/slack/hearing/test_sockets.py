"""Two sockets: whatever Slack does to one of them, events go on coming in."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from slack_bolt.async_app import AsyncApp
from slack_sdk.socket_mode.aiohttp import SocketModeClient
from slack_sdk.web.async_client import AsyncWebClient

from bot.errors import SlackError
from bot.local.workspace import Workspace
from bot.local.workspace.delivery.envelopes import DisconnectReason
from bot.slack.hearing.sockets import Sockets
from tests.bot.local.workspace.bare_app import eventually
from tests.bot.slack.conftest import ASHA, GENERAL
from tests.scenarios.faults import Faults


class Ears:
    """A Bolt app that notes what it hears, `seconds` after it came."""

    def __init__(self, workspace: Workspace, client: AsyncWebClient) -> None:
        self.workspace = workspace
        self.heard: list[str] = []
        self.seconds = 0.0
        self.fewest = 99
        """The fewest sockets that were open at any time since it was last set."""
        self.app = AsyncApp(client=client, process_before_response=True, request_verification_enabled=False)
        self.app.event("message")(self._hear)
        self.sockets = Sockets(self.app, workspace.identity.app_token)

    async def _hear(self, event: dict[str, Any]) -> None:
        await asyncio.sleep(self.seconds)
        self.heard.append(event["ts"])

    async def watch(self) -> None:
        while True:
            self.fewest = min(self.fewest, self.workspace.delivery.connections)
            await asyncio.sleep(0.001)

    async def say(self, count: int) -> list[str]:
        said = []
        for number in range(count):
            said.append(self.workspace.timeline.post(GENERAL, ASHA, f"message {number}")["ts"])
            await asyncio.sleep(0.005)
        return said


@pytest.fixture
async def workspace(faults: Faults) -> AsyncIterator[Workspace]:
    """On the machine's own time, with a pause of three seconds before what is lost comes again."""
    workspace = Workspace(seed=3)
    await workspace.start()
    yield workspace
    await workspace.stop()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.slack.hearing.sockets.PING_SECONDS", 0.2)
    monkeypatch.setattr("bot.slack.hearing.sockets.SHORTEST_LIFE_SECONDS", 0.05)


@asynccontextmanager
async def listening(workspace: Workspace, client: AsyncWebClient) -> AsyncIterator[Ears]:
    ears = Ears(workspace, client)
    watching = asyncio.create_task(ears.watch())
    try:
        await ears.sockets.open()
        await eventually(lambda: workspace.delivery.connections == 2)
        ears.fewest = 99
        yield ears
    finally:
        watching.cancel()
        await ears.sockets.close()
        assert not ears.sockets.hears()


async def settled(ears: Ears, said: list[str]) -> None:
    """All was heard and acknowledged, and nothing had to wait for Slack to try again later."""
    await eventually(lambda: ears.workspace.delivery.pending() == 0, seconds=2.5)
    assert set(ears.heard) == set(said)
    tries = [envelope.retry_attempt for envelope in ears.workspace.delivery.delivered]
    assert max(tries) <= 1, "the second retry comes after a minute"


@pytest.mark.parametrize("reason", ["warning", "refresh_requested"])
async def test_one_socket_is_renewed_in_a_stream_of_events(
    workspace: Workspace, client: AsyncWebClient, faults: Faults, reason: DisconnectReason
) -> None:
    async with listening(workspace, client) as ears:
        opened = faults.calls["apps.connections.open"]
        talking = asyncio.create_task(ears.say(200))
        for _ in range(3):
            await asyncio.sleep(0.25)
            await workspace.delivery.disconnect(reason, sockets=1)
            await eventually(lambda: workspace.delivery.connections == 2)
        await settled(ears, await talking)
        assert faults.calls["apps.connections.open"] > opened, "one was renewed"
        assert ears.fewest >= 1, "there was always one"


async def test_both_are_warned_and_take_turns(workspace: Workspace, client: AsyncWebClient, faults: Faults) -> None:
    async with listening(workspace, client) as ears:
        opened = faults.calls["apps.connections.open"]
        talking = asyncio.create_task(ears.say(100))
        await asyncio.sleep(0.1)
        await workspace.delivery.disconnect("warning")
        await eventually(lambda: faults.calls["apps.connections.open"] == opened + 2)
        await settled(ears, await talking)
        assert ears.fewest >= 1


async def test_both_are_closed_at_once(workspace: Workspace, client: AsyncWebClient) -> None:
    """A gap, which catch-up is told of; both come back."""
    async with listening(workspace, client) as ears:
        talking = asyncio.create_task(ears.say(100))
        await asyncio.sleep(0.1)
        await workspace.delivery.disconnect("refresh_requested")
        await settled(ears, await talking)
        await eventually(lambda: workspace.delivery.connections == 2)


async def test_an_event_under_way_when_its_socket_closes_is_acknowledged(
    workspace: Workspace, client: AsyncWebClient
) -> None:
    async with listening(workspace, client) as ears:
        ears.seconds = 0.5
        talking = asyncio.create_task(ears.say(20))
        await asyncio.sleep(0.3)
        await workspace.delivery.disconnect("refresh_requested", sockets=1)
        await settled(ears, await talking)


async def test_a_second_socket_that_slack_refuses_is_asked_for_again(
    workspace: Workspace, client: AsyncWebClient, faults: Faults
) -> None:
    faults.next("apps.connections.open", "done", 503, "internal_error")
    async with listening(workspace, client) as ears:
        assert faults.calls["apps.connections.open"] == 4
        await settled(ears, await ears.say(5))


async def test_a_mistake_costs_neither_the_second_socket_nor_its_address(
    workspace: Workspace, client: AsyncWebClient, faults: Faults, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.background.PAUSE_SECONDS", 0.05)
    mistakes = iter([KeyError("url"), KeyError("url")])
    connect, is_connected = SocketModeClient.connect_to_new_endpoint, SocketModeClient.is_connected

    async def connect_mistaken(socket: SocketModeClient, force: bool = False) -> None:
        for mistake in mistakes:
            raise mistake
        await connect(socket, force)

    asked = 0

    async def is_connected_mistaken(socket: SocketModeClient) -> bool:
        nonlocal asked
        asked += 1
        if asked < 4:
            raise KeyError("session")
        return bool(await is_connected(socket))

    monkeypatch.setattr(SocketModeClient, "connect_to_new_endpoint", connect_mistaken)
    monkeypatch.setattr(SocketModeClient, "is_connected", is_connected_mistaken)
    async with listening(workspace, client) as ears:
        await settled(ears, await ears.say(5))
        await eventually(lambda: asked > 6)


async def test_it_tells_when_it_hears_nothing(workspace: Workspace, client: AsyncWebClient, faults: Faults) -> None:
    async with listening(workspace, client) as ears:
        assert ears.sockets.hears()
        faults.always("apps.connections.open", "internal_error")
        await workspace.delivery.disconnect("refresh_requested")
        await eventually(lambda: not ears.sockets.hears(), seconds=2)
        faults.none()
        await eventually(ears.sockets.hears)
        await eventually(lambda: workspace.delivery.connections == 2)


async def test_a_refused_token_is_said(workspace: Workspace, client: AsyncWebClient, faults: Faults) -> None:
    ears = Ears(workspace, client)
    faults.always("apps.connections.open", "invalid_auth")
    with pytest.raises(SlackError, match="invalid_auth"):
        await ears.sockets.open()
    await ears.sockets.close()
