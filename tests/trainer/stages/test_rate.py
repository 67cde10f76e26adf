"""People rate answers blindly: the sheet tells nothing, a killed terminal loses nothing, the report opens the key."""

import io
import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from tests.trainer.evaluation.test_answer_files import ANSWER, PREDICTION, written
from trainer.errors import BadInput
from trainer.evaluation.rating_sheet import read_key, read_ratings, read_sheet
from trainer.stages.rate import make_sheet, rate_answers, report_ratings

QUIET = Console(quiet=True)
QUESTIONS = 6


def answers_of(path: Path, model: str, number: int = QUESTIONS) -> Path:
    """Two of the questions say the same, and all answers begin as some models' do."""
    asked = [PREDICTION | {"instruction": f"Add {max(1, place)}.", "input": ""} for place in range(number)]
    return written(path, *(row | {"response": f"\n {model}{place}\u2028 \x1b[31m"} for place, row in enumerate(asked)))


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    return {label: answers_of(tmp_path / f"{label}.jsonl", label[::-1]) for label in ("ours", "theirs")}


@pytest.fixture
def sheet(files: dict[str, Path], tmp_path: Path) -> Path:
    make_sheet(files, tmp_path / "sheet", number=252, seed=1, console=QUIET)
    return tmp_path / "sheet"


def rate(folder: Path, name: str, keys: str) -> str:
    """Press the keys, then leave; what was shown."""
    console, pressed = Console(file=io.StringIO(), width=80), iter(keys)
    rate_answers(folder, name, console=console, pressed=lambda: next(pressed, "q"))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_sheet_says_nothing_of_whose_answers_they_are(sheet: Path, files: dict[str, Path]) -> None:
    text = (sheet / "sheet.jsonl").read_text()
    assert "ours" not in text
    assert "theirs" not in text
    items, key = read_sheet(sheet), read_key(sheet)
    assert [key.items[item.id].question for item in items] == [
        place for place in range(1, QUESTIONS + 1) for _ in files
    ]
    for item in items:  # two questions have the same text; each answer is with its own all the same
        whose = key.items[item.id]
        assert item.answer == f"{whose.label[::-1]}{whose.question - 1}\u2028 \x1b[31m"
    firsts = {key.items[item.id].label for item in items[::2]}
    assert firsts == set(files)  # shuffled: not always the same one first


def test_the_same_seed_makes_the_same_sheet(files: dict[str, Path], sheet: Path, tmp_path: Path) -> None:
    for name, seed in (("again", 1), ("other", 2)):
        make_sheet(files, tmp_path / name, number=252, seed=seed, console=QUIET)
    made = {name: (tmp_path / name / "sheet.jsonl").read_text() for name in ("sheet", "again", "other")}
    assert made["sheet"] == made["again"] != made["other"]


def test_of_many_questions_some_are_drawn(files: dict[str, Path], tmp_path: Path) -> None:
    make_sheet(files, tmp_path / "few", number=2, seed=3, console=QUIET)
    assert len(read_sheet(tmp_path / "few")) == 4
    assert len(json.loads((tmp_path / "few" / "key.json").read_text())["questions"]) == 2


def test_the_released_answers_to_the_252(shared_data: Path, tmp_path: Path) -> None:
    folder = shared_data / "self-instruct" / "predictions"
    models = ("text-davinci-001", "davinci-self-instruct")
    files = {model: folder / f"{model}_predictions.jsonl" for model in models}
    make_sheet(files, tmp_path / "252", number=252, seed=42, console=QUIET)
    given = {model: [json.loads(line) for line in path.read_text().splitlines()] for model, path in files.items()}
    items, key = read_sheet(tmp_path / "252"), read_key(tmp_path / "252")
    assert len(items) == len(key.items) == 504
    for item in items:
        whose = key.items[item.id]
        row = given[whose.label][whose.question - 1]
        assert (item.question, item.answer) == (row["instruction"], row["response"].strip())


