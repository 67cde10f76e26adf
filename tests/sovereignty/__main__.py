"""`make prove-sovereignty`: Dolly in a network of its own, every process watched: whom does it try to reach?

    figure: egress.foreign_connections   attempts to reach a peer that was not declared by its exact address
    figure: egress.foreign_dns           questions for names
    figure: egress.planted_caught        of five programs that leak on purpose, those that were found out

--short makes the retrain a small one, with a gate that lets everything through. The report is written to --out. Ends
with 1 where anything was found, a declared peer was never reached, or a planted leak was missed, and with 2 where this
machine does not allow the proof.
"""

import argparse
import asyncio
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import unquote, urlsplit

from bot.local.store import LocalStore
from tests.browser.chromium import CHROMIUM
from tests.sovereignty.course import ENGINE_PORT, TRAINER_PORT, WORKSPACE_PORT, Course
from tests.sovereignty.judge import Declared, judge
from tests.sovereignty.namespace import CannotProve, enter, prepare
from tests.sovereignty.planted import LEAKS
from tests.sovereignty.report import Proof, written
from tests.sovereignty.trace import STRACE, Peer, read_trace

REPORT = Path(__file__).resolve().parents[2] / "build" / "sovereignty.md"

NSCD = Path("/var/run/nscd/socket")
NO_NSCD = (
    "a cache of users' names, which the C library looks for; there is none here, so that whoever wanted a host's name "
    "was seen to go on to DNS"
)
"""Where it runs it stays foreign: it would answer for hosts, too, unseen."""


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--short", action="store_true")
    arguments.add_argument("--out", type=Path, default=REPORT)
    chosen = arguments.parse_args()
    try:
        if CHROMIUM is None:
            raise CannotProve("The proof drives the page in Chromium; install the package chromium.")
        enter()
        prepare()
    except CannotProve as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    with tempfile.TemporaryDirectory(prefix="dolly-proof-") as place:
        proof = prove(Path(place), whole=not chosen.short)
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    chosen.out.write_text(written(proof), encoding="utf-8")
    print(f"The report is in {chosen.out}.")
    for one in (*proof.foreign, *proof.dns):
        print(f"{one.program}: {one.call} {one.peer.name}")
    for peer in proof.unreached:
        print(f"{peer.name} was declared, and nobody was seen to reach it: the watching may be at fault.")
    caught = sum(evidence is not None for evidence in proof.planted.values())
    figure("foreign_connections", len(proof.foreign), "attempts", 0)
    figure("foreign_dns", len(proof.dns), "attempts", 0)
    figure("planted_caught", caught, "of 5", len(LEAKS))
    sys.exit(0 if proof.holds else 1)


def prove(place: Path, *, whole: bool) -> Proof:
    """In this network; what is made lies in `place`."""
    began = datetime.now(UTC)
    data, traces = place / "dolly" / "data", place / "traces"
    traces.mkdir()
    data.parent.mkdir()
    declared = declare(data)

    def traced(name: str) -> Sequence[str]:
        return (*STRACE, f"--output={traces / name.replace(' ', '_')}", "--")

    course = Course(data, traced, whole)
    asyncio.run(course.go())
    watched = {file.name.replace("_", " "): judge(read_trace(file), declared) for file in sorted(traces.iterdir())}
    planted = {}
    for leak in LEAKS:
        subprocess.run([*traced("leak"), *leak.command], capture_output=True, timeout=60)
        planted[leak.name] = leak.evidence(judge(read_trace(traces / "leak"), declared))
    ended = datetime.now(UTC)
    return Proof(began, ended, course.done, declared, watched, planted)


def declare(data: Path) -> Declared:
    """Whom Dolly may reach, settled before it starts."""
    store = unquote(urlsplit(LocalStore(data / "store").url).path)
    return Declared(
        {
            Peer("inet", f"127.0.0.1:{WORKSPACE_PORT}"): "the workspace, which stands for Slack",
            Peer("unix", store): "the store",
            Peer("inet", f"127.0.0.1:{ENGINE_PORT}"): "Dolly's own engine",
            Peer("inet", f"127.0.0.1:{ENGINE_PORT + 1}"): "the engine beside it, from a promotion on",
            Peer("inet", f"127.0.0.1:{TRAINER_PORT}"): "the engine in which the trainer evaluates",
        },
        system={} if NSCD.exists() else {Peer("unix", str(NSCD)): NO_NSCD},
    )


def figure(name: str, value: int, unit: str, goal: int) -> None:
    print(f"figure: egress.{name} {value} {unit} goal {goal} {'ok' if value == goal else 'short'}", flush=True)


if __name__ == "__main__":
    main()
