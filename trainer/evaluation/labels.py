"""Which of two answers people, or a known judge, have preferred: the labels that a judge model is held against.

AlpacaEval's annotations, a JSON list (its people's and its GPT-4's alike):

    [{"instruction", "input"?, "output_1", "output_2", "preference": 1 | 2 | 1.5 | 0 | null}, …]

where a preference between 1 and 2 leans to the nearer, 1.5 and 0 are a tie, and null is a label that failed. Several
labels of one pair count as their mean.
"""

import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from trainer.errors import BadInput
from trainer.evaluation.judge import Pair, Preference
from trainer.readers import INPUT_KEY

TIE = 1.5


@dataclass(frozen=True, slots=True)
class Labelled:
    """A pair of answers with what was said of it before."""

    pair: Pair
    preference: Preference


def read_labels(path: Path) -> list[Labelled]:
    """The labelled pairs of a file. Raises BadInput, with the entry that is none."""
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
    request, about = row["instruction"], row.get("input") or ""
    texts = (request + (INPUT_KEY + about if about.strip() else ""), row["output_1"], row["output_2"])
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
