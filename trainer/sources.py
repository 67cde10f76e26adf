"""Where records come from: JSON, JSONL and Parquet files, directories, the hub; and under which licence."""

import hashlib
import json
import re
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from trainer.errors import BadInput
from trainer.readers import Kind, NoRecord, Reject, Row, corrected_answers, kind_of, record_of
from trainer.records import Record
from trainer.task_files import is_task, read_tasks

KEPT_CHARACTERS = 2_000
"""Of a rejected line."""


@dataclass(frozen=True, slots=True)
class Licence:
    """What the records' owner allows."""

    name: str
    non_commercial: bool = False
    note: str = ""


@dataclass(frozen=True, slots=True)
class Source:
    """One file, directory or hub name, read."""

    name: str
    """Of the file, with a number behind it where two have the same."""
    kind: Kind
    sha256: str | None
    """Of the file; None of a directory or the hub."""
    licence: Licence
    entries: tuple[Record | Reject, ...]
    """In the order of the lines."""

    def facts(self) -> dict[str, Any]:
        """Of a data set's manifest."""
        return {
            "name": self.name,
            "kind": self.kind,
            "sha256": self.sha256,
            "records": sum(isinstance(entry, Record) for entry in self.entries),
            "licence": self.licence.name,
            "non_commercial": self.licence.non_commercial,
            "note": self.licence.note,
        }


ALPACA = Licence(
    "CC BY-NC 4.0",
    non_commercial=True,
    note="Stanford Alpaca, made with text-davinci-003: for research; neither it nor a model tuned on it may be sold.",
)
DOLLY_15K = Licence(
    "CC BY-SA 3.0",
    note="databricks-dolly-15k, Copyright (2023) Databricks, Inc., with passages of Wikipedia: commercial use is "
    "allowed, with attribution and share-alike.",
)
STARTER = Licence("Apache-2.0", note="Dolly's own starter set, written for replay.")
KNOWN = {
    "2eddafc6b977608d778aaab8dfc7e50e547b3af9826dfb9e909d9fc362e4a419": ALPACA,
    "8cba4213eba00f0b232b3ac12cb228a0131a6581bd52c276162fe8cefe961680": DOLLY_15K,
    "3d0fd608bb207866c1440a8b3decdc748b2d079a751592a61d9944d6b0844b07": STARTER,
    "089c757333769de2dc3fa44a42a8d01a8e57077f33ceab2e806d8cf6a6d22b1e": STARTER,
    "tatsu-lab/alpaca": ALPACA,
    "databricks/databricks-dolly-15k": DOLLY_15K,
}
"""By the SHA-256 of a file, or a name on the hub."""
PRESUMED = "Presumed: "
OF_SHAPE: dict[Kind, Licence] = {
    "alpaca": Licence(ALPACA.name, True, f"{PRESUMED}the records have Stanford Alpaca's shape. " + ALPACA.note),
    "dolly15k": Licence(DOLLY_15K.name, False, f"{PRESUMED}the records have its shape. " + DOLLY_15K.note),
    "chat": Licence("not stated"),
    "feedback": Licence("the team's own", note="Exported by the bot, of channels that agreed to it."),
}


TOLD = "As told on the command line."


def read_source(spec: str, taken: Iterable[str] = (), *, licence: str | None = None) -> Source:
    """What `KIND:PATH`, `hub:NAME` or a path whose kind is found out holds; its name is none of those taken.

    `licence` is of records that come without one, and whose shape alone would have to tell.
    A line that is no record is a Reject in its place. Raises BadInput where nothing can be read at all.
    """
    prefix, colon, rest = spec.partition(":")
    kind: Kind | None = prefix if colon and prefix in get_args(Kind) else None  # type: ignore[assignment]   # just seen
    place = rest if colon and (kind or prefix == "hub") else spec
    path = Path(place)
    name = _free(path.name if path.exists() else place, set(taken))
    if prefix == "hub" or path.is_dir() or path.suffix == ".parquet":
        rows, stated, sha256 = *_of_library(place, name), None
    else:
        data = _bytes_of(path)
        rows, stated, sha256 = rows_of(data, name), None, hashlib.sha256(data).hexdigest()
    kind = kind or _kind(rows, spec)
    told = Licence(licence, _forbids_sale(licence), TOLD) if licence else None
    found = KNOWN.get(sha256 or place) or stated or told or OF_SHAPE[kind]
    return Source(name, kind, sha256, found, tuple(_entries(rows, kind, name)))


