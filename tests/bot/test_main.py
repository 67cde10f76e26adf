"""The command, as it is typed."""

import asyncio
import os
import re
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from redis.asyncio import Redis

from bot.local.store import LocalStore
from bot.local.workspace import Workspace
from tests.processes import children_of, running_processes
from tests.scripted_engine import Script, ScriptedEngine

ROOT = Path(__file__).resolve().parents[2]
GENERAL, ASHA = "C0GENERAL01", "U0ASHA00001"

MEMORY_KEY = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="


class Dolly:
    """A `dolly` that was started, and what it prints."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.out = self.err = ""
        self._reading = asyncio.gather(self._read_out(), self._read_err())

    async def says(self, text: str) -> None:
        """Wait until it has printed `text`."""
        async with asyncio.timeout(60):
            while text not in self.out + self.err:
                assert not self._reading.done(), f"ended before it said {text!r}: {self.out}{self.err}"
                await asyncio.sleep(0.02)

    async def ended(self) -> tuple[int, str, str]:
        """Exit code, stdout and stderr."""
        async with asyncio.timeout(20):
            await self._reading
            return await self.process.wait(), self.out, self.err

    async def _read_out(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            self.out += line.decode()

    async def _read_err(self) -> None:
        assert self.process.stderr is not None
        async for line in self.process.stderr:
            self.err += line.decode()


@asynccontextmanager
async def dolly(command: str, folder: Path, **settings: str) -> AsyncIterator[Dolly]:
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "PYTHONPATH": str(ROOT), "COLUMNS": "200"}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bot", command),
        cwd=folder,
        env=environment | settings,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    running = Dolly(process)
    try:
        yield running
    finally:
        if process.returncode is None:
            process.kill()
            await running.ended()


@pytest.fixture
async def workspace() -> AsyncIterator[Workspace]:
    workspace = Workspace()
    await workspace.start()
    yield workspace
    await workspace.stop()


@pytest.fixture
async def engine() -> AsyncIterator[ScriptedEngine]:
    async with ScriptedEngine(Script(text="Hello, Asha.")) as engine:
        yield engine


@pytest.fixture
def settings(workspace: Workspace, engine: ScriptedEngine, redis: Redis, local_store: LocalStore) -> dict[str, str]:
    return {
        "SLACK_BOT_TOKEN": workspace.identity.bot_token,
        "SLACK_APP_TOKEN": workspace.identity.app_token,
        "SLACK_API_URL": workspace.api_url,
        "REDIS_URL": local_store.url,
        "DOLLY_MEMORY_KEY": MEMORY_KEY,
        "ENGINE_URL": engine.url,
    }


OFFLINE = """
import sys
from pathlib import Path
from tests.offline import refuse_network

def watch(event, arguments):
    try:
        refuse_network(event, arguments)
    except PermissionError as error:
        Path(__file__).with_name("tried").write_text(str(error))
        raise

sys.addaudithook(watch)
Path(__file__).with_name("watched").touch()
"""
"""Python's own start: `tried` tells of a process that would have reached another machine."""


async def test_local_answers_on_its_page_until_ctrl_c(tmp_path: Path, unused_port: int) -> None:
    """Without a network: all that it needs is installed."""
    (tmp_path / "sitecustomize.py").write_text(OFFLINE)
    paths = f"{tmp_path}:{ROOT}"
    data, page = tmp_path / "data", f"http://127.0.0.1:{unused_port}/page"
    (data / "ratings").mkdir(parents=True)
    (data / "ratings" / "sheet.jsonl").touch()
    async with (
        dolly("local", tmp_path, DOLLY_DATA=str(data), DOLLY_PORT=str(unused_port), PYTHONPATH=paths) as running,
        aiohttp.ClientSession() as http,
    ):
        await running.says(f"Dolly is here: http://127.0.0.1:{unused_port}")
        parts = children_of(running.process.pid)
        assert len(parts) == 2  # store and engine

        async with http.get(f"{page}/state", params={"user_id": ASHA}) as response:
            state = await response.json()
        assert GENERAL in [channel["id"] for channel in state["channels"]]
        assert state["has_sheet"]
        question = {"user_id": ASHA, "channel_id": GENERAL, "text": "@dolly say hello"}
        async with http.post(f"{page}/post", json=question) as response:
            ts = (await response.json())["ts"]
        answer = await answer_on_the_page(http, page, ts, state["bot"])

        running.process.send_signal(signal.SIGINT)
        code, out, err = await running.ended()

    assert (code, err) == (0, "")
    assert not parts & running_processes().keys()
    assert (tmp_path / "watched").exists()
    assert not (tmp_path / "tried").exists()
    written = re.sub(r"<[^>]*>", "", answer).strip()
    assert written
    assert not written.startswith("Sorry")  # as each of Dolly's apologies does
    log = (data / "dolly.log").read_text()
    assert "say hello" not in log
    assert "Traceback" not in out + log


async def answer_on_the_page(http: aiohttp.ClientSession, page: str, thread_ts: str, bot_id: str) -> str:
    """The body, in HTML, of what Dolly writes into the thread, once it is complete."""
    where = {"user_id": ASHA, "channel_id": GENERAL, "thread_ts": thread_ts}
    async with asyncio.timeout(60):
        while True:
            async with http.get(f"{page}/thread", params=where) as response:
                thread = await response.json()
            answers = [message["html"] for message in thread["messages"] if message["user_id"] == bot_id]
            if answers and not thread["work"]["can_stop"]:
                [answer] = answers
                return str(answer).partition('class="message-body">')[2].partition('<div class="message-foot">')[0]
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("command", ["serve", "check"])
async def test_all_faults_of_the_settings_come_at_once(tmp_path: Path, command: str) -> None:
    (tmp_path / ".env").write_text("SLACK_BOT_TOKN=xoxb-secret-in-the-file\n")
    async with dolly(command, tmp_path, MAX_TOKENS="many", REDIS_URL="localhost") as running:
        code, out, err = await running.ended()
    assert (code, out) == (2, "")
    assert "did you mean SLACK_BOT_TOKEN?" in err
    assert "MAX_TOKENS" in err
    assert "REDIS_URL" in err
    assert "Traceback" not in err
    assert "secret" not in err


