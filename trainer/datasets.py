"""A data set: records to train on and records held out, one a line, with what was left out and a manifest last.

train.jsonl  held_out.jsonl   {"id", "source", "category"?, "conversation"?, "messages": [{"role", "content", "name"?}]}
rejects.jsonl                 {"file", "line", "why", "reason", "text"?} of each line that nothing is learned from
manifest.json                 counts, sources with hash and licence, whether commercial use is forbidden

`beside` them lie the questions of a retrain's gate: gate_questions.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from trainer.artifacts import read_manifest, write_artifact, write_manifest
from trainer.errors import BadInput
from trainer.readers import Reject
from trainer.records import Message, Record
from trainer.template import Encoded, Template

Split = Literal["train", "held_out"]

MOST_HELD_OUT = 0.2
"""Share of a small data set."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """Records in a model's tokens, none longer than allowed."""

    records: tuple[Record, ...]
    examples: tuple[Encoded, ...]
    dropped: int
    """Longer ones that are left out."""
    cut: int
    """Longer ones that end early, without the end key."""
    refused: int
    """Conversations that the template does not take."""


def write_dataset(
    out: Path,
    train: Sequence[Record],
    held_out: Sequence[Record],
    rejects: Sequence[Reject],
    facts: Mapping[str, Any],
    *,
    beside: Mapping[str, Iterable[Mapping[str, Any]]] | None = None,
) -> dict[str, Any]:
    """Write it, with files of further lines `beside`; the manifest. Raises BadInput where `out` is taken, DiskFull."""
    with write_artifact(out) as folder:
        _write(folder / "train.jsonl", map(_line, train))
        _write(folder / "held_out.jsonl", map(_line, held_out))
        _write(folder / "rejects.jsonl", ({k: v for k, v in asdict(reject).items() if v != ""} for reject in rejects))
        for name, lines in (beside or {}).items():
            _write(folder / name, lines)
        write_manifest(folder, "dataset", facts)
    return read_manifest(out, "dataset")


def read_split(folder: Path, split: Split) -> list[Record]:
    """The records of one half. Raises NotWhole, or BadInput where it is empty."""
    read_manifest(folder, "dataset")
    records = list(_records(folder / f"{split}.jsonl"))
    if not records:
        what = "to train on" if split == "train" else "held out; build it with --set dataset.held_out_records=200"
        raise BadInput(f"{folder} has no records {what}.")
    return records


def split_records(
    records: Sequence[Record], held_out_records: int, train_records: int, seed: int
) -> tuple[list[Record], list[Record]]:
    """Records to train on and records held out, each in the given order; a conversation is wholly in one of them.

    Of a small data set a fifth is held out at most. 0 `train_records` = all that are left.
    """
    groups: dict[str, list[int]] = {}
    for index, record in enumerate(records):
        groups.setdefault(_conversation(record), []).append(index)
    shuffled = sorted(groups, key=lambda conversation: _draw(seed, conversation))
    held_out = _take(groups, shuffled, min(held_out_records, int(MOST_HELD_OUT * len(records))))
    rest = [conversation for conversation in shuffled if groups[conversation][0] not in held_out]
    train = _take(groups, rest, train_records or len(records))
    return [records[index] for index in sorted(train)], [records[index] for index in sorted(held_out)]


def fit(records: Iterable[Record], template: Template, max_tokens: int, too_long: Literal["drop", "cut"]) -> Fitted:
    """The records in the template's tokens; longer ones are dropped, or cut where something is left to learn.

    Raises BadInput where none is left.
    """
    kept, examples, dropped, cut = [], [], 0, 0
    refusals: list[BadInput] = []
    for record in records:
        try:
            example = template.encode(record.messages)
        except BadInput as refusal:
            refusals.append(refusal)
            continue
        if len(example.input_ids) > max_tokens:
            example = Encoded(example.input_ids[:max_tokens], example.loss_mask[:max_tokens])
            if too_long == "drop" or not any(example.loss_mask):
                dropped += 1
                continue
            cut += 1
        kept.append(record)
        examples.append(example)
    if not kept:
        long = f"{dropped} records are longer than {max_tokens} tokens: raise dataset.max_tokens. " if dropped else ""
        raise BadInput(f"No record is left to learn from. {long}{refusals[0] if refusals else ''}".rstrip())
    return Fitted(tuple(kept), tuple(examples), dropped, cut, len(refusals))


def message_lines(messages: Iterable[Message]) -> list[dict[str, str]]:
    """Messages as they are written."""
    return [{k: v for k, v in asdict(message).items() if v is not None} for message in messages]


def _conversation(record: Record) -> str:
    """What may not be split: the thread, or all that begins with the same question."""
    if record.conversation is not None:
        return f"thread {record.conversation}"
    return "question " + next(message.content for message in record.messages if message.role == "user")


def _draw(seed: int, conversation: str) -> bytes:
    """A conversation's place in the shuffle. It stays there when records are added, so few change sides."""
    return hashlib.sha256(f"{seed} {conversation}".encode()).digest()


def _take(groups: Mapping[str, Sequence[int]], order: Iterable[str], most: int) -> set[int]:
    """Indices of the first groups that fit."""
    taken: set[int] = set()
    for conversation in order:
        if len(taken) + len(groups[conversation]) <= most:
            taken.update(groups[conversation])
    return taken


def _write(path: Path, lines: Iterable[Mapping[str, Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)


def _line(record: Record) -> dict[str, Any]:
    fields = {"id": record.id, "source": record.source, "category": record.category}
    given = fields | {"conversation": record.conversation, "messages": message_lines(record.messages)}
    return {key: value for key, value in given.items() if value is not None}


def _records(path: Path) -> Iterator[Record]:
    with path.open(encoding="utf-8", newline="\n") as file:
        for line in file:
            value = json.loads(line)
            record = Record(**{**value, "messages": ()})
            yield replace(record, messages=tuple(Message(**message) for message in value["messages"]))
