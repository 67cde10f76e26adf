"""What docs/ says of peers, of the surface and of threats names a test that shows it: each is there."""

import ast
import re

import pytest

from tests.conftest import ROOT

NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


PLACED = re.compile(r"`((?:bot|trainer|deploy|tests|docs)/[\w./-]+|constraints\.txt)`")


@pytest.mark.parametrize("page", ["peers.md", "surface.md", "security.md"])
def test_every_named_test_exists(page: str) -> None:
    named = NAMED.findall((ROOT / "docs" / page).read_text())
    assert len(named) > 30
    assert [f"{path}::{name}" for path, name in named if name not in _tests_in(path)] == []


def test_every_place_of_a_measure_exists() -> None:
    placed = PLACED.findall((ROOT / "docs" / "security.md").read_text())
    assert len(placed) > 40
    assert [path for path in placed if not (ROOT / path).exists()] == []


def test_no_threat_is_left_without_a_test() -> None:
    """Each row of the tables of threats names one, but for what there is not here."""
    tables = (ROOT / "docs" / "security.md").read_text().partition("## OWASP")[2]
    rows = [line for line in tables.splitlines() if line.startswith("| ") and not line.startswith("|---")]
    bare = [row.split("|")[1].strip() for row in rows if not NAMED.search(row)]
    assert len(rows) > 25
    assert bare == ["item", "LLM08 weaknesses of vectors and embeddings", "what happened", "threat"]


def _tests_in(path: str) -> set[str]:
    """The names of the tests in a file; none where there is no such file."""
    if not (ROOT / path).is_file():
        return set()
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {node.name for node in ast.walk(ast.parse((ROOT / path).read_text())) if isinstance(node, functions)}
