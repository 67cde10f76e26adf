"""Answers that were given before, by whatever model: files of answers, several read together as answers to one set.

Two shapes, a JSON object a line:

    {"instruction", "input", "target", "response"}    predictions, as Self-Instruct released them
    {"id", "suite", "prompt", "reference", "answers": {LABEL: {"text", …}}, …}    the answers.jsonl of `evaluate`
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from trainer.errors import BadInput
from trainer.evaluation.engine import Answer
from trainer.evaluation.suites import Item, Suite
from trainer.readers import INPUT_KEY
from trainer.records import Message


@dataclass(frozen=True, slots=True)
class Given:
    """A question, and what one model answered; None where it gave no answer."""

    item: Item
    answer: Answer | None


def read_together(files: Mapping[str, Path]) -> dict[str, list[Given]]:
    """Of each label its answers, in the order of the questions, which are the same in every file but for white space.

    What else is known of a question (suite, category, further references) is what the first file says of it.
    Raises BadInput where a file cannot be read, or asks something else than the first.
    """
    found = {label: read_answers(label, path) for label, path in files.items()}
    (first, wanted), *others = found.items()
    for label, given in others:
        if len(given) != len(wanted):
            raise BadInput(
                f"{files[label]} answers {len(given)} questions, and {files[first]} {len(wanted)}: "
                "only answers to the same questions can be compared."
            )
        for number, (one, other) in enumerate(zip(wanted, given, strict=True), 1):
            if _asked(one.item) != _asked(other.item):
                raise BadInput(
                    f"Answer {number} of {files[label]} is to another question than that of {files[first]}: "
                    "only answers to the same questions, in the same order, can be compared."
                )
        found[label] = [Given(one.item, other.answer) for one, other in zip(wanted, given, strict=True)]
    return found


def _asked(item: Item) -> list[str]:
    """What makes it this question and no other."""
    return [" ".join(text.split()) for text in (*(message.content for message in item.prompt), item.reference)]


def read_answers(label: str, path: Path) -> list[Given]:
    """The answers of a file; where it holds several models', those of `label`. Raises BadInput."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"The answers {path} cannot be read: {error}.") from None
    given = [
        _read(line, label, number, f"{path}:{number}")
        for number, line in enumerate(text.split("\n"), 1)
        if line.strip()
    ]
    if not given:
        raise BadInput(f"{path} holds no answers.")
    return given


def _read(line: str, label: str, number: int, where: str) -> Given:
    try:
        row = json.loads(line)
        line.encode()
        read: Callable[[Mapping[str, Any], str, int, str], Given] = _evaluated if "answers" in row else _predicted
        return read(row, label, number, where)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        raise BadInput(
            f"{where} is no answer: neither a prediction (instruction, input, target, response) nor a line of an "
            "evaluation's answers.jsonl."
        ) from None


def _predicted(row: Mapping[str, Any], label: str, number: int, where: str) -> Given:
    question = row["instruction"] + (INPUT_KEY + row["input"] if row["input"].strip() else "")
    item = Item(str(row.get("id", number)), "given", (Message("user", question),), _text(row["target"]), None, False)
    return Given(item, Answer(_text(row["response"]), None, 0))


def _evaluated(row: Mapping[str, Any], label: str, number: int, where: str) -> Given:
    answers = row["answers"]
    if label not in answers and len(answers) > 1:
        raise BadInput(f"{where} holds answers of {', '.join(answers)}, and none of {label}: name one of these.")
    answer = answers[label] if label in answers else next(iter(answers.values()))
    item = Item(
        id=_text(row["id"]),
        suite=row["suite"],
        prompt=tuple(Message(one["role"], _text(one["content"])) for one in row["prompt"]),
        reference=_text(row["reference"]),
        category=row["category"],
        is_later=row["later_turn"],
        other_references=tuple(map(_text, row["other_references"])),
        task=row["task"],
    )
    if item.suite not in get_args(Suite):
        raise ValueError
    return Given(item, answer and Answer(_text(answer["text"]), answer["finish"], answer["tokens"]))


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    value.encode()  # half a character could not be shown
    return value
