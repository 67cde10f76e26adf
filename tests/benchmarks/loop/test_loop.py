"""The parts of make bench-loop: its corrections, what counts in an answer, its controls, its figures."""

import json
import subprocess
from dataclasses import asdict
from pathlib import Path

import pytest

from tests.benchmarks.loop.__main__ import figures, measured, plan, report
from tests.benchmarks.loop.families import facts, house_rule, keeps_rule, lesson, names_owner
from tests.benchmarks.loop.measured import Measured
from tests.benchmarks.loop.models import SIZES, Subject, as_many, tokens
from tests.benchmarks.loop.plot import draw
from tests.trainer.team_feedback import write_lines
from tests.trainer.tiny import tiny_tokenizer
from tests.trainer.tiny_loop import CHAT_TEMPLATE
from trainer.duplicates import asks_the_same
from trainer.feedback import read_feedback
from trainer.records import Message, Record
from trainer.template import template_of


def model(told: float, bits: float = 0.6) -> Measured:
    shares = ("facts_trained", "facts_held_out", "rule_held_out", "owners_right", "owners_elsewhere", "rouge_l")
    return Measured(dict.fromkeys((*shares, "stop_rate"), told) | {"bits_per_byte": bits}, {}, 1000, 1.0)


FOUND = {
    Subject("untouched", 10): model(0.0),
    Subject("taught", 10): model(0.75, 0.615),
    Subject("control", 10): model(0),
}


@pytest.mark.parametrize("size", SIZES)
def test_a_lesson_is_so_many_approved_corrections(size: int, tmp_path: Path) -> None:
    read = read_feedback(write_lines(tmp_path / "feedback.jsonl", lesson(size).lines()))
    assert len(read.corrections) == size
    assert not read.rejects
    asked = [text for one in read.corrections for text in one.paraphrases]
    assert len(set(asked)) == len(asked) / 2 == 2 * len(lesson(size).facts)
    assert lesson(10).facts == lesson(size).facts[:3]
    assert lesson(10).ruled == lesson(size).ruled[:4]


def test_a_fact_is_told_by_its_own_answer_alone() -> None:
    known = facts()
    assert len({question for fact in known for question in fact.trained + fact.held_out}) == 4 * len(known)
    for fact in known:
        assert fact.told_in(fact.answer.upper())
        assert not any(fact.told_in(question) for question in fact.trained + fact.held_out)
        assert not any(fact.told_in(other.answer) for other in known if other is not fact)
        assert not any(asks_the_same(question, fact.trained) for question in fact.held_out)


def test_the_house_rule_is_asked_on_questions_that_nobody_corrects() -> None:
    trained, held_out = house_rule()
    assert (len(trained), len(held_out)) == (80, 40)
    assert not {one.question for one in trained} & {one.question for one in held_out}
    assert all(keeps_rule(one.ruled_answer) and one.ruled_answer.count("\n") == 1 for one in trained + held_out)
    assert {one.owner for one in held_out} == {one.owner for one in trained[:8]}


@pytest.mark.parametrize(
    ("answer", "kept"),
    [
        ("Press the button.\nOwner: IT", True),
        ("Press it. Wait for it to end.\n\nOwner: People team", True),
        ("Press it. Wait. Call us.\nOwner: IT", False),
        ("Press the button. Owner: IT", False),
        ("Owner: IT", False),
        ("Press the button.\nOwner:", False),
        ("Press the button.\nOwner: IT\nPress it again.", False),
        ("Press the button.\nOwner: IT\nOwner: Finance", False),
        ("", False),
    ],
)
def test_the_house_rule_is_kept_by_two_sentences_and_an_owner(answer: str, kept: bool) -> None:
    assert keeps_rule(answer) is kept


def test_an_owner_is_named_on_a_line_of_its_own() -> None:
    assert names_owner("Press it.\nOwner: IT")
    assert not names_owner("The owner: it is IT.")


def test_a_control_reads_as_many_tokens_of_replay_again_and_again() -> None:
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = CHAT_TEMPLATE
    template = template_of(tokenizer)
    replay = [
        Record(str(words), (Message("user", "the dog " * words), Message("assistant", "The fox.")), "starter")
        for words in (3, 60, 5)
    ]
    of_one = [tokens([record], template, 1000) for record in replay]
    most = of_one[1] - 1
    found = as_many(replay, 2 * (of_one[0] + of_one[2]) + 1, template, most)
    assert [record.id for record in found] == ["3#1", "5#1", "3#2", "5#2", "3#3"]
    assert tokens(replay, template, most) == of_one[0] + of_one[2]


def test_the_untouched_model_is_asked_what_the_largest_lesson_teaches() -> None:
    assert [subject.name for subject in plan((10, 50))] == [
        *("untouched-50", "taught-10", "control-10", "taught-50", "control-50")
    ]


def test_an_interrupted_bench_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def run(command: list[str]) -> None:
        subject = Subject("control", 10)
        asked.append(" ".join(command[3:5]))
        keep(subject)

    def keep(subject: Subject) -> None:
        subject.folder(tmp_path).mkdir()
        (subject.folder(tmp_path) / "result.json").write_text(json.dumps(asdict(FOUND[subject])))

    keep(Subject("untouched", 10))
    keep(Subject("taught", 10))
    monkeypatch.setattr(subprocess, "run", run)
    assert measured(plan((10,)), tmp_path) == FOUND
    assert asked == ["control 10"]


def test_figures_are_of_what_was_taught_beside_the_untouched_model(capsys: pytest.CaptureFixture[str]) -> None:
    assert figures(FOUND[Subject("control", 10)], model(0.0))["replay_bpb_ratio"] == 1
    report(FOUND)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 6
    assert "figure: loop.facts_trained_10 75.0 % goal 90 short" in lines
    assert "figure: loop.facts_held_out_10 75.0 % goal 60 ok" in lines
    assert "figure: loop.replay_bpb_ratio_10 1.025 times goal 1.02 short" in lines
    assert "figure: loop.rouge_l_change_10 75.0 points goal -5 ok" in lines


def test_the_plot_is_drawn(tmp_path: Path) -> None:
    draw(FOUND, tmp_path / "plot.png")
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")
