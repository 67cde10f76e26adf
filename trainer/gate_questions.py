"""What a gate asks about a retrain's feedback: three files beside its data set, written by `mix`, read by `gate`.

corrections.jsonl   {"id", "trained", "messages", "correction", "answer", "paraphrases"}
neighbours.jsonl    {"correction", "trained", "messages", "answer"}, answered by the model in service
canaries.jsonl      {"record", "messages", "answer", "code"}; `{}` stands in the answer where the code does

The messages of each line end with the question; what is not `trained` was held out.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainer.artifacts import read_manifest
from trainer.canaries import Canary
from trainer.datasets import message_lines
from trainer.errors import NotWhole
from trainer.records import Message

CORRECTIONS, NEIGHBOURS, CANARIES = "corrections.jsonl", "neighbours.jsonl", "canaries.jsonl"

Prompt = tuple[Message, ...]


@dataclass(frozen=True, slots=True)
class Corrected:
    """A correction, as it is asked."""

    id: str
    is_trained: bool
    prompt: Prompt
    correction: str
    answer: str
    """What the model had said."""
    paraphrases: tuple[str, ...]

    @property
    def question(self) -> str:
        return self.prompt[-1].content

    def asked(self, question: str) -> Prompt:
        """The same conversation, ending with another question."""
        return (*self.prompt[:-1], Message("user", question))


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A question on a correction's topic that has another answer."""

    correction_id: str
    is_trained: bool
    prompt: Prompt
    answer: str = ""
    """Of the model in service."""

    @property
    def question(self) -> str:
        return self.prompt[-1].content


@dataclass(frozen=True, slots=True)
class Questions:
    corrections: tuple[Corrected, ...]
    neighbours: tuple[Neighbour, ...]
    canaries: tuple[Canary, ...]

    def lines(self) -> dict[str, list[dict[str, Any]]]:
        """The three files' lines."""
        return {
            CORRECTIONS: [
                {
                    "id": one.id,
                    "trained": one.is_trained,
                    "messages": message_lines(one.prompt),
                    "correction": one.correction,
                    "answer": one.answer,
                    "paraphrases": list(one.paraphrases),
                }
                for one in self.corrections
            ],
            NEIGHBOURS: [
                {
                    "correction": one.correction_id,
                    "trained": one.is_trained,
                    "messages": message_lines(one.prompt),
                    "answer": one.answer,
                }
                for one in self.neighbours
            ],
            CANARIES: [
                {
                    "record": one.record_id,
                    "messages": message_lines(one.prompt),
                    "answer": one.answer,
                    "code": one.code,
                }
                for one in self.canaries
            ],
        }


def read_questions(dataset: Path) -> Questions:
    """Raises NotWhole where the data set is not one that `mix` wrote."""
    held = read_manifest(dataset, "dataset")["files"]
    if missing := [name for name in (CORRECTIONS, NEIGHBOURS, CANARIES) if name not in held]:
        raise NotWhole(f"{dataset} has no {missing[0]}: a gate judges what a data set of a retrain taught.")
    return Questions(
        corrections=tuple(
            Corrected(
                line["id"],
                line["trained"],
                _prompt(line),
                line["correction"],
                line["answer"],
                tuple(line["paraphrases"]),
            )
            for line in _lines(dataset / CORRECTIONS)
        ),
        neighbours=tuple(
            Neighbour(line["correction"], line["trained"], _prompt(line), line["answer"])
            for line in _lines(dataset / NEIGHBOURS)
        ),
        canaries=tuple(
            Canary(line["record"], _prompt(line), line["answer"], line["code"]) for line in _lines(dataset / CANARIES)
        ),
    )


def _lines(path: Path) -> Sequence[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]


def _prompt(line: dict[str, Any]) -> Prompt:
    return tuple(Message(**message) for message in line["messages"])
