"""The report: what was watched, whom it reached, and whether the watching can be trusted."""

import platform
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version

from tests.sovereignty.judge import Declared, Judged
from tests.sovereignty.namespace import PORTS
from tests.sovereignty.trace import Attempt


@dataclass(frozen=True, slots=True)
class Proof:
    """All that one run has shown."""

    began: datetime
    done: Sequence[str]
    declared: Declared
    watched: dict[str, Judged]
    """By the command that was started."""
    planted: dict[str, bool]
    """Each leak, and whether it was caught."""

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
    def holds(self) -> bool:
        return not (self.foreign or self.dns or self.unseen) and all(self.planted.values())


def written(proof: Proof) -> str:
    """In Markdown."""
    verdict = (
        "Nothing was found that Dolly sends to anybody else." if proof.holds else "**The proof failed: see below.**"
    )
    return "\n".join(
        [
            "# Where Dolly's words go",
            "",
            f"{proof.began:%d %B %Y, %H:%M} UTC. {verdict}",
            "",
            *_conditions(),
            *_section("What was done meanwhile", [f"{number}. {each}" for number, each in enumerate(proof.done, 1)]),
            *_section("What was watched", _watched(proof)),
            *_section("Whom it reached", _reached(proof)),
            *_section("Who was not declared", _undeclared(proof)),
            *_section("Leaks that were planted, to test the watching", _planted(proof)),
            *_section("What this does not show", LIMITS),
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


def _conditions() -> list[str]:
    strace = subprocess.run(["strace", "--version"], capture_output=True, text=True).stdout.splitlines()[0]
    system = f"{platform.system()} {platform.release()}"
    return [
        f"Dolly {version('dolly')}, Python {platform.python_version()}, {system}, {strace}.",
        "",
        "Everything ran in a network of its own, with the loopback device alone and no route to anywhere. Each "
        "process was watched from its birth, threads and grandchildren too, for every call by which a program names "
        "somebody to reach. An attempt counts, whether it succeeds or not. Whoever was not declared before the start, "
        "by the exact address, is foreign.",
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
    counts = {peer: sum(one.declared[peer] for one in proof.watched.values()) for peer in proof.declared.reasons}
    rows = [
        f"| `{peer.name}` | {proof.declared.reasons[peer]} | {count:,} |" for peer, count in counts.items() if count
    ]
    unused = sum(not count for count in counts.values())
    return [
        "| peer | declared as | attempts |",
        "|---|---|---|",
        *rows,
        "",
        f"{unused} declared addresses were not used: the {len(PORTS)} ports that the kernel hands out in this "
        "network were declared, and engines took a few of them.",
    ]


def _undeclared(proof: Proof) -> list[str]:
    others = [*proof.foreign, *proof.dns]
    rows = [f"| `{one.program}` | {one.call} | `{one.peer.name}` |" for one in others]
    table = ["| program | call | peer |", "|---|---|---|", *rows] if rows else ["Nobody."]
    hidden = [f"- `{program}` opened an io_uring, by which it could send unseen." for program in proof.unseen]
    return [*table, *hidden]


def _planted(proof: Proof) -> list[str]:
    rows = [f"| {name} | {'caught' if caught else '**missed**'} |" for name, caught in proof.planted.items()]
    return ["| leak | |", "|---|---|", *rows]
