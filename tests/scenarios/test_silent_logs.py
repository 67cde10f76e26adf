"""No log line and no metric holds what was said, a token or a key, at any level and whatever goes wrong."""

import io
import json
from typing import Any

import pytest
from prometheus_client import generate_latest

from bot.local.workspace import Workspace
from tests.scenarios.conftest import Transport, running_team, until
from tests.scenarios.faults import Answer, Faults
from tests.scenarios.signed import as_json, mention, post_signed
from tests.scripted_engine import Script, ScriptedEngine

PLANTED = "pineapple"
ENGINE_KEY = "no-pattern-knows-this-key"
FAILURES: list[dict[str, Answer]] = [
    {"chat.startStream": "invalid_blocks"},
    {"chat.startStream": 503, "assistant.threads.setStatus": "cut"},
    {"chat.startStream": "is_archived", "chat.postMessage": "is_archived"},
    {"chat.appendStream": "internal_error"},
    {"chat.stopStream": "cut"},
]
SCRIPTS = [
    Script(text=f"{PLANTED} is the answer"),
    Script(text=f"{PLANTED} is the", end="error", after=2, error=f"Server error: {PLANTED}"),
    Script(refusal=(422, {"error": f"template: {PLANTED}", "error_type": "template_error"})),
    Script(refusal=(500, f"<html>{PLANTED}</html>")),
    Script(lines=[f"data: {{{PLANTED}\n\n".encode()]),
]
SLOW = Script(text=f"{PLANTED} is the answer " * 3, tokens_per_second=20)
"""Slower than a stream starts."""


async def test_nothing_that_was_said_and_no_secret_is_logged_or_counted(
    store_url: str, transport: Transport, faults: Faults, logs: io.StringIO, capfd: pytest.CaptureFixture[str]
) -> None:
    workspace = Workspace()
    await workspace.start()
    async with (
        ScriptedEngine(SCRIPTS[0], api_key=ENGINE_KEY) as engine,
        running_team(store_url, engine.url, transport, workspace=workspace, api_key=ENGINE_KEY) as team,
    ):
        asha, general = team.person("asha"), team.channel("general")
        for number, script in enumerate(SCRIPTS):
            engine.then(script)
            root = await team.say("asha", f"{PLANTED} comes first")
            await team.say("ben", f"@dolly {PLANTED} {number}?", thread=root)
            await team.answered(root)
        for failure in FAILURES:
            before = dict(faults.calls)
            for method, answer in failure.items():
                faults.always(method, answer)
            engine.then(SLOW)
            await team.say("asha", f"@dolly {PLANTED}?")
            await until(lambda: all(faults.calls[method] > before.get(method, 0) for method in failure))  # noqa: B023
            faults.none()
        for text in (PLANTED, "help", f"ask {PLANTED}"):
            await workspace.people.command(asha, general, "/dolly", text)
        await workspace.people.shortcut(asha, general, root, PLANTED)
        odd: list[dict[str, Any]] = [{"text": [PLANTED]}, {"ts": PLANTED}, {"type": PLANTED}, {"type": None}]
        for changes in odd:
            workspace.delivery.event(mention(team, **changes))
        if transport == "http":
            for body in (
                as_json([PLANTED]),
                PLANTED.encode(),
                f'{{"event": "{PLANTED}", "authorizations": [1]}}'.encode(),
            ):
                assert (await post_signed(team, body))[0] == 400
        await until(lambda: workspace.delivery.pending() == 0)
    await workspace.stop()

    lines = logs.getvalue().splitlines()
    assert len(lines) > 30, "there is something to look through"
    assert {"stored", "answered", "no_answer", "answer_refused_by_slack", "not_understood"} <= {
        json.loads(line)["event"] for line in lines
    }
    secrets = vars_of(workspace) | {"engine key": ENGINE_KEY, "what was said": PLANTED}
    printed = capfd.readouterr()
    for name, secret in secrets.items():
        for where in (logs.getvalue(), printed.out, printed.err):
            assert secret not in where, f"{name} is in a log line"
    shown = generate_latest().decode()
    assert 'dolly_slack_calls_total{method="chat.startStream",outcome="invalid_blocks"}' in shown
    assert 'dolly_engine_errors_total{kind="EngineBroke"}' in shown
    identity = workspace.identity
    people = {"who asked": asha, "the channel": general, "the team": identity.team_id, "Dolly": identity.bot_user_id}
    for name, secret in (secrets | people | {"a message's ts": root}).items():
        assert secret not in shown, f"{name} is in a metric"


def vars_of(workspace: Workspace) -> dict[str, str]:
    identity = workspace.identity
    names = ("bot_token", "app_token", "signing_secret", "verification_token", "client_secret")
    return {name: getattr(identity, name) for name in names}
