"""Gives Dolly what nobody would think of, and looks at what people see then: `make fuzz`.

    N=3000 SEED=1 python -m tests.fuzz

The corpus first, then N items (100,000 unless told) that Hypothesis makes: events, commands and interactions with
faults in them, bodies that Slack never sent, and what a model may write. The last lines are the figures.
"""

import asyncio
import atexit
import contextlib
import logging
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import FlakyStrategyDefinition

from tests.conftest import Background
from tests.fuzz.generated import Item, items
from tests.fuzz.run import Run
from tests.fuzz.tour import samples_of

T = TypeVar("T")

BATCH = 20
CHUNK = 2_000
"""So many items come of one seed: after that, Hypothesis mostly repeats what it has made."""
GROWTH_MB = 8.0
"""For each 10,000 items after the first fifth, at the most."""
ACK_SECONDS = 3.0
"""Slack waits no longer."""
MANY = 10_000
"""A goal for the slowest is none for a short run beside others on the same machine."""
MORE_AT_REST = 40
"""So many more tasks or open files than after the first fifth would tell of something that is never closed."""


def main() -> int:
    count, chosen = int(os.environ.get("N") or 100_000), int(os.environ.get("SEED") or random.randrange(10_000))
    memory = Path("/dev/shm")  # what is tried here is no disk
    folder = Path(tempfile.mkdtemp(prefix="dolly-fuzz-", dir=memory if memory.is_dir() else None))
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)
    print(f"Fuzz: {count} items, SEED={chosen}, in {folder}", flush=True)
    background, begun = Background(), time.monotonic()

    def do(work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, background.loop).result()

    run = Run(folder)
    atexit.register(lambda: run.dolly.signal(signal.SIGKILL))
    do(run.start())
    do(run.tour())
    samples = samples_of(run.workspace)
    cases = do(run.cases())
    print(f"{len(samples)} kinds of payloads; {len(cases)} in the corpus", flush=True)
    for item in cases:
        do(run.give([item]))
    given_count, warm_at = 0, count // 5

    def fuzz(wanted: int) -> None:
        @seed(chosen + given_count)
        @settings(
            max_examples=max(1, wanted // BATCH),
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(items(samples, BATCH))
        def one(batch: list[Item]) -> None:
            nonlocal given_count
            given_count += len(batch)
            do(run.give(batch))
            if given_count % 2000 < BATCH:
                print(f"  {given_count} after {time.monotonic() - begun:.0f} s, {do(run.health())}", flush=True)

        one()

    def fuzz_until(wanted: int) -> None:
        while given_count < wanted:
            # Where its data grows beyond what it takes, Hypothesis may give up; another seed then goes on.
            with contextlib.suppress(FlakyStrategyDefinition):
                fuzz(min(CHUNK, wanted - given_count))

    fuzz_until(warm_at)
    early = do(run.idle())
    fuzz_until(count)
    do(run.tour())
    late = do(run.idle())
    run.read_log(print)
    alive = run.dolly.is_running
    do(run.stop())
    background.close()

    growth = (late.memory_mb - early.memory_mb) / max(1, (count - warm_at) / 10_000)
    counts = run.findings.counts
    print(f"at rest after {warm_at}: {early}\nat rest at the end: {late}\nanswered: {dict(run.statuses)}")
    figures: list[tuple[str, float, str, float | None]] = [
        ("items", given_count, "items", None),
        ("outputs", run.engine.written, "outputs", None),
        ("tracebacks", counts["tracebacks"] + (not alive), "texts", 0),
        ("unacked", counts["unacked"], "requests", 0),
        ("unshowable", counts["unshowable"], "answers", 0),
        ("forbidden_syntax", counts["forbidden_syntax"], "texts", 0),
        ("logged_texts", counts["logged_texts"], "lines", 0),
        ("unanswered", late.unanswered, "turns", 0),
        ("memory_growth_mb", round(growth, 2), "MB/10,000 items", GROWTH_MB),
        ("tasks_more", late.tasks - early.tasks, "tasks", MORE_AT_REST),
        ("files_more", late.files - early.files, "files", MORE_AT_REST),
        ("redelivered", run.redelivered, "requests", None),
        ("slowest_ack_s", round(run.slowest_seconds, 2), "s", ACK_SECONDS if count >= MANY else None),
        ("seconds", round(time.monotonic() - begun), "s", None),
    ]
    is_good = True
    for name, value, unit, goal in figures:
        verdict = "ok" if goal is None or value <= goal else "short"
        is_good &= verdict == "ok"
        print(f"figure: fuzz.{name} {value:g} {unit} goal {'-' if goal is None else f'{goal:g}'} {verdict}")
    if is_good:
        shutil.rmtree(folder)
        return 0
    print(f"The log is in {folder}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
