"""The quality report: its figures, its page and pictures, its check sheet; runs that go on, and runs of nothing."""

import csv
import io
import json
import random
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from scipy.stats import binomtest
from typer.testing import CliRunner

from trainer.__main__ import app
from trainer.artifacts import sha256_of
from trainer.errors import BadInput
from trainer.evaluation.rouge import rouge
from trainer.self_instruct.check_sheet import Checked, read_check_sheet, write_check_sheet
from trainer.self_instruct.journal import Task
from trainer.self_instruct.overlap import nearest_scores
from trainer.self_instruct.quality import write_quality_report
from trainer.self_instruct.quality_plots import apart
from trainer.self_instruct.seeds import Instance, Seed
from trainer.stages.self_instruct_report import self_instruct_report

SEEDS = [Seed("Write a story about a dragon.", (Instance("", "Once upon a time."),))]
LINES: list[dict[str, Any]] = [
    {
        "request": 1,
        "step": "instructions",
        "tasks": [
            {"id": "machine-00001", "instruction": "Write a story about a blue dragon."},
            {"id": "machine-00002", "instruction": "Is the sentence polite?"},
            {"id": "machine-00003", "instruction": "Write a letter to <b>Bob</b>."},
        ],
        "rejected": [{"reason": "too_similar", "text": "Write a story."}, {"reason": "too_short", "text": "Go."}],
    },
    {"request": 2, "step": "classification", "id": "machine-00001", "is_classification": False, "rejected": []},
    {"request": 3, "step": "classification", "id": "machine-00002", "is_classification": True, "rejected": []},
    {
        "request": 4,
        "step": "instances",
        "id": "machine-00002",
        "instances": [{"input": "Go away.", "output": "No"}, {"input": "Please sit.", "output": "Yes"}],
        "rejected": [{"reason": "too_short", "text": ""}],
    },
    {
        "request": 5,
        "step": "instances",
        "id": "machine-00001",
        "instances": [{"input": "", "output": "=1+1 is what the dragon said."}],
        "rejected": [],
    },
]


