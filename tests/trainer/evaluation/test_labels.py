"""Labels of AlpacaEval's shape are read, several of a pair as one; what is none is named."""

import json
from pathlib import Path
from typing import Any

import pytest

from trainer.errors import BadInput
from trainer.evaluation.labels import labels_sha256, read_labels
from trainer.evaluation.rating_sheet import read_ratings, read_sheet, write_sheet
from trainer.readers import INPUT_KEY


def label(preference: Any, request: str = "Add.", **other: Any) -> dict[str, Any]:
    """An annotation as AlpacaEval stores it, with what is not read."""
    return {
        "instruction": request,
        "output_1": "2",
        "generator_1": "a",
        "output_2": "3",
        "generator_2": "b",
        "annotator": "gpt4",
        "preference": preference,
    } | other


def written(path: Path, value: Any) -> Path:
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    return path


def test_each_pair_has_one_preference(tmp_path: Path) -> None:
    given = [
        label(1),
        label(2.0, "b"),
        label(1.5, "c"),
        label(0, "d"),
        label(1.9987, "e"),
        label(None, "f"),
        *(label(value, "g") for value in (1, 1, 2, 2)),
        *(label(value, "h") for value in (1, 2, 2, None)),
    ]
    found = read_labels(written(tmp_path / "labels.json", given))
    said = {one.pair.request: one.preference for one in found}
    assert said == {"Add.": "first", "b": "second", "c": "tie", "d": "tie", "e": "second", "g": "tie", "h": "second"}
    assert (found[0].pair.first, found[0].pair.second) == ("2", "3")
    assert len({one.pair.id for one in found}) == len(found)


def test_an_input_belongs_to_the_request(tmp_path: Path) -> None:
    (one,) = read_labels(written(tmp_path / "labels.json", [label(1, input="1 and 1")]))
    assert one.pair.request == "Add.\n\n### Input:\n1 and 1"


def test_what_people_rated_are_labels(tmp_path: Path) -> None:
    """Of three questions: one better, both alike in the mean of two people, one answer that nobody rated."""
    files = {}
    for model in ("ours", "theirs"):
        rows = [
            {"instruction": f"q{at}", "input": "i" * at, "target": "t", "response": f"{model} {at}"} for at in (0, 1, 2)
        ]
        files[model] = written(tmp_path / f"{model}.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    folder = tmp_path / "sheet"
    write_sheet(files, folder, number=9, seed=1)
    with pytest.raises(BadInput, match="nobody has rated two answers"):
        read_labels(folder)
    items = read_sheet(folder)
    before = labels_sha256(folder)
    for name, letters in {
        "asha": {"ours 0": "A", "theirs 0": "C", "ours 1": "A", "theirs 1": "B", "ours 2": "D"},
        "ben": {"ours 1": "C", "theirs 1": "B"},
    }.items():
        ratings = read_ratings(folder, name, items)
        for item in items:
            if item.answer in letters:
                ratings.rate(item, letters[item.answer])
    found = {one.pair.request: one for one in read_labels(folder)}
    assert set(found) == {"q0", f"q1{INPUT_KEY}i"}
    better = found["q0"]
    assert getattr(better.pair, "first" if better.preference == "first" else "second") == "ours 0"
    assert found[f"q1{INPUT_KEY}i"].preference == "tie"
    assert labels_sha256(folder) != before


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("{", "are no JSON"),
        ({}, "are no list of annotations"),
        ([], "hold no preference"),
        ([label(None)], "hold no preference"),
        ([label(1), label(3)], "entry 1 is no annotation"),
        ([label("1")], "entry 0 is no annotation"),
        ([label(True)], "entry 0 is no annotation"),
        ([label(1, output_1=None)], "entry 0 is no annotation"),
        ([label(1, instruction="half \ud83d")], "entry 0 is no annotation"),
        ([{"instruction": "a"}], "entry 0 is no annotation"),
        (["a"], "entry 0 is no annotation"),
    ],
)
def test_what_is_no_label_is_named(tmp_path: Path, value: Any, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        read_labels(written(tmp_path / "labels.json", value))
    with pytest.raises(BadInput, match="cannot be read"):
        read_labels(tmp_path / "none.json")
