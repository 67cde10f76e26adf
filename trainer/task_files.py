"""The tasks of SuperNaturalInstructions, in their public files: a JSON object a task.

    {"Definition": ["…"],                        what is to be done; the first counts, a plain string is taken too
     "Categories": ["Textual Entailment"],       the first counts
     "Input_language": ["English"], "Output_language": ["English"],    either may be missing
     "Instances": [{"id": "task1-…", "input": "…", "output": ["…", …]}, …]}

What else the files hold (source, domains, positive and negative examples) is not read. A folder may be a checkout of
allenai/natural-instructions, its `tasks`, or any folder of such files; where there is a list of test tasks, those are
read and no others.
"""

import json
import string
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainer.errors import BadInput

LISTS = ("test_tasks.txt", "splits/default/test_tasks.txt", "../splits/default/test_tasks.txt")
"""Where the names of the test tasks may stand, seen from the folder: the English track of the public split."""
TEST_INSTANCES = 100
"""Of each task so many are the published test: drawn by its authors, balanced by label, and put in front."""
ENGLISH = "English"


@dataclass(frozen=True, slots=True)
class Instance:
    """One example of a task."""

    id: str
    input: str
    outputs: tuple[str, ...]
    """All that count as right."""


@dataclass(frozen=True, slots=True)
class Task:
    name: str
    """Of its file, without `.json`."""
    definition: str
    category: str
    languages: frozenset[str]
    """Of inputs and outputs, as far as the file says."""
    instances: tuple[Instance, ...]
    """Those of the test."""

    @property
    def is_english(self) -> bool:
        return self.languages <= {ENGLISH}

    def prompt(self, instance: Instance) -> str:
        """As the public code asks with the definition alone; to a chat model it is the user's message."""
        definition = _ended(f"Definition: {self.definition.strip()}")
        given = _ended(f"Input: {instance.input.strip()}")
        return f"{definition}\n\nNow complete the following example -\n{given}\nOutput: "


def is_task(value: Any) -> bool:
    """Whether a JSON value is a task, by its keys."""
    return isinstance(value, Mapping) and {"Definition", "Instances"} <= value.keys()


def read_tasks(place: Path) -> list[Task]:
    """The test tasks of a folder, or all where no list says which they are; of a file, its task.

    Raises BadInput, with the file and the field where one is not as published.
    """
    if place.is_file():
        return [_read(place)]
    if not place.is_dir():
        raise BadInput(f"There is no folder of task files {place}.")
    names = next((path for name in LISTS if (path := place / name).is_file()), None)
    files = _listed(names, place) if names else sorted(place.glob("*.json"))
    if not files:
        raise BadInput(f"{place} holds no task files (*.json), and no list of test tasks beside folder `tasks`.")
    return [_read(path) for path in files]


def _ended(text: str) -> str:
    """With a full stop where it ends without any punctuation."""
    return text if text[-1] in string.punctuation else f"{text}."


def _listed(names: Path, place: Path) -> list[Path]:
    folder = place / "tasks" if (place / "tasks").is_dir() else place
    files = [
        folder / f"{name}.json" for line in names.read_text(encoding="utf-8").splitlines() if (name := line.strip())
    ]
    if missing := [path.name for path in files if not path.is_file()]:
        raise BadInput(
            f"{names} names {len(files)} test tasks, and {len(missing)} of them are not in {folder}; "
            f"the first is {missing[0]}."
        )
    return files


def _read(path: Path) -> Task:
    try:
        value = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise BadInput(f"The task file {path} cannot be read: {error.strerror}.") from None
    except (ValueError, RecursionError) as error:
        raise BadInput(f"The task file {path} is no JSON: {error}.") from None
    if not isinstance(value, Mapping):
        raise BadInput(f"The task file {path} is no task: an object with Definition and Instances is wanted.")
    file = _File(path, value)
    instances = file.value.get("Instances")
    if not isinstance(instances, list) or not instances:
        raise file.fault("Instances", "should be a list that is not empty")
    return Task(
        name=path.stem,
        definition=file.first("Definition"),
        category=file.first("Categories"),
        languages=frozenset(file.words("Input_language") + file.words("Output_language")),
        instances=tuple(file.instance(number, entry) for number, entry in enumerate(instances[:TEST_INSTANCES])),
    )


def _are_texts(value: Any) -> bool:
    """Whether it is a list of strings without half characters (lone surrogates), which no engine could be sent."""
    return isinstance(value, list) and all(
        isinstance(text, str) and not any("\ud800" <= character <= "\udfff" for character in text) for text in value
    )


@dataclass(frozen=True, slots=True)
class _File:
    """A task file's object, whose fields are taken with the file's name at hand."""

    path: Path
    value: Mapping[str, Any]

    def first(self, field: str) -> str:
        words = self.words(field)
        if not words:
            raise self.fault(field, "is missing or empty")
        return words[0]

    def words(self, field: str) -> list[str]:
        """The strings of a list, or one that stands alone; none where the field is missing."""
        found = self.value.get(field, [])
        listed = [found] if isinstance(found, str) else found
        if not _are_texts(listed):
            raise self.fault(field, "should be a list of strings")
        return [word for word in listed if word.strip()]

    def instance(self, number: int, entry: Any) -> Instance:
        where = f"Instances[{number}]"
        if not isinstance(entry, Mapping):
            raise self.fault(where, "should be an object with input and output")
        text, outputs = entry.get("input"), entry.get("output")
        if not isinstance(text, str) or not _are_texts([text]):
            raise self.fault(f"{where}.input", "should be a string")
        if not outputs or not _are_texts(outputs):
            raise self.fault(f"{where}.output", "should be a list of strings that is not empty")
        return Instance(str(entry.get("id") or f"{self.path.stem}-{number}"), text, tuple(outputs))

    def fault(self, field: str, should: str) -> BadInput:
        return BadInput(f"The task file {self.path}: {field} {should}.")
