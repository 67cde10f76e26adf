"""A verdict is kept whole and read back; what a model in service said is kept by its hash."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from trainer.errors import NotWhole
from trainer.evaluation.kept import MOST_MODELS, Kept
from trainer.evaluation.verdict import Refusal, Verdict
from trainer.records import Message

REFUSED = Verdict(
    "smoke",
    passed=False,
    not_enough_evidence=False,
    refusals=(Refusal("suite", "It is worse."), Refusal("leaks", "It knows codes.")),
    figures={"suite": {"candidate": 0.5}},
)


def test_a_verdict_is_read_back(tmp_path: Path) -> None:
    REFUSED.write(tmp_path / "gate.json")
    assert Verdict.read(tmp_path / "gate.json") == REFUSED
    assert [path.name for path in tmp_path.iterdir()] == ["gate.json"]


def test_it_is_said_in_sentences() -> None:
    assert REFUSED.sentence == "The smoke gate refuses this model:\nIt is worse.\nIt knows codes."
    passed = Verdict("full", passed=True, not_enough_evidence=True, refusals=(), figures={})
    assert passed.sentence == "The gate is passed. It has not enough evidence, and an admin said yes."


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"size": "smoke", "refusals": [{}]}'])
def test_half_a_verdict_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "gate.json").write_text(text)
    with pytest.raises(NotWhole, match="is no verdict of a gate"):
        Verdict.read(tmp_path / "gate.json")


def test_only_what_is_missing_is_asked(tmp_path: Path) -> None:
    asked: list[int] = []

    def ask(places: list[int]) -> Sequence[str]:
        asked.extend(places)
        return [f"answer {place}" for place in places]

    questions = [[Message("user", text)] for text in "abc"]
    assert Kept(tmp_path, "model").all(questions[:2], ask) == (["answer 0", "answer 1"], 2)
    assert Kept(tmp_path, "model").all(questions, ask) == (["answer 0", "answer 1", "answer 2"], 1)
    assert asked == [0, 1, 2]
    assert Kept(tmp_path, "another").all(questions[:1], ask) == (["answer 0"], 1)
    assert Kept(None, "model").all(questions[:1], ask) == (["answer 0"], 1)


def test_few_models_are_kept_and_a_broken_file_is_none(tmp_path: Path) -> None:
    question = [[Message("user", "?")]]
    for number in range(MOST_MODELS + 3):
        Kept(tmp_path, f"model {number}").all(question, lambda _: ["!"])
    assert len(list(tmp_path.glob("*.json"))) == MOST_MODELS
    for path in tmp_path.glob("*.json"):
        path.write_text("{")
    assert Kept(tmp_path, f"model {MOST_MODELS + 2}").all(question, lambda _: ["?"]) == (["?"], 1)
