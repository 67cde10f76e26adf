"""docs/peers.md names a test for what it says: each is there."""

import ast
import re

from tests.conftest import ROOT

NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def test_every_named_test_exists() -> None:
    named = NAMED.findall((ROOT / "docs" / "peers.md").read_text())
    assert len(named) > 50
    assert [f"{path}::{name}" for path, name in named if name not in _tests_in(path)] == []


def _tests_in(path: str) -> set[str]:
    """The names of the tests in a file; none where there is no such file."""
    if not (ROOT / path).is_file():
        return set()
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {node.name for node in ast.walk(ast.parse((ROOT / path).read_text())) if isinstance(node, functions)}