def a_run(folder: Path, lines: list[dict[str, Any]], seeds: str = "") -> Path:
    folder.mkdir()
    facts = {"settings": {}, "seeds": {"file": "seeds.jsonl", "sha256": seeds, "tasks": 1}}
    (folder / "run.json").write_text(json.dumps(facts), encoding="utf-8")
    if lines:
        (folder / "journal.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return folder


def answered(sheet: Path, answers: list[tuple[str, str, str]]) -> Path:
    """The sheet as a spreadsheet would save it in a country with decimal commas."""
    rows = list(csv.reader(io.StringIO(sheet.read_text("utf-8-sig"), newline="")))
    filled = [rows[0], *([*row[:4], *said] for row, said in zip(rows[1:], answers, strict=True))]
    written = io.StringIO()
    csv.writer(written, delimiter=";").writerows(filled)
    sheet.write_text(written.getvalue(), encoding="utf-8", newline="")
    return sheet


def test_report_of_a_run_that_goes_on(tmp_path: Path) -> None:
    run = a_run(tmp_path / "run", LINES)
    with (run / "journal.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"request": 6, "step": "instan')
    out = run / "quality"
    report = write_quality_report(run, out, seeds=SEEDS, seed=1)
    assert report["counts"] == {
        "instructions": 3,
        "classification": 1,
        "not_classification": 1,
        "classification_unknown": 1,
        "without_instances": 1,
        "instances": 3,
        "empty_inputs": 1,
        "rejected": 3,
        "requests": 5,
    }
    assert report["words"]["input"] == {"mean": 2.0, "median": 2.0, "p95": 2.0, "max": 2}
    assert report["verbs"]["top"] == [
        {"verb": "write", "number": 2, "objects": [{"object": "story", "number": 1}, {"object": "letter", "number": 1}]}
    ]
    assert (report["verbs"]["with_verb"], report["verbs"]["shown"]) == (2, 2)
    assert report["novelty"]["seeds"]["number"] == report["novelty"]["others"]["number"] == 3
    assert sum(report["novelty"]["seeds"]["histogram"]) == 3
    assert {(one["step"], one["reason"]): one["number"] for one in report["rejected"]} == {
        ("instructions", "too_similar"): 1,
        ("instructions", "too_short"): 1,
        ("instances", "too_short"): 1,
    }
    assert json.loads((out / "report.json").read_bytes()) == report
    page = (out / "report.html").read_text("utf-8")
    assert "the run has not ended" in page
    assert "52,445" in page, "the paper's figures stand beside ours"
    assert page.count("<svg") == 3
    assert not re.search(r'(?:src|href)="(?!#)', page), "nothing is fetched"
    for picture in ("sunburst.png", "novelty.png"):
        assert (out / picture).read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("lines", [[], [{"request": 1, "step": "instructions", "tasks": [], "rejected": []}]])
def test_nothing_was_kept(tmp_path: Path, lines: list[dict[str, Any]]) -> None:
    run = a_run(tmp_path / "run", lines)
    report = write_quality_report(run, run / "quality", seeds=SEEDS, seed=1)
    assert report["counts"]["instructions"] == 0
    assert report["words"] == {"instruction": None, "input": None, "output": None}
    assert report["novelty"] == {}
    assert report["checked"] == {}
    assert (run / "quality" / "report.html").is_file()
    assert not (run / "quality" / "sunburst.png").exists()


def test_instructions_without_words_of_english(tmp_path: Path) -> None:
    """They have no ROUGE-L and no verb, and count as any other."""
    tasks = [{"id": f"machine-0000{number}", "instruction": "एक कविता लिखो"} for number in (1, 2)]
    run = a_run(tmp_path / "run", [{"request": 1, "step": "instructions", "tasks": tasks, "rejected": []}])
    report = write_quality_report(run, run / "quality", seeds=SEEDS, seed=1)
    assert (report["counts"]["instructions"], report["verbs"]["with_verb"], report["novelty"]) == (2, 0, {})


def test_what_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"no run\.json"):
        write_quality_report(tmp_path, tmp_path / "quality", seeds=(), seed=1)
    run = a_run(tmp_path / "run", [{"request": 1}])
    (tmp_path / "file").touch()
    with pytest.raises(BadInput, match="cannot be written"):
        write_quality_report(a_run(tmp_path / "whole", []), tmp_path / "file", seeds=(), seed=1)
    with pytest.raises(BadInput, match=r"journal\.jsonl, line 1: was not written"):
        write_quality_report(run, run / "quality", seeds=(), seed=1)


def test_nearest_scores_are_those_of_rouge_score() -> None:
    chance = random.Random(3)
    words = ["write", "a", "list", "of", "fruits", "that", "are", "RED", "5"]
    texts = [" ".join(chance.choices(words, k=chance.randint(1, 9))) for _ in range(40)]
    others = [*texts[:20], "something else", "…"]
    found = nearest_scores([*texts, "…"], others)
    expected = []
    for place, text in enumerate(texts):
        rest = [*others]
        if place < 20:
            rest.remove(text)
        expected.append(max(rouge(other, text, "rougeL", stemmer=False)[2] for other in rest))
    assert np.allclose(found, expected, atol=1e-5)
    assert nearest_scores(texts, []).size == nearest_scores([], texts).size == 0


def test_check_sheet_is_drawn_by_its_seed(tmp_path: Path) -> None:
    instances = (Instance("", "One."), Instance("", "Two."))
    tasks = [Task(f"machine-{number:05d}", f"Write {number} words.", False, instances) for number in range(300)]
    sheets = []
    for seed in (1, 1, 2):
        write_check_sheet(tmp_path / "check.csv", tasks, seed=seed)
        sheets.append((tmp_path / "check.csv").read_text("utf-8-sig"))
    rows = list(csv.DictReader(io.StringIO(sheets[0])))
    assert sheets[0] == sheets[1] != sheets[2]
    assert len({row["id"] for row in rows}) == len(rows) == 200
    assert list(rows[0]) == ["id", "instruction", "input", "output", "instruction_fine", "input_fine", "output_fine"]


def test_check_sheet_filled_in_and_read_back(tmp_path: Path) -> None:
    run = a_run(tmp_path / "run", LINES)
    sheet = run / "quality" / "check.csv"
    write_quality_report(run, sheet.parent, seeds=(), seed=1)
    assert "'=1+1" in sheet.read_text("utf-8-sig"), "a spreadsheet does not run what a model wrote"
    answered(sheet, [("yes", "Y", "no"), ("yes", "1", "")])
    before = sheet.read_bytes()
    said = Console(file=io.StringIO(), width=120)
    self_instruct_report(run, seed=2, console=said)
    assert sheet.read_bytes() == before, "what people wrote is never written over"
    report = json.loads((sheet.parent / "report.json").read_bytes())
    assert {key: (found["yes"], found["number"]) for key, found in report["checked"].items()} == {
        "instruction_fine": (2, 2),
        "input_fine": (2, 2),
        "output_fine": (0, 1),
        "all": (0, 1),
    }
    assert isinstance(said.file, io.StringIO)
    assert re.search(r"The output is a right answer\W+0\W+1\W+0\.0 %\W+0\.0 % to 79\.3 %\W+58 %", said.file.getvalue())
    assert "0.0 % to 79.3 %" in (sheet.parent / "report.html").read_text("utf-8")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("id,instruction_fine,input_fine,output_fine\n1,yes,perhaps,no\n", "row 2, input_fine: answer yes or no"),
        ("id,output\n1,yes\n", "has no column instruction_fine, input_fine, output_fine"),
        ("", "has no column id"),
        ('id,instruction_fine,input_fine,output_fine\n1,"yes', "is no CSV"),
    ],
)
def test_sheets_that_are_none(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "check.csv").write_text(text, encoding="utf-8")
    with pytest.raises(BadInput, match=says):
        read_check_sheet(tmp_path / "check.csv")


