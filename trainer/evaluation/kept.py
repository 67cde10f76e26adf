"""What one model was found to say, kept by the hash of its file: a model in service is not asked twice."""

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from trainer.records import Message

MOST_MODELS = 4
"""The newest stay."""


class Kept:
    """Values by question, of one model; nothing is kept without a folder."""

    def __init__(self, folder: Path | None, model: str) -> None:
        """`model` is what makes its answers: hashes of its files, and how it is asked."""
        self._path = folder / f"{hashlib.sha256(model.encode()).hexdigest()[:24]}.json" if folder else None
        self._values: dict[str, Any] = {}
        if self._path and self._path.is_file():
            try:
                self._values = dict(json.loads(self._path.read_bytes()))
            except (ValueError, TypeError):
                self._values = {}  # written by another version, or half

    def all(
        self, questions: Sequence[Sequence[Message]], ask: Callable[[list[int]], Sequence[Any]]
    ) -> tuple[list[Any], int]:
        """A JSON value for each question, and how many had to be asked: `ask` is given their places."""
        keys = [_key(question) for question in questions]
        missing = [place for place, key in enumerate(keys) if key not in self._values]
        if missing:
            for place, value in zip(missing, ask(missing), strict=True):
                self._values[keys[place]] = value
            self._write()
        return [self._values[key] for key in keys], len(missing)

    def _write(self) -> None:
        if self._path is None:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        partial = self._path.with_suffix(".partial")
        partial.write_text(json.dumps(self._values, ensure_ascii=False), encoding="utf-8")
        partial.replace(self._path)
        newest = sorted(self._path.parent.glob("*.json"), key=lambda path: path.stat().st_mtime, reverse=True)
        for path in newest[MOST_MODELS:]:
            path.unlink(missing_ok=True)


def _key(question: Sequence[Message]) -> str:
    said = json.dumps([(message.role, message.content, message.name) for message in question])
    return hashlib.sha256(said.encode()).hexdigest()[:32]
