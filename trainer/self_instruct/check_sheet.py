"""A sheet of tasks for people to check, as the paper's authors did, and what they found: its Table 2.

Columns: id, instruction, input, output, and three that people fill in with yes or no: does the instruction describe a
task? is the input one for it? is the output a right answer?
"""

import csv
import io
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from pathlib import Path
from statistics import NormalDist

from trainer.errors import BadInput
from trainer.evaluation.bootstrap import Interval
from trainer.self_instruct.journal import Task

DRAWN = 200
"""The paper's number."""
TEXTS = ("id", "instruction", "input", "output")
QUESTIONS = {
    "instruction_fine": "The instruction describes a task",
    "input_fine": "The input is one for this instruction",
    "output_fine": "The output is a right answer",
}
YES, NO = frozenset(("yes", "y", "true", "1")), frozenset(("no", "n", "false", "0"))
FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""A spreadsheet would run what begins so; an apostrophe in front makes it a text."""
CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Checked:
    """A share with its 95 % interval, of how many rows."""

    yes: int
    number: int

    @property
    def interval(self) -> Interval:
        """Wilson's, which holds for few rows and for shares near 0 and 1."""
        z = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
        share, number = self.yes / self.number, self.number
        middle = (share + z * z / (2 * number)) / (1 + z * z / number)
        half = z / (1 + z * z / number) * sqrt(share * (1 - share) / number + z * z / (4 * number * number))
        return Interval(share, max(0.0, middle - half), min(1.0, middle + half))


def write_check_sheet(path: Path, tasks: Sequence[Task], *, seed: int) -> None:
    """Tasks drawn with the seed, one instance of each. A sheet in which somebody has begun to answer is left alone."""
    if path.is_file() and any(any(row[key] for key in QUESTIONS) for row in _rows(path)):
        return
    draw = random.Random(seed)
    whole = [task for task in tasks if task.instances]
    file = io.StringIO()
    sheet = csv.writer(file)
    sheet.writerow((*TEXTS, *QUESTIONS))
    for task in draw.sample(whole, min(DRAWN, len(whole))):
        instance = draw.choice(task.instances or ())
        texts = (task.id, task.instruction, instance.input, instance.output)
        sheet.writerow([f"'{text}" if text.startswith(FORMULA) else text for text in texts] + [""] * len(QUESTIONS))
    partial = path.with_name(f".{path.name}.partial")
    partial.write_bytes(file.getvalue().encode("utf-8-sig", "replace"))  # with its mark spreadsheets read it as UTF-8
    partial.replace(path)


def read_check_sheet(path: Path) -> dict[str, Checked]:
    """Of each question, and of `all` where all three are answered: how often yes. Rows without answers count nowhere.

    Raises BadInput with row and column for an answer that is neither yes nor no, and for a file that is no such sheet.
    """
    found: dict[str, list[bool]] = {key: [] for key in (*QUESTIONS, "all")}
    for number, row in enumerate(_rows(path), 2):
        answers = [_answer(row[key], path, number, key) for key in QUESTIONS]
        for key, answer in zip(QUESTIONS, answers, strict=True):
            if answer is not None:
                found[key].append(answer)
        if None not in answers:
            found["all"].append(all(answers))
    return {key: Checked(sum(answers), len(answers)) for key, answers in found.items() if answers}


def _rows(path: Path) -> Sequence[Mapping[str, str]]:
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise BadInput(f"{path} is not in UTF-8: save it as CSV in UTF-8.") from None
    header = text.partition("\n")[0]
    sheet = csv.DictReader(
        io.StringIO(text, newline=""), delimiter=max(",;\t", key=header.count), restval="", strict=True
    )
    try:
        rows = [{str(key): str(value or "").strip() for key, value in row.items()} for row in sheet]
    except csv.Error as error:
        raise BadInput(f"{path}, line {sheet.line_num}: is no CSV ({error}).") from None
    if missing := [key for key in ("id", *QUESTIONS) if key not in (sheet.fieldnames or ())]:
        raise BadInput(f"{path} is no check sheet: it has no column {', '.join(missing)}.")
    return rows


def _answer(said: str, path: Path, number: int, column: str) -> bool | None:
    """None where nobody answered."""
    if not said:
        return None
    if said.lower() not in YES | NO:
        raise BadInput(f"{path}, row {number}, {column}: answer yes or no; nothing is not answered yet.")
    return said.lower() in YES
