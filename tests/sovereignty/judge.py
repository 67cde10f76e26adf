"""Who is foreign: every peer that was not declared, by its exact address, before anything was started."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.sovereignty.trace import Attempt, Peer, Trace

DNS_PORTS = frozenset({53, 853, 5353, 5355})
RESOLVERS = ("nscd", "resolve", "mdns", "avahi")
"""Parts of the names of sockets at which somebody else would ask for one."""


@dataclass(frozen=True, slots=True)
class Declared:
    """Whom Dolly may reach: an address, and why."""

    reasons: dict[Peer, str]
    system: dict[Peer, str] = field(default_factory=dict)
    """Whom the C library asks by itself, and may just as well not ask."""

    def allows(self, peer: Peer) -> bool:
        return peer in self.reasons or peer in self.system


@dataclass(frozen=True, slots=True)
class Judged:
    """What a trace shows."""

    foreign: Sequence[Attempt]
    """But for questions of names."""
    dns: Sequence[Attempt]
    declared: Counter[Peer]
    kernel: int
    """Messages to the kernel itself (netlink): which addresses this machine has, for example."""
    processes: int
    programs: Sequence[str]
    unseen: Sequence[str]


def judge(trace: Trace, declared: Declared) -> Judged:
    """Sort all attempts."""
    others = [one for one in trace.attempts if one.peer.family != "kernel"]
    undeclared = [one for one in others if not declared.allows(one.peer)]
    return Judged(
        foreign=[one for one in undeclared if not is_dns(one.peer)],
        dns=[one for one in undeclared if is_dns(one.peer)],
        declared=Counter(one.peer for one in others if declared.allows(one.peer)),
        kernel=len(trace.attempts) - len(others),
        processes=len(trace.programs),
        programs=sorted(set(trace.programs.values())),
        unseen=trace.unseen,
    )


def is_dns(peer: Peer) -> bool:
    """Whether it is asked for names."""
    if peer.family == "unix":
        return any(part in peer.name for part in RESOLVERS)
    return peer.port in DNS_PORTS
