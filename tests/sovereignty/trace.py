"""What strace wrote, read: who asked the kernel to reach whom. Attempts count, whatever came of them."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Family = Literal["inet", "unix", "kernel", "other"]

STRACE = (
    *("strace", "--follow-forks", "--seccomp-bpf", "--quiet=all", "--string-limit=256", "--abbrev=execve"),
    "--trace=%network,execve,clone,clone3,fork,vfork,io_uring_setup",
)
"""Each process from its birth, whoever starts it. Forks and programs tell which it was; io_uring could send unseen.
No list of messages is cut short."""

LINE = re.compile(r"^(?P<pid>\d+) +(?P<call>\w+)\((?P<rest>.*)$")
RESUMED = re.compile(r"^(?P<pid>\d+) +<\.\.\. (?P<call>\w+) resumed>(?P<rest>.*)$")
RETURNED = re.compile(r"\) += (?P<value>-?\d+)")
OUTWARD = frozenset({"connect", "sendto", "sendmsg", "sendmmsg"})
"""What names the other side. Everything else is about oneself, or goes where one of these has led."""
SOCKET = re.compile(r"(?P<family>AF_\w+), (?P<kind>SOCK_\w+)")
PLAIN = frozenset({"AF_INET", "AF_INET6", "AF_UNIX", "AF_NETLINK"})
"""Families of sockets that send to a peer that is named. Any other kind is an attempt by being opened."""
FORKS = frozenset({"clone", "clone3", "fork", "vfork"})
PROGRAM = re.compile(r'execve\("[^"]*", \[(?P<words>.*?)\](?:, |\.\.\.)')
WORD = re.compile(r'"((?:[^"\\]|\\.)*)"')
STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
NAMES = ("inet_addr(", "inet_pton(AF_INET6, ", "sun_path=", "sun_path=@")
"""What stands before a string that is part of an address; any other is what was sent, whatever it says."""
ADDRESS = re.compile(r"sa_family=(?P<family>AF_\w+)(?P<rest>[^}]*)")
PORT = re.compile(r"sin6?_port=htons\((\d+)\)")
HOST = re.compile(r'(?:sin_addr=inet_addr\(|inet_pton\(AF_INET6, )"([^"]+)"')
PATH = re.compile(r'sun_path=(@?"(?:[^"\\]|\\.)*")')


@dataclass(frozen=True, slots=True)
class Peer:
    """Somebody whom a process wanted to reach."""

    family: Family
    name: str
    """host:port, a socket's path (with @ in front: an abstract one), or the family's name."""

    @property
    def port(self) -> int | None:
        return int(self.name.rpartition(":")[2]) if self.family == "inet" else None


@dataclass(frozen=True, slots=True)
class Attempt:
    """One process, one call, one peer."""

    pid: int
    program: str
    call: str
    peer: Peer


@dataclass(slots=True)
class Trace:
    """All that was seen of one command and of what it has started."""

    attempts: list[Attempt] = field(default_factory=list)
    programs: dict[int, str] = field(default_factory=dict)
    """By process or thread."""
    unseen: list[str] = field(default_factory=list)
    """Programs that opened a way to send which the tracer does not see."""


def read_trace(path: Path) -> Trace:
    """Of a file that strace wrote."""
    with path.open(encoding="utf-8", errors="replace") as file:
        return read_lines(file)


def read_lines(lines: Iterable[str]) -> Trace:
    """Of its lines, each with a process in front. Of a call that another interrupts, both halves are read."""
    trace = Trace()
    for line in lines:
        if found := LINE.match(line):
            _called(trace, int(found["pid"]), found["call"], found["rest"], line)
        elif found := RESUMED.match(line):
            if found["call"] in FORKS:
                _forked(trace, int(found["pid"]), found["rest"])
            elif found["call"] in OUTWARD:
                _called(trace, int(found["pid"]), found["call"], found["rest"], line)
    return trace


def _called(trace: Trace, pid: int, call: str, rest: str, line: str) -> None:
    program = trace.programs.setdefault(pid, "?")
    if call == "execve":
        if words := PROGRAM.search(line):
            trace.programs[pid] = _short(WORD.findall(words["words"]))
    elif call in FORKS:
        _forked(trace, pid, rest)
    elif call == "io_uring_setup":
        trace.unseen.append(program)
    elif call == "socket":
        found = SOCKET.match(rest)
        if found is None or found["family"] not in PLAIN or _is_raw(found):
            name = f"{found['family']} {found['kind']}" if found else rest[:40]
            trace.attempts.append(Attempt(pid, program, call, Peer("other", name)))
    elif call in OUTWARD:
        trace.attempts += [Attempt(pid, program, call, peer) for peer in peers(rest)]


def _is_raw(socket: re.Match[str]) -> bool:
    """Its user writes the addresses; that of netlink is called raw, and reaches the kernel alone."""
    return socket["kind"] == "SOCK_RAW" and socket["family"] != "AF_NETLINK"


def _forked(trace: Trace, parent: int, rest: str) -> None:
    if (found := RETURNED.search(rest)) and int(found["value"]) > 0:
        child = int(found["value"])
        if trace.programs.get(child, "?") == "?":  # it may have called something before its parent was told of it
            trace.programs[child] = trace.programs.get(parent, "?")


def peers(arguments: str) -> list[Peer]:
    """Whom a call names. One on a socket that is connected names nobody: the connect before it did."""
    return [_peer(found["family"], found["rest"]) for found in ADDRESS.finditer(_unquoted(arguments))]


def _unquoted(arguments: str) -> str:
    """Without what is sent: a text may look like an address."""
    return STRING.sub(lambda one: one[0] if arguments.endswith(NAMES, 0, one.start()) else '""', arguments)


def _peer(family: str, rest: str) -> Peer:
    if family in ("AF_INET", "AF_INET6"):
        host, port = HOST.search(rest), PORT.search(rest)
        assert host is not None, rest
        assert port is not None, rest
        name = f"[{host[1]}]" if family == "AF_INET6" else host[1]
        return Peer("inet", f"{name}:{port[1]}")
    if family == "AF_UNIX":
        path = PATH.search(rest)
        return Peer("unix", path[1].replace('"', "") if path else "(unnamed)")
    if family == "AF_NETLINK":
        return Peer("kernel", "AF_NETLINK")
    return Peer("other", family)


def _short(words: Sequence[str]) -> str:
    """A program by its name and first arguments, without the folders they lie in."""
    return " ".join(Path(word).name if "/" in word else word for word in words[:4])
