"""What is asked while Dolly is dead, has no socket or no store: all of it is answered afterwards, each once."""

import asyncio
import base64
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from redis.asyncio import Redis

from bot.local.store import LocalStore
from bot.local.workspace import Workspace
from bot.local.workspace.clock import ManualClock
from bot.store.connection import Client, connect
from bot.store.cursors import Cursors
from bot.store.layout import Layout
from bot.words import Words
from tests.conftest import ROOT
from tests.engine_dialects import Messages
from tests.scenarios.conftest import MEMORY_KEY, Team, running_team, until
from tests.scenarios.faults import Faults
from tests.scripted_engine import Script, ScriptedEngine

WORDS = Words()


def echo(messages: Messages) -> str:
    return f"re: {messages[-1]['content']}"


@pytest.fixture
async def clock() -> ManualClock:
    """It stands where the machine's does, until it is turned: Dolly's clock is the machine's."""
    return ManualClock(time.time())


@pytest.fixture
async def workspace(faults: Faults, clock: ManualClock) -> AsyncIterator[Workspace]:
    workspace = Workspace(clock=clock)
    await workspace.start()
    yield workspace
    await workspace.stop()


async def slack_gives_up(workspace: Workspace, clock: ManualClock) -> None:
    """Each event is tried four times, and never again."""
    tried = len(workspace.delivery.delivered)
    async with asyncio.timeout(20):
        while workspace.delivery.pending():
            await clock.advance(30)
            await asyncio.sleep(0.01)
    assert len(workspace.delivery.delivered) >= tried


async def heard(workspace: Workspace, redis: Client) -> None:
    """Dolly was here before, and heard everything up to a minute ago."""
    layout = Layout(f"{workspace.identity.team_id}/{workspace.identity.bot_id}")
    await Cursors(redis, layout).read(workspace._clock.now() - 60)


@asynccontextmanager
async def serving(workspace: Workspace, store_url: str, engine_url: str, folder: Path) -> AsyncIterator[int]:
    """`dolly serve` in a process of its own; its pid."""
    identity = workspace.identity
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "SLACK_BOT_TOKEN": identity.bot_token,
        "SLACK_APP_TOKEN": identity.app_token,
        "SLACK_API_URL": workspace.api_url,
        "REDIS_URL": store_url,
        "ENGINE_URL": engine_url,
        "DOLLY_MEMORY_KEY": base64.b64encode(MEMORY_KEY).decode(),
        "LEASE_SECONDS": "1",
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bot", "serve", cwd=folder, env=environment, stdout=asyncio.subprocess.DEVNULL
    )
    try:
        await until(lambda: workspace.delivery.connections == 2, 20)
        yield process.pid
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_killed_while_people_write(store_url: str, tmp_path: Path, faults: Faults) -> None:
    workspace = Workspace()
    await workspace.start()
    async with ScriptedEngine(Script(text=echo)) as engine:
        async with serving(workspace, store_url, engine.url, tmp_path) as pid:
            team = Team(workspace, None)  # type: ignore[arg-type]
            place = team.direct("ben")
            root = await team.say("asha", "@dolly before")
            await team.answered(root)
            mention = await team.say("asha", "@dolly a mentoin")
            os.kill(pid, signal.SIGKILL)
            direct = await team.say("ben", "a direct message", channel=place)
            await team.say("chen", "@dolly a reply", thread=root)
            await workspace.people.edit(team.person("asha"), team.channel("general"), mention, "@dolly a mention")
        await until(lambda: workspace.delivery.connections == 0)
        await workspace.delivery.stop()  # Slack gives up
        async with serving(workspace, store_url, engine.url, tmp_path):
            assert (await team.answered(direct, channel=place))[0].startswith("re: a direct message")
            assert (await team.answered(root, 2))[1] == "re: a reply"
            await until(lambda: team.answers(mention) == ["re: a mention"])
            await asyncio.sleep(1)
        assert len(team.answers(root)) == 2
        assert len(team.answers(mention)) == len(team.answers(direct, channel=place)) == 1
        assert [m["content"] for m in engine.requests[-1].messages if m["role"] == "user"][-1] != "a mentoin"
    await workspace.stop()


