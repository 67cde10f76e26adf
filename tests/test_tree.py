"""The README's tree shows every file, each with a phrase, and no other."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def drawn() -> dict[str, str]:
    """The tree in the README: path to phrase."""
    block = re.search(
        r"^## Where things are\n+```\n(.*?)^```", (ROOT / "README.md").read_text(encoding="utf-8"), re.M | re.S
    )
    assert block, "README.md has no tree under 'Where things are'"
    folders: list[str] = []
    paths = {}
    for line in block[1].splitlines():
        depth = (len(line) - len(line.lstrip())) // 4
        name, _, phrase = line.strip().partition(" ")
        del folders[depth:]
        if name.endswith("/"):
            folders.append(name)
        else:
            paths["".join(folders) + name] = phrase.strip()
    return paths


def files() -> set[str]:
    """What git has, or would take."""
    if not (ROOT / ".git").exists():
        pytest.skip("needs the git checkout: an unpacked archive does not say which files are the project's")
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    return {path for path in listed if (ROOT / path).exists()}


def test_the_tree_is_complete_and_has_nothing_else() -> None:
    assert len(files()) > 100
    assert not files() - drawn().keys(), "add these to the tree in README.md"
    assert not drawn().keys() - files(), "take these out of the tree in README.md"


def test_every_file_has_a_phrase() -> None:
    assert [path for path, phrase in drawn().items() if not phrase] == []
