"""The data set as an artifact: the split by conversation, what fits into a model, and reading back what was written."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.trainer.tiny import tiny_tokenizer
from trainer.datasets import fit, read_split, split_records, write_dataset
from trainer.errors import BadInput, NotWhole
from trainer.readers import Reject
from trainer.records import Message, Record
from trainer.template import DOLLY_KEYS, Encoded, Template, dolly_template


def record(number: int, question: str | None = None, conversation: str | None = None) -> Record:
    messages = (
        Message("user", question or f"What is {number}?", "Ana"),
        Message("assistant", f"It is {number}\u2028."),
    )
    return Record(f"f:{number}", messages, "f", "maths" if number % 2 else None, conversation)


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    records = [record(number, conversation="t" if number == 3 else None) for number in range(5)]
    rejects = [Reject("f", 9, "bad_line", "is no JSON", "{"), Reject("f", 10, "empty_answer", "output is empty")]
    manifest = write_dataset(tmp_path / "set", records[:3], records[3:], rejects, {"non_commercial": True})
    assert read_split(tmp_path / "set", "train") == records[:3]
    assert read_split(tmp_path / "set", "held_out") == records[3:]
    assert manifest["non_commercial"] is True
    assert set(manifest["files"]) == {"train.jsonl", "held_out.jsonl", "rejects.jsonl"}
    lines = [json.loads(line) for line in (tmp_path / "set" / "rejects.jsonl").read_text().splitlines()]
    assert lines[0] == {"file": "f", "line": 9, "why": "bad_line", "reason": "is no JSON", "text": "{"}
    assert "text" not in lines[1]


def test_half_a_data_set_is_refused(tmp_path: Path) -> None:
    write_dataset(tmp_path / "set", [record(1)], [], [], {})
    with pytest.raises(BadInput, match="has no records held out"):
        read_split(tmp_path / "set", "held_out")
    with (tmp_path / "set" / "train.jsonl").open("a") as file:
        file.write("{}\n")
    with pytest.raises(NotWhole):
        read_split(tmp_path / "set", "train")
    (tmp_path / "set" / "manifest.json").unlink()
    with pytest.raises(NotWhole):
        read_split(tmp_path / "set", "train")


def test_the_split_is_exact_seeded_and_in_order() -> None:
    records = [record(number) for number in range(1000)]
    train, held_out = split_records(records, 100, 0, seed=42)
    assert (len(train), len(held_out)) == (900, 100)
    assert sorted([*train, *held_out], key=records.index) == records
    assert train == sorted(train, key=records.index)
    assert split_records(records, 100, 0, seed=42) == (train, held_out)
    assert split_records(records, 100, 0, seed=43)[1] != held_out


def test_a_part_is_drawn_with_the_seed() -> None:
    records = [record(number) for number in range(1000)]
    _, held_out = split_records(records, 100, 0, seed=42)
    train, same = split_records(records, 100, 50, seed=42)
    assert (len(train), same) == (50, held_out)
    assert train != records[:50]
    assert not {one.id for one in train} & {one.id for one in held_out}


def test_few_change_sides_when_records_are_added() -> None:
    records = [record(number) for number in range(1000)]
    before = {one.id for one in split_records(records[:950], 100, 0, seed=1)[1]}
    after = {one.id for one in split_records(records, 100, 0, seed=1)[1]}
    assert len(before & after) >= 85


@pytest.mark.parametrize("seed", range(10))
def test_a_conversation_is_never_split(seed: int) -> None:
    records = [record(number, conversation=f"t{number // 7}") for number in range(70)]
    records += [record(number, question=f"Which {number % 10}?") for number in range(70, 100)]
    train, held_out = split_records(records, 18, 0, seed)
    assert 0 < len(held_out) <= 18
    assert len(train) + len(held_out) == 100
    for kind in (lambda one: one.conversation, lambda one: one.conversation or one.messages[0].content):
        shared = {kind(one) for one in train} & {kind(one) for one in held_out}
        assert shared <= {None}


def test_a_small_data_set_keeps_four_fifths_to_train_on() -> None:
    assert [len(half) for half in split_records([record(number) for number in range(10)], 1000, 0, 1)] == [8, 2]
    assert [len(half) for half in split_records([record(1)], 1000, 0, 1)] == [1, 0]


def tiny_dolly() -> Template:
    tokenizer = tiny_tokenizer()
    tokenizer.add_special_tokens({"additional_special_tokens": list(DOLLY_KEYS)})
    return dolly_template(tokenizer)


def test_longer_records_are_dropped_or_cut_and_counted() -> None:
    template = tiny_dolly()
    short = record(1)
    long_answer = Record("f:2", (Message("user", "a"), Message("assistant", "so " * 200)), "f")
    long_question = Record("f:3", (Message("user", "so " * 200), Message("assistant", "a")), "f")
    most = len(template.encode(short.messages).input_ids)
    whole = fit([short, long_answer, long_question], template, 10_000, "drop")
    assert (len(whole.records), whole.dropped, whole.cut, whole.refused) == (3, 0, 0, 0)
    assert whole.examples[0] == template.encode(short.messages)

    dropped = fit([short, long_answer, long_question], template, most, "drop")
    assert (dropped.records, dropped.dropped, dropped.cut) == ((short,), 2, 0)

    cut = fit([short, long_answer, long_question], template, most, "cut")
    assert (cut.records, cut.dropped, cut.cut) == ((short, long_answer), 1, 1)
    assert [len(example.input_ids) for example in cut.examples] == [most, most]
    assert any(cut.examples[1].loss_mask)
    assert template.end_id not in cut.examples[1].input_ids


class Refusing:
    def encode(self, messages: Sequence[Message]) -> Encoded:
        if "odd" in messages[0].content:
            raise BadInput("The template refuses it.")
        return Encoded([1, 2], [False, True])


def test_what_a_template_refuses_is_counted() -> None:
    template: Any = Refusing()
    fitted = fit([record(1), record(2, "odd")], template, 10, "drop")
    assert (fitted.records, fitted.refused) == ((record(1),), 1)
    with pytest.raises(BadInput, match="The template refuses it"):
        fit([record(2, "odd")], template, 10, "drop")


def test_nothing_that_fits_is_bad_input() -> None:
    with pytest.raises(BadInput, match=r"1 records are longer than 5 tokens: raise dataset\.max_tokens"):
        fit([record(1)], tiny_dolly(), 5, "drop")
    with pytest.raises(BadInput, match="No record is left"):
        fit([], tiny_dolly(), 5, "cut")
