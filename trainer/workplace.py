"""The folder of one retrain: what it knows of itself, how often it was tried, and that no text of people stays in it.

state.json       what it began with, and how it ended
plot.png         the picture of how it went
feedback.jsonl   dataset/  start/  run/  export/  gate.json     what stages leave; gone when it has ended

A stage's artifact is whole or not there, so that a retrain which was killed goes on with what there is.
"""

import fcntl
import json
import os
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from trainer.artifacts import MANIFEST, write_private
from trainer.errors import BadInput, TrainerError

STATE, PLOT = "state.json", "plot.png"
STAYS = {STATE, PLOT}
SHARED = {"base", "cache"}
"""Of all retrains, beside their folders."""
KEPT_SECONDS = 7 * 86_400
"""How long a retrain that nobody goes on with keeps the feedback: as long as a sealed one waits for a worker."""


class Workplace:
    """One retrain's folder, of this user and held by this process. A context manager."""

    def __init__(self, work: Path, job_id: str) -> None:
        self.folder = work / job_id
        self._work = work
        self._held: int | None = None
        self.state: dict[str, Any] = {}

    def __enter__(self) -> "Workplace":
        """Raises BadInput where another process retrains in the same work folder, or it cannot be written."""
        try:
            for folder in (self._work, self.folder):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._held = os.open(self._work, os.O_RDONLY | os.O_DIRECTORY)
            fcntl.flock(self._held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._let_go()
            raise BadInput(f"Another retrain runs in {self._work}. Wait until it has ended, or stop it.") from None
        except PermissionError as error:
            raise BadInput(f"{self.folder} cannot be written: {error.strerror}.") from None
        self._sweep()
        self.state = _read(self.folder / STATE)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._let_go()

    def remember(self, name: str, value: Callable[[], Any]) -> Any:
        """What was found out when this retrain came here first; JSON."""
        if name not in self.state:
            self.note({name: value()})
        return self.state[name]

    def note(self, facts: Mapping[str, Any]) -> None:
        self.state |= facts
        write_private(self.folder / STATE, [json.dumps(self.state, indent=2, ensure_ascii=False)])

    def is_whole(self, name: str) -> bool:
        return (self.folder / name / MANIFEST).is_file()

    def tried(self, where: str, most: int | None) -> None:
        """One more try there. Raises TrainerError where it is one more than `most`."""
        before = self.state.get("tries") or {}
        times = before["times"] + 1 if before.get("where") == where else 1
        if most is not None and times > most:
            raise TrainerError(
                f"The retrain was ended {most} times by something else at the same place ({where}): most likely the "
                "machine has too little memory for it. See the system's log, lower tune.row_tokens, and ask again."
            )
        self.note({"tries": {"where": where, "times": times}})

    def end(self, facts: Mapping[str, Any]) -> None:
        """How it ended; with that all that holds people's text goes."""
        self.note({"ended": dict(facts)})
        clear(self.folder)

    def _sweep(self) -> None:
        """Retrains that nobody went on with for a week keep no feedback either."""
        for folder in self._work.iterdir():
            if not folder.is_dir() or folder.name in SHARED or folder == self.folder:
                continue
            newest = max((path.stat().st_mtime for path in (folder, *folder.glob("*"))), default=0.0)
            if newest < time.time() - KEPT_SECONDS and any(path.name not in STAYS for path in folder.iterdir()):
                clear(folder)

    def _let_go(self) -> None:
        if self._held is not None:
            os.close(self._held)
            self._held = None


def discard(work: Path, job_id: str) -> None:
    """A retrain that nobody goes on with keeps its state and its picture alone."""
    if (work / job_id).is_dir():
        clear(work / job_id)


def clear(folder: Path) -> None:
    """Remove what a retrain left but its state and its picture."""
    for path in folder.iterdir():
        if path.name in STAYS:
            continue
        if path.is_dir() and not path.is_symlink():
            (path / MANIFEST).unlink(missing_ok=True)  # first: no half of it is taken for whole
            shutil.rmtree(path)
        else:
            path.unlink()


def _read(path: Path) -> dict[str, Any]:
    try:
        state: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return state
    except FileNotFoundError:
        return {}
