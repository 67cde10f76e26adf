"""What a run has done so far, in a file that only grows: one line for each request, on the disk before the next begins.

{"request": 7, "step": "instructions", "tasks": [{"id", "instruction", "instances"?}], "rejected": [{"reason", "text"}]}
{"request": 8, "step": "classification", "id": "machine-00003", "is_classification": true, "rejected": []}
{"request": 9, "step": "instances", "id": "machine-00003", "instances": [{"input", "output"}], "rejected": [...]}

So a run that is killed repeats the requests that were under way, and nothing else: what is in the file is whole, but
for a last line without its end, which is cut off.
"""

import fcntl
import json
import os
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from trainer.errors import BadInput
from trainer.self_instruct.filters import Rejected
from trainer.self_instruct.seeds import Instance

JOURNAL = "journal.jsonl"
KEPT_CHARACTERS = 2_000
"""Of a rejected text."""


@dataclass(slots=True)
class Task:
    """An instruction that was kept, and how far it is."""

    id: str
    instruction: str
    is_classification: bool | None = None
    """None before it was asked."""
    instances: tuple[Instance, ...] | None = None
    """None before they were asked for; empty where none was kept."""


class Journal:
    """Of one run, held by one process. Closed by `close`, or by leaving it as a context manager."""

    def __init__(self, folder: Path) -> None:
        """Reads what is there. Raises BadInput where another process holds it, or it is no journal."""
        self.tasks: dict[str, Task] = {}
        self.waiting: deque[Task] = deque()
        """Tasks without instances, in their order."""
        self.rejected: Counter[str] = Counter()
        self.requests = 0
        self.instances = 0
        self._path = folder / JOURNAL
        self._file = self._path.open("a+b")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.close()
            raise BadInput(f"{folder} is being written by another process. Wait for its end, or stop it.") from None
        try:
            self._read()
        except BadInput:
            self._file.close()
            raise

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._file.close()

    def begin(self) -> int:
        """The number of a new request."""
        self.requests += 1
        return self.requests

    def add_tasks(self, request: int, tasks: Sequence[Task], rejected: Sequence[Rejected]) -> None:
        """Their ids are given here."""
        for number, task in enumerate(tasks, len(self.tasks) + 1):
            task.id = f"machine-{number:05d}"
        lines = [
            {"id": task.id, "instruction": task.instruction}
            | ({} if task.instances is None else {"instances": [asdict(instance) for instance in task.instances]})
            for task in tasks
        ]
        self._write({"request": request, "step": "instructions", "tasks": lines}, rejected)

    def add_classification(self, request: int, task: Task, is_classification: bool) -> None:
        self._write(
            {"request": request, "step": "classification", "id": task.id, "is_classification": is_classification}, ()
        )

    def add_instances(
        self, request: int, task: Task, instances: Sequence[Instance], rejected: Sequence[Rejected]
    ) -> None:
        listed = [asdict(instance) for instance in instances]
        self._write({"request": request, "step": "instances", "id": task.id, "instances": listed}, rejected)

    def add_failure(self, request: int, step: str, rejected: Rejected) -> None:
        """Nothing came of the request."""
        self._write({"request": request, "step": step}, (rejected,))

    def _write(self, line: dict[str, Any], rejected: Sequence[Rejected]) -> None:
        line["rejected"] = [{"reason": why, "text": text[:KEPT_CHARACTERS]} for why, text in rejected]
        self._file.write(json.dumps(line, ensure_ascii=False).encode(errors="replace") + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())
        self._take(line)

    def _read(self) -> None:
        self._file.seek(0)
        whole = 0
        for number, line in enumerate(self._file, 1):
            if not line.endswith(b"\n"):
                break
            try:
                self._take(json.loads(line))
            except (ValueError, LookupError, TypeError, AttributeError):
                raise BadInput(f"{self._path}, line {number}: was not written by self-instruct.") from None
            whole += len(line)
        self._file.truncate(whole)

    def _take(self, line: Mapping[str, Any]) -> None:
        """What a line says, into what is known."""
        self.requests = max(self.requests, line["request"])
        self.rejected.update(one["reason"] for one in line["rejected"])
        for said in line.get("tasks", ()):
            task = Task(said["id"], said["instruction"])
            self.tasks[task.id] = task
            if "instances" in said:
                self._finish(task, said["instances"])
            else:
                self.waiting.append(task)
        if "is_classification" in line:
            self.tasks[line["id"]].is_classification = line["is_classification"]
        if line["step"] == "instances" and "id" in line:
            task = self.tasks[line["id"]]
            if task in self.waiting:
                self.waiting.remove(task)
            self._finish(task, line["instances"])

    def _finish(self, task: Task, instances: Sequence[Mapping[str, str]]) -> None:
        task.instances = tuple(Instance(one["input"], one["output"]) for one in instances)
        self.instances += len(task.instances)
