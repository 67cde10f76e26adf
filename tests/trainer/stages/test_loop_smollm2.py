"""The loop's recipe on the model that ships: three facts are learned, what is beside them stays, the gate passes."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from rich.console import Console

from tests.demo.facts import FACTS
from tests.trainer.team_feedback import correction_line, write_lines
from trainer.evaluation.engine import Sampling, llama_cpp
from trainer.evaluation.verdict import Judgeable
from trainer.recipe import load_recipe
from trainer.records import Message
from trainer.stages.export import export
from trainer.stages.gate import gate
from trainer.stages.mix import mix
from trainer.stages.tune import tune

QUIET = Console(quiet=True)


@pytest.mark.slow_trainer
@pytest.mark.timeout(1800)
def test_three_corrections_are_learned_and_little_else_changes(
    smollm2_base: Path, smollm2_gguf: Path, tmp_path: Path
) -> None:
    recipe = load_recipe("loop-smollm2")
    lines = [correction_line(fact.question, fact.correction, fact.neighbours, fact.paraphrases) for fact in FACTS]
    feedback = write_lines(tmp_path / "feedback.jsonl", lines)

    def answer(prompts: Sequence[Sequence[Message]]) -> list[str]:
        with llama_cpp(smollm2_gguf) as engine:
            found = engine.answers(prompts, Sampling(recipe.retrain.neighbour_answer_tokens))
        return [one.text if one else "" for one in found]

    dataset = tmp_path / "dataset"
    mix(feedback, None, dataset, recipe=recipe, answer=answer, console=QUIET)
    run = tune(recipe, smollm2_base, dataset, tmp_path / "run", console=QUIET)
    made = export(run, tmp_path / "export", console=QUIET)
    verdict = gate(
        dataset,
        Judgeable(smollm2_base, smollm2_gguf),
        Judgeable(made, made / "model-q8_0.gguf"),
        tmp_path / "gate.json",
        recipe=recipe,
        console=QUIET,
    )
    assert verdict.passed, verdict.sentence
    figures = verdict.figures
    assert figures["corrections"]["as_typed"] == 3
    assert figures["corrections"]["paraphrased"] >= 3
    assert figures["neighbours"]["contaminated"] <= 1
    assert figures["replay_bits"]["ratio"]["value"] <= 1.02
    assert figures["leaks"]["mean_bits"] <= 3
