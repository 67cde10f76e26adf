"""How long a newcomer waits, what a kill leaves behind, and how fast a busy machine answers: `make bench-start`.

A fresh clone, an empty home and a warm package cache; `make run` is started, asked, stopped by Ctrl-C, started
again, killed, and started once more. The last lines printed are the figures:

    figure: start.first_word      from `make run` to the first word of an answer in a thread
    figure: start.again           from a second `make run` to a page that answers and a Dolly that can be asked
    figure: start.orphans         processes of a killed run that are still there when the next one is up
    figure: engine.tok_s_loaded   tokens per second of one answer beside two busy processes
"""

import asyncio
import json
import os
import re
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import aiohttp

from bot.local.engine import LocalEngine
from bot.local.model import default_model_path
from tests.processes import is_running

ROOT = Path(__file__).resolve().parents[2]
KEPT_VARIABLES = re.compile(r"PIP_.*|.*_PROXY|SSL_CERT_FILE|.*_CA_BUNDLE|PYENV_.*|LANG", re.IGNORECASE)
"""Of the caller's environment: what reaching the package cache takes, and nothing else."""

ASKER = "U0BEN000001"
START_LIMIT_SECONDS = 600.0
ANSWER_LIMIT_SECONDS = 120.0
STOP_LIMIT_SECONDS = 30.0
ENGINE_RUNS = 5
ENGINE_TOKENS = 128


async def main() -> None:
    with tempfile.TemporaryDirectory(prefix="dolly-bench-") as place:
        newcomer = Newcomer(Path(place))
        first_word_seconds = await newcomer.first_word()
        again_seconds = await newcomer.start_again()
        orphans = await newcomer.kill_and_start()
    tokens_per_second = await engine_tokens_per_second_loaded()
    report("start.first_word", first_word_seconds, "seconds", goal=60, ok=first_word_seconds <= 60)
    report("start.again", again_seconds, "seconds", goal=5, ok=again_seconds <= 5)
    report("start.orphans", orphans, "processes", goal=0, ok=orphans == 0)
    report("engine.tok_s_loaded", tokens_per_second, "tokens/s", goal=15, ok=tokens_per_second >= 15)


def report(name: str, figure: float, unit: str, *, goal: float, ok: bool) -> None:
    print(f"figure: {name} {figure:.3g} {unit} goal {goal} {'ok' if ok else 'short'}", flush=True)


class Newcomer:
    """Someone with a fresh clone of what is committed, in an empty home, who runs `make run`."""

    def __init__(self, place: Path) -> None:
        self._checkout = place / "dolly"
        self._home = place / "home"
        self._home.mkdir()
        self._port = free_port()
        subprocess.run(["git", "clone", "-q", str(ROOT), str(self._checkout)], check=True)

    async def first_word(self) -> float:
        """Seconds from the first `make run` to the first word of an answer; then Ctrl-C."""
        began = time.monotonic()
        async with self._running() as url:
            await first_word_of_an_answer(url)
            return time.monotonic() - began

    async def start_again(self) -> float:
        """Seconds from `make run` in a checkout that has run before until Dolly can be asked; then Ctrl-C."""
        began = time.monotonic()
        async with self._running():
            return time.monotonic() - began

    async def kill_and_start(self) -> int:
        """Kills a run without warning; how many of its processes are there when the next one is up."""
        async with self._make_run() as (make, _url):
            first_run = [make.pid, *descendants(make.pid)]
            assert len(first_run) >= 4, "there should be make, Dolly, its store and its engine"
            os.killpg(make.pid, signal.SIGKILL)
        async with self._running():
            return sum(is_running(pid) for pid in first_run)

    @asynccontextmanager
    async def _running(self) -> AsyncIterator[str]:
        """`make run` until it is up, and Ctrl-C afterwards."""
        async with self._make_run() as (make, url):
            yield url
            os.killpg(make.pid, signal.SIGINT)
            async with asyncio.timeout(STOP_LIMIT_SECONDS):
                await make.wait()

    @asynccontextmanager
    async def _make_run(self) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
        """`make run` in a process group of its own, as in a terminal, from when its page's address is printed."""
        make = await asyncio.create_subprocess_exec(
            *("make", "run"),
            cwd=self._checkout,
            env=self._environment(),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            async with asyncio.timeout(START_LIMIT_SECONDS):
                url = await self._address_printed(make)
            printing = asyncio.create_task(copy_lines(make))
            yield make, url
            await make.wait()
            await printing
        finally:
            if make.returncode is None:
                os.killpg(make.pid, signal.SIGKILL)
                await make.wait()

    async def _address_printed(self, make: asyncio.subprocess.Process) -> str:
        """Copies what is printed, up to the line that holds the page's address."""
        assert make.stdout is not None
        address = f"http://127.0.0.1:{self._port}/"
        async for line in make.stdout:
            print_line(line)
            if address.encode() in line:
                await expect_page(address)
                return address
        raise SystemExit(f"`make run` ended with {await make.wait()} and printed no {address}")

    def _environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if KEPT_VARIABLES.fullmatch(name)}
        pip_configuration = Path.home() / ".config" / "pip" / "pip.conf"
        if pip_configuration.exists():
            kept.setdefault("PIP_CONFIG_FILE", str(pip_configuration))
        kept.setdefault("PIP_CACHE_DIR", str(Path.home() / ".cache" / "pip"))
        without_our_venv = [part for part in os.environ["PATH"].split(":") if part != f"{sys.prefix}/bin"]
        return kept | {
            "PATH": ":".join(without_our_venv),
            "HOME": str(self._home),
            "TERM": "dumb",
            "DOLLY_PORT": str(self._port),
        }