def test_an_evaluations_answers_with_what_was_said_before(tmp_path: Path) -> None:
    before = [{"role": "user", "content": "Hi."}, {"role": "assistant", "content": "Hello."}]
    later = ANSWER | {"id": "r:2", "later_turn": True, "prompt": [*before, *ANSWER["prompt"]]}
    file = written(tmp_path / "answers.jsonl", ANSWER, later)
    make_sheet({"base": file, "candidate": file}, tmp_path / "sheet", number=9, seed=1, console=QUIET)
    items, key = read_sheet(tmp_path / "sheet"), read_key(tmp_path / "sheet")
    assert {item.question for item in items[:2]} == {"Add."}
    assert {item.question for item in items[2:]} == {"User: Hi.\n\nAssistant: Hello.\n\nUser: Add."}
    assert {item.input for item in items} == {"1 and 1"}
    assert {(key.items[item.id].label, item.answer) for item in items} == {("base", "3"), ("candidate", "")}
    assert "(nothing)" in rate(tmp_path / "sheet", "asha", "sss")


def test_keys_rate_skip_take_back_and_leave(sheet: Path) -> None:
    items = [item.id for item in read_sheet(sheet)]
    shown = rate(sheet, "asha", "ax?sbuud")
    said = [(line["item"], line["rating"]) for line in lines(sheet / "ratings-asha.jsonl")]
    # a for the first, the second skipped, b for the third, both taken back, d for the first
    assert said == [(items[0], "A"), (items[2], "B"), (items[2], None), (items[0], None), (items[0], "D")]
    assert "asha has rated 1 of 12 answers; the same command goes on." in shown
    assert "\x1b" not in shown
    assert "irrelevant or invalid" in shown
    assert "2 of 12" in rate(sheet, "asha", "")
    assert "dolly-trainer rate report" in rate(sheet, "asha", "a" * 11)
    assert "12 of 12" in rate(sheet, "asha", "never asked")


def test_a_torn_last_line_is_cut_off_and_rated_again(sheet: Path) -> None:
    rate(sheet, "asha", "ab")
    path = sheet / "ratings-asha.jsonl"
    path.write_bytes(path.read_bytes()[:-9])
    found = read_ratings(sheet, "asha", read_sheet(sheet))
    assert (list(found.given.values()), found.is_torn) == (["A"], True)
    said = Console(file=io.StringIO(), width=200)
    report_ratings(sheet, console=said)
    assert isinstance(said.file, io.StringIO)
    assert "ends within a line" in said.file.getvalue()
    (sheet / "ratings-ben.jsonl").touch()
    report_ratings(sheet, console=said)
    assert "ratings-ben.jsonl holds no rating." in said.file.getvalue()
    rate(sheet, "asha", "c")
    assert [line["rating"] for line in lines(path)] == ["A", "C"]


def test_a_whole_last_line_without_its_end_counts_and_stays(sheet: Path) -> None:
    rate(sheet, "asha", "ab")
    path = sheet / "ratings-asha.jsonl"
    path.write_bytes(path.read_bytes()[:-1])  # as an editor may leave it
    found = read_ratings(sheet, "asha", read_sheet(sheet))
    assert (list(found.given.values()), found.is_torn) == (["A", "B"], False)
    rate(sheet, "asha", "c")
    assert [line["rating"] for line in lines(path)] == ["A", "B", "C"]


def test_a_report_opens_the_key(sheet: Path) -> None:
    key = read_key(sheet)
    for name in ("asha", "ben"):
        wish = "".join("a" if key.items[item.id].label == "ours" else "d" for item in read_sheet(sheet))
        rate(sheet, name, wish if name == "asha" else wish[:4])
    said = Console(file=io.StringIO(), width=120)
    report_ratings(sheet, console=said)
    assert isinstance(said.file, io.StringIO)
    shown = said.file.getvalue()
    assert "Rated, of 12 answers: asha 12, ben 4." in shown
    assert "asha, ben" in shown
    found = json.loads((sheet / "report.json").read_text())
    shares = {model["label"]: model["shares"] for model in found["models"]}
    assert (shares["ours"]["A"]["value"], shares["theirs"]["D"]["value"]) == (1.0, 1.0)
    assert found["differences"][0]["acceptable"] == {"value": -1.0, "low": -1.0, "high": -1.0}  # theirs, beside ours
    assert (found["agreements"][0]["common"], found["agreements"][0]["kappa"]["value"]) == (4, 1.0)
    assert found["raters"] == {"asha": 12, "ben": 4}


