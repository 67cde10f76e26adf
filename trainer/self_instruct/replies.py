"""What a model wrote, read: tasks of a list, yes or no, instances of a task; whatever stands in it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from trainer.self_instruct.prompts import EXAMPLE, INPUT, LABEL, OUTPUT, TASK
from trainer.self_instruct.seeds import Instance

LISTED = re.compile(r"^\s*\d+\s*[.):]\s*", re.MULTILINE)
EXAMPLE_HEAD = re.compile(rf"^\s*{EXAMPLE} \d+\s*:?\s*$", re.MULTILINE)
WHOLE_TASK = re.compile(
    r"^\s*(?:\d+\.\s*)?Instruction:(?P<instruction>.*?)^\s*(?:\d+\.\s*)?Input:(?P<input>.*?)"
    r"^\s*(?:\d+\.\s*)?Output:(?P<output>.*)",
    re.MULTILINE | re.DOTALL,
)
NO_INPUT = re.compile(r"^\W*(?:no ?input|none|n/?a)\W*$", re.IGNORECASE)
"""How a model says that there is none."""


@dataclass(frozen=True, slots=True)
class WholeTask:
    """An instruction with its one instance."""

    instruction: str
    instance: Instance


def listed_instructions(reply: str, *, begins_inside: bool, is_cut: bool, most: int) -> list[str]:
    """The items of a numbered list, each on one line, `most` of them at most.

    `begins_inside`: the first number stood in the prompt. The last item of a list that is cut off is left out.
    """
    head, *items = LISTED.split(reply)
    if begins_inside:
        items = [head, *items]
    if is_cut:
        items = items[:-1]
    return [text for item in items[:most] if (text := " ".join(_first_paragraph(item).split()))]


def _first_paragraph(item: str) -> str:
    """Of a task, what stands before an empty line: after it a small model begins to do the task."""
    return item.strip().split("\n\n", 1)[0]


def yes_or_no(reply: str) -> bool | None:
    """None where it is neither."""
    word = re.match(r"\W*(yes|no)\b", reply, re.IGNORECASE)
    return None if word is None else word[1].lower() == "yes"


def instances_by_input(reply: str, *, is_cut: bool) -> list[Instance]:
    """Of inputs that were written before their outputs; a task without inputs has one output."""
    parts = [part for part in EXAMPLE_HEAD.split(reply.partition(f"\n{TASK}")[0]) if part.strip()]
    found = [_by_keys(part) for part in parts]
    if is_cut:
        found = found[:-1]
    return [instance for instance in found if instance is not None]


def _by_keys(part: str) -> Instance | None:
    before, key, output = part.partition(OUTPUT)
    if not key:
        return None
    given = before.partition(INPUT)[2] or before
    output = re.split(rf"^\s*(?:{INPUT}|{EXAMPLE} \d)", output, maxsplit=1, flags=re.MULTILINE)[0]
    return Instance("" if NO_INPUT.match(given.strip()) else given.strip(), output.strip())


def instances_by_output(reply: str, *, is_cut: bool) -> list[Instance]:
    """Of class labels that were written before inputs that have them."""
    parts = [part for part in reply.partition(f"\n{TASK}")[0].split(LABEL) if part.strip()]
    if is_cut:
        parts = parts[:-1]
    found = []
    for part in parts:
        label, _, given = part.partition(INPUT)
        found.append(Instance("" if NO_INPUT.match(given.strip()) else given.strip(), label.strip()))
    return found


def whole_tasks(reply: str, *, begins_inside: bool, is_cut: bool, most: int) -> Iterator[WholeTask | str]:
    """Alpaca's list; a part of it that is no task comes as its text."""
    parts = (f"Instruction:{reply}" if begins_inside else reply).split("###")
    parts = [part for part in parts if part.strip()][:most]
    for part in parts[:-1] if is_cut else parts:
        found = WHOLE_TASK.search(part)
        if found is None:
            yield part.strip()
            continue
        given = found["input"].strip()
        instance = Instance("" if NO_INPUT.match(given) else given, found["output"].strip())
        yield WholeTask(" ".join(found["instruction"].split()), instance)