async def test_what_is_missing_for_slack_comes_at_once(tmp_path: Path) -> None:
    async with dolly("serve", tmp_path) as running:
        code, _, err = await running.ended()
    assert code == 2
    assert "SLACK_BOT_TOKEN is missing" in err
    assert "SLACK_APP_TOKEN is missing" in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"REDIS_URL": "redis://127.0.0.1:1/0"}, "The store does not answer"),
        ({"SLACK_BOT_TOKEN": "xoxb-nobody-knows-this"}, "Slack refused auth.test: invalid_auth"),
        ({"SLACK_APP_TOKEN": "xapp-nobody-knows-this"}, "Slack refused apps.connections.open: invalid_auth"),
    ],
)
async def test_a_part_that_cannot_be_used_is_one_sentence(
    tmp_path: Path, settings: dict[str, str], changes: dict[str, str], says: str
) -> None:
    async with dolly("serve", tmp_path, **settings | changes) as running:
        code, out, err = await running.ended()
    assert (code, out) == (1, "")
    told = [line for line in err.splitlines() if not line.startswith("{")]
    assert len(told) == 1
    assert says in told[0]
    assert "Traceback" not in err
    assert "nobody-knows" not in err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_serve_answers_until_it_is_told_to_stop(
    tmp_path: Path, settings: dict[str, str], workspace: Workspace, number: signal.Signals
) -> None:
    async with dolly("serve", tmp_path, **settings) as running:
        await running.says("Dolly answers in")
        message = await workspace.people.post(ASHA, GENERAL, "@dolly hello")
        assert message is not None

        def answers() -> list[str]:
            replies, _ = workspace.timeline.replies(GENERAL, message["ts"])
            return [reply["text"] for reply in replies[1:]]

        async with asyncio.timeout(10):
            while answers() != ["Hello, Asha."]:
                await asyncio.sleep(0.02)
        start = time.monotonic()
        running.process.send_signal(number)
        code, out, err = await running.ended()
        assert time.monotonic() - start < 5
    assert (code, out) == (0, "")
    assert "Traceback" not in err
    assert "hello" not in err.lower()
    assert workspace.delivery.connections == 0


async def test_serve_over_http_needs_no_app_token(
    tmp_path: Path, settings: dict[str, str], workspace: Workspace, unused_port: int
) -> None:
    del settings["SLACK_APP_TOKEN"]
    http = {"SLACK_SIGNING_SECRET": workspace.identity.signing_secret, "HTTP_PORT": str(unused_port)}
    async with dolly("serve", tmp_path, **settings, **http, HTTP_HOST="127.0.0.1") as running:
        await running.says("Dolly answers in")
        workspace.request_url = f"http://127.0.0.1:{unused_port}/slack/events"
        await workspace.people.command(ASHA, GENERAL, "/dolly", "help")
        assert len(workspace.timeline.ephemerals(GENERAL, ASHA)) == 1
        async with dolly("serve", tmp_path, **settings, **http, HTTP_HOST="127.0.0.1") as second:
            code, _, err = await second.ended()
        assert code == 1
        assert "set HTTP_PORT to a free port" in err
        assert "Traceback" not in err


@pytest.fixture
def unused_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


async def test_check_says_what_is_well(tmp_path: Path, settings: dict[str, str]) -> None:
    async with dolly("check", tmp_path, **settings) as running:
        code, out, err = await running.ended()
    assert (code, err) == (0, "")
    for promise in ("bot token", "events", "answers", "persistence", "eviction"):
        assert f"✓ {promise} " in out
    assert out.endswith("✓ 6 safe.\n")


async def test_check_says_what_is_not(tmp_path: Path, settings: dict[str, str]) -> None:
    broken = {
        "SLACK_BOT_TOKEN": "xoxb-wrong-token",
        "REDIS_URL": "redis://127.0.0.1:1/0",
        "ENGINE_URL": "http://127.0.0.1:1",
    }
    async with dolly("check", tmp_path, **settings | broken) as running:
        code, out, err = await running.ended()
    assert (code, err) == (1, "")
    for promise in ("bot token", "answers"):
        assert f"✗ {promise} " in out
    assert "✗ 3 wrong." in out
    assert "Traceback" not in out
    assert "xoxb" not in out


async def test_help_lists_the_commands(tmp_path: Path) -> None:
    async with dolly("--help", tmp_path) as running:
        code, out, _ = await running.ended()
    assert code == 0
    for command in ("local", "serve", "check"):
        assert command in out


@pytest.mark.parametrize("command", ["local", "check"])
async def test_a_mistake_of_dollys_own_is_one_sentence_and_a_line_in_the_log(tmp_path: Path, command: str) -> None:
    """The log is written to until the end, also when the end is a mistake."""
    broken = (
        "import bot.__main__ as dolly; dolly.running_store = dolly.running_parts = lambda *_, **__: 1 / 0; dolly.main()"
    )
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", broken, command),
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    code, out, err = await Dolly(process).ended()
    logged = (tmp_path / ".dolly" / "dolly.log").read_text() if command == "local" else err
    assert code == 1
    assert "a mistake of its own (ZeroDivisionError)" in err
    assert "stopped_by_a_mistake" in logged
    assert "Traceback" not in out + err
    assert "Logging error" not in out + err
