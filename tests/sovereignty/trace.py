"""What strace wrote, read: who asked the kernel to reach whom. Attempts count, whatever came of them."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Family = Literal["inet", "unix", "kernel", "other"]

STRACE = (
    *("strace", "--follow-forks", "--seccomp-bpf", "--quiet=all", "--string-limit=256"),
    "--trace=%network,execve,clone,clone3,fork,vfork,io_uring_setup",
)
"""Each process from its birth, whoever starts it. Forks and programs tell which it was; io_uring could send unseen."""

LINE = re.compile(r"^(?P<pid>\d+) +(?P<call>\w+)\((?P<rest>.*)$")
RESUMED = re.compile(r"^(?P<pid>\d+) +<\.\.\. (?P<call>\w+) resumed>(?P<rest>.*)$")
RETURNED = re.compile(r"\) += (?P<value>-?\d+)")
OUTWARD = frozenset({"connect", "sendto", "sendmsg", "sendmmsg"})
"""What names the other side. Everything else is about oneself, or goes where one of these has led."""
FORKS = frozenset({"clone", "clone3", "fork", "vfork"})
PROGRAM = re.compile(r'execve\("[^"]*", \[(?P<words>.*?)\](?:, |\.\.\.)')
WORD = re.compile(r'"((?:[^"\\]|\\.)*)"')
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
    """Of its lines, each with a process in front. A call that another interrupts names its peer where it begins."""
    trace = Trace()
    for line in lines:
        if found := LINE.match(line):
            _called(trace, int(found["pid"]), found["call"], found["rest"], line)
        elif (found := RESUMED.match(line)) and found["call"] in FORKS:
            _forked(trace, int(found["pid"]), found["rest"])
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
    elif call in OUTWARD:
        trace.attempts += [Attempt(pid, program, call, peer) for peer in peers(rest)]


def _forked(trace: Trace, parent: int, rest: str) -> None:
    if (found := RETURNED.search(rest)) and int(found["value"]) > 0:
        trace.programs.setdefault(int(found["value"]), trace.programs.get(parent, "?"))


def peers(arguments: str) -> list[Peer]:
    """Whom a call names. One on a socket that is connected names nobody: the connect before it did."""
    return [_peer(found["family"], found["rest"]) for found in ADDRESS.finditer(arguments)]


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
