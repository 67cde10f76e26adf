"""What was done with a registry's revisions: a file of lines that only grows."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any


class History:
    """Lines of JSON: at (ISO 8601), act, revision ("" = the bot's configured model), by."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def lines(self) -> list[dict[str, Any]]:
        """The oldest first; one that a kill tore is none."""
        try:
            texts = self._path.read_text(encoding="utf-8", errors="replace").splitlines()
        except FileNotFoundError:
            return []
        return [line for text in texts if (line := _line(text))]

    def has(self, act: str, revision: str) -> bool:
        """Whether that was ever done with it."""
        return any((line["act"], line["revision"]) == (act, revision) for line in self.lines())

    def note(self, act: str, revision: str, by: str) -> None:
        """One more line, on the disk when this returns. One process at a time."""
        at = datetime.now(UTC).isoformat(timespec="seconds")
        line = json.dumps({"at": at, "act": act, "revision": revision, "by": by}, ensure_ascii=False)
        with self._path.open("a+b") as file:
            torn = file.tell() > 0 and not _ends_whole(self._path)
            file.write(("\n" if torn else "").encode() + line.encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())


def _line(text: str) -> dict[str, Any] | None:
    try:
        line = json.loads(text)
    except ValueError:
        return None
    return line if isinstance(line, dict) and isinstance(line.get("revision"), str) and "act" in line else None


def _ends_whole(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read() == b"\n"
