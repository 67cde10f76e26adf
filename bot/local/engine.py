"""The one-machine engine: llama.cpp's server on a GGUF file, kept alive beside Dolly on one address."""

import os
import re
import socket
import sys
from pathlib import Path

import aiohttp

from bot.errors import LocalPartError
from bot.local.model import check_model_file
from bot.local.supervisor import SupervisedChild

START_TIMEOUT_SECONDS = 300.0
"""Reading a model of many gigabytes from a slow disk."""

HEALTH_TIMEOUT = aiohttp.ClientTimeout(total=2.0)
REQUESTS = re.compile(r"^llamacpp:requests_(?:processing|deferred) (\d+)", re.MULTILINE)
"""Of its metrics: what it is answering, and what waits for a place."""


class LocalEngine:
    """A server of the chat-completions protocol on 127.0.0.1; its `url` stays true when it is restarted."""

    def __init__(
        self,
        model_path: Path,
        log_directory: Path,
        *,
        slots: int = 4,
        context_tokens_per_slot: int = 2048,
        threads: int | None = None,
        port: int = 0,
        log_name: str = "engine.log",
    ) -> None:
        """`slots` answers are written at the same time, each with a window of `context_tokens_per_slot`
        tokens, or of the model's own where that is smaller. `threads` is all cores but one unless given:
        with a thread on every core, other busy processes slow an answer to a twentieth. `port` 0 takes any
        free one. Engines that run at the same time have a log each.
        """
        self._model_path = model_path.absolute()
        self._log_directory = log_directory
        self._log_name = log_name
        self._slots = slots
        self._context_tokens_per_slot = context_tokens_per_slot
        self._threads = threads or max(1, _usable_cores() - 1)
        self._port = port
        self._held_port: socket.socket | None = None
        self._child: SupervisedChild | None = None

    @property
    def url(self) -> str:
        """The server's root, without a slash at the end; known from `start` on."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def pid(self) -> int | None:
        """The server's process id while it runs."""
        return self._child.pid if self._child else None

    async def start(self) -> None:
        """Returns when the model answers. Raises LocalPartError with what to do where that cannot be."""
        check_model_file(self._model_path)
        self._log_directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._hold_port()
        self._child = SupervisedChild(
            "engine",
            self._command(),
            log_path=self._log_directory / self._log_name,
            is_ready=self._is_healthy,
            ready_timeout_seconds=START_TIMEOUT_SECONDS,
        )
        try:
            await self._child.start()
        except BaseException:
            self._let_port_go()
            raise

    async def stop(self) -> None:
        """Ends the server, answers that are being written included. Harmless when nothing runs."""
        if self._child is not None:
            await self._child.stop()
            self._child = None
        self._let_port_go()

    async def requests(self) -> int:
        """How many it is answering, or has waiting; 1 where it is too busy to tell, 0 where it does not run."""
        try:
            async with (
                aiohttp.ClientSession(timeout=HEALTH_TIMEOUT) as session,
                session.get(f"{self.url}/metrics") as response,
            ):
                return sum(int(count) for count in REQUESTS.findall(await response.text()))
        except TimeoutError:
            return 1
        except aiohttp.ClientError:
            return 0

    def _command(self) -> list[str]:
        return [
            *(sys.executable, "-m", "bot.local.llama_server", str(self._model_path)),
            *("--port", str(self._port)),
            *("--slots", str(self._slots)),
            *("--context-tokens-per-slot", str(self._context_tokens_per_slot)),
            *("--threads", str(self._threads)),
            *("--parent-pid", str(os.getpid())),
        ]

    async def _is_healthy(self) -> bool:
        try:
            async with (
                aiohttp.ClientSession(timeout=HEALTH_TIMEOUT) as session,
                session.get(f"{self.url}/health") as response,
            ):
                return response.status == 200
        except (aiohttp.ClientError, TimeoutError):
            return False

    def _hold_port(self) -> None:
        """Binds the port without listening, so that it stays ours even while the server restarts."""
        held = socket.socket()
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        try:
            held.bind(("127.0.0.1", self._port))
        except OSError as error:
            held.close()
            raise LocalPartError(
                f"The engine cannot have port {self._port} on 127.0.0.1 ({error.strerror}). "
                "End the program that uses it, or name another port."
            ) from None
        self._port = held.getsockname()[1]
        self._held_port = held

    def _let_port_go(self) -> None:
        if self._held_port is not None:
            self._held_port.close()
            self._held_port = None


def _usable_cores() -> int:
    """The cores that this process may use: containers and cpusets give fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
