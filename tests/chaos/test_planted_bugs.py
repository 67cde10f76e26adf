"""The chaos run sees the bugs that it is there to see: a Dolly with each of them fails, on the right figure.

These take a minute each: `make chaos` runs them, `make test` does not.
"""

from pathlib import Path

import pytest

from tests.chaos.launch import BUGS
from tests.chaos.report import explain
from tests.chaos.run import Run, run

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(300)]

QUESTIONS = 150
SEED = 7

STORE_TROUBLE = {"store_kill": 270, "worker_kill": 400}
PAUSES = {"worker_pause": 800}
EXPECTED = {
    "ack_before_enqueue": ("lost", STORE_TROUBLE),
    "commit_without_fence": ("duplicated", PAUSES),
    "setnx_then_enqueue": ("lost", STORE_TROUBLE),
    "prompt_from_another_thread": ("crossed", {"sockets_cut": 100}),
}


@pytest.mark.parametrize("bug", BUGS)
async def test_a_planted_bug_is_found(bug: str, tmp_path: Path) -> None:
    figure, faults = EXPECTED[bug]
    outcome = await run(Run(QUESTIONS, SEED, tmp_path, bug, faults=faults, settling_seconds=0, standstill_seconds=8))
    assert outcome.verdict.count(figure), f"{figure} is 0: {dict(outcome.verdict.findings)}"


async def test_without_a_bug_the_same_faults_find_nothing(tmp_path: Path) -> None:
    outcome = await run(Run(QUESTIONS, SEED, tmp_path, faults=STORE_TROUBLE | PAUSES))
    explain(outcome.verdict, outcome.evidence, outcome.told, tmp_path)
    assert outcome.verdict.is_good
