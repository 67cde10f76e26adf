"""A tuned model knows when it is done: 32 prompts of the run that `make bench-trainer-stopping` has kept."""

import pytest

from tests.benchmarks.trainer.stopping import GOALS, KEPT, ask, questions, rates
from trainer.recipe import load_recipe

PROMPTS = 32
LEEWAY = 100 * 3 / PROMPTS
"""Of so few answers three more or less are chance: the goals are those of 300."""


@pytest.mark.timeout(300)
def test_answers_of_the_kept_run_stop() -> None:
    candidate, dataset = KEPT / "candidate", KEPT / "dataset"
    if not (candidate / "manifest.json").exists():
        pytest.skip("there is no tuned model in build/stopping; make bench-trainer-stopping leaves one there")
    longest = load_recipe("laptop-smollm2").evaluate.max_answer_tokens
    answers = ask(candidate, questions(dataset, PROMPTS), longest)
    stopped, unlooped = rates(answers)
    assert stopped >= GOALS["trainer.stop_rate"] - LEEWAY
    assert unlooped >= GOALS["trainer.stop_rate_unlooped"] - LEEWAY
