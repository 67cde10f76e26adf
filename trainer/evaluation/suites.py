"""What models are asked: held-out conversations, the 252 user-oriented instructions of Self-Instruct, SuperNI's tasks.

None may ever be trained on; `dataset build --evaluation` leaves records out that equal one of them.
"""

import hashlib
import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import httpx2 as httpx

from trainer.errors import BadInput
from trainer.readers import INPUT_KEY
from trainer.records import Message, Record
from trainer.task_files import Task

Suite = Literal["held_out", "user_252", "superni", "given"]
"""`given`: questions that somebody else has asked, and answers are there already."""
Drawn = TypeVar("Drawn")

DOWNLOAD = Path("download")
"""In place of a path: fetch the 252 instructions from where their authors keep them."""

INSTRUCTIONS_URL = (
    "https://raw.githubusercontent.com/yizhongw/self-instruct/0b26ccaa415992100fa32df62d41b994cf928e23"
    "/human_eval/user_oriented_instructions.jsonl"
)
INSTRUCTIONS_SHA256 = "81d60a117db495cecedecd9193504fd07c5b5a42f6699ef6b0f9da10fc22f42e"
DOWNLOAD_TIMEOUT_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Item:
    """One question, with all that was said before it, and the answer that it is compared with."""

    id: str
    suite: Suite
    prompt: tuple[Message, ...]
    reference: str
    category: str | None
    is_later: bool
    """Whether answers were given before it in the conversation."""
    other_references: tuple[str, ...] = ()
    """Answers that are as right as the reference: the likest one counts."""
    task: str | None = None
    """The task that it is an instance of."""

    @property
    def references(self) -> tuple[str, ...]:
        return self.reference, *self.other_references


def sample(records: Sequence[Drawn], number: int, seed: int) -> list[Drawn]:
    """At most so many of the records or questions, drawn with the seed, in their order."""
    if len(records) <= number:
        return list(records)
    chosen = sorted(random.Random(seed).sample(range(len(records)), number))
    return [records[index] for index in chosen]


def questions(records: Sequence[Record]) -> list[Item]:
    """Of each conversation its first question and, where it goes on, its last: first and later turns are told apart."""
    items = []
    for record in records:
        answers = [
            index
            for index, message in enumerate(record.messages)
            if message.role == "assistant" and index and record.messages[index - 1].role == "user"
        ]
        for index in dict.fromkeys((*answers[:1], *answers[-1:])):
            is_later = any(message.role == "assistant" for message in record.messages[:index])
            items.append(
                Item(
                    id=f"{record.id}#{index}" if is_later else record.id,
                    suite="held_out",
                    prompt=record.messages[:index],
                    reference=record.messages[index].content,
                    category=record.category,
                    is_later=is_later,
                )
            )
    return items


def instructions(place: Path) -> list[Item]:
    """The user-oriented instructions of a JSONL file, or of where they are published for `DOWNLOAD`.

    One line is {"id", "motivation_app", "instruction", "instances": [{"input", "output"}]}. Raises BadInput.
    """
    if place == DOWNLOAD:
        text, where = fetched(INSTRUCTIONS_URL, INSTRUCTIONS_SHA256), INSTRUCTIONS_URL
    else:
        try:
            text, where = place.read_text(encoding="utf-8"), str(place)
        except (OSError, UnicodeDecodeError) as error:
            raise BadInput(f"The instructions {place} cannot be read: {error}.") from None
    items = [_item(line, f"{where}:{number}") for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    if not items:
        raise BadInput(f"{where} holds no instructions.")
    return items


def _item(line: str, where: str) -> Item:
    """The row's own output is its reference: two of the 252 share their instruction."""
    try:
        row: dict[str, Any] = json.loads(line)
        instance = row["instances"][0]
        question = row["instruction"] + (INPUT_KEY + instance["input"] if instance["input"].strip() else "")
        prompt = (Message("user", question),)
        return Item(row["id"], "user_252", prompt, instance["output"], row.get("motivation_app"), False)
    except (ValueError, LookupError, TypeError, AttributeError):
        raise BadInput(
            f"{where} is no user-oriented instruction (id, instruction, instances[0].input, output)."
        ) from None


def provenance(items: Sequence[Item], places: Mapping[Suite, Path | None]) -> dict[str, Any]:
    """Of each suite that was asked: from where, how many questions, and their hash, equal where the same was asked."""
    found: dict[str, Any] = {}
    for suite in dict.fromkeys(item.suite for item in items):
        digest = hashlib.sha256()
        asked = [item for item in items if item.suite == suite]
        for item in asked:
            messages = [[message.role, message.content] for message in item.prompt]
            digest.update(json.dumps([item.id, messages, item.references]).encode())
        found[suite] = {"from": str(places[suite]), "questions": len(asked), "sha256": digest.hexdigest()}
    return found


def superni(tasks: Sequence[Task], instances_per_task: int) -> tuple[list[Item], list[str]]:
    """The first instances of each English task, zero-shot; and the names of the tasks in other languages, left out.

    The public scorer reads other languages with GPT-2's tokenizer; ROUGE's own words are of a-z and 0-9, and would
    count nothing.
    Raises BadInput where none is left, or two instances share an id.
    """
    english = [task for task in tasks if task.is_english]
    if not english:
        raise BadInput(f"None of the {len(tasks)} tasks is in English alone, and only those can be scored.")
    items = [
        Item(
            id=instance.id,
            suite="superni",
            prompt=(Message("user", task.prompt(instance)),),
            reference=instance.outputs[0],
            category=task.category,
            is_later=False,
            other_references=instance.outputs[1:],
            task=task.name,
        )
        for task in english
        for instance in task.instances[:instances_per_task]
    ]
    tasks_by_id: dict[str, str | None] = {}
    for item in items:
        if item.id in tasks_by_id:
            raise BadInput(f"Two instances have the id {item.id}, in {tasks_by_id[item.id]} and in {item.task}.")
        tasks_by_id[item.id] = item.task
    return items, [task.name for task in tasks if not task.is_english]


def fetched(url: str, sha256: str) -> str:
    """The published file's text. Raises BadInput where it cannot be had, or is another one."""
    try:
        response = httpx.get(url, timeout=DOWNLOAD_TIMEOUT_SECONDS, follow_redirects=True)
        response.raise_for_status()
    except httpx.HTTPError as error:
        raise BadInput(
            f"{url} could not be fetched ({error or type(error).__name__}). "
            "Take it where there is a network, and name the file."
        ) from None
    found = hashlib.sha256(response.content).hexdigest()
    if found != sha256:
        raise BadInput(f"{url} gave another file than the published one (SHA-256 {found}).")
    return response.content.decode()
