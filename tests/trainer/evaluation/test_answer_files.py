"""Answers from elsewhere are read in either shape, and only beside answers to the same questions."""

import json
from pathlib import Path
from typing import Any

import pytest

from trainer.errors import BadInput
from trainer.evaluation.answer_files import read_answers, read_together
from trainer.evaluation.engine import Answer

PREDICTION: dict[str, Any] = {
    "prompt": "…",
    "instruction": "Add.",
    "input": "1 and 1",
    "target": "2",
    "response": "Two\n",
}
ANSWER: dict[str, Any] = {
    "id": "r:1",
    "suite": "user_252",
    "category": "Mail",
    "task": None,
    "later_turn": False,
    "prompt": [{"role": "user", "content": "Add.\n\n### Input:\n1 and 1"}],
    "reference": "2",
    "other_references": ["two"],
    "answers": {
        "base": {"text": "3", "finish": "length", "tokens": 9, "rouge_l": 0.0, "loops": False, "leaks": False},
        "candidate": None,
    },
}


def written(path: Path, *rows: Any) -> Path:
    path.write_text("".join(f"{row if isinstance(row, str) else json.dumps(row)}\n" for row in rows))
    return path


def test_both_shapes(tmp_path: Path) -> None:
    predicted = written(tmp_path / "p.jsonl", PREDICTION, PREDICTION | {"input": " ", "id": "own"})
    first, second = read_answers("x", predicted)
    assert (first.item.id, second.item.id) == ("1", "own")
    assert [one.item.prompt[0].content for one in (first, second)] == ["Add.\n\n### Input:\n1 and 1", "Add."]
    assert first.item.reference == "2"
    assert first.answer == Answer("Two\n", None, 0)

    evaluated = written(tmp_path / "answers.jsonl", ANSWER)
    (base,), (candidate,) = (read_answers(label, evaluated) for label in ("base", "candidate"))
    assert base.answer == Answer("3", "length", 9)
    assert candidate.answer is None
    assert base.item.references == ("2", "two")
    elsewhere = written(tmp_path / "q.jsonl", PREDICTION | {"instruction": "Add.\n"})
    together = read_together({"base": evaluated, "elsewhere": elsewhere})
    assert together["elsewhere"][0].item == base.item  # the first file knows more of the question
    assert [one.answer.text for given in together.values() for one in given if one.answer] == ["3", "Two\n"]


def test_a_file_of_one_model_may_be_called_anything_and_one_of_several_not(tmp_path: Path) -> None:
    alone = written(tmp_path / "a.jsonl", ANSWER | {"answers": {"base": ANSWER["answers"]["base"]}})
    assert read_answers("before", alone)[0].answer == Answer("3", "length", 9)
    with pytest.raises(BadInput, match="holds answers of base, candidate, and none of before"):
        read_answers("before", written(tmp_path / "b.jsonl", ANSWER))


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([], "holds no answers"),
        ([PREDICTION, "{"], r":2 is no answer"),
        (["[1]"], r":1 is no answer"),
        (["7"], r":1 is no answer"),
        ([{"instruction": "a", "output": "b"}], r":1 is no answer"),
        ([PREDICTION | {"response": None}], r":1 is no answer"),
        ([PREDICTION | {"response": "half \ud83d"}], r":1 is no answer"),
        ([ANSWER | {"suite": "mmlu", "answers": {"x": None}}], r":1 is no answer"),
        ([ANSWER | {"answers": {"x": {"text": 7}}}], r":1 is no answer"),
    ],
)
def test_what_is_no_answer_is_named(tmp_path: Path, rows: list[Any], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        read_answers("x", written(tmp_path / "p.jsonl", *rows))
    with pytest.raises(BadInput, match="cannot be read"):
        read_answers("x", tmp_path / "none.jsonl")


def test_only_answers_to_the_same_questions_stand_beside_each_other(tmp_path: Path) -> None:
    one = written(tmp_path / "one.jsonl", PREDICTION, PREDICTION | {"target": "3"})
    fewer = written(tmp_path / "fewer.jsonl", PREDICTION)
    turned = written(tmp_path / "turned.jsonl", PREDICTION | {"target": "3"}, PREDICTION)
    with pytest.raises(BadInput, match=r"answers 1 questions, and .*one\.jsonl 2"):
        read_together({"a": one, "b": fewer})
    with pytest.raises(BadInput, match=r"Answer 1 of .*turned.jsonl is to another question than that of .*one.jsonl"):
        read_together({"a": one, "b": turned})
