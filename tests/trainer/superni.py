"""A small task as SuperNI's public files hold it, written for tests."""

import json
from pathlib import Path
from typing import Any


def task(**other: Any) -> dict[str, Any]:
    """A task as the public files hold it, with much that is not read."""
    return {
        "Contributors": ["A. N. Other"],
        "Source": ["synthetic"],
        "Categories": ["Word Analogy", "Text Matching"],
        "Definition": ["Turn the word around"],
        "Input_language": ["English"],
        "Output_language": ["English"],
        "Instruction_language": ["English"],
        "Domains": ["Miscellaneous"],
        "Positive Examples": [{"input": "ab", "output": "ba", "explanation": "Turned."}],
        "Negative Examples": [],
        "Instances": [{"id": "task9-a", "input": "abc", "output": ["cba", "c b a"]}, {"input": "x!", "output": ["!x"]}],
    } | other


def written(folder: Path, name: str, value: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    path.write_text(value if isinstance(value, str) else json.dumps(value, indent=4))
    return path
