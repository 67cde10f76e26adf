"""Starting and stopping, the port, who may talk to it, and what a restart keeps."""

import asyncio
import socket
import sys
from pathlib import Path

import aiohttp
import pytest

from bot.errors import LocalPartError
from bot.local.workspace import Workspace
from bot.local.workspace.clock import ManualClock
from tests.bot.local.workspace.bare_app import ASHA, GENERAL, bare_app, eventually, running, turn


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has 127.0.0.2 without being asked")
async def test_it_listens_on_127_0_0_1_only() -> None:
    async with running() as workspace:
        assert workspace.url.startswith("http://127.0.0.1:")
        assert workspace.api_url == f"{workspace.url}api/"
        port = int(workspace.url.split(":")[2].strip("/"))
        own = socket.socket()
        own.bind(("127.0.0.2", port))  # free: nothing listens on all addresses
        own.close()


async def test_a_port_that_is_taken_is_a_sentence() -> None:
    async with running() as workspace:
        port = int(workspace.url.split(":")[2].strip("/"))
        with pytest.raises(LocalPartError, match=f"cannot use port {port} on 127.0.0.1"):
            await Workspace(port=port).start()


async def test_the_port_is_free_again_after_a_file_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.raises(LocalPartError):
        await Workspace(tmp_path / "file" / "workspace.db", port=port).start()
    async with running(port=port):
        pass


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:80", 200),
        ("localhost", 200),
        ("LOCALHOST:8080", 200),
        ("evil.example", 403),
        ("127.0.0.1.evil.example", 403),
        ("localhost.evil.example:80", 403),
        ("[::1]:80", 403),
        ("", 403),
    ],
)
async def test_requests_for_another_host_are_refused(host: str, status: int) -> None:
    async with running() as workspace, aiohttp.ClientSession() as session:
        for path in ("", "api/api.test"):
            async with session.get(workspace.url + path, headers={"Host": host}) as response:
                assert response.status == status


async def test_a_restart_keeps_the_words_and_the_credentials(tmp_path: Path) -> None:
    database = tmp_path / "workspace.db"
    async with running(database=database) as workspace:
        first = workspace.identity
        await workspace.people.post(ASHA, GENERAL, "remember this")
    async with running(database=database) as workspace:
        assert workspace.identity == first
        assert [message["text"] for message in workspace.timeline.history(GENERAL)[0]] == ["remember this"]


async def test_stop_leaves_no_task_behind() -> None:
    before = asyncio.all_tasks()
    async with running() as workspace, bare_app(workspace) as app:
        first = await app.connect()
        first.acks = False
        await app.connect()
        await workspace.people.post(ASHA, GENERAL, "never acknowledged")
        await eventually(lambda: workspace.delivery.delivered)
        await workspace.stop()
        await first.close()
        await app.session.close()
        await eventually(lambda: asyncio.all_tasks() <= before | {asyncio.current_task()})
        await workspace.start()


async def test_what_time_ends_is_ended_by_the_clock() -> None:
    clock = ManualClock()
    async with running(clock=clock) as workspace:
        root = await workspace.people.post(ASHA, GENERAL, "@dolly write")
        assert root is not None
        stream = workspace.timeline.start_stream(GENERAL, root["ts"], markdown_text="once upon")
        states: list[str] = []
        workspace.changes.subscribe(lambda change: states.append(change.detail.get("state", "")))
        await turn(clock, 301)
        assert states == ["expired"]
        assert workspace.timeline.stream_state(GENERAL, stream["ts"]) == "expired"


async def test_nothing_that_was_said_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(0)
    async with running() as workspace, bare_app(workspace) as app:
        await app.connect()
        headers = {"Authorization": f"Bearer {workspace.identity.bot_token}"}
        url = f"{workspace.api_url}chat.postMessage?channel={GENERAL}&text=confidential"
        async with app.session.post(url, headers=headers) as response:
            assert (await response.json())["ok"] is True
        await workspace.people.post(ASHA, GENERAL, "confidential too")
        await eventually(lambda: len(workspace.delivery.delivered) == 2 and not workspace.delivery.pending())
    assert "confidential" not in caplog.text
    assert workspace.identity.bot_token not in caplog.text
