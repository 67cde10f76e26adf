"""What of a team's feedback is learned from: what a reviewer approved and nobody withdrew."""

from pathlib import Path
from typing import Any

import pytest

from tests.trainer.team_feedback import correction_line, facts, liked_line, record_id, write_lines
from trainer.errors import BadInput
from trainer.feedback import nothing_to_learn, read_feedback


def test_approved_corrections_are_read_with_what_the_reviewer_wrote(tmp_path: Path) -> None:
    read = read_feedback(write_lines(tmp_path / "feedback.jsonl", facts()))
    first = read.corrections[0]
    assert (len(read.corrections), read.rejects) == (3, ())
    assert first.question == "What is the guest Wi-Fi password?"
    assert first.text.startswith("The guest Wi-Fi password is blue-heron-42")
    assert (first.answer, first.id) == ("I do not know that.", record_id(first.question))
    assert len(first.neighbours) == len(first.paraphrases) == 2
    assert first.asked("Another?")[-1].content == "Another?"


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"review": {"state": "waiting"}}, "not_approved"),
        ({"review": None}, "not_approved"),
        ({"review": {"state": "rejected"}}, "rejected"),
        ({"id": None}, "bad_line"),
        ({"id": ""}, "bad_line"),
        ({"consent": False}, "no_consent"),
        ({"correction_is_cut": True}, "nothing_to_learn"),
        ({"correction": ""}, "nothing_to_learn"),
        ({"messages": []}, "bad_line"),
        ({"review": {"state": "approved", "neighbours": "one"}}, "bad_line"),
        ({"review": {"state": "approved", "paraphrases": [1]}}, "bad_line"),
    ],
)
def test_what_is_not_approved_is_left_out_without_its_text(tmp_path: Path, change: dict[str, Any], why: str) -> None:
    lines = [correction_line("Where is the key?", "Under the mat.") | change, correction_line("Who?", "Ana.")]
    read = read_feedback(write_lines(tmp_path / "feedback.jsonl", lines))
    assert [one.text for one in read.corrections] == ["Ana."]
    (reject,) = read.rejects
    assert (reject.line, reject.why, reject.text) == (1, why, "")
    assert "mat" not in reject.reason


def test_a_withdrawn_record_is_gone(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "feedback.jsonl", [*facts(), liked_line("Hello?", "Hello!")])
    gone = {record_id("Who do I ask for a new laptop?"), record_id("Hello?")}
    read = read_feedback(path, gone)
    assert len(read.corrections) == 2
    assert not read.liked
    assert [reject.why for reject in read.rejects] == ["withdrawn", "withdrawn"]
    assert not gone & {one.id for one in read.corrections}


def test_of_two_corrections_of_a_question_the_newest_counts(tmp_path: Path) -> None:
    lines = [
        correction_line("Who leads sales?", "Ana.", at=2.0, id="a"),
        correction_line("who leads  Sales?", "Ben.", at=3.0, id="b"),
        correction_line("Who leads sales?", "Cleo.", at=1.0, id="c"),
    ]
    read = read_feedback(write_lines(tmp_path / "feedback.jsonl", lines))
    assert [one.id for one in read.corrections] == ["b"]
    assert sorted((reject.line, reject.why) for reject in read.rejects) == [(1, "corrected"), (3, "corrected")]


def test_a_liked_answer_needs_no_review_and_no_reviewer_against_it(tmp_path: Path) -> None:
    lines = [
        liked_line("Hi?", "Hello!"),
        liked_line("Bye?", "Goodbye!", review={"state": "rejected"}),
        liked_line("Thanks?", "Welcome!", review=None),
    ]
    read = read_feedback(write_lines(tmp_path / "feedback.jsonl", lines))
    assert [record.messages[-1].content for record in read.liked] == ["Hello!", "Welcome!"]


def test_what_is_no_line_is_said_without_what_it_holds(tmp_path: Path) -> None:
    path = tmp_path / "feedback.jsonl"
    write_lines(path, facts())
    path.write_bytes(path.read_bytes() + b'{"secret": \n')
    read = read_feedback(path)
    assert [(reject.why, reject.text) for reject in read.rejects] == [("bad_line", "")]
    with pytest.raises(BadInput, match="cannot be read"):
        read_feedback(tmp_path / "none.jsonl")


def test_nothing_to_learn_says_what_waits(tmp_path: Path) -> None:
    lines = [correction_line(f"{number}?", "Yes.", review={"state": "waiting"}) for number in range(4)]
    read = read_feedback(write_lines(tmp_path / "feedback.jsonl", lines))
    assert "4 corrections wait for a review" in str(nothing_to_learn(read))
    assert "No correction is approved" in str(nothing_to_learn(read_feedback(write_lines(tmp_path / "none", []))))
