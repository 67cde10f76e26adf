"""`dolly-trainer review`: a person walks through exported corrections in the terminal; the same file is written back.

Only approved corrections train. With each go neighbour questions, on the same topic with another answer, which are to
stay as they are, and other wordings of the question, which the gate asks and nobody trains on.
"""

import json
import re
import shlex
import subprocess
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import typer
from rich.console import Console
from rich.panel import Panel
from rich.text import Text

from trainer.artifacts import write_private
from trainer.errors import BadInput
from trainer.nearby import QUESTION_CHARACTERS, nearest
from trainer.records import Record
from trainer.sources import read_source
from trainer.terminal import plain

SUGGESTED = 4
"""Neighbour questions; the gate holds half of a correction's out."""

CHOICES = "[b]a[/]pprove, [b]e[/]dit, [b]r[/]eject, [b]n[/]ext, [b]q[/]uit"
STARTER = resources.files("trainer") / "starter" / "train.jsonl"

Ask = Callable[[str], str]


@dataclass
class _Line:
    """One of the file."""

    text: str
    value: Any
    """What it says as JSON; None of a line that is none."""

    @property
    def waits(self) -> bool:
        """Whether it holds a correction that nobody has decided on."""
        corrected = isinstance(self.value, dict) and str(self.value.get("correction") or "").strip()
        return bool(corrected) and self.review.get("state", "waiting") == "waiting"

    @property
    def review(self) -> dict[str, Any]:
        said = self.value.get("review")
        return said if isinstance(said, dict) else {}

    @property
    def question(self) -> str:
        asked = [message for message in self.value.get("messages") or () if message.get("role") == "user"]
        return str(asked[-1].get("content") or "") if asked else ""

    def decide(self, **review: Any) -> None:
        self.value["review"] = self.review | review
        self.text = json.dumps(self.value, ensure_ascii=False)


def review(
    path: Path,
    replay: Sequence[str] | None = None,
    *,
    console: Console | None = None,
    ask: Ask | None = None,
    editor: str = "vi",
) -> dict[str, int]:
    """Walk through the corrections that wait, until they end, or `q`; how many were approved, rejected, are waiting.

    Each decision is in the file before the next is asked for. `ask` puts a question to the person; a correction is
    edited in `editor`, a command that takes a file. Raises BadInput where the file cannot be read or written.
    """
    console = console or Console()
    lines = _read(path)
    waiting = [line for line in lines if line.waits]
    questions = [line.question for line in lines if isinstance(line.value, dict)] + _replayed(replay)
    person = _Person(console, ask or console.input, editor)
    counts = Counter({"approved": 0, "rejected": 0})
    for number, line in enumerate(waiting, start=1):
        person.show(f"Correction {number} of {len(waiting)}", line)
        decision = person.decide(line, nearest(line.question, questions, SUGGESTED))
        if decision == "quit":
            break
        if decision != "next":
            counts[decision] += 1
            _write(path, lines)
    counts["waiting"] = sum(line.waits for line in lines)
    said = ", ".join(f"{number} {state}" for state, number in counts.items())
    console.print(f"{path}: {said}.", markup=False, highlight=False, soft_wrap=True)
    return dict(counts)


