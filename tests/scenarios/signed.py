"""Requests as Slack signs them, and as it never would."""

import hashlib
import hmac
import io
import json
import time
from collections.abc import AsyncIterable
from typing import Any
from urllib.parse import urlencode

import aiohttp

from tests.scenarios.conftest import Json, Team

JSON_TYPE = {"Content-Type": "application/json"}
FORM_TYPE = {"Content-Type": "application/x-www-form-urlencoded"}


def signature(secret: str, body: bytes, timestamp: str | None = None) -> dict[str, str]:
    """The headers that prove that Slack sent `body`, now unless told otherwise."""
    timestamp = timestamp or str(int(time.time()))
    digest = hmac.new(secret.encode(), b"v0:" + timestamp.encode() + b":" + body, hashlib.sha256).hexdigest()
    return {"X-Slack-Request-Timestamp": timestamp, "X-Slack-Signature": f"v0={digest}"}


async def post(team: Team, body: bytes, headers: Any, *, data: AsyncIterable[bytes] | None = None) -> tuple[int, str]:
    """POST `body`, or the pieces of `data`; status and text of the answer."""
    assert team.workspace.request_url is not None
    async with (
        aiohttp.ClientSession() as session,
        session.post(team.workspace.request_url, data=data or io.BytesIO(body), headers=headers) as response,
    ):
        return response.status, await response.text()


async def post_signed(team: Team, body: bytes, **headers: str) -> tuple[int, str]:
    """POST `body` signed; JSON unless `headers` (with _ for -) say otherwise."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await post(team, body, {**JSON_TYPE, **signature(team.workspace.identity.signing_secret, body), **named})


def mention(team: Team, **changes: Any) -> Json:
    """An app_mention as Slack sends it, with `changes` to the event; None takes a field away."""
    event = {
        "type": "app_mention",
        "user": team.person("asha"),
        "ts": "1790000000.000100",
        "text": f"<@{team.bot_id}> hello",
        "team": team.workspace.identity.team_id,
        "channel": team.channel("general"),
        "event_ts": "1790000000.000100",
    }
    return event_callback(team, {name: value for name, value in (event | changes).items() if value is not None})


def event_callback(team: Team, event: Any) -> Json:
    """What carries an event."""
    return {
        "token": team.workspace.identity.verification_token,
        "team_id": team.workspace.identity.team_id,
        "api_app_id": team.workspace.identity.app_id,
        "event": event,
        "type": "event_callback",
        "event_id": "Ev0000000001",
        "event_time": 1790000000,
        "authorizations": [
            {
                "enterprise_id": None,
                "team_id": team.workspace.identity.team_id,
                "user_id": team.bot_id,
                "is_bot": True,
                "is_enterprise_install": False,
            }
        ],
        "is_ext_shared_channel": False,
    }


def command(team: Team, **changes: str) -> Json:
    """A slash command's fields."""
    return {
        "team_id": team.workspace.identity.team_id,
        "channel_id": team.channel("general"),
        "user_id": team.person("asha"),
        "command": "/dolly",
        "text": "hello",
        "response_url": f"{team.workspace.url}response",
        "trigger_id": "1.2.abc",
        **changes,
    }


def as_json(payload: Any) -> bytes:
    return json.dumps(payload).encode()


def as_form(fields: Json) -> bytes:
    return urlencode(fields, errors="surrogatepass").encode()
