"""Who Dolly is in Slack, asked until Slack answers."""

import asyncio

import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.errors import SlackError, SlackUnreachable
from bot.local.workspace import Workspace
from bot.slack.client import Identity, authenticate, failure, web_client
from tests.scenarios.faults import Answer, Faults


async def test_the_identity_is_what_slack_says(workspace: Workspace, identity: Identity) -> None:
    app = workspace.identity
    assert (identity.team_id, identity.bot_user_id, identity.bot_id) == (app.team_id, app.bot_user_id, app.bot_id)
    assert (identity.team, identity.user, identity.url) == (app.team_name, "dolly", workspace.url)
    assert identity.enterprise_id is None
    assert identity.home_id == app.team_id
    assert {"chat:write", "app_mentions:read"} <= identity.scopes


@pytest.mark.parametrize("fault", [500, 503, "internal_error", "service_unavailable", ("ratelimited", 0), "cut"])
async def test_a_passing_failure_is_waited_out(client: AsyncWebClient, faults: Faults, fault: Answer) -> None:
    faults.next("auth.test", *[fault] * 5)
    assert (await authenticate(client)).user == "dolly"
    assert faults.calls["auth.test"] == 6


@pytest.mark.parametrize("reason", ["invalid_auth", "account_inactive", "token_revoked", "not_authed"])
async def test_a_refused_token_is_an_error_at_once(client: AsyncWebClient, faults: Faults, reason: str) -> None:
    faults.always("auth.test", reason)
    with pytest.raises(SlackError) as raised:
        await authenticate(client)
    assert raised.value.reason == reason
    assert faults.calls["auth.test"] == 1


@pytest.mark.parametrize(
    ("fault", "reason"),
    [("internal_error", "internal_error"), (503, "no_slack_answer"), ("cut", "ServerDisconnectedError")],
)
async def test_without_patience_nothing_is_asked_twice(
    client: AsyncWebClient, faults: Faults, fault: Answer, reason: str
) -> None:
    faults.always("auth.test", fault)
    with pytest.raises(SlackError) as raised:
        await authenticate(client, patient=False)
    assert raised.value.reason == reason
    assert faults.calls["auth.test"] == 1


async def test_nobody_at_the_address() -> None:
    with pytest.raises(SlackError, match="ClientConnectorError"):
        await authenticate(web_client("xoxb-1", "http://127.0.0.1:1/api/"), patient=False)


async def test_something_else_at_the_address(client: AsyncWebClient, faults: Faults) -> None:
    faults.always("auth.test", 200)  # a page
    with pytest.raises(SlackError, match="no_slack_answer"):
        await authenticate(client)


async def test_patience_ends_when_it_is_cancelled(client: AsyncWebClient, faults: Faults) -> None:
    faults.always("auth.test", 503)
    asking = asyncio.create_task(authenticate(client))
    await asyncio.sleep(0.05)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("not_in_channel", SlackError),
        ("internal_error", SlackUnreachable),
        (("ratelimited", 0), SlackUnreachable),
        (502, SlackUnreachable),
    ],
)
async def test_what_a_failed_call_means(
    client: AsyncWebClient, faults: Faults, fault: Answer, kind: type[Exception]
) -> None:
    faults.always("chat.postMessage", fault)
    with pytest.raises(SlackApiError) as raised:
        await client.chat_postMessage(channel="C0GENERAL01", text="hello")
    assert isinstance(failure("chat.postMessage", raised.value), kind)
    assert faults.calls["chat.postMessage"] == (4 if isinstance(fault, tuple) else 1), "only rate limits are waited for"
