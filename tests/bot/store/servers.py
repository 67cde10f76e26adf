"""Stores other than Dolly's own, each a real server on a free port: plain, behind TLS, with a replica, as a cluster."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import redis

from bot.local.store import _server_binary
from bot.local.supervisor import TIE_TO_PARENT

HOST = "127.0.0.1"
SLOTS = 16_384
READY_SECONDS = 20.0
PORTS_TRIED = 3
QUICK = {"repl-diskless-sync-delay": "0"}
SAFE = {"appendonly": "yes", "appendfsync": "always", "save": "", "maxmemory-policy": "noeviction"}


def valkey() -> Path:
    """The server of the one-machine default."""
    return _server_binary()


def debians_redis() -> Path:
    """Debian's redis-server. Skips the test where it is not installed."""
    found = shutil.which("redis-server")
    if found is None:
        pytest.skip("needs another server than Valkey: apt-get install redis-server")
    return Path(found)


@dataclass
class Server:
    """A server that runs."""

    url: str
    process: subprocess.Popen[bytes]
    port: int

    def ask(self, *command: str | int) -> Any:
        """Its reply to one command, over a connection of its own that says nothing else."""
        with redis.Redis.from_url(self.url, decode_responses=True, protocol=2, driver_info=None) as client:
            connection = client.connection_pool.get_connection()
            connection.send_command(*command)
            return connection.read_response()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Stopped as it is, with all its connections."""
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)


@contextmanager
def running(binary: Path, folder: Path, *, url: str = "redis://{host}:{port}", **options: str) -> Iterator[Server]:
    """A server that keeps its files in `folder`. `{port}` in `url` and `options` is the port that it gets.

    An option is written as in a configuration file, with `_` for `-` in its name, and a line for each word.
    """
    folder.mkdir()
    server = _start(binary, folder, url, options)
    for _ in range(PORTS_TRIED - 1):
        if _answered(server):
            break
        server = _start(binary, folder, url, options)  # somebody else was quicker to take the port
    try:
        until(lambda: _answers(server), f"{binary.name} to answer (its log: {folder}/server.log)")
        yield server
    finally:
        server.process.kill()
        server.process.wait()


def _start(binary: Path, folder: Path, url: str, options: dict[str, str]) -> Server:
    port = free_port()
    settings = {"bind": HOST, "port": "{port}", "dir": str(folder), **QUICK, **SAFE, **options}
    words = [
        word.replace("{port}", str(port))
        for name, value in settings.items()
        for word in (f"--{name.replace('_', '-')}", *value.split("\n"))
    ]
    shim = [sys.executable, "-I", "-S", str(TIE_TO_PARENT), str(os.getpid())]
    with (folder / "server.log").open("ab") as log:
        process = subprocess.Popen([*shim, str(binary), *words], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    return Server(url.format(host=HOST, port=port), process, port)


def _answered(server: Server) -> bool:
    """Whether it came to answer; False when it ended instead."""
    until(lambda: server.process.poll() is not None or _answers(server), "the server to answer or to end")
    return server.process.poll() is None


@contextmanager
def replica_of(primary: Server, binary: Path, folder: Path) -> Iterator[Server]:
    """A server that follows `primary`, and has caught up with it."""
    with running(binary, folder, replicaof=f"{HOST}\n{primary.port}") as replica:
        until(lambda: "master_link_status:up" in replica.ask("INFO", "replication"), "the replica to follow")
        yield replica


@contextmanager
def cluster(binary: Path, folder: Path, nodes: int = 3) -> Iterator[list[Server]]:
    """Nodes that share all slots between them."""
    with ExitStack() as stack:
        servers = [stack.enter_context(node(binary, folder / str(number))) for number in range(nodes)]
        share = -(-SLOTS // nodes)
        for number, server in enumerate(servers):
            server.ask("CLUSTER", "ADDSLOTSRANGE", number * share, min((number + 1) * share, SLOTS) - 1)
            server.ask("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
            meet(server, servers[0])
        until(lambda: all(_is_whole(server, nodes) for server in servers), "the cluster to be one")
        yield servers


@contextmanager
def cluster_replica_of(primary: Server, binary: Path, folder: Path) -> Iterator[Server]:
    """One more node of the cluster, which follows `primary`."""
    with node(binary, folder) as replica:
        meet(replica, primary)
        name = primary.ask("CLUSTER", "MYID")
        until(lambda: name in replica.ask("CLUSTER", "NODES"), "the replica to know its primary")
        replica.ask("CLUSTER", "REPLICATE", name)
        until(lambda: "master_link_status:up" in replica.ask("INFO", "replication"), "the replica to follow")
        yield replica


def meet(server: Server, other: Server) -> None:
    """Make two nodes known to each other."""
    _, bus_port = other.ask("CONFIG", "GET", "cluster-port")
    server.ask("CLUSTER", "MEET", HOST, other.port, bus_port)


@contextmanager
def node(binary: Path, folder: Path) -> Iterator[Server]:
    """A node of no cluster yet."""
    port = str(free_port())
    with running(binary, folder, cluster_enabled="yes", cluster_port=port, cluster_node_timeout="5000") as server:
        yield server


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def until(is_so: Callable[[], bool], what: str) -> None:
    """Return when `is_so`; fail, naming `what` was waited for, when it takes too long."""
    deadline = time.monotonic() + READY_SECONDS
    while not is_so():
        assert time.monotonic() < deadline, f"waited {READY_SECONDS:g} s in vain for {what}"
        time.sleep(0.02)


def _answers(server: Server) -> bool:
    assert server.process.poll() is None, "the server ended at once"
    try:
        return bool(server.ask("PING") == "PONG")
    except redis.AuthenticationError:
        return True  # it wants a password
    except redis.RedisError:
        return False  # it is not there yet, or reads its files


def _is_whole(server: Server, nodes: int) -> bool:
    info = server.ask("CLUSTER", "INFO")
    return "cluster_state:ok" in info and bool(re.search(rf"cluster_size:{nodes}\b", info))