def read_rows(path: Path) -> list[Row | Reject]:
    """The items of a JSON list, or the lines of a JSONL file, as they stand. Raises BadInput."""
    return rows_of(_bytes_of(path), path.name)


def read_evaluation(path: Path) -> list[tuple[str, str]]:
    """Instruction and input of each item that models are evaluated on: the 252 set, SuperNI's tasks, or any records.

    Raises BadInput on any line that cannot be read: it could not be kept out.
    """
    items: list[tuple[str, str]] = []
    if path.is_dir() or _holds_task(path):
        asked = [(task, instance) for task in read_tasks(path) for instance in task.instances]
        return [
            pair
            for task, instance in asked
            for pair in ((task.definition, instance.input), (task.prompt(instance), ""))
        ]
    for row in read_rows(path):
        kind = None if isinstance(row, Reject) else kind_of(row.value)
        try:
            if isinstance(row, Reject):
                raise NoRecord(row.reason)
            if kind is not None:
                record = record_of(row, kind, path.name)
                items += [(message.content, "") for message in record.messages if message.role == "user"]
            else:
                items += [(row.value["instruction"], instance["input"]) for instance in row.value["instances"]]
        except (NoRecord, LookupError, TypeError) as error:
            reason = error if isinstance(error, NoRecord) else "it has neither a record's keys nor the 252 set's"
            raise BadInput(f"{path.name}, line {row.line}: {reason}; an evaluation file is read whole.") from None
    return items


def _holds_task(path: Path) -> bool:
    """Whether a file is one task of SuperNI: an object over all its lines, where records are a list or a line each."""
    data = _bytes_of(path).lstrip()
    try:
        return data[:1] == b"{" and is_task(json.loads(data))
    except (ValueError, RecursionError):
        return False


def _entries(rows: Iterable[Row | Reject], kind: Kind, name: str) -> Iterator[Record | Reject]:
    corrected = corrected_answers([row for row in rows if isinstance(row, Row)]) if kind == "feedback" else frozenset()
    for row in rows:
        if isinstance(row, Reject):
            yield row
            continue
        try:
            yield record_of(row, kind, name, corrected)
        except NoRecord as error:
            text = json.dumps(row.value, ensure_ascii=True, default=str)[:KEPT_CHARACTERS]
            yield Reject(row.file, row.line, error.why, str(error), text)


def _kind(rows: list[Row | Reject], spec: str) -> Kind:
    for row in rows:
        if isinstance(row, Row) and (kind := kind_of(row.value)):
            return kind
        if isinstance(row, Row) and isinstance(row.value, dict) and "instances" in row.value:
            raise BadInput(
                f"{spec} holds tasks of Self-Instruct, which models are evaluated on and never trained: "
                "give it with --evaluation."
            )
    if not rows:
        raise BadInput(f"{spec} is empty.")
    raise BadInput(
        f"{spec} holds no record that Dolly knows: neither instruction and output (Alpaca), instruction and response "
        "(Dolly 15k), messages (chat), nor messages and rating (feedback)."
    )


def _free(name: str, taken: set[str]) -> str:
    """The name, with a number behind it where it is taken."""
    names = (name, *(f"{name}-{number}" for number in range(2, len(taken) + 3)))
    return next(free for free in names if free not in taken)


