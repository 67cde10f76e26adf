"""The starter replay set: read whole, varied, said once, nobody's data."""

import json
import re
from collections import Counter
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from trainer.duplicates import near_duplicates
from trainer.personal_data import personal_data
from trainer.records import Message, Record
from trainer.sources import STARTER, read_source

HALVES = {"train.jsonl": 144, "held_out.jsonl": 80}
CATEGORIES = 15
TEMPLATE_KEYS = re.compile(r"<\||\|>|^#{2,}|\[/?INST\]|</?s>|<(?:bos|eos|pad|unk)>", re.MULTILINE)
AGES = re.compile(r"\b(?:19|20)\d\d\b|\b(?:this|last) year\b|\bnowadays\b", re.IGNORECASE)
UNENDED = re.compile(r"(?:[,;:(\[{–-]|…|\.\.\.|\b(?:and|or|the|a|of|to))$")


def path_of(half: str) -> Path:
    path = resources.files("trainer") / "starter" / half
    assert isinstance(path, Path)
    return path


def lines(half: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path_of(half).read_text(encoding="utf-8").splitlines()]


def records(half: str) -> list[Record]:
    """All of a half; a line that is no record fails."""
    entries = read_source(str(path_of(half))).entries
    found = [entry for entry in entries if isinstance(entry, Record)]
    assert [entry for entry in entries if not isinstance(entry, Record)] == []
    return found


def both() -> list[Record]:
    return [record for half in HALVES for record in records(half)]


def said(record: Record, role: str) -> list[str]:
    return [message.content for message in record.messages if message.role == role]


def questions(record: Record) -> tuple[Message, ...]:
    return tuple(message for message in record.messages if message.role == "user")


def words(texts: Sequence[str]) -> int:
    return sum(len(text.split()) for text in texts)


@pytest.mark.parametrize(("half", "number"), HALVES.items())
def test_a_half_is_read_whole_under_its_own_licence(half: str, number: int) -> None:
    source = read_source(str(path_of(half)))
    assert source.kind == "chat"
    assert source.licence is STARTER, f"trainer/sources.py: {half} has the SHA-256 {source.sha256} now"
    assert len(records(half)) == number


@pytest.mark.parametrize("half", HALVES)
def test_a_half_is_varied(half: str) -> None:
    read = records(half)
    assert sum(len(said(record, "user")) > 1 for record in read) >= 0.3 * len(read)
    categories = Counter(record.category for record in read)
    assert len(categories) == CATEGORIES
    assert min(categories.values()) >= 4
    assert max(categories.values()) <= 0.15 * len(read)


def test_ids_are_unique_and_in_order() -> None:
    assert [line["id"] for half in HALVES for line in lines(half)] == [
        f"starter-{number:04}" for number in range(1, sum(HALVES.values()) + 1)
    ]


def test_turns_alternate_and_answers_are_short() -> None:
    for record in both():
        assert [message.role for message in record.messages] == ["user", "assistant"] * (len(record.messages) // 2)
        assert all(words([answer]) <= 90 for answer in said(record, "assistant")), record.id
    assert all(words(said(record, "user")) < 100 for record in records("held_out.jsonl"))


def test_nothing_is_said_twice() -> None:
    read = both()
    assert near_duplicates(read) == {}
    same_answer = Message("assistant", "So it is.")
    asked = [Record(record.id, (*questions(record), same_answer), record.source) for record in read]
    assert near_duplicates(asked) == {}  # nor is any question asked twice, whatever is answered


def test_answers_end() -> None:
    for record in both():
        for answer in said(record, "assistant"):
            assert answer == answer.strip()
            assert answer.count("```") % 2 == 0, record.id
            assert not UNENDED.search(answer), f"{record.id}: …{answer[-30:]}"


def test_nothing_in_it_is_personal_or_ages_or_is_taken_for_a_template() -> None:
    for record in both():
        for message in record.messages:
            assert personal_data(message.content) == {}, record.id
            assert not TEMPLATE_KEYS.search(message.content), record.id
            assert not AGES.search(message.content), record.id
            assert "http" not in message.content, record.id
            assert "@" not in message.content, record.id


def test_python_in_it_compiles() -> None:
    blocks = [
        block
        for record in both()
        for answer in said(record, "assistant")
        for block in re.findall(r"```python\n(.*?)```", answer, re.DOTALL)
    ]
    assert len(blocks) >= 10
    for block in blocks:
        compile(block, "starter", "exec")
