"""How a call is made: tokens, where arguments stand, pages, rate limits, and what is no call at all."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import aiohttp
import pytest
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError
from slack_sdk.http_retry.builtin_async_handlers import AsyncRateLimitErrorRetryHandler
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.web.async_slack_response import AsyncSlackResponse

from bot.local.workspace.clock import ManualClock
from bot.local.workspace.records import Json
from bot.local.workspace.workspace import Workspace
from tests.bot.local.workspace.bare_app import ASHA, GENERAL, running
from tests.contracts.web_api_calls import CALLS, scene


async def post(workspace: Workspace, method: str, *, token: str | None = None, **request: Any) -> Json:
    """A POST by hand, by default with the app's token."""
    headers = {"Authorization": f"Bearer {token or workspace.identity.bot_token}", **request.pop("headers", {})}
    async with (
        aiohttp.ClientSession() as session,
        session.post(workspace.api_url + method, headers=headers, **request) as response,
    ):
        assert response.status == 200
        answer: Json = await response.json()
        return answer


async def refused(call: Any) -> str:
    """Slack's error name for a call that must fail."""
    with pytest.raises(SlackApiError) as caught:
        await call
    assert caught.value.response.status_code == 200
    return str(caught.value.response["error"])


async def test_tokens() -> None:
    async with running() as workspace:
        app = workspace.identity
        for token, method, error in [
            (None, "auth.test", "not_authed"),
            ("xoxb-another", "auth.test", "invalid_auth"),
            ("xoxb-नमस्ते", "auth.test", "invalid_auth"),
            (app.app_token, "auth.test", "not_allowed_token_type"),
            (app.bot_token, "apps.connections.open", "not_allowed_token_type"),
            (app.bot_token, "chat.shout", "unknown_method"),
        ]:
            client = AsyncWebClient(base_url=workspace.api_url)
            assert await refused(client.api_call(method, data={"token": token} if token else {})) == error


async def test_the_token_may_be_an_argument_in_query_or_form() -> None:
    async with running() as workspace, aiohttp.ClientSession() as session:
        token = {"token": workspace.identity.bot_token}
        for request in (session.get, session.post):
            async with request(workspace.api_url + "auth.test", params=token) as response:
                assert (await response.json())["ok"] is True
        async with session.post(workspace.api_url + "auth.test", data=token) as response:
            assert (await response.json())["ok"] is True


async def test_arguments_come_by_query_form_and_json_alike() -> None:
    blocks = [{"type": "section", "text": {"type": "mrkdwn", "text": "Ünïcode ✓"}}]
    values = {"channel": GENERAL, "text": "Ünïcode ✓", "blocks": json.dumps(blocks)}
    async with running() as workspace:
        for request in ({"params": values}, {"data": values}, {"json": values}, {"json": {**values, "blocks": blocks}}):
            answer = await post(workspace, "chat.postMessage", **request)
            assert answer["message"]["text"] == "Ünïcode ✓"
            assert answer["message"]["blocks"][0]["text"] == blocks[0]["text"]


async def test_the_synchronous_client_is_answered_too() -> None:
    async with running() as workspace:
        client = WebClient(workspace.identity.bot_token, base_url=workspace.api_url)
        answer = await asyncio.to_thread(client.conversations_info, channel=GENERAL, include_num_members=True)
        assert answer["channel"]["num_members"] == 5


@pytest.mark.parametrize(
    ("body", "content_type", "error"),
    [
        (b"channel=%ff%fe", "application/x-www-form-urlencoded", "invalid_form_data"),
        (b"channel=\xff\xfe", "application/x-www-form-urlencoded", "invalid_form_data"),
        (b'{"channel": ', "application/json", "invalid_json"),
        (b'{"channel": "\xff"}', "application/json", "invalid_json"),
        (b'{"channel": "\\ud800"}', "application/json", "invalid_json"),
        (b'{"channel": NaN}', "application/json", "invalid_json"),
        (b"[" * 100_000, "application/json", "invalid_json"),
        (b'{"view": ' + b"[" * 300 + b"]" * 300 + b"}", "application/json", "invalid_json"),
        (b'{"limit": ' + b"9" * 5000 + b"}", "application/json", "invalid_json"),
        (b'["channel"]', "application/json", "json_not_object"),
        (b"<channel/>", "text/xml", "invalid_post_type"),
        (b"channel", "application/octet-stream", "missing_post_type"),
    ],
)
async def test_a_body_that_cannot_be_read_has_slacks_error_name(body: bytes, content_type: str, error: str) -> None:
    async with running() as workspace:
        answer = await post(workspace, "chat.postMessage", data=body, headers={"Content-Type": content_type})
        assert answer == {"ok": False, "error": error}


