"""One command kept alive as a child process: started, awaited, restarted when it dies, stopped."""

import asyncio
import os
import re
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path

import structlog

from bot.errors import LocalPartError

log = structlog.get_logger(__name__)

TIE_TO_PARENT = Path(__file__).with_name("tie_to_parent.py")
READY_POLL_SECONDS = 0.02
FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 5.0
SETTLED_SECONDS = 30.0
"""A child that lived this long has earned a quick restart again."""

LAST_WORDS_LINES = 3
LAST_WORDS_CHARACTERS = 400


class SupervisedChild:
    """A command that runs as a child process until it is stopped.

    It gets a session of its own, so that Ctrl-C in a terminal reaches Dolly alone, which then stops its
    children in order. On Linux it dies with Dolly even if Dolly is killed (see tie_to_parent.py).
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        log_path: Path,
        is_ready: Callable[[], Awaitable[bool]],
        ready_timeout_seconds: float = 30.0,
        stop_timeout_seconds: float = 5.0,
        pass_fds: Sequence[int] = (),
    ) -> None:
        """`name` as it is called in sentences ("store"). `command[0]` is a full path.

        `log_path` receives stdout and stderr. `is_ready` is asked again and again after each start.
        `pass_fds` are file descriptors that the command inherits.
        """
        self._name = name
        self._command = list(command)
        self._log_path = log_path
        self._is_ready = is_ready
        self._ready_timeout_seconds = ready_timeout_seconds
        self._stop_timeout_seconds = stop_timeout_seconds
        self._pass_fds = tuple(pass_fds)
        self._process: asyncio.subprocess.Process | None = None
        self._keeper: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """The process id of the running child."""
        if self._process is None or self._process.returncode is not None:
            return None
        return self._process.pid

    async def start(self) -> None:
        """Returns when the child is ready. Raises LocalPartError if it ends before, or is late."""
        self._keep_last_log()
        try:
            await self._launch()
        except BaseException:
            await self._end_process()
            raise
        self._keeper = asyncio.create_task(self._keep_alive(), name=f"keep the {self._name} alive")

    async def stop(self) -> None:
        """SIGTERM, and SIGKILL where that was not heeded in time. Harmless when nothing runs."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.wait([self._keeper])
            self._keeper = None
        await self._end_process()

    async def _launch(self) -> None:
        self._process = process = await self._spawn()
        try:
            async with asyncio.timeout(self._ready_timeout_seconds):
                while process.returncode is None:
                    if await self._is_ready():
                        return
                    await asyncio.sleep(READY_POLL_SECONDS)
        except TimeoutError:
            await self._end_process()
            raise LocalPartError(
                f"The {self._name} was not ready after {self._ready_timeout_seconds:g} s{self._last_words()}"
            ) from None
        raise LocalPartError(
            f"The {self._name} ended at once ({_how_it_ended(process.returncode)}){self._last_words()}"
        )

    async def _spawn(self) -> asyncio.subprocess.Process:
        shim = [sys.executable, "-I", "-S", str(TIE_TO_PARENT), str(os.getpid())]
        log_fd = None
        try:
            log_fd = os.open(self._log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            return await asyncio.create_subprocess_exec(
                *shim,
                *self._command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log_fd,
                stderr=log_fd,
                start_new_session=True,
                pass_fds=self._pass_fds,
            )
        except OSError as error:
            raise LocalPartError(f"The {self._name} cannot be started: {error}.") from error
        finally:
            if log_fd is not None:
                os.close(log_fd)

    async def _keep_alive(self) -> None:
        """Restarts for as long as it takes: what made the child die (a full disk, say) may pass."""
        loop = asyncio.get_running_loop()
        pause_seconds = FIRST_PAUSE_SECONDS
        while True:
            assert self._process is not None
            began = loop.time()
            exit_status = await self._process.wait()
            if loop.time() - began > SETTLED_SECONDS:
                pause_seconds = FIRST_PAUSE_SECONDS
            log.warning("child_died", child=self._name, how=_how_it_ended(exit_status), pause_seconds=pause_seconds)
            await asyncio.sleep(pause_seconds)
            pause_seconds = min(2 * pause_seconds, LONGEST_PAUSE_SECONDS)
            try:
                await self._launch()
            except LocalPartError as error:
                log.error("child_not_restarted", child=self._name, reason=str(error))
            else:
                log.info("child_restarted", child=self._name, pid=self.pid)

    async def _end_process(self) -> None:
        process = self._process
        if process is None or process.returncode is not None:
            return
        with suppress(ProcessLookupError):
            process.terminate()
        try:
            async with asyncio.timeout(self._stop_timeout_seconds):
                await process.wait()
        except TimeoutError:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    def _keep_last_log(self) -> None:
        with suppress(FileNotFoundError):
            self._log_path.replace(self._log_path.with_suffix(self._log_path.suffix + ".1"))

    def _last_words(self) -> str:
        """The end of the log, to finish a sentence with."""
        try:
            text = self._log_path.read_text(errors="replace")
        except OSError:
            return "."
        lines = [line.strip() for line in re.sub(r"\x1b\[[0-9;]*m", "", text).splitlines() if line.strip()]
        words = " / ".join(lines[-LAST_WORDS_LINES:])[-LAST_WORDS_CHARACTERS:]
        said = f": {words}" if words else ""
        return f"{said} (its log: {self._log_path})."


def _how_it_ended(exit_status: int | None) -> str:
    if exit_status is not None and exit_status < 0:
        return f"killed by {signal.Signals(-exit_status).name}"
    return f"exit status {exit_status}"
