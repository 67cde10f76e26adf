"""Promises about Slack, asked of the workspace that stands in for it."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
from aiohttp import web

from bot.local.workspace import Workspace
from bot.local.workspace.web_api import app as web_api_app
from bot.preflight import Finding, check_slack
from tests.bot.preflight.found import by_promise, verdicts

MANIFEST = Path(__file__).resolve().parents[3] / "deploy" / "slack-manifest.json"
ASKED_FOR = json.loads(MANIFEST.read_text(encoding="utf-8"))["oauth_config"]["scopes"]["bot"]


@pytest.fixture
async def workspace() -> AsyncIterator[Workspace]:
    workspace = Workspace()
    await workspace.start()
    yield workspace
    await workspace.stop()


async def check(workspace: Workspace) -> list[Finding]:
    identity = workspace.identity
    return await check_slack(identity.bot_token, identity.app_token, workspace.api_url, production=True)


async def test_an_app_made_of_the_manifest_is_safe(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web_api_app, "SCOPES", ",".join(ASKED_FOR))
    findings = await check(workspace)
    safe = dict.fromkeys(("bot token", "scopes", "clock", "events", "transport"), "safe")
    assert verdicts(findings) == safe | {"subscriptions": "cannot tell"}
    assert "slack-manifest.json" in by_promise(findings)["subscriptions"].sentence


async def test_scopes_that_nobody_needs_are_named(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web_api_app, "SCOPES", ",".join([*ASKED_FOR, "admin", "channels:manage"]))
    finding = by_promise(await check(workspace))["scopes"]
    assert finding.verdict == "unsafe"
    assert "admin, channels:manage" in finding.sentence
    monkeypatch.setattr(web_api_app, "SCOPES", "admin")
    assert verdicts(await check(workspace))["scopes"] == "wrong"


async def test_scopes_that_are_not_told(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web_api_app, "SCOPES", "")
    assert verdicts(await check(workspace))["scopes"] == "cannot tell"


@asynccontextmanager
async def slack_at(date: str) -> AsyncIterator[str]:
    """The address of a Slack whose answers carry `date`."""

    async def auth_test(_: web.Request) -> web.Response:
        body = {"ok": True, "user": "dolly", "team": "Team", "url": "https://team.example/"}
        body |= {"team_id": "T0TEAM00001", "user_id": "U0DOLLY0001", "bot_id": "B0DOLLY0001"}
        return web.json_response(body, headers={"Date": date})

    app = web.Application()
    app.add_routes([web.post("/api/auth.test", auth_test)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/api/"
    finally:
        await runner.cleanup()


@pytest.mark.parametrize(
    ("ahead", "verdict", "says"),
    [
        (timedelta(seconds=30), "safe", "within"),
        (timedelta(minutes=4), "unsafe", "s behind Slack's: signed requests"),
        (timedelta(minutes=-4), "unsafe", "s ahead of Slack's: signed requests"),
        (None, "cannot tell", "timedatectl"),
    ],
)
async def test_a_clock_by_which_signatures_hold(ahead: timedelta | None, verdict: str, says: str) -> None:
    date = "some day" if ahead is None else format_datetime(datetime.now(UTC) + ahead, usegmt=True)
    async with slack_at(date) as api_url:
        finding = by_promise(await check_slack("xoxb-1", None, api_url, production=True))["clock"]
    assert finding.verdict == verdict
    assert says in finding.sentence


@pytest.mark.parametrize(
    ("api_url", "verdict"),
    [
        ("https://127.0.0.1:1/api/", "safe"),
        ("http://127.0.0.1:1/api/", "safe"),
        ("http://10.0.0.7:1/api/", "cannot tell"),
        ("http://8.8.8.8:1/api/", "unsafe"),
    ],
)
async def test_who_can_read_along(api_url: str, verdict: str) -> None:
    findings = by_promise(await check_slack("xoxb-1", None, api_url, production=True))
    assert findings["bot token"].verdict == "wrong"
    assert findings["transport"].verdict == verdict
    assert "clock" not in findings, "who does not answer has none"