async def test_a_store_that_was_away_until_slack_gave_up(
    workspace: Workspace, clock: ManualClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.local.supervisor.FIRST_PAUSE_SECONDS", 3.0)
    store = LocalStore(tmp_path)
    await store.start()
    async with connect(store.url) as redis:
        await heard(workspace, redis)
    async with ScriptedEngine(Script(text=echo)) as engine:
        async with running_team(store.url, engine.url, workspace=workspace) as team:
            assert store.pid is not None
            os.kill(store.pid, signal.SIGKILL)
            root = await team.say("asha", "@dolly hello?")
            await slack_gives_up(workspace, clock)
            assert not any(envelope.acked for envelope in workspace.delivery.delivered)
            assert await team.answered(root) == ["re: hello?"]
        assert len(engine.requests) == 1
    await store.stop()


async def test_no_socket_until_slack_gave_up(
    store_url: str,
    redis: Redis,
    workspace: Workspace,
    clock: ManualClock,
    faults: Faults,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await heard(workspace, redis)
    monkeypatch.setattr("bot.slack.hearing.sockets.PING_SECONDS", 0.2)
    async with (
        ScriptedEngine(Script(text=echo)) as engine,
        running_team(store_url, engine.url, workspace=workspace) as team,
    ):
        await until(lambda: workspace.delivery.connections == 2)
        faults.always("apps.connections.open", 503)
        await workspace.delivery.disconnect("refresh_requested")
        await until(lambda: not team.service.hears())
        root = await team.say("asha", "@dolly hello?")
        await clock.advance(600)
        await slack_gives_up(workspace, clock)
        faults.none()
        assert await team.answered(root) == ["re: hello?"]
        await until(team.service.hears)


async def test_a_question_of_seven_hours_ago_gets_one_line(store_url: str, redis: Redis, faults: Faults) -> None:
    clock = ManualClock(time.time() - 7 * 3600)
    workspace = Workspace(clock=clock)
    await workspace.start()
    await heard(workspace, redis)
    team = Team(workspace, None)  # type: ignore[arg-type]
    root = await team.say("asha", "@dolly hello?")
    await workspace.delivery.stop()
    await clock.advance(7 * 3600)
    lately = await team.say("asha", "@dolly still there?")
    await workspace.delivery.stop()
    async with ScriptedEngine(Script(text=echo)) as engine:
        for _ in range(2):
            async with running_team(store_url, engine.url, workspace=workspace):
                assert await team.answered(root) == [WORDS.say("too_late")]
                assert await team.answered(lately) == ["re: still there?"]
        assert len(engine.requests) == 1
    await workspace.stop()


async def test_what_was_answered_is_not_answered_again_with_an_empty_store(
    store_url: str, redis: Redis, workspace: Workspace
) -> None:
    async with ScriptedEngine(Script(text=echo)) as engine:
        async with running_team(store_url, engine.url, workspace=workspace) as team:
            root = await team.say("asha", "@dolly hello?")
            await team.answered(root)
            await until(lambda: workspace.delivery.pending() == 0)
        await redis.flushall()
        await heard(workspace, redis)
        await team.say("ben", "@dolly and me?", thread=root)
        await workspace.delivery.stop()
        async with running_team(store_url, engine.url, workspace=workspace):
            first, second = await team.answered(root, 2)
            await asyncio.sleep(0.5)
        assert (first, second[-8:]) == ("re: hello?", "\nand me?")
        assert len(engine.requests) == len(team.answers(root)) == 2


async def test_two_replicas_that_start_together_answer_once(store_url: str, redis: Redis, workspace: Workspace) -> None:
    await heard(workspace, redis)
    team = Team(workspace, None)  # type: ignore[arg-type]
    roots = [await team.say("asha", f"@dolly {number}") for number in range(5)]
    await workspace.delivery.stop()
    async with (
        ScriptedEngine(Script(text=echo)) as engine,
        running_team(store_url, engine.url, workspace=workspace),
        running_team(store_url, engine.url, workspace=workspace),
    ):
        for number, root in enumerate(roots):
            assert await team.answered(root) == [f"re: {number}"]
        await asyncio.sleep(0.5)
        assert len(engine.requests) == len(roots)
