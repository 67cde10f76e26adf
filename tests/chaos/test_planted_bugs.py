"""The chaos run sees the bugs that it is there to see: a Dolly with each of them fails, on the right figure.

These take most of a minute each: `make chaos` runs them, `make test` does not.
"""

from pathlib import Path

import pytest

from tests.chaos.planted_bugs import BUGS
from tests.chaos.run import Run, run

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(300)]

SEED = 7
STORE_TROUBLE = {"store_kill": 270, "worker_kill": 400}
PAUSES = {"worker_pause": 800}
NOTHING_MUCH = {"sockets_cut": 100}
EXPECTED = {
    "ack_before_enqueue": ("lost", 150, STORE_TROUBLE),
    "commit_without_fence": ("duplicated", 150, PAUSES),
    "setnx_then_enqueue": ("lost", 150, STORE_TROUBLE),
    "prompt_from_another_thread": ("crossed", 80, NOTHING_MUCH),
}
"""The figure that each must miss; in how many questions, and with which faults in 10,000 of them."""


@pytest.mark.parametrize("bug", BUGS)
async def test_a_planted_bug_is_found(bug: str, tmp_path: Path) -> None:
    figure, questions, faults = EXPECTED[bug]
    wanted = Run(questions, SEED, tmp_path, bug, faults=faults, settling_seconds=0, standstill_seconds=6)
    outcome = await run(wanted)
    assert outcome.verdict.count(figure), f"{figure} is 0: {dict(outcome.verdict.findings)}"