class _Person:
    """Who reviews, at the terminal."""

    def __init__(self, console: Console, ask: Ask, editor: str) -> None:
        self._console, self._ask, self._editor = console, ask, editor

    def show(self, title: str, line: _Line) -> None:
        self._console.rule(title)
        parts = (("Question", line.question, ""), ("The model said", line.value.get("answer"), "dim"))
        for name, text, style in (*parts, ("It should have said", line.value["correction"], "green")):
            self._console.print(Panel(Text(_plain(text), style=style), title=name, title_align="left"))
        if comment := _plain(line.value.get("comment")):
            self._console.print(Text(f"Comment: {comment}", style="dim"))

    def decide(self, line: _Line, suggested: Sequence[str]) -> str:
        """approved, rejected, next or quit."""
        while True:
            answer = self._answer(f"{CHOICES}: ").lower()[:1]
            if answer == "a":
                neighbours = self._neighbours([*_texts(line.review.get("neighbours")), *suggested])
                line.decide(state="approved", neighbours=neighbours, paraphrases=self._wordings(line))
                return "approved"
            if answer == "e":
                self._edit_correction(line)
            elif answer == "r":
                line.decide(state="rejected")
                return "rejected"
            elif answer in ("n", "q"):
                return "next" if answer == "n" else "quit"

    def _edit_correction(self, line: _Line) -> None:
        try:
            edited = _edited(self._editor, line.value["correction"]).strip()
        except (OSError, ValueError, subprocess.CalledProcessError):
            said = f"The editor {self._editor} did not work; name another by --editor or EDITOR."
            self._console.print(said, style="red", markup=False)
            return
        if edited:
            line.value["correction"] = edited
            self._console.print(Panel(Text(_plain(edited), style="green"), title="Now", title_align="left"))

    def _neighbours(self, suggested: Sequence[str]) -> list[str]:
        """Questions that are to be answered as before: of those suggested, and written ones."""
        offered = list(dict.fromkeys(suggested))
        for number, question in enumerate(offered, start=1):
            self._console.print(f"  {number}. {_plain(question)}", markup=False, highlight=False)
        if offered:
            said = self._answer("Which keep their answers? [b]Enter[/] = all, numbers such as [b]1 3[/], or [b]0[/]: ")
            chosen = {int(word) for word in re.findall(r"\d+", said)}
            offered = [one for number, one in enumerate(offered, start=1) if not said.strip() or number in chosen]
        return [*offered, *self._several("Another question on this topic that keeps its answer (Enter = no more): ")]

    def _wordings(self, line: _Line) -> list[str]:
        known = _texts(line.review.get("paraphrases"))
        return [*known, *self._several("The question in other words, for the gate to ask (Enter = no more): ")]

    def _several(self, prompt: str) -> list[str]:
        found = []
        while text := " ".join(self._answer(prompt).split())[:QUESTION_CHARACTERS]:
            found.append(text)
        return list(dict.fromkeys(found))

    def _answer(self, prompt: str) -> str:
        try:
            return self._ask(prompt).strip()
        except (EOFError, KeyboardInterrupt):
            self._console.print()
            raise typer.Abort from None


def _replayed(replay: Sequence[str] | None) -> list[str]:
    """The first questions of the replay's records."""
    records = [entry for spec in replay or [f"chat:{STARTER}"] for entry in read_source(spec).entries]
    return [
        next(message.content for message in record.messages if message.role == "user")
        for record in records
        if isinstance(record, Record)
    ]


def _read(path: Path) -> list[_Line]:
    try:
        texts = [text for text in path.read_text(encoding="utf-8").split("\n") if text.strip()]
    except (OSError, UnicodeDecodeError) as error:
        said = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise BadInput(f"{path} cannot be read: {said}.") from None
    lines = [_Line(text, _json(text)) for text in texts]
    if not any(isinstance(line.value, dict) and "rating" in line.value for line in lines):
        raise BadInput(f"{path} holds no feedback; `dolly export-feedback` writes such a file.")
    return lines


def _write(path: Path, lines: Iterable[_Line]) -> None:
    try:
        write_private(path, (line.text for line in lines))
    except OSError as error:
        raise BadInput(f"{path} cannot be written: {error.strerror}. The last decision is not in it.") from None


def _edited(editor: str, text: str) -> str:
    """The text as the person left it. Raises OSError, ValueError, CalledProcessError."""
    with TemporaryDirectory(prefix="dolly-review-") as folder:
        path = Path(folder) / "correction.txt"
        path.write_text(text, encoding="utf-8")
        subprocess.run([*shlex.split(editor), str(path)], check=True)
        return path.read_text(encoding="utf-8")


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _texts(value: Any) -> list[str]:
    return [text for text in value if isinstance(text, str)] if isinstance(value, list) else []


def _plain(text: Any) -> str:
    return plain(str(text or ""))
