"""`make prove-sovereignty`: Dolly in a network of its own, every process watched: whom does it try to reach?

    figure: egress.foreign_connections   attempts to reach a peer that was not declared by its exact address
    figure: egress.foreign_dns           questions for names
    figure: egress.planted_caught        of five programs that leak on purpose, those that were found out

--short leaves out the retrain and the promotion. The report is written to --out. Ends with 1 where anything was
found or a planted leak was missed, and with 2 where this machine does not allow the proof.
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
from tests.chaos.subject import free_port
from tests.sovereignty.course import Course
from tests.sovereignty.judge import Declared, judge
from tests.sovereignty.namespace import PORTS, CannotProve, enter, prepare
from tests.sovereignty.planted import LEAKS
from tests.sovereignty.report import Proof, written
from tests.sovereignty.trace import STRACE, Peer, read_trace

REPORT = Path(__file__).resolve().parents[2] / "build" / "sovereignty.md"


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
    caught = sum(proof.planted.values())
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
    port = free_port()
    declared = declare(data, port)

    def traced(name: str) -> Sequence[str]:
        return (*STRACE, f"--output={traces / name.replace(' ', '_')}", "--")

    course = Course(data, port, traced, whole)
    asyncio.run(course.go())
    watched = {file.name.replace("_", " "): judge(read_trace(file), declared) for file in sorted(traces.iterdir())}
    planted = {}
    for leak in LEAKS:
        subprocess.run([*traced("leak"), *leak.command], capture_output=True, timeout=60)
        planted[leak.name] = leak.caught(judge(read_trace(traces / "leak"), declared))
    return Proof(began, course.done, declared, watched, planted)


def declare(data: Path, port: int) -> Declared:
    """Whom Dolly may reach, settled before it starts: the workspace, its store, its engines."""
    store = unquote(urlsplit(LocalStore(data / "store").url).path)
    engines = {Peer("inet", f"127.0.0.1:{each}"): "an engine of Dolly's own" for each in PORTS}
    return Declared(
        engines
        | {
            Peer("inet", f"127.0.0.1:{port}"): "the workspace, which stands for Slack",
            Peer("unix", store): "the store",
        }
    )


def figure(name: str, value: int, unit: str, goal: int) -> None:
    print(f"figure: egress.{name} {value} {unit} goal {goal} {'ok' if value == goal else 'short'}", flush=True)


if __name__ == "__main__":
    main()
