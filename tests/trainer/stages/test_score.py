"""Answers from elsewhere are scored as known: the eight released prediction sets, and small ones with a page."""

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from tests.trainer.evaluation.test_answer_files import ANSWER, PREDICTION, written
from trainer.artifacts import read_manifest
from trainer.errors import BadInput
from trainer.stages.score import score_answers

KNOWN = {
    "davinci": 2.83,
    "davinci-t0-ft": 17.17,
    "davinci-superni-ft": 25.76,
    "davinci-self-instruct-and-superni-ft": 27.41,
    "davinci-self-instruct": 28.13,
    "text-davinci-001": 29.00,
    "text-davinci-002": 33.79,
    "text-davinci-003": 33.64,
}
"""ROUGE-L x 100 of the released predictions for the 252 instructions, by rouge_score on each row's own target."""


def test_the_eight_released_prediction_sets(shared_data: Path) -> None:
    folder = shared_data / "self-instruct" / "predictions"
    files = {model: folder / f"{model}_predictions.jsonl" for model in KNOWN}
    said = io.StringIO()
    report = score_answers(files, console=Console(file=said, width=120))
    found = {one.label: report.slices(one, "given")["all"]["rouge_l"] for one in report.judged}
    assert {label: mean.number for label, mean in found.items()} == dict.fromkeys(KNOWN, 252)
    assert {label: 100 * mean.mean for label, mean in found.items()} == pytest.approx(KNOWN, abs=0.006)
    for label, score in KNOWN.items():  # a line each: label, ROUGE-L …
        assert f"{label} " in said.getvalue()
        assert f" {score:.1f} ± " in said.getvalue()


def test_a_report_of_answers_from_elsewhere(tmp_path: Path) -> None:
    said = io.StringIO()
    files = {
        "[ours]": written(
            tmp_path / "ours.jsonl", PREDICTION | {"response": "2"}, PREDICTION | {"response": "one two"}
        ),
        "theirs": written(tmp_path / "theirs.jsonl", PREDICTION, PREDICTION),
    }
    score_answers(files, tmp_path / "report", console=Console(file=said, width=120))
    assert "[ours]" in said.getvalue()
    assert "Stopped" not in said.getvalue()  # nobody knows
    found = json.loads((tmp_path / "report" / "report.json").read_text())
    assert found["models"]["[ours]"]["suites"]["given"]["slices"]["all"]["rouge_l"]["mean"] == 0.5
    assert found["models"]["theirs"]["suites"]["given"]["above_first_model"]["rouge_l"]["mean"] == -0.5
    assert read_manifest(tmp_path / "report", "scores", check=True)["answers"]["theirs"]["file"] == str(files["theirs"])
    page = (tmp_path / "report" / "report.html").read_text()
    assert "cut off" not in page
    again = {label: tmp_path / "report" / "answers.jsonl" for label in files}  # what it wrote, it reads
    report = score_answers(again, console=Console(quiet=True))
    assert report.slices(report.judged[0], "given")["all"]["rouge_l"].mean == 0.5


def test_several_suites_of_an_evaluation(tmp_path: Path) -> None:
    answers = {"base": ANSWER["answers"]["base"]}
    task = {"id": "t", "suite": "superni", "task": "a", "category": "Word Analogy", "other_references": ["3"]}
    file = written(tmp_path / "answers.jsonl", ANSWER | {"answers": answers}, ANSWER | task | {"answers": answers})
    report = score_answers({"base": file}, console=Console(quiet=True))
    assert report.suites == ["user_252", "superni"]
    assert report.slices(report.judged[0], "superni")["task: a"]["exact_match"].mean == 1.0


def test_nothing_to_score() -> None:
    with pytest.raises(BadInput, match="nothing to score"):
        score_answers({})
