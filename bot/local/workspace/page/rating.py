"""A sheet of models' answers that people rate on the page, without knowing whose they are.

The trainer makes the folder (`dolly-trainer rate sheet`) and reads what people said (`rate report`). Here the answers
are read, and ratings written beside them, as that command does in the terminal. The key is not looked into.

    sheet.jsonl           {"id", "question", "input", "answer"} a line
    ratings-NAME.jsonl    {"item", "rating", "at"} a line: A to D, or null where it was taken back; the last one counts
"""

import fcntl
import json
import os
import re
from datetime import UTC, datetime
from pathlib import Path

from bot.local.workspace.page.acts import BadRequest
from bot.local.workspace.records import Json

LETTERS = ("A", "B", "C", "D")
_NAME = re.compile(r"[\w.-]{1,40}")


class RatingSheet:
    """In `folder`, if there is one; it may come and go while the page is open. BadRequest says what is wrong."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    @property
    def is_there(self) -> bool:
        return self._folder is not None and (self._folder / "sheet.jsonl").is_file()

    def shown_to(self, name: str) -> Json:
        """The answers, and what this person said of them so far, in the order in which they said it."""
        items = self._items()
        ratings = self._ratings(self._path(name), {item["id"] for item in items})
        return {"items": items, "ratings": [{"item": item, "rating": rating} for item, rating in ratings.items()]}

    def rate(self, name: str, item: str, rating: str | None) -> None:
        """On the disk when it returns; None takes the item's rating back."""
        if rating is not None and rating not in LETTERS:
            raise BadRequest("A rating is A, B, C or D.")
        if item not in {one["id"] for one in self._items()}:
            raise BadRequest("This answer is not on the sheet any more. Reload the page.", 409)
        path = self._path(name)
        line = {"item": item, "rating": rating, "at": datetime.now(UTC).isoformat(timespec="seconds")}
        try:
            _append(path, json.dumps(line) + "\n")
        except OSError as error:
            raise BadRequest(f"Your rating was not kept: {path} cannot be written ({error.strerror}).", 500) from None

    def _items(self) -> list[Json]:
        if self._folder is None or not self.is_there:
            raise BadRequest("There is nothing to rate. `dolly-trainer rate sheet LABEL=FILE…` makes a sheet.", 404)
        path = self._folder / "sheet.jsonl"
        try:
            lines = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
            return [{part: str(line[part]) for part in ("id", "question", "input", "answer")} for line in lines]
        except (OSError, ValueError, LookupError, TypeError):
            raise BadRequest(f"{path} cannot be read as a sheet. Make it anew.", 500) from None

    def _path(self, name: str) -> Path:
        if self._folder is None or not _NAME.fullmatch(name):
            raise BadRequest(f"Nobody can rate as {name}: a name is made of letters, digits, dots and hyphens.")
        return self._folder / f"ratings-{name}.jsonl"

    def _ratings(self, path: Path, known: set[str]) -> dict[str, str]:
        if not path.exists():
            return {}
        given: dict[str, str] = {}
        try:
            for line in _kept(path.read_bytes()).split(b"\n")[:-1]:
                said = json.loads(line)
                given.pop(said["item"], None)
                if said["rating"] is not None:
                    given[said["item"]] = said["rating"]
        except (OSError, ValueError, LookupError, TypeError):
            raise BadRequest(f"{path} holds more than ratings; `dolly-trainer rate report` says where.", 500) from None
        if not known.issuperset(given):
            raise BadRequest(f"{path} rates another sheet. Take it away to begin anew.", 409)
        return given


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
