"""Seed tasks: what a model is shown so that it writes more of the kind.

The public 175 and what looks like them: {"instruction", "instances": [{"input", "output"}], "is_classification"?}; any
records that `dataset build` reads, of one turn (Alpaca's shape, Dolly 15k's, chats); a data set's directory, such as
one of the team's own approved questions.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainer.artifacts import MANIFEST, sha256_of
from trainer.datasets import read_split
from trainer.errors import BadInput
from trainer.evaluation.suites import fetched
from trainer.feedback import read_feedback
from trainer.readers import INPUT_KEY, NoRecord, Reject, Row, kind_of, record_of
from trainer.records import Record
from trainer.sources import read_rows, rows_of

PUBLIC = Path("public")
"""In place of a path: fetch the 175 from where their authors keep them."""
PUBLIC_URL = (
    "https://raw.githubusercontent.com/yizhongw/self-instruct/0b26ccaa415992100fa32df62d41b994cf928e23"
    "/data/seed_tasks.jsonl"
)
PUBLIC_SHA256 = "7779004fa198fdf27cf70a159363879d8a26c53329e11b436af17b3941875f48"


@dataclass(frozen=True, slots=True)
class Instance:
    """What a task is about, and how it is answered. `input` is empty where the instruction says all."""

    input: str
    output: str


@dataclass(frozen=True, slots=True)
class Seed:
    """A task that people wrote."""

    instruction: str
    instances: tuple[Instance, ...]
    is_classification: bool | None = None
    """None where the file does not say."""


def read_seeds(place: Path) -> list[Seed]:
    """The tasks of a JSON or JSONL file, of a data set's directory, or the `PUBLIC` ones, each instruction once.

    Raises BadInput with file, line and key for a line that is no seed.
    """
    if place == PUBLIC:
        found = list(
            _of_rows(rows_of(fetched(PUBLIC_URL, PUBLIC_SHA256).encode(), "seed_tasks.jsonl"), "seed_tasks.jsonl")
        )
    elif (place / MANIFEST).is_file():
        found = [_of_record(record) for record in read_split(place, "train")]
    elif place.is_dir():
        raise BadInput(f"{place} is no data set (it has no {MANIFEST}). Name a file of seeds, or a data set.")
    else:
        found = list(_of_file(place))
    seeds = list({seed.instruction: seed for seed in reversed([seed for seed in found if seed])}.values())[::-1]
    if not seeds:
        raise BadInput(f"{place} holds no seed: tasks of one question and its answer.")
    return seeds


def identity_of(place: Path) -> dict[str, str]:
    """By what seeds are known again: name and SHA-256."""
    if place == PUBLIC:
        return {"file": str(PUBLIC), "sha256": PUBLIC_SHA256}
    return {"file": place.name, "sha256": sha256_of(place / MANIFEST if place.is_dir() else place)}


def _of_file(place: Path) -> Iterator[Seed | None]:
    rows = read_rows(place)
    if any(isinstance(row, Row) and kind_of(row.value) == "feedback" for row in rows):
        feedback = read_feedback(place)
        yield from (_of_record(correction.record) for correction in feedback.corrections)
        yield from (_of_record(record) for record in feedback.liked)
        return
    yield from _of_rows(rows, place.name)


def _of_rows(rows: Iterable[Row | Reject], name: str) -> Iterator[Seed | None]:
    for row in rows:
        where = f"{name}, line {row.line}"
        if isinstance(row, Reject):
            raise BadInput(f"{where}: {row.reason}.")
        kind = kind_of(row.value)
        try:
            yield _of_record(record_of(row, kind, name)) if kind else _of_task(row.value, where)
        except NoRecord as error:
            raise BadInput(f"{where}: {error}.") from None


def _of_task(value: Any, where: str) -> Seed:
    if not isinstance(value, dict):
        raise BadInput(f"{where}: a seed is an object, with instruction and instances.")
    if "motivation_app" in value:
        raise BadInput(
            f"{where}: is a user-oriented instruction. Models are judged by those, and nothing is made of them."
        )
    if missing := [key for key in ("instruction", "instances") if not value.get(key)]:
        raise BadInput(f"{where}: {' and '.join(missing)} is missing or empty.")
    instances = value["instances"]
    if not isinstance(value["instruction"], str) or not isinstance(instances, list):
        raise BadInput(f"{where}: instruction is a text, and instances a list of input and output.")
    is_classification = value.get("is_classification")
    if not isinstance(is_classification, bool | None):
        raise BadInput(f"{where}: is_classification is true or false, and here it is {json.dumps(is_classification)}.")
    read = tuple(_instance(instance, f"{where}: instances[{index}]") for index, instance in enumerate(instances))
    return Seed(_flat(value["instruction"]), read, is_classification)


def _instance(value: Any, where: str) -> Instance:
    if not isinstance(value, dict) or not isinstance(value.get("output"), str):
        raise BadInput(f"{where}: output is missing, or no text.")
    if not isinstance(given := value.get("input") or "", str):
        raise BadInput(f"{where}: input is no text.")
    return Instance(given.strip(), value["output"].strip())


def _of_record(record: Record) -> Seed | None:
    """None of a conversation: what its last question asks hangs on what stands before it."""
    asked = [message for message in record.messages if message.role == "user"]
    if len(asked) != 1:
        return None
    instruction, _, given = asked[0].content.partition(INPUT_KEY)
    return Seed(_flat(instruction), (Instance(given.strip(), record.messages[-1].content.strip()),))


def _flat(instruction: str) -> str:
    """On one line, as it stands in a list."""
    return " ".join(instruction.split())
