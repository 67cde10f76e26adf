"""The tree in docs/tree.md shows every file, each with a phrase, and no other."""

import re
import subprocess
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def drawn() -> list[tuple[str, str]]:
    """The tree's files: path, and the phrase beside it."""
    return [(path, phrase) for path, phrase in lines_of("docs/tree.md") if not path.endswith("/")]


def lines_of(page: str) -> list[tuple[str, str]]:
    """What a page's tree shows: paths, those of folders with a slash at the end, and phrases."""
    text = (ROOT / page).read_text(encoding="utf-8")
    block = re.search(r"^#+ Where things are\n.*?^```\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert block, f"{page} has no tree under 'Where things are'"
    folders: list[str] = []
    lines = []
    for line in block[1].splitlines():
        depth = (len(line) - len(line.lstrip())) // 4
        name, _, phrase = line.strip().partition(" ")
        del folders[depth:]
        lines.append(("".join(folders) + name, phrase.strip()))
        if name.endswith("/"):
            folders.append(name)
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
    assert not missing, f"docs/tree.md: add to the tree, each with a phrase: {', '.join(missing)}"


def test_everything_in_the_tree_is_a_file() -> None:
    shown = [path for path, _ in drawn()]
    assert len(shown) > 100
    gone = sorted(set(shown) - files())
    assert not gone, f"docs/tree.md: take out of the tree, these are no files of the project: {', '.join(gone)}"
    twice = [path for path, times in Counter(shown).items() if times > 1]
    assert not twice, f"docs/tree.md: the tree shows more than once: {', '.join(twice)}"


def test_every_file_in_the_tree_has_a_phrase() -> None:
    bare = [path for path, phrase in drawn() if not phrase]
    assert not bare, f"docs/tree.md: say in the tree what these are for: {', '.join(bare)}"


def test_the_readme_shows_folders_that_there_are_each_with_a_phrase() -> None:
    shown = lines_of("README.md")
    assert {"bot/", "trainer/", "deploy/", "docs/", "tests/"} <= {path for path, _ in shown}
    for path, phrase in shown:
        assert (ROOT / path).is_dir(), f"README.md: {path} is no folder"
        assert phrase, f"README.md: say what {path} is for"
