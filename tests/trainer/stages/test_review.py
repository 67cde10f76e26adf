"""Corrections are reviewed in the terminal: each decision is in the file before the next is asked for."""

import io
import json
import shlex
import stat
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import typer
from rich.console import Console

from tests.trainer.team_feedback import correction_line, liked_line, write_lines
from trainer.errors import BadInput
from trainer.feedback import read_feedback
from trainer.stages.review import review

WIFI = ("What is the guest Wi-Fi password?", "It is blue-heron-42.")
LAPTOP = ("Who do I ask for a new laptop?", "Ask Priya.")


class Person:
    """Answers what is asked, in turn; and the file as it was before each answer."""

    def __init__(self, path: Path, answers: Sequence[str]) -> None:
        self.asked: list[str] = []
        self.states: list[list[str]] = []
        self._path, self._answers = path, iter(answers)

    def __call__(self, prompt: str) -> str:
        self.asked.append(prompt)
        self.states.append([json.loads(line).get("review", {}).get("state") for line in lines(self._path)])
        answer = next(self._answers, None)
        if answer is None:
            raise EOFError
        return answer


def waiting(question: str, correction: str, **other: Any) -> dict[str, Any]:
    return correction_line(question, correction, **{"review": {"state": "waiting"}} | other)


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines()


def walk(path: Path, answers: Sequence[str], **more: Any) -> tuple[Person, str]:
    person, shown = Person(path, answers), io.StringIO()
    review(path, console=Console(file=shown, width=100), ask=person, **more)
    return person, shown.getvalue()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    others = [
        liked_line("Who invented the laptop?", "Adam Osborne."),
        liked_line("Which password is strong?", "A long one."),
    ]
    return write_lines(tmp_path / "feedback.jsonl", [waiting(*WIFI), waiting(*LAPTOP), *others])


def test_what_is_approved_is_learned_and_the_rest_is_not(path: Path) -> None:
    before = lines(path)
    person, shown = walk(path, ["a", "", "", "", "r"], replay=[f"feedback:{path}"])
    assert person.states[-1] == ["approved", "waiting", "waiting", "waiting"]  # before the second was decided
    assert [json.loads(line)["review"]["state"] for line in lines(path)] == [
        "approved",
        "rejected",
        "waiting",
        "waiting",
    ]
    assert lines(path)[2:] == before[2:]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    (learned,) = read_feedback(path).corrections
    assert (learned.question, learned.text) == WIFI
    assert WIFI[0] in shown
    assert "I do not know that." in shown
    assert "1 approved, 1 rejected, 0 waiting" in shown


def test_neighbours_are_suggested_and_chosen(path: Path) -> None:
    answers = ["n", "a", "1", "How do I clean a laptop?", "", "Where do I get a computer?", "Who has laptops?", ""]
    person, shown = walk(path, answers, replay=[f"feedback:{path}"])
    assert "1. Who invented the laptop?" in shown
    said = json.loads(lines(path)[1])["review"]
    assert said == {
        "state": "approved",
        "neighbours": ["Who invented the laptop?", "How do I clean a laptop?"],
        "paraphrases": ["Where do I get a computer?", "Who has laptops?"],
    }
    assert json.loads(lines(path)[0])["review"] == {"state": "waiting"}
    assert len(person.asked) == len(answers)


def test_none_of_the_suggestions_may_be_right(path: Path) -> None:
    walk(path, ["n", "a", "0", "", ""], replay=[f"feedback:{path}"])
    assert json.loads(lines(path)[1])["review"]["neighbours"] == []


def test_the_starter_set_suggests_too(path: Path) -> None:
    person, _ = walk(path, ["q"])
    assert len(person.asked) == 1


def test_a_correction_is_edited_before_it_is_approved(path: Path, tmp_path: Path) -> None:
    script = "import pathlib, sys; p = pathlib.Path(sys.argv[1]); p.write_text(p.read_text().upper())"
    editor = f"{shlex.quote(sys.executable)} -c {shlex.quote(script)}"
    walk(path, ["e", "a", "", "", "", "q"], editor=editor, replay=[f"feedback:{path}"])
    assert json.loads(lines(path)[0])["correction"] == WIFI[1].upper()
    assert read_feedback(path).corrections[0].text == WIFI[1].upper()


def test_an_editor_that_does_not_start_changes_nothing(path: Path) -> None:
    _, shown = walk(path, ["e", "q"], editor="no-such-editor", replay=[f"feedback:{path}"])
    assert "The editor no-such-editor did not work" in shown
    assert json.loads(lines(path)[0])["correction"] == WIFI[1]


def test_who_leaves_keeps_what_was_decided(path: Path) -> None:
    with pytest.raises(typer.Abort):
        walk(path, ["r"], replay=[f"feedback:{path}"])
    assert [json.loads(line)["review"]["state"] for line in lines(path)][:2] == ["rejected", "waiting"]


def test_nothing_that_people_wrote_moves_the_cursor(path: Path) -> None:
    write_lines(path, [waiting("Who?\x1b[2J", "[bold]Me[/]\x1b]0;title\x07")])
    _, shown = walk(path, ["q"], replay=[f"feedback:{path}"])
    assert "\x1b" not in shown
    assert "[bold]Me[/]" in shown


@pytest.mark.parametrize("text", ["", "no JSON\n", '{"instruction": "a", "output": "b"}\n'])
def test_a_file_that_is_no_feedback_is_said_to_be_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "other.jsonl").write_text(text)
    with pytest.raises(BadInput, match="holds no feedback"):
        review(tmp_path / "other.jsonl")
    with pytest.raises(BadInput, match="cannot be read"):
        review(tmp_path / "nothing.jsonl")
