"""`dolly check --production`, as it is typed, on real parts."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bot.__main__ import app
from bot.local.store import LocalStore
from bot.local.workspace import Workspace
from bot.preflight import Finding, exit_code
from bot.preflight.finding import Verdict
from tests.conftest import Background
from tests.scripted_engine import ScriptedEngine

MEMORY_KEY = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="


@pytest.fixture
def parts(
    background: Background, local_store: LocalStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[dict[str, str]]:
    """The settings of a Dolly whose parts run."""
    workspace, engine = Workspace(), ScriptedEngine(api_key="engine-key")
    background.run(workspace.start())
    background.run(engine.start())
    settings = {
        "SLACK_BOT_TOKEN": workspace.identity.bot_token,
        "SLACK_APP_TOKEN": workspace.identity.app_token,
        "SLACK_API_URL": workspace.api_url,
        "REDIS_URL": local_store.url,
        "DOLLY_MEMORY_KEY": MEMORY_KEY,
        "ENGINE_URL": engine.url,
        "ENGINE_API_KEY": "engine-key",
        "ALL_PROXY": "http://user:password@127.0.0.1:1",
    }
    monkeypatch.chdir(tmp_path)
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    yield settings
    background.run(engine.stop())
    background.run(workspace.stop())


def test_every_promise_for_people(parts: dict[str, str]) -> None:
    told = CliRunner().invoke(app, ["check", "--production"])
    assert told.exit_code == 1
    for heading in ("Slack", "Store", "Engine", "This machine"):
        assert f"\n{heading}\n" in "\n" + told.stdout.replace(" \n", "\n")
    for line in ("✓ bot token", "? subscriptions", "! user", "✓ contract", "! audit log", "✓ egress", "? proxy"):
        assert line in told.stdout
    assert "unsafe." in told.stdout.splitlines()[-1]
    for secret in (*(value for name, value in parts.items() if name.endswith(("TOKEN", "KEY"))), "user:password"):
        assert secret not in told.output


def test_every_promise_for_scripts(parts: dict[str, str]) -> None:
    told = CliRunner().invoke(app, ["check", "--production", "--json"])
    answer = json.loads(told.stdout)
    assert (told.exit_code, answer["fit"]) == (1, False)
    assert {finding["part"] for finding in answer["findings"]} == {"Slack", "Store", "Engine", "This machine"}
    assert {finding["verdict"] for finding in answer["findings"]} == {"safe", "cannot tell", "unsafe"}


def test_unsafe_and_cannot_tell_are_no_failure_of_the_short_form(parts: dict[str, str]) -> None:
    told = CliRunner().invoke(app, ["check", "--json"])
    assert (told.exit_code, json.loads(told.stdout)["fit"]) == (0, True)


@pytest.mark.parametrize(
    ("verdict", "in_production", "in_short"), [("safe", 0, 0), ("cannot tell", 0, 0), ("unsafe", 1, 0), ("wrong", 1, 1)]
)
def test_what_each_verdict_gives(verdict: Verdict, in_production: int, in_short: int) -> None:
    findings = [Finding("Store", "persistence", verdict, "So it is.")]
    assert exit_code(findings, production=True) == in_production
    assert exit_code(findings, production=False) == in_short
