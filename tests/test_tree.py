"""The README's tree shows every file, each with a phrase, and no other."""

import re
import subprocess
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def drawn() -> list[tuple[str, str]]:
    """The lines of the README's tree that show a file: its path, and the phrase beside it."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    block = re.search(r"^## Where things are\n.*?^```\n(.*?)^```", readme, re.MULTILINE | re.DOTALL)
    assert block, "README.md has no tree under 'Where things are'"
    folders: list[str] = []
    lines = []
    for line in block[1].splitlines():
        depth = (len(line) - len(line.lstrip())) // 4
        name, _, phrase = line.strip().partition(" ")
        del folders[depth:]
        if name.endswith("/"):
            folders.append(name)
        else:
            lines.append(("".join(folders) + name, phrase.strip()))
    return lines


def files() -> set[str]:
    """What git has, or would take."""
    if not (ROOT / ".git").exists():
        pytest.skip("needs the git checkout: an unpacked archive does not say which files are the project's")
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    return {path for path in listed if path and (ROOT / path).exists()}


def test_every_file_is_in_the_tree() -> None:
    there = files()
    assert len(there) > 100
    missing = sorted(there - {path for path, _ in drawn()})
    assert not missing, f"README.md: add to the tree, each with a phrase: {', '.join(missing)}"


def test_everything_in_the_tree_is_a_file() -> None:
    shown = [path for path, _ in drawn()]
    assert len(shown) > 100
    gone = sorted(set(shown) - files())
    assert not gone, f"README.md: take out of the tree, these are no files of the project: {', '.join(gone)}"
    twice = [path for path, times in Counter(shown).items() if times > 1]
    assert not twice, f"README.md: the tree shows more than once: {', '.join(twice)}"


def test_every_file_in_the_tree_has_a_phrase() -> None:
    bare = [path for path, phrase in drawn() if not phrase]
    assert not bare, f"README.md: say in the tree what these are for: {', '.join(bare)}"