@pytest.mark.parametrize(
    ("method", "arguments", "error"),
    [
        ("chat.postMessage", {"text": "x"}, "invalid_arguments"),
        ("chat.postMessage", {"channel": ["C"], "text": "x"}, "invalid_arguments"),
        ("chat.postMessage", {"channel": GENERAL, "blocks": "{"}, "invalid_blocks_format"),
        ("chat.postMessage", {"channel": GENERAL, "blocks": {"type": "divider"}}, "invalid_blocks_format"),
        ("chat.postMessage", {"channel": GENERAL, "blocks": ["divider"]}, "invalid_blocks_format"),
        ("chat.postMessage", {"channel": GENERAL, "text": "x", "metadata": "[]"}, "invalid_metadata_format"),
        ("chat.postMessage", {"channel": GENERAL, "text": "x", "metadata": {"a": 1}}, "invalid_metadata_schema"),
        ("conversations.history", {"channel": GENERAL, "limit": "many"}, "invalid_limit"),
        ("conversations.history", {"channel": GENERAL, "cursor": "§"}, "invalid_cursor"),
        ("conversations.history", {"channel": GENERAL, "cursor": "bm93"}, "invalid_cursor"),
        ("conversations.history", {"channel": GENERAL, "oldest": "yesterday"}, "invalid_ts_oldest"),
        ("conversations.history", {"channel": GENERAL, "latest": "-1"}, "invalid_ts_latest"),
        ("conversations.list", {"types": "public"}, "invalid_types"),
        ("users.list", {"cursor": "bm93"}, "invalid_cursor"),
        ("views.publish", {"user_id": ASHA, "view": "no"}, "invalid_arguments"),
    ],
)
async def test_an_argument_that_cannot_be_used_is_named(method: str, arguments: Json, error: str) -> None:
    async with running() as workspace:
        assert (await post(workspace, method, json=arguments))["error"] == error


ODD_VALUES: list[Any] = [
    *(None, True, -1, 10**30, 1.5, "", "§", "[", '{"a": [', "9" * 400),
    *([], [None], [[]], {}, {"type": None}, {"type": {}}, [{"type": "section", "text": []}]),
]


class Recorder(AsyncWebClient):
    """Slack's client, noting the arguments with which each method is called."""

    def __init__(self, client: AsyncWebClient) -> None:
        super().__init__(client.token, base_url=client.base_url)
        self.calls: dict[str, Json] = {}

    async def api_call(self, api_method: str, **request: Any) -> AsyncSlackResponse:
        arguments = request.get("json") or {**(request.get("params") or {}), **(request.get("data") or {})}
        self.calls[api_method] = json.loads(json.dumps(arguments))
        return await super().api_call(api_method, **request)


@pytest.mark.parametrize("method", sorted(CALLS.keys() - {"oauth.v2.access"}))
async def test_no_odd_argument_makes_the_workspace_fail(method: str) -> None:
    """Each part of a good call, put in another's place by something odd: HTTP 200 with `ok`, and a reason."""
    async with scene() as s, aiohttp.ClientSession() as session:
        s.client = recorder = Recorder(s.client)
        await CALLS[method](s)
        token = s.workspace.identity.app_token if method == "apps.connections.open" else recorder.token
        headers = {"Authorization": f"Bearer {token}"}
        for odd in variations(recorder.calls[method]):
            async with session.post(s.workspace.api_url + method, json=odd, headers=headers) as response:
                answer = await response.json() if response.status == 200 else {}
                assert isinstance(answer.get("ok"), bool), f"{response.status} for {odd}"
                assert answer["ok"] or isinstance(answer["error"], str)


def variations(value: Any) -> Iterator[Any]:
    """The value with one part of it, however deep, odd or gone."""
    if isinstance(value, dict):
        for key, inside in value.items():
            yield {name: other for name, other in value.items() if name != key}
            yield from ({**value, key: odd} for odd in variations(inside))
            yield from ({**value, key: odd} for odd in ODD_VALUES)
    elif isinstance(value, list):
        for index, inside in enumerate(value):
            yield from ([*value[:index], odd, *value[index + 1 :]] for odd in (*variations(inside), *ODD_VALUES))


async def test_lists_come_in_pages() -> None:
    async with scene() as s:
        for number in range(5):
            s.workspace.timeline.post(GENERAL, ASHA, f"{number}", thread_ts=s.ts)
        replies: list[str] = []
        async for page in await s.client.conversations_replies(channel=GENERAL, ts=s.ts, limit=2):
            replies += [message["text"] for message in page["messages"]]
        assert replies[1:] == ["0", "1", "2", "3", "4"]
        members: list[str] = []
        async for page in await s.client.conversations_members(channel=GENERAL, limit=3):
            members += page["members"]
        assert len(members) == len(set(members)) == 5
        users = [page["members"][0]["name"] async for page in await s.client.users_list(limit=1)]
        assert users == ["asha", "ben", "chen", "divya", "dolly"]


async def test_rate_limits_answer_429_and_the_sdk_waits_as_told() -> None:
    clock = ManualClock()
    async with scene(clock=clock, rate_limits=True) as s:
        for _ in range(20):
            await s.client.conversations_list()
        with pytest.raises(SlackApiError) as caught:
            await s.client.conversations_list()
        assert caught.value.response.status_code == 429
        assert caught.value.response.headers["Retry-After"] == "3"
        assert caught.value.response.data == {"ok": False, "error": "ratelimited"}
        await clock.advance(3)
        assert (await s.client.conversations_list())["ok"]


async def test_rate_limits_are_off_for_play() -> None:
    async with scene() as s:
        s.client.retry_handlers.append(AsyncRateLimitErrorRetryHandler(max_retry_count=0))
        for _ in range(30):
            assert (await s.client.conversations_list())["ok"]
