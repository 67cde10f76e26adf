"""A sheet for people to rate: answers of several models, without a word of whose they are, and what raters say of them.

A folder, which the workspace page reads and writes too:

    sheet.jsonl           {"id", "question", "input", "answer"}; answers to one question stand together, shuffled
    key.json              whose each answer is, and to which question; nobody looks into it while people rate
    ratings-NAME.jsonl    {"item", "rating", "at"}: A to D, or null where it was taken back; the last one counts
    manifest.json         size and SHA-256 of the sheet and its key

An item's id is made of what it says, so that a rating belongs to that text and no other.
"""

import fcntl
import hashlib
import json
import os
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from trainer.artifacts import read_manifest, sha256_of, write_artifact, write_manifest
from trainer.errors import BadInput
from trainer.evaluation.answer_files import read_together
from trainer.evaluation.suites import Item
from trainer.readers import INPUT_KEY

KIND = "rating_sheet"
SHEET, KEY = "sheet.jsonl", "key.json"
RATINGS = {
    "A": "valid and satisfying",
    "B": "acceptable, with minor errors",
    "C": "relevant, with significant errors",
    "D": "irrelevant or invalid",
}
"""What people say of an answer, best first: the four levels of Self-Instruct (arXiv 2212.10560, section 5.4)."""
NAME = re.compile(r"[\w.-]{1,40}")
FILE = re.compile(r"ratings-([\w.-]{1,40})\.jsonl")


@dataclass(frozen=True, slots=True)
class SheetItem:
    """One answer, as a rater sees it."""

    id: str
    question: str
    input: str
    answer: str


@dataclass(frozen=True, slots=True)
class Whose:
    """What a rater does not see: the model's label, and the question by its place on the sheet, counted from 1."""

    label: str
    question: int


@dataclass(frozen=True, slots=True)
class Key:
    """Opens a sheet."""

    labels: tuple[str, ...]
    """In the order in which the sheet was asked for: others are compared with the first."""
    items: Mapping[str, Whose]
    """By the item's id."""


@dataclass
class Ratings:
    """What one person said, in a file that only grows."""

    name: str
    path: Path
    given: dict[str, str] = field(default_factory=dict)
    """Item to letter, in the order in which they were given."""
    is_torn: bool = False
    """The file ends within a line, which a kill has cut off and which does not count."""

    def rate(self, item: SheetItem, rating: str | None) -> None:
        """On the disk when it returns; None takes a rating back. Raises BadInput where it cannot be written."""
        line = {"item": item.id, "rating": rating, "at": datetime.now(UTC).isoformat(timespec="seconds")}
        try:
            _append(self.path, json.dumps(line) + "\n")
        except OSError as error:
            raise BadInput(f"{self.path} cannot be written: {error.strerror}. The last rating is not in it.") from None
        self.given.pop(item.id, None)
        if rating is not None:
            self.given[item.id] = rating