@given(st.integers(1, 300).flatmap(lambda number: st.tuples(st.integers(0, number), st.just(number))))
def test_wilsons_interval_is_scipys(counted: tuple[int, int]) -> None:
    found = Checked(*counted).interval
    expected = binomtest(*counted).proportion_ci(0.95, method="wilson")
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-9)


@given(st.lists(st.floats(0.01, 50), min_size=1, max_size=80))
def test_labels_stand_apart_all_around(widths: list[float]) -> None:
    ends = 90 - 360 * np.cumsum(widths) / sum(widths)
    middles = ends + 180 * np.array(widths) / sum(widths)
    places = apart(middles.tolist(), 2.6)
    gaps = -np.diff([*places, places[0] - 360])
    assert gaps.min() >= 2.6 - 1e-6


def test_command(tmp_path: Path) -> None:
    seeds = tmp_path / "seeds.jsonl"
    seeds.write_text('{"instruction": "Name a dragon.", "instances": [{"input": "", "output": "Ancalagon"}]}\n')
    run = a_run(tmp_path / "run", LINES, sha256_of(seeds))
    checked = tmp_path / "mine.csv"
    checked.write_text("id,instruction_fine,input_fine,output_fine\nmachine-00001,yes,yes,yes\n", encoding="utf-8")
    arguments = ["self-instruct-report", str(run), "--seeds", str(seeds), "--checked", str(checked)]
    found = CliRunner().invoke(app, arguments)
    assert found.exit_code == 0, found.output
    assert "report.html" in found.output
    report = json.loads((run / "quality" / "report.json").read_bytes())
    assert "seeds" in report["novelty"]
    assert report["checked"]["all"]["number"] == 1
    seeds.write_text(seeds.read_text().replace("Name", "Call"))
    with pytest.raises(BadInput, match="begun with"):
        self_instruct_report(run, seeds=seeds)
