"""Which of two answers people, or a known judge, have preferred: the labels that a judge model is held against.

AlpacaEval's annotations, a JSON list (its people's and its GPT-4's alike):

    [{"instruction", "input"?, "output_1", "output_2", "preference": 1 | 2 | 1.5 | 0 | null}, …]

where a preference between 1 and 2 leans to the nearer, 1.5 and 0 are a tie, and null is a label that failed. Several
labels of one pair count as their mean.

Or the folder of a sheet that people have rated (rating_sheet.py): of two answers to one question the one with the
better mean of its letters.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from statistics import fmean
from typing import Any

from trainer.artifacts import sha256_of
from trainer.errors import BadInput
from trainer.evaluation.judge import Pair, Preference
from trainer.evaluation.rating_sheet import RATINGS, SHEET, SheetItem, read_all_ratings, read_key, read_sheet
from trainer.readers import INPUT_KEY

TIE = 1.5


@dataclass(frozen=True, slots=True)
class Labelled:
    """A pair of answers with what was said of it before."""

    pair: Pair
    preference: Preference


def read_labels(path: Path) -> list[Labelled]:
    """The labelled pairs of a file, or of a sheet's folder. Raises BadInput, with the entry that is none."""
    return _rated(path) if path.is_dir() else _annotated(path)


def labels_sha256(path: Path) -> str:
    """Of the file; of a folder the sheet's and all that people said."""
    if not path.is_dir():
        return sha256_of(path)
    files = [path / SHEET, *sorted(path.glob("ratings-*.jsonl"))]
    return hashlib.sha256("".join(map(sha256_of, files)).encode()).hexdigest()


def _rated(folder: Path) -> list[Labelled]:
    items, key = read_sheet(folder), read_key(folder)
    grades: dict[str, list[int]] = defaultdict(list)
    for ratings in read_all_ratings(folder, items):
        for rated, letter in ratings.given.items():
            grades[rated].append(list(RATINGS).index(letter))
    questions: dict[int, list[SheetItem]] = defaultdict(list)
    for item in items:
        if item.id in grades:
            questions[key.items[item.id].question].append(item)
    found = [
        Labelled(
            Pair(f"{first.id}-{second.id}", _request(first.question, first.input), first.answer, second.answer),
            _nearer(fmean(grades[first.id]), fmean(grades[second.id])),
        )
        for answers in questions.values()
        for first, second in combinations(answers, 2)
    ]
    if not found:
        raise BadInput(f"{folder}: nobody has rated two answers to one question yet.")
    return found


def _nearer(first: float, second: float) -> Preference:
    """Whose grade is nearer to A, which is 0."""
    return "tie" if first == second else "first" if first < second else "second"


def _request(asked: str, about: str) -> str:
    return asked + (INPUT_KEY + about if about.strip() else "")


def _annotated(path: Path) -> list[Labelled]:
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"The labels {path} cannot be read: {error}.") from None
    except (ValueError, RecursionError) as error:
        raise BadInput(f"The labels {path} are no JSON: {error}.") from None
    if not isinstance(rows, list):
        raise BadInput(f"The labels {path} are no list of annotations (instruction, output_1, output_2, preference).")
    values: dict[tuple[str, str, str], list[float]] = defaultdict(list)
    for number, row in enumerate(rows):
        try:
            key, value = _read(row)
        except (LookupError, TypeError, ValueError, AttributeError):
            raise BadInput(
                f"The labels {path}: entry {number} is no annotation: instruction, output_1 and output_2 are texts, "
                "preference is 1, 2, 1.5 or 0 for a tie, or null."
            ) from None
        if value is not None:
            values[key].append(value)
    if not values:
        raise BadInput(f"The labels {path} hold no preference.")
    return [
        Labelled(Pair(str(number), *key), _preference(fmean(found)))
        for number, (key, found) in enumerate(values.items())
    ]


def _read(row: Mapping[str, Any]) -> tuple[tuple[str, str, str], float | None]:
    texts = (_request(row["instruction"], row.get("input") or ""), row["output_1"], row["output_2"])
    for text in texts:
        text.encode()  # half a character could not be sent
    value = row["preference"]
    if value is None:
        return texts, None
    if isinstance(value, bool) or not (value == 0 or 1 <= value <= 2):
        raise ValueError
    return texts, float(value or TIE)


def _preference(value: float) -> Preference:
    return "tie" if value == TIE else "first" if value < TIE else "second"
