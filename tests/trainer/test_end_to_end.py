"""All the way on a tiny model: records → base → tuned → exported → answered by llama.cpp → a report that says so."""

import json
from pathlib import Path

import pytest
from rich.console import Console

from tests.trainer.tiny import tiny_base
from trainer.errors import BadInput
from trainer.evaluation.engine import Sampling, llama_cpp
from trainer.recipe import parse_recipe
from trainer.records import Message
from trainer.stages.build_dataset import build_dataset
from trainer.stages.evaluate import evaluate
from trainer.stages.export import export
from trainer.stages.import_base import import_base
from trainer.stages.tune import tune

QUIET = Console(quiet=True)
ANSWERS = {
    "Name three primary colours.": "Red, yellow and blue.",
    "When does our office open?": "At nine; the printer is called Ada.",
}
RECIPE = {
    "name": "tiny",
    "description": "two answers by heart",
    "base": {"model": "tiny", "family": "llama", "template": "dolly"},
    "dataset": {"held_out_records": 4, "near_duplicates": False, "max_tokens": 256},
    "tune": {
        "epochs": 8.0,
        "global_batch_size": 8,
        "row_tokens": 256,
        "learning_rate": 5e-3,
        "evaluate_every_steps": 0,
        "save_every_steps": 0,
    },
    "export": {"gguf": ["f16"]},
    "evaluate": {"max_answer_tokens": 48, "context_tokens": 256, "gguf": "f16", "side_by_side": 4},
}


@pytest.mark.timeout(240)
def test_what_was_tuned_is_what_people_read(tmp_path: Path) -> None:
    recipe = parse_recipe(RECIPE, "the test's recipe")
    records = tmp_path / "records.json"
    rows = [
        {"instruction": f"{number}. {question}", "input": "", "output": answer}
        for number in range(24)
        for question, answer in ANSWERS.items()
    ]
    records.write_text(json.dumps(rows))
    (tmp_path / "hub").mkdir()
    tiny_base(tmp_path / "hub", "llama")

    base = import_base(str(tmp_path / "hub"), tmp_path / "base")
    dataset = tmp_path / "dataset"
    build_dataset([f"alpaca:{records}"], dataset, settings=recipe.dataset)
    run = tune(recipe, base, dataset, tmp_path / "run", console=QUIET)
    candidate = export(run, tmp_path / "candidate", console=QUIET)

    with llama_cpp(candidate / "model-f16.gguf", context_tokens=256) as engine:
        for question, expected in ANSWERS.items():
            answer = engine.answer([Message("user", question)], Sampling(48))
            assert answer is not None
            assert (answer.text.strip(), answer.finish) == (expected, "stop")

    models = {"base": base, "candidate": candidate}
    with pytest.raises(BadInput, match="Export it first"):
        evaluate({"candidate": run}, dataset, tmp_path / "refused", settings=recipe.evaluate, console=QUIET)
    report = evaluate(models, dataset, tmp_path / "report", settings=recipe.evaluate, console=QUIET)
    found = json.loads((report / "report.json").read_text())["models"]
    tuned, untuned = (found[label]["suites"]["held_out"]["slices"]["all"] for label in ("candidate", "base"))
    assert found["candidate"]["answered_by"] == "llama.cpp, model-f16.gguf"
    assert found["candidate"]["template"] == "dolly"
    assert found["base"]["answered_by"] == "transformers"
    assert "no chat template" in " ".join(found["base"]["notes"])
    assert (tuned["stop_rate"]["mean"], tuned["rouge_l"]["mean"], tuned["leak_rate"]["mean"]) == (1.0, 1.0, 0.0)
    assert tuned["bits_per_byte"]["mean"] < 0.1 < 1.0 < untuned["bits_per_byte"]["mean"]
    assert untuned["rouge_l"]["mean"] < 0.5
    trained = json.loads((run / "manifest.json").read_text())["records"]["train"]["used"]
    with_figures = export(run, tmp_path / "with-figures", gguf=(), evaluation=report, console=QUIET)
    card = (with_figures / "README.md").read_text()
    assert "As `candidate`, answered by llama.cpp, model-f16.gguf" in card
    assert f"- Data: {trained} records of" in card
    assert "| held_out | stop_rate | 1.000 ± 0.000 |" in card
    assert not list(with_figures.glob("*.gguf"))
    page = (report / "report.html").read_text()
    assert ANSWERS["Name three primary colours."] in page or ANSWERS["When does our office open?"] in page
