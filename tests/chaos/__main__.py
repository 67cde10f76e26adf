"""Kills Dolly in every way while people talk to it, and judges what they saw: `make chaos`.

    EVENTS=600 SEED=1 python -m tests.chaos

EVENTS questions (10,000 unless told), some of them delivered twice, to three replicas on one store and one
engine; SEED plans what goes wrong and when; TRANSPORT=http brings events by signed HTTP, through a balancer, instead
of Socket Mode. The last lines are the figures. The folder of a run that failed is kept.
"""

import asyncio
import logging
import os
import random
import shutil
import sys
import tempfile
from pathlib import Path

from tests.chaos.report import explain, print_figures, tell_unacked, too_little
from tests.chaos.run import Run, run


def main() -> int:
    questions = int(os.environ.get("EVENTS") or 10_000)
    seed = int(os.environ.get("SEED") or random.randrange(10_000))
    folder = Path(tempfile.mkdtemp(prefix="dolly-chaos-"))
    transport = os.environ.get("TRANSPORT") or "sockets"
    print(f"Chaos: {questions} questions, SEED={seed}, TRANSPORT={transport}, in {folder}", flush=True)
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)  # it tells of each caller that was killed
    wanted = Run(questions, seed, folder, os.environ.get("BUG"), "http" if transport == "http" else "sockets")
    outcome = asyncio.run(run(wanted))
    explain(outcome.verdict, outcome.evidence, outcome.told, folder)
    print(f"\n{outcome.seconds:.0f} s; Slack was called {outcome.calls.total()} times: {dict(outcome.calls)}")
    for fault, times in sorted(outcome.injected.items()):
        print(f"injected: {fault} {times}")
    tell_unacked(outcome.evidence)
    missing = too_little(outcome.injected, questions)
    for sentence in missing:
        print(f"injected too little: {sentence}")
    print_figures(outcome.verdict)
    if outcome.verdict.is_good and not missing:
        shutil.rmtree(folder)
        return 0
    print(f"The logs, the store and the prompts are in {folder}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
