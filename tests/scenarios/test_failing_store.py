"""The store fails: what cannot be stored is not acknowledged, and once it is back all is answered exactly once."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.errors import StoreUnavailable
from bot.local.store import LocalStore
from bot.local.workspace import Workspace
from bot.local.workspace.clock import ManualClock
from bot.words import Words
from tests.engine_dialects import Messages
from tests.scenarios.conftest import Team, Transport, running_team, until
from tests.scripted_engine import Script, ScriptedEngine

WORDS = Words()
BUTTON = [{"type": "actions", "block_id": "b", "elements": [{"type": "button", "action_id": "old", "text": {}}]}]
BUTTON[0]["elements"][0]["text"] = {"type": "plain_text", "text": "An old button"}  # type: ignore[index]


@pytest.fixture
async def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[LocalStore]:
    """A Valkey of this test's own, which comes back a second after its death."""
    monkeypatch.setattr("bot.local.supervisor.FIRST_PAUSE_SECONDS", 1.0)
    store = LocalStore(tmp_path)
    await store.start()
    yield store
    if store.pid is not None:
        os.kill(store.pid, signal.SIGCONT)
    await store.stop()


@pytest.fixture
async def workspace() -> AsyncIterator[Workspace]:
    """Its clock is the test's, so that a redelivery comes when the test wants it."""
    workspace = Workspace(clock=ManualClock())
    await workspace.start()
    yield workspace
    await workspace.stop()


def echo(messages: Messages) -> str:
    return f"re: {messages[-1]['content']}"


def clock(team: Team) -> ManualClock:
    clock = team.workspace._clock
    assert isinstance(clock, ManualClock)
    return clock


async def never_acknowledged(team: Team, roots: list[str], seconds: float) -> None:
    """For a while, in which each is tried at least once."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        tried = [e for e in team.workspace.delivery.delivered if e.payload.get("event", {}).get("ts") in roots]
        assert len({(e.payload["event"]["ts"], e.payload["event"]["type"]) for e in tried}) == 2 * len(roots)
        assert not any(envelope.acked for envelope in tried)
        await asyncio.sleep(0.05)


async def redelivered(team: Team) -> None:
    async with asyncio.timeout(15):
        while team.workspace.delivery.pending():
            await clock(team).advance(3)
            await asyncio.sleep(0.05)


async def test_a_store_that_is_down_at_the_start_is_a_sentence() -> None:
    async with ScriptedEngine() as engine:
        with pytest.raises(StoreUnavailable, match="does not answer"):
            async with running_team("redis://127.0.0.1:1/0", engine.url):
                raise AssertionError("Dolly has started without a store")


async def test_a_killed_store(store: LocalStore, workspace: Workspace, transport: Transport) -> None:
    script = Script(text=echo, tokens_per_second=8)
    async with (
        ScriptedEngine(script) as engine,
        running_team(store.url, engine.url, transport, workspace=workspace) as team,
    ):
        under_way = await team.say("asha", "@dolly one two three four five six seven")
        await until(lambda: bool(team.answers(under_way)))
        assert store.pid is not None
        os.kill(store.pid, signal.SIGKILL)
        roots = [await team.say("asha", f"@dolly {number}") for number in range(3)]
        await asyncio.sleep(0.1)
        await never_acknowledged(team, roots, 0.5)
        await commands_and_clicks_get_a_sentence(team)

        await until(lambda: store.pid is not None, 10)
        await redelivered(team)
        for number, root in enumerate(roots):
            assert await team.answered(root) == [f"re: {number}"]
        assert await team.answered(under_way) == ["re: one two three four five six seven"]
        assert len(engine.requests) == 4
        await team.say("asha", "@dolly do you remember?", thread=under_way)
        await team.answered(under_way, 2)
        remembered = [message["content"] for message in engine.requests[-1].messages[1:]]
        assert remembered == [
            "one two three four five six seven",
            "re: one two three four five six seven",
            "do you remember?",
        ]


async def test_a_stalled_store(store: LocalStore, workspace: Workspace, transport: Transport) -> None:
    async with (
        ScriptedEngine(Script(text=echo)) as engine,
        running_team(store.url, engine.url, transport, workspace=workspace) as team,
    ):
        assert store.pid is not None
        os.kill(store.pid, signal.SIGSTOP)
        roots = [await team.say("asha", f"@dolly {number}") for number in range(3)]
        await asyncio.sleep(0.1)
        await never_acknowledged(team, roots, 1)
        await commands_and_clicks_get_a_sentence(team)

        os.kill(store.pid, signal.SIGCONT)
        await redelivered(team)
        for number, root in enumerate(roots):
            assert await team.answered(root) == [f"re: {number}"]
        assert len(engine.requests) - len(roots) <= 1, "only the command, which may be stored after all"


async def commands_and_clicks_get_a_sentence(team: Team) -> None:
    """At once, for nobody would repeat them."""
    asha, general = team.person("asha"), team.channel("general")
    timeline, people = team.workspace.timeline, team.workspace.people
    message = timeline.post(general, team.bot_id, "An old message", blocks=BUTTON, as_app=True)
    start = time.monotonic()
    await people.command(asha, general, "/dolly", "what now?")
    assert timeline.ephemerals(general, asha)[-1]["text"] == WORDS.say("store_unavailable")
    await people.click(asha, general, message["ts"], "b", "old")
    await until(lambda: timeline.ephemerals(general, asha)[-1]["text"] == WORDS.say("button_unknown"), 2)
    assert time.monotonic() - start < 3
