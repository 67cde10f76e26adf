"""The processes under test: how each is started, and what the kernel says that it has used (Linux)."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
START_LIMIT_SECONDS = 60.0
STOP_LIMIT_SECONDS = 40.0
KEPT_VARIABLES = ("PATH", "LANG", "SSL_CERT_FILE")


@dataclass(frozen=True)
class Child:
    """A process that is up."""

    pid: int
    said: str
    """The line by which it told that it is up."""

    def cpu_seconds(self) -> float:
        """User and system time so far, of all its threads."""
        return cpu_seconds(self.pid)

    def rss_bytes(self) -> int:
        return rss_bytes(self.pid)


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def rss_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@asynccontextmanager
async def running(
    module: str, *arguments: str, place: Path, ready: str = "ready", environment: Mapping[str, str] | None = None
) -> AsyncIterator[Child]:
    """`python -m module` in the folder `place`, from the line that has `ready` in it to the end of the body.

    Its further lines go to a log in `place`. Raises SystemExit with that log when it does not come up.
    """
    kept = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
    log = _log(place, module)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", module, *arguments),
        cwd=place,
        env={**kept, "PYTHONPATH": str(ROOT), **(environment or {})},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    reading: asyncio.Task[None] | None = None
    try:
        said = await _line_with(process, ready, log)
        reading = asyncio.create_task(_keep_reading(process, log))
        yield Child(process.pid, said)
    finally:
        if process.returncode is None:
            process.terminate()
            try:
                await asyncio.wait_for(process.wait(), STOP_LIMIT_SECONDS)
            except TimeoutError:
                process.kill()
                await process.wait()
        if reading is not None:
            await reading


def _log(place: Path, module: str) -> Path:
    place.mkdir(parents=True, exist_ok=True)
    return place / f"{module.rpartition('.')[2]}.log"


async def _line_with(process: asyncio.subprocess.Process, ready: str, log: Path) -> str:
    assert process.stdout is not None
    with log.open("wb") as kept:
        said = ""
        async with asyncio.timeout(START_LIMIT_SECONDS):
            async for line in process.stdout:
                kept.write(line)
                said += line.decode(errors="replace")
                if ready in said.splitlines()[-1]:
                    return said.splitlines()[-1].strip()
    raise SystemExit(f"A process of the benchmark did not come up; it said:\n{said}")


async def _keep_reading(process: asyncio.subprocess.Process, log: Path) -> None:
    assert process.stdout is not None
    with log.open("ab") as kept:
        async for line in process.stdout:
            kept.write(line)
