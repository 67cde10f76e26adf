"""The audit of pinned packages: a hole fails, and what nobody could be asked about is never called well."""

from pathlib import Path
from typing import Any

import pytest

from tests.audit import KNOWN, Dependency, main

NAME, VERSION = KNOWN.split("==")
HOLE = {"id": "PYSEC-2021-66", "fix_versions": ["2.11.3"], "aliases": ["CVE-2020-28493"], "description": ""}
FOUND: Dependency = {"name": NAME, "version": VERSION, "vulns": [HOLE]}
WELL: Dependency = {"name": "aiohttp", "version": "3.14.5", "vulns": []}
SKIPPED: Dependency = {"name": "torch", "skip_reason": "Dependency not found on PyPI and could not be audited: torch"}


def run(*answers: list[Dependency] | Exception, must_ask: bool = False) -> int:
    """With what pip-audit says, in turn: of the release that has a hole, then of the pins."""
    left = list(answers)

    def ask(_: Path) -> list[Dependency]:
        answer = left.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return main(["--must-ask"] if must_ask else [], ask)


@pytest.mark.parametrize("must_ask", [False, True])
def test_no_hole_is_well(capsys: pytest.CaptureFixture[str], must_ask: bool) -> None:
    assert run([FOUND], [WELL, WELL], must_ask=must_ask) == 0
    assert "no known hole" in capsys.readouterr().out


def test_a_hole_fails(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([FOUND], [WELL, FOUND, SKIPPED]) == 1
    told = capsys.readouterr().out
    assert "jinja2 2.11.2: PYSEC-2021-66, mended in 2.11.3" in told
    assert "no known hole" not in told


@pytest.mark.parametrize("answer", [{"name": NAME, "skip_reason": "not found"}, {**FOUND, "vulns": []}])
def test_who_cannot_be_asked_is_skipped_and_says_so(capsys: pytest.CaptureFixture[str], answer: Any) -> None:
    """pip-audit itself would say "No known vulnerabilities found" of all of them."""
    assert run([answer]) == 0
    assert "SKIPPED" in capsys.readouterr().out
    assert run([answer], must_ask=True) == 1


def test_a_pin_that_cannot_be_asked_about_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([FOUND], [WELL, SKIPPED]) == 0
    assert "could not ask about torch" in capsys.readouterr().out
    assert run([FOUND], [WELL, SKIPPED], must_ask=True) == 1