def write_sheet(files: Mapping[str, Path], out: Path, *, number: int, seed: int) -> int:
    """Of each question of the files (or of `number`, drawn) the answer of every label; how many questions that are.

    Raises BadInput where the files do not answer the same questions, or `out` is there already.
    """
    if len(files) < 2:
        raise BadInput("To rate blindly takes the answers of two models or more: name LABEL=FILE for each.")
    together = list(zip(*read_together(files).values(), strict=True))
    draw = random.Random(seed)
    chosen = sorted(draw.sample(range(len(together)), min(number, len(together))))
    items: list[SheetItem] = []
    whose: dict[str, Whose] = {}
    for question, place in enumerate(chosen, 1):
        shuffled = list(zip(files, together[place], strict=True))
        draw.shuffle(shuffled)
        for label, given in shuffled:
            asked, about = _texts(given.item)
            answer = given.answer.text.strip() if given.answer else ""  # some models begin with a line end: a sign
            items.append(SheetItem(_id(len(items), asked, about, answer), asked, about, answer))
            whose[items[-1].id] = Whose(label, question)
    with write_artifact(out) as folder:
        lines = (json.dumps(asdict(item), ensure_ascii=False) + "\n" for item in items)
        (folder / SHEET).write_text("".join(lines), encoding="utf-8")
        key = {
            "seed": seed,
            "answers": {label: {"file": str(path), "sha256": sha256_of(path)} for label, path in files.items()},
            "questions": [together[place][0].item.id for place in chosen],
            "items": {item: asdict(one) for item, one in whose.items()},
        }
        (folder / KEY).write_text(json.dumps(key, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        write_manifest(folder, KIND, {"questions": len(chosen), "labels": len(files)})
    return len(chosen)


def read_sheet(folder: Path) -> list[SheetItem]:
    """Raises BadInput where there is none, or one that is not as it was written."""
    read_manifest(folder, KIND, check=True)
    return [SheetItem(**json.loads(line)) for line in (folder / SHEET).read_text(encoding="utf-8").split("\n") if line]


def read_key(folder: Path) -> Key:
    """Raises BadInput as `read_sheet` does."""
    read_manifest(folder, KIND, check=True)
    key = json.loads((folder / KEY).read_text(encoding="utf-8"))
    return Key(tuple(key["answers"]), {item: Whose(**one) for item, one in key["items"].items()})


def read_all_ratings(folder: Path, items: Sequence[SheetItem]) -> list[Ratings]:
    """Everybody's, by name. Raises BadInput as `read_ratings` does."""
    names = sorted(found[1] for path in folder.iterdir() if (found := FILE.fullmatch(path.name)))
    return [read_ratings(folder, name, items) for name in names]


def read_ratings(folder: Path, name: str, items: Sequence[SheetItem]) -> Ratings:
    """What this person said so far, if anything; a line that a kill has cut off does not count.

    Raises BadInput for a name that is none, and a line that is no rating of this sheet.
    """
    if not NAME.fullmatch(name):
        raise BadInput(f"{name!r} is no name here: letters, digits, dots and hyphens, 40 at most.")
    found = Ratings(name, folder / f"ratings-{name}.jsonl")
    if not found.path.exists():
        return found
    try:
        text = found.path.read_bytes()
    except OSError as error:
        raise BadInput(f"{found.path} cannot be read: {error.strerror}.") from None
    kept = _kept(text)
    found.is_torn = len(kept) < len(text)
    known = {item.id for item in items}
    for number, line in enumerate(kept.split(b"\n")[:-1], 1):
        item, rating = _rating(line, known, f"{found.path}:{number}")
        found.given.pop(item, None)
        if rating is not None:
            found.given[item] = rating
    return found


def _rating(line: bytes, known: set[str], where: str) -> tuple[str, str | None]:
    try:
        said = json.loads(line)
        item, rating = said["item"], said["rating"]
    except (ValueError, LookupError, TypeError, RecursionError):
        raise BadInput(f"{where} is no rating. Take the line out, and what is left counts.") from None
    if not isinstance(item, str) or item not in known:
        raise BadInput(f"{where} rates an answer that is not on this sheet: the ratings belong to another one.")
    if rating is not None and rating not in list(RATINGS):  # it may be a list, which no dictionary can look up
        raise BadInput(f"{where} says {rating!r}, and a rating is {', '.join(RATINGS)}: mend the line or take it out.")
    return item, rating


def _kept(written: bytes) -> bytes:
    """Whole lines: what a kill has cut off is gone, and a last one that an editor left without its end has it."""
    last = written.rpartition(b"\n")[2]
    try:
        json.loads(last)
    except ValueError:
        return written[: len(written) - len(last)]
    return written + b"\n"


def _append(path: Path, line: str) -> None:
    """The line goes to the disk, behind whole lines; what a kill has cut off before is taken away."""
    with open(os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600), "r+b", buffering=0) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        written = file.read()
        kept = _kept(written)
        file.truncate(min(len(kept), len(written)))
        file.write(kept[len(written) :] + line.encode())
        os.fsync(file.fileno())


def _texts(item: Item) -> tuple[str, str]:
    """The question, with what was said before it, and its input."""
    *before, last = item.prompt
    asked, _, about = last.content.partition(INPUT_KEY)
    said = [f"{message.role.capitalize()}: {message.content}" for message in before]
    return "\n\n".join([*said, f"{last.role.capitalize()}: {asked}" if said else asked]), about


def _id(place: int, *texts: Any) -> str:
    return hashlib.sha256(json.dumps([place, *texts]).encode()).hexdigest()[:12]