def _bytes_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}.") from None


def rows_of(data: bytes, file: str) -> list[Row | Reject]:
    """As `read_rows`, of bytes that come from elsewhere."""
    data = data.removeprefix(b"\xef\xbb\xbf")
    return list(_items(data, file) if data.lstrip()[:1] == b"[" else _lines(data, file))


def _lines(data: bytes, file: str) -> Iterator[Row | Reject]:
    for number, line in enumerate(data.split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            yield Row(file, number, json.loads(line.decode()))
        except UnicodeDecodeError:
            yield Reject(file, number, "bad_line", "is not UTF-8", repr(line)[:KEPT_CHARACTERS])
        except (ValueError, RecursionError) as error:
            yield Reject(file, number, "bad_line", f"is no JSON: {_fault(error)}", line.decode()[:KEPT_CHARACTERS])


SPACE = re.compile(r"[ \t\r\n]*")


def _items(data: bytes, file: str) -> Iterator[Row | Reject]:
    """The items one by one, so that each is known by the line it begins in."""
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise BadInput(f"{file}, line {data[: error.start].count(10) + 1}: is not UTF-8.") from None
    decoder, line, counted = json.JSONDecoder(), 1, 0
    position = _skip(text, text.index("[") + 1)
    while text[position : position + 1] != "]":
        line, counted = line + text.count("\n", counted, position), position
        try:
            value, position = decoder.raw_decode(text, position)
        except (ValueError, RecursionError) as error:
            at = error.lineno if isinstance(error, json.JSONDecodeError) else line
            raise BadInput(f"{file}, line {at}: is no JSON: {_fault(error)}.") from None
        yield Row(file, line, value)
        position = _skip(text, position)
        if text[position : position + 1] == ",":
            position = _skip(text, position + 1)
        elif text[position : position + 1] != "]":
            line += text.count("\n", counted, position)
            raise BadInput(f"{file}, line {line}: is no JSON: a comma or the end of the list is missing.")


def _fault(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "nested too deeply"
    return error.msg if isinstance(error, json.JSONDecodeError) else "a number of too many digits"


def _skip(text: str, position: int) -> int:
    found = SPACE.match(text, position)
    assert found is not None
    return found.end()


def _of_library(place: str, name: str) -> tuple[list[Row | Reject], Licence | None]:
    """Rows of a hub name, a directory or a Parquet file, by Hugging Face's library, which runs no code of theirs."""
    import datasets  # pyarrow and all: only when such a source is read

    datasets.disable_progress_bars()
    path = Path(place)
    with tempfile.TemporaryDirectory() as cache:
        where = cache if path.exists() else None  # what is here already is not copied for ever
        try:
            if path.is_file():
                table = datasets.load_dataset("parquet", data_files=place, split="train", cache_dir=where)
            else:
                table = datasets.load_dataset(place, split="train", cache_dir=where)
            rows: list[Row | Reject] = [Row(name, number, value) for number, value in enumerate(table, start=1)]
        except Exception as error:  # of many kinds: the hub, the network, the files, pyarrow
            raise BadInput(f"{place} cannot be read as a data set: {_first_line(error)}") from None
    licence = _stated(path / "README.md") or table.info.license
    return rows, Licence(licence, _forbids_sale(licence)) if licence else None


def _stated(card: Path) -> str | None:
    """The licence in the front matter of a data set's card."""
    text = card.read_text(encoding="utf-8", errors="replace") if card.is_file() else ""
    found = re.match(r"---\n.*?^license:[ \t]*(\S+).*?^---", text, re.DOTALL | re.MULTILINE)
    return found[1] if found else None


def _forbids_sale(licence: str) -> bool:
    return re.search(r"\bnc\b|non-?commercial", licence.lower()) is not None


def _first_line(error: Exception) -> str:
    line: Any = next(iter(str(error).splitlines()), "")
    return line or type(error).__name__
