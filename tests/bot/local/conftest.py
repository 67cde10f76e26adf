"""A parent process to kill, and what is left of its children then."""

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.processes import is_running

PARENT = Path(__file__).with_name("parent.py")


@dataclass(frozen=True)
class Parent:
    process: subprocess.Popen[str]
    child_pids: list[int]
    store_url: str

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture
def running() -> Callable[[int], bool]:
    return is_running


@pytest.fixture
def until() -> Callable[[Callable[[], bool]], "asyncio.Future[None]"]:
    """`await until(condition)`: returns once the condition holds, fails after ten seconds."""

    async def wait(condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not condition():
                await asyncio.sleep(0.02)

    return lambda condition: asyncio.ensure_future(wait(condition))


@pytest.fixture
def start_parent() -> Iterator[Callable[..., Parent]]:
    """`start_parent(directory, *flags)` runs parent.py until it is up."""
    started: list[Parent] = []

    def start(directory: Path, *flags: str) -> Parent:
        process = subprocess.Popen(
            [sys.executable, str(PARENT), str(directory), *flags],
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
            # Who runs the tests in the background has Ctrl-C ignored, and every child inherits that.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        assert process.stdout is not None
        up = json.loads(process.stdout.readline())
        started.append(Parent(process, up["pids"], up["url"]))
        return started[-1]

    yield start
    for parent in started:
        parent.kill()
        assert parent.process.stdout is not None
        parent.process.stdout.close()
        for pid in filter(is_running, parent.child_pids):
            subprocess.run(["kill", f"-{signal.SIGKILL.value}", str(pid)], check=False)