def test_what_cannot_be_used_is_said(sheet: Path, files: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="Nobody has rated yet"):
        report_ratings(sheet, console=QUIET)
    with pytest.raises(BadInput, match="two models or more"):
        make_sheet({"ours": files["ours"]}, tmp_path / "x", number=9, seed=1, console=QUIET)
    with pytest.raises(BadInput, match="exists already"):
        make_sheet(files, sheet, number=9, seed=1, console=QUIET)
    with pytest.raises(BadInput, match="no name here"):
        rate(sheet, "../asha", "a")
    with pytest.raises(BadInput, match="no directory"):
        rate(tmp_path / "nowhere", "asha", "a")
    with pytest.raises(BadInput, match="this is no terminal"):
        rate_answers(sheet, "asha", console=QUIET)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"item": "%s", "rating": "E"}', "1 says 'E', and a rating is A, B, C, D"),
        ('{"item": "%s", "rating": ["A"]}', "a rating is A, B, C, D"),
        ('{"item": "elsewhere %s", "rating": "A"}', "belong to another"),
        ("nothing%s", "1 is no rating"),
        ("[%s]", "1 is no rating"),
    ],
)
def test_what_is_no_rating_is_named(sheet: Path, line: str, said: str) -> None:
    (sheet / "ratings-asha.jsonl").write_text(line % read_sheet(sheet)[0].id + "\n")
    with pytest.raises(BadInput, match=said):
        report_ratings(sheet, console=QUIET)


def test_a_sheet_that_was_changed_is_refused(sheet: Path) -> None:
    rate(sheet, "asha", "ab")
    text = (sheet / "sheet.jsonl").read_text()
    (sheet / "sheet.jsonl").write_text(text.replace("Add 1", "Add 2", 1))
    with pytest.raises(BadInput, match="another SHA-256"):
        report_ratings(sheet, console=QUIET)


class Terminal:
    """The command in a real terminal of 80 columns."""

    def __init__(self, folder: Path) -> None:
        self.screen, inner = pty.openpty()
        self.ahead = ""
        command = [sys.executable, "-m", "trainer", "rate", "answers", str(folder), "--as", "asha"]
        environment = os.environ | {"COLUMNS": "80", "TERM": "xterm"}
        self.process = subprocess.Popen(command, stdin=inner, stdout=inner, stderr=inner, env=environment)
        os.close(inner)

    def press(self, key: bytes) -> None:
        os.write(self.screen, key)

    def until(self, sign: str) -> str:
        """What is shown up to the sign; what comes behind it is for the next look."""
        deadline = time.monotonic() + 60
        while sign not in self.ahead:
            ready, _, _ = select.select([self.screen], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, f"no {sign} in {self.ahead!r}"
            self.ahead += os.read(self.screen, 4096).decode(errors="replace")
        before, _, self.ahead = self.ahead.partition(sign)
        return before

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.screen)


@pytest.fixture
def terminals(sheet: Path) -> Iterator[list[Terminal]]:
    opened: list[Terminal] = []
    yield opened
    for terminal in opened:
        terminal.close()


@pytest.mark.timeout(150)
def test_a_killed_terminal_loses_nothing(sheet: Path, terminals: list[Terminal]) -> None:
    first = Terminal(sheet)
    terminals.append(first)
    first.until("1 of 12")
    first.until("quit")
    for key in (b"a", b"\x1b[D", b"B"):  # the left arrow sends a D, which is no rating
        first.press(key)
        if key.isalpha():
            first.until("quit")
    first.process.send_signal(signal.SIGKILL)
    first.process.wait(30)
    assert [line["rating"] for line in lines(sheet / "ratings-asha.jsonl")] == ["A", "B"]

    again = Terminal(sheet)
    terminals.append(again)
    again.until("3 of 12")
    again.until("quit")
    again.press(b"d")
    again.until("quit")
    again.process.send_signal(signal.SIGINT)
    shown = again.until("goes on.")
    assert again.process.wait(30) == 0
    assert "Traceback" not in shown
    assert [line["rating"] for line in lines(sheet / "ratings-asha.jsonl")] == ["A", "B", "D"]