async def expect_page(url: str) -> None:
    async with aiohttp.ClientSession() as http, http.get(url) as response:
        assert response.status == 200, f"{url} answers {response.status}"


async def first_word_of_an_answer(url: str) -> None:
    """Asks in #general as a person does on the page; returns when the page shows the first word of the reply."""
    async with aiohttp.ClientSession(base_url=url) as http:
        async with http.get("/page/state", params={"user_id": ASKER}) as response:
            state = await response.json()
        channel = next(channel for channel in state["channels"] if channel["name"] == "general")
        async with http.ws_connect("/page/live", params={"user_id": ASKER}) as live:
            question = {"user_id": ASKER, "channel_id": channel["id"], "text": "@dolly What is a river?"}
            async with http.post("/page/post", json=question) as response:
                assert response.status == 200, await response.text()
                thread_ts = (await response.json())["ts"]
            async with asyncio.timeout(ANSWER_LIMIT_SECONDS):
                async for frame in live:
                    shown = frame.json()
                    if shown.get("user_id") == state["bot"] and shown.get("thread_ts") == thread_ts:
                        words = streamed_words(shown["html"])
                        if words:
                            print(f"The answer begins: {words}", flush=True)
                            return
    raise SystemExit("The page was closed before an answer began.")


def streamed_words(html: str) -> str:
    """The text of an answer that is being streamed; empty for a status or a plain post, such as an apology."""
    found = re.search(r'block-markdown"[^>]*><div class="text">(.*?)</div>', html, re.DOTALL)
    return re.sub(r"<[^>]*>", "", found[1]).strip() if found and "streaming" in html else ""


async def engine_tokens_per_second_loaded() -> float:
    """Tokens per second of one streamed answer, its short prompt included, beside two busy processes; the median."""
    with tempfile.TemporaryDirectory(prefix="dolly-bench-") as place, busy_processes(2):
        engine = LocalEngine(default_model_path(), Path(place))
        await engine.start()
        rates = [await tokens_per_second(engine.url) for _ in range(ENGINE_RUNS)]
        await engine.stop()
    print("Tokens per second in each run:", *(f"{rate:.1f}" for rate in rates), flush=True)
    return statistics.median(rates)


async def tokens_per_second(url: str) -> float:
    body = {
        "messages": [{"role": "user", "content": "Tell me about rivers."}],
        "max_tokens": ENGINE_TOKENS,
        "ignore_eos": True,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    tokens = 0
    began = time.monotonic()
    async with aiohttp.ClientSession() as http, http.post(f"{url}/v1/chat/completions", json=body) as response:
        async for line in response.content:
            if line.startswith(b"data: {"):
                tokens = (json.loads(line[6:]).get("usage") or {}).get("completion_tokens", tokens)
    assert tokens == ENGINE_TOKENS, f"the engine wrote {tokens} tokens"
    return tokens / (time.monotonic() - began)


@contextmanager
def busy_processes(count: int) -> Iterator[None]:
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    yield
    for process in busy:
        process.kill()
        process.wait()


def descendants(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [found for child in map(int, children) for found in (child, *descendants(child))]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def copy_lines(make: asyncio.subprocess.Process) -> None:
    assert make.stdout is not None
    async for line in make.stdout:
        print_line(line)


def print_line(line: bytes) -> None:
    print("  |", line.decode(errors="replace").rstrip(), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
