"""The report: what was watched, whom it reached, and whether the watching can be trusted."""

import platform
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version

from tests.sovereignty.judge import Declared, Judged
from tests.sovereignty.namespace import KEPT
from tests.sovereignty.trace import STRACE, Attempt, Peer


@dataclass(frozen=True, slots=True)
class Proof:
    """All that one run has shown."""

    began: datetime
    ended: datetime
    done: Sequence[str]
    declared: Declared
    watched: dict[str, Judged]
    """By the command that was started."""
    planted: dict[str, Attempt | None]
    """Each leak, and the attempt by which it was caught."""

    @property
    def foreign(self) -> list[Attempt]:
        return [one for judged in self.watched.values() for one in judged.foreign]

    @property
    def dns(self) -> list[Attempt]:
        return [one for judged in self.watched.values() for one in judged.dns]

    @property
    def unseen(self) -> list[str]:
        return [program for judged in self.watched.values() for program in judged.unseen]

    @property
    def unreached(self) -> list[Peer]:
        """Declared, and seen by none of the watching: whoever sees nothing finds nothing."""
        return [peer for peer in self.declared.reasons if not self.count(peer)]

    @property
    def holds(self) -> bool:
        found = self.foreign or self.dns or self.unseen or self.unreached
        return not found and all(self.planted.values())

    def count(self, peer: Peer) -> int:
        """Attempts to reach it."""
        return sum(one.declared[peer] for one in self.watched.values())


def written(proof: Proof) -> str:
    """In Markdown."""
    caught = sum(evidence is not None for evidence in proof.planted.values())
    verdict = "Dolly reached nobody but whom it was meant to" if proof.holds else "**The proof failed, as told below**"
    minutes = (proof.ended - proof.began).total_seconds() / 60
    return "\n".join(
        [
            "# Where Dolly's words go",
            "",
            f"{proof.began:%d %B %Y, %H:%M} UTC, {minutes:.1f} minutes. {verdict}.",
            "",
            f"- Attempts to reach anybody who was not declared: {len(proof.foreign)}",
            f"- Questions for names (DNS): {len(proof.dns)}",
            f"- Leaks planted to test the watching, and caught: {caught} of {len(proof.planted)}",
            "",
            *_conditions(),
            *_section("What was done meanwhile", [f"{number}. {each}" for number, each in enumerate(proof.done, 1)]),
            *_section("What was watched", _watched(proof)),
            *_section("Whom it reached", _reached(proof)),
            *_section("Who was not declared", _undeclared(proof)),
            *_section("Leaks that were planted, to test the watching", _planted(proof)),
            *_section("What this does not show", LIMITS),
            *_section("How to repeat it", REPEAT),
        ]
    )


LIMITS = (
    "- It shows what was done in this run. What Slack's servers do with what they are sent is Slack's.",
    "- The workspace stands for Slack: in a company, the one peer more is Slack's own address, over TLS.",
    "- The engine is llama.cpp, Dolly's own. TGI and vLLM were not run here: their networks are closed by "
    "`deploy/compose` and by the chart's NetworkPolicies.",
    "- The kernel, the hardware and the people who have root on the machine are trusted.",
    "- `dolly check --production` tries on purpose whether the internet can be reached, and is no part of this run.",
)

REPEAT = (
    "    make prove-sovereignty",
    "",
    "in a checkout of Dolly, on Linux with strace, iproute2 and Chromium, as root or with user namespaces. Each "
    "command of the first table ran under",
    "",
    f"    {' '.join(STRACE)}",
)


def _conditions() -> list[str]:
    strace = subprocess.run(["strace", "--version"], capture_output=True, text=True).stdout.splitlines()[0]
    system = f"{platform.system()} {platform.release()}"
    return [
        f"Dolly {version('dolly')}, Python {platform.python_version()}, {system}, {strace}.",
        "",
        "Everything ran in a network of its own, with the loopback device alone and no route to anywhere. Each "
        "process was watched from its birth, threads and grandchildren too, for every call by which a program names "
        "somebody to reach. An attempt counts, whether it succeeds or not. Whoever was not declared before the start, "
        f"by the exact address, is foreign. Of the environment only {', '.join(KEPT)} and Dolly's own settings were "
        "handed on: no variable told a library to stay offline or not to report its use.",
        "",
    ]


def _section(title: str, lines: Sequence[str]) -> list[str]:
    return [f"## {title}", "", *lines, ""]


def _watched(proof: Proof) -> list[str]:
    rows = []
    for name, one in proof.watched.items():
        counts = (one.processes, sum(one.declared.values()), one.kernel, len(one.foreign) + len(one.dns))
        rows.append(f"| `{name}` | {' | '.join(f'{count:,}' for count in counts)} |")
    head = "| command | processes and threads | attempts to declared peers | questions to the kernel | others |"
    programs = sorted({program for one in proof.watched.values() for program in one.programs})
    listed = [f"- `{program}`" for program in programs]
    return [head, "|---|---|---|---|---|", *rows, "", "Programs among them:", "", *listed]


def _reached(proof: Proof) -> list[str]:
    reasons = proof.declared.reasons | proof.declared.system
    rows = [f"| `{peer.name}` | {reason} | {proof.count(peer):,} |" for peer, reason in reasons.items()]
    doubt = ["", "**One that nobody was seen to reach puts the watching itself in doubt.**"] if proof.unreached else []
    return ["All that were declared:", "", "| peer | declared as | attempts |", "|---|---|---|", *rows, *doubt]


def _undeclared(proof: Proof) -> list[str]:
    others = [*proof.foreign, *proof.dns]
    rows = [f"| `{one.program}` | {one.call} | `{one.peer.name}` |" for one in others]
    table = ["| program | call | peer |", "|---|---|---|", *rows] if rows else ["Nobody."]
    hidden = [f"- `{program}` opened an io_uring, by which it could send unseen." for program in proof.unseen]
    return [*table, *hidden]


def _planted(proof: Proof) -> list[str]:
    rows = []
    for name, one in proof.planted.items():
        rows.append(f"| {name} | {f'caught: {one.call} `{one.peer.name}`' if one else '**missed**'} |")
    return ["| leak | |", "|---|---|", *rows]
