"""Requests that Bolt itself would stumble over are acknowledged, and reach no listener."""

import re
from typing import Any

import pytest
from slack_bolt.async_app import AsyncApp
from slack_bolt.authorization import AuthorizeResult
from slack_bolt.context.ack.async_ack import AsyncAck
from slack_bolt.request.async_request import AsyncBoltRequest

from bot.slack.hosts import SlackHosts
from bot.slack.unreadable import IgnoreUnreadable

Json = dict[str, Any]
WHO = {"id": "U1"}
URL = "https://hooks.slack.com/actions/1"
READABLE: list[Json] = [
    {"type": "event_callback", "event": {"type": "app_mention"}},
    {"command": "/dolly", "text": "", "response_url": URL},
    {"type": "block_actions", "user": WHO, "actions": [{"type": "button", "action_id": "a"}], "response_url": URL},
    {"type": "view_submission", "user": WHO, "view": {"callback_id": "", "type": "modal"}},
    {"type": "view_closed", "user": WHO, "view": {"callback_id": "c"}},
    {"type": "message_action", "user": WHO, "callback_id": "c", "response_url": URL},
    {"type": "shortcut", "user": WHO, "callback_id": "c"},
    {"type": "block_suggestion", "user": WHO, "action_id": "a"},
]
UNREADABLE: list[Json] = [
    {"type": {"name": "shortcut"}, "callback_id": "c"},
    {"type": ["event_callback"], "event": {"type": "app_mention"}},
    {"type": "event_callback", "event": {"type": ["app_mention"]}},
    {"type": "event_callback"},
    {"command": ["/dolly"]},
    {"command": "/dolly", "response_url": 5},
    {"command": "/dolly", "response_url": "javascript:x"},
    {"command": "/dolly", "response_url": "https://hooks.slack.com.evil.example/commands/1"},
    {"command": "/dolly", "response_url": "http://169.254.169.254/latest/meta-data/"},
    {"type": "message_action", "user": WHO, "callback_id": "c", "response_url": "https://hooks.slack.com@10.0.0.1/"},
    {"type": "message_action", "user": WHO, "callback_id": "c", "response_url": "https://[::1"},
    {"type": "block_actions", "user": WHO, "actions": [{"type": "button"}]},
    {"type": "block_actions", "user": WHO, "actions": [{"action_id": ["a"]}]},
    {"type": "block_actions", "user": WHO, "actions": []},
    {"type": "block_actions", "user": WHO, "actions": ["a"]},
    {"type": "block_actions", "user": WHO, "actions": [{"action_id": "a"}], "response_url": {}},
    {"type": "view_submission", "user": WHO, "view": {"callback_id": ["c"]}},
    {"type": "view_submission", "user": WHO, "view": "callback_id"},
    {"type": "view_submission", "user": WHO, "view": {"callback_id": "c"}},
    {"type": "view_closed", "user": WHO},
    {"type": "view_closed", "user": "U1", "view": {"callback_id": "c"}},
    {"type": "block_actions", "user": {}, "actions": [{"action_id": "a"}]},
    {"type": "block_actions", "user": WHO, "actions": [{"action_id": "a"}], "channel": "C1"},
    {"type": "block_actions", "user": WHO, "actions": [{"action_id": "a"}], "message": [{}]},
    {"type": "message_action", "user": WHO, "callback_id": {}},
    {"type": "shortcut", "user": WHO, "callback_id": 5},
    {"type": "block_suggestion", "user": WHO, "action_id": []},
]


class Heard:
    """An app with a listener for each kind, which tells how often one was called."""

    def __init__(self) -> None:
        async def authorize(**_: Any) -> AuthorizeResult:
            return AuthorizeResult(enterprise_id=None, team_id="T1", bot_token="xoxb-1", bot_id="B1", bot_user_id="U1")

        async def listener(ack: AsyncAck) -> None:
            self.times += 1
            await ack()

        self.times = 0
        anything = re.compile(".*")
        self.app = AsyncApp(
            authorize=authorize,
            before_authorize=IgnoreUnreadable(SlackHosts("https://slack.com/api/")),
            process_before_response=True,
            request_verification_enabled=False,
            attaching_conversation_kwargs_enabled=False,
        )
        for kind in (
            self.app.event,
            self.app.command,
            self.app.action,
            self.app.shortcut,
            self.app.view,
            self.app.view_closed,
            self.app.options,
        ):
            kind(anything)(listener)

    async def status_of(self, body: Json) -> int:
        request = AsyncBoltRequest(body=body, mode="socket_mode")
        return int((await self.app.async_dispatch(request)).status)


@pytest.mark.parametrize("body", READABLE, ids=str)
async def test_what_can_be_read_reaches_its_listener(body: Json) -> None:
    heard = Heard()
    assert await heard.status_of(body) == 200
    assert heard.times == 1


@pytest.mark.parametrize("body", UNREADABLE, ids=str)
async def test_what_cannot_be_read_is_acknowledged_and_goes_no_further(body: Json) -> None:
    heard = Heard()
    assert await heard.status_of(body) == 200
    assert heard.times == 0
