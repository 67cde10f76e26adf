"""What `dolly check` finds, of real parts."""

from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from bot.local.store import LocalStore
from bot.local.workspace import Workspace
from bot.local.workspace.web_api import app as web_api_app
from bot.model_client import ModelClient
from bot.preflight import Finding, check_engine, check_slack, check_store
from tests.engine_dialects import Dialect
from tests.scenarios.faults import Answer, Faults
from tests.scripted_engine import ScriptedEngine


@pytest.fixture
async def workspace(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Workspace, Faults]]:
    monkeypatch.setattr("random.random", lambda: 0.0)
    faults, workspace = Faults(monkeypatch), Workspace()
    await workspace.start()
    yield workspace, faults
    await workspace.stop()


def verdicts(findings: list[Finding]) -> list[tuple[str, str]]:
    return [(finding.promise, finding.verdict) for finding in findings]


async def test_good_tokens_by_either_transport(workspace: tuple[Workspace, Faults]) -> None:
    slack, _ = workspace
    findings = await check_slack(slack.identity.bot_token, slack.identity.app_token, slack.api_url)
    assert verdicts(findings) == [("bot token", "safe"), ("events", "safe")]
    assert "dolly in Dolly's workspace" in findings[0].sentence
    findings = await check_slack(slack.identity.bot_token, None, slack.api_url)
    assert verdicts(findings) == [("bot token", "safe"), ("events", "safe")]
    assert "signed HTTP" in findings[1].sentence


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ("invalid_auth", "copy it again"),
        ("account_inactive", "install it again"),
        ("token_expired", "expired"),
        (503, "did not answer as Slack does"),
        (200, "did not answer as Slack does"),
        ("cut", "is it reachable from here?"),
    ],
)
async def test_a_bot_token_that_is_not_taken(workspace: tuple[Workspace, Faults], answer: Answer, says: str) -> None:
    slack, faults = workspace
    faults.always("auth.test", answer)
    finding, events = await check_slack(slack.identity.bot_token, slack.identity.app_token, slack.api_url)
    assert (finding.part, finding.promise, finding.verdict) == ("Slack", "bot token", "wrong")
    assert events.verdict == "safe", "the other token is tried all the same"
    assert "SLACK_BOT_TOKEN" in finding.sentence
    assert says in finding.sentence


async def test_tokens_that_were_mixed_up(workspace: tuple[Workspace, Faults]) -> None:
    slack, _ = workspace
    finding, _events = await check_slack(slack.identity.app_token, slack.identity.app_token, slack.api_url)
    assert "wrong kind of token" in finding.sentence
    findings = await check_slack(slack.identity.bot_token, slack.identity.bot_token, slack.api_url)
    assert verdicts(findings) == [("bot token", "safe"), ("events", "wrong")]
    assert "SLACK_APP_TOKEN: This is the wrong kind of token" in findings[1].sentence
    findings = await check_slack(slack.identity.bot_token, "xapp-1-unknown", slack.api_url)
    assert "copy it again" in findings[1].sentence
    assert "xapp" not in str(findings)


async def test_missing_scopes_are_named_with_what_they_are_for(
    workspace: tuple[Workspace, Faults], monkeypatch: pytest.MonkeyPatch
) -> None:
    slack, _ = workspace
    granted = [scope for scope in web_api_app.SCOPES.split(",") if scope not in ("im:history", "commands")]
    monkeypatch.setattr(web_api_app, "SCOPES", ",".join(granted))
    findings = await check_slack(slack.identity.bot_token, slack.identity.app_token, slack.api_url)
    assert verdicts(findings) == [("bot token", "safe"), ("scopes", "wrong"), ("events", "safe")]
    assert "commands (to offer /dolly), im:history (to hear direct messages)" in findings[1].sentence
    assert "chat:write" not in findings[1].sentence


async def test_an_app_token_without_its_scope(workspace: tuple[Workspace, Faults]) -> None:
    slack, faults = workspace
    for answer, says in (("missing_scope", "connections:write"), ("cut", "reachable")):
        faults.always("apps.connections.open", answer)
        findings = await check_slack(slack.identity.bot_token, slack.identity.app_token, slack.api_url)
        assert findings[-1].verdict == "wrong"
        assert says in findings[-1].sentence


async def test_no_slack_at_the_address() -> None:
    finding, _events = await check_slack("xoxb-1", None, "http://127.0.0.1:1/api/")
    assert finding.verdict == "wrong"
    assert "http://127.0.0.1:1/api/" in finding.sentence


async def test_a_store_that_is_safe_unsafe_or_away(redis: Redis, local_store: LocalStore) -> None:
    promises = ("answers", "persistence", "eviction")
    assert verdicts(await check_store(local_store.url)) == [(promise, "safe") for promise in promises]
    await redis.config_set("appendfsync", "everysec")
    await redis.config_set("maxmemory-policy", "allkeys-lru")
    try:
        findings = await check_store(local_store.url)
    finally:
        await redis.config_set("appendfsync", "always")
        await redis.config_set("maxmemory-policy", "noeviction")
    assert verdicts(findings) == [("answers", "safe"), ("persistence", "unsafe"), ("eviction", "unsafe")]
    (finding,) = await check_store("redis://127.0.0.1:1/0")
    assert finding.verdict == "wrong"
    assert "is it up?" in finding.sentence


@pytest.mark.parametrize("dialect", ["tgi", "vllm", "sglang", "llama.cpp"])
async def test_an_engine_that_is_well(dialect: Dialect) -> None:
    async with ScriptedEngine(dialect=dialect, window_tokens=2048) as engine:
        model = ModelClient(engine.url)
        (finding,) = await check_engine(model, max_tokens=512)
        await model.close()
    assert finding.verdict == "safe"
    assert "team/dolly" in finding.sentence
    assert dialect in finding.sentence
    assert "2048 tokens" in finding.sentence


async def test_answers_longer_than_the_window() -> None:
    async with ScriptedEngine(window_tokens=512) as engine:
        model = ModelClient(engine.url)
        findings = await check_engine(model, max_tokens=512)
        assert verdicts(findings) == [("answers", "safe"), ("window", "wrong")]
        assert "MAX_TOKENS is 512" in findings[1].sentence
        (finding,) = await check_engine(model, max_tokens=100)
        assert finding.verdict == "safe"
        await model.close()


async def test_an_engine_that_is_away_or_wants_a_key() -> None:
    async with ScriptedEngine(api_key="right") as engine:
        model = ModelClient(engine.url, api_key="wrong")
        (finding,) = await check_engine(model, max_tokens=512)
        await model.close()
        assert finding.verdict == "wrong"
        assert "key" in finding.sentence
        url = engine.url
    model = ModelClient(url)
    (finding,) = await check_engine(model, max_tokens=512)
    await model.close()
    assert finding.verdict == "wrong"
    assert url.removeprefix("http://") in finding.sentence
