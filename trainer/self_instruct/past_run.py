"""A run of self-instruct as its journal tells it, read and not touched: it may still go on."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from trainer.artifacts import MANIFEST
from trainer.errors import BadInput
from trainer.self_instruct.journal import JOURNAL, Task
from trainer.self_instruct.seeds import Instance

RUN = "run.json"
QUALITY, SHEET = "quality", "check.csv"
"""Where in a run's directory the report lies, and in it the sheet."""


@dataclass
class PastRun:
    """What was kept and what was not."""

    folder: Path
    facts: dict[str, Any]
    """What it was begun with."""
    tasks: list[Task] = field(default_factory=list)
    rejected: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By step and reason."""
    requests: int = 0

    @property
    def has_ended(self) -> bool:
        return (self.folder / MANIFEST).is_file()


def read_past_run(folder: Path) -> PastRun:
    """Raises BadInput where there is no run, or its journal is none. A last line without its end is left out."""
    try:
        facts = json.loads((folder / RUN).read_bytes())
    except (OSError, ValueError):
        facts = None
    if not isinstance(facts, dict):
        raise BadInput(f"{folder} holds no run of self-instruct: there is no {RUN} of one in it.")
    run, tasks = PastRun(folder, facts), dict[str, Task]()
    for number, line in enumerate(_lines(folder / JOURNAL), 1):
        try:
            _take(json.loads(line), run, tasks)
        except (ValueError, LookupError, TypeError, AttributeError):
            raise BadInput(f"{folder / JOURNAL}, line {number}: was not written by self-instruct.") from None
    run.tasks = list(tasks.values())
    return run


def _lines(journal: Path) -> Iterator[bytes]:
    if journal.is_file():
        with journal.open("rb") as file:
            yield from (line for line in file if line.endswith(b"\n"))


def _take(line: dict[str, Any], run: PastRun, tasks: dict[str, Task]) -> None:
    run.requests += 1
    run.rejected.update((line["step"], one["reason"]) for one in line["rejected"])
    for said in line.get("tasks", ()):
        tasks[said["id"]] = Task(said["id"], said["instruction"])
        if "instances" in said:
            tasks[said["id"]].instances = _instances(said["instances"])
    if "is_classification" in line:
        tasks[line["id"]].is_classification = line["is_classification"]
    if "instances" in line:
        tasks[line["id"]].instances = _instances(line["instances"])


def _instances(said: list[dict[str, str]]) -> tuple[Instance, ...]:
    return tuple(Instance(one["input"], one["output"]) for one in said)
