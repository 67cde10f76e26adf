"""Every Web API method of the workspace, called by slack_sdk's own client and compared with Slack's samples."""

from functools import reduce
from pathlib import Path

import pytest
from slack_sdk.models.blocks import Block, RichTextBlock

from bot.local.workspace.records import Json
from bot.local.workspace.web_api.server import METHODS
from tests.contracts.shapes import compare, load_sample, missing, union
from tests.contracts.web_api_calls import CALLS, scene

pytestmark = pytest.mark.filterwarnings("ignore:BasicAuth is deprecated:DeprecationWarning")  # slack_sdk's own

_MESSAGE = ("type", "user", "text", "ts", "team", "bot_id", "app_id", "bot_profile.name")

READ_BY_CLIENTS: dict[str, tuple[str, ...]] = {
    "apps.connections.open": ("url",),
    "auth.test": ("url", "team", "user", "team_id", "user_id", "bot_id", "is_enterprise_install"),
    "bots.info": ("bot.id", "bot.name", "bot.app_id", "bot.user_id"),
    "chat.appendStream": ("channel", "ts"),
    "chat.delete": ("channel", "ts"),
    "chat.getPermalink": ("channel", "permalink"),
    "chat.postEphemeral": ("message_ts",),
    "chat.postMessage": ("channel", "ts", *(f"message.{name}" for name in _MESSAGE), "message.root.ts"),
    "chat.startStream": ("channel", "ts"),
    "chat.stopStream": ("channel", "ts", "message.text", "message.blocks", "message.thread_ts"),
    "chat.update": ("channel", "ts", "text", "message.text", "message.edited.ts", "message.metadata"),
    "conversations.history": ("messages.0.ts", "messages.2.reply_count", "messages.2.reply_users", "has_more"),
    "conversations.info": ("channel.id", "channel.name", "channel.is_member", "channel.num_members", "channel.locale"),
    "conversations.join": ("channel.id", "channel.is_member"),
    "conversations.list": ("channels.0.id", "channels.0.num_members", "response_metadata.next_cursor"),
    "conversations.members": ("members.0", "response_metadata.next_cursor"),
    "conversations.open": ("channel.id", "channel.user", "channel.is_im"),
    "conversations.replies": (
        *("messages.0.thread_ts", "messages.0.reply_count", "messages.0.latest_reply", "messages.0.reactions.0.users"),
        *("messages.1.parent_user_id", "messages.1.metadata.event_type", "response_metadata.next_cursor"),
    ),
    "files.completeUploadExternal": ("files.0.id", "files.0.title", "files.0.url_private"),
    "files.getUploadURLExternal": ("upload_url", "file_id"),
    "files.info": ("file.id", "file.name", "file.mimetype", "file.size", "file.channels.0"),
    "oauth.v2.access": ("access_token", "scope", "bot_user_id", "team.id", "app_id", "authed_user.id", "enterprise"),
    "reactions.get": ("message.reactions.0.name", "message.reactions.0.users", "message.reactions.0.count"),
    "team.info": ("team.id", "team.name", "team.domain"),
    "users.conversations": ("channels.0.id",),
    "users.info": ("user.id", "user.name", "user.locale", "user.is_admin", "user.profile.display_name", "user.tz"),
    "users.list": ("members.0.id", "members.0.profile.real_name", "cache_ts", "response_metadata.next_cursor"),
    **{
        f"views.{verb}": ("view.id", "view.hash", "view.root_view_id", "view.state.values", "view.blocks.0.block_id")
        for verb in ("open", "publish", "push", "update")
    },
}

WITHOUT_SAMPLE = {"agents.sessions.rename", "agents.sessions.setStatus"}

NEWER_THAN_SPECIFICATION = {
    *("agents.sessions.rename", "agents.sessions.setStatus", "apps.connections.open"),
    *(f"assistant.threads.{verb}" for verb in ("setStatus", "setSuggestedPrompts", "setTitle")),
    *("chat.startStream", "chat.appendStream", "chat.stopStream"),
    *("files.getUploadURLExternal", "files.completeUploadExternal"),
}

_WITH_MESSAGES = ("chat.postMessage", "conversations.history", "conversations.replies", "reactions.get")

RECORDED_ONLY_AS_REFUSED = {"chat.stopStream": {"channel": "", "ts": "", "message": {}}}
"""What slack_sdk's types say of answers of which the samples hold failures only."""


def test_every_method_has_its_call() -> None:
    assert CALLS.keys() == METHODS.keys()


@pytest.mark.parametrize("method", sorted(CALLS))
async def test_answers_slacks_client(method: str) -> None:
    async with scene() as s:
        answer = await CALLS[method](s)
        assert answer["ok"] is True
        assert answer.api_url.endswith(f"/api/{method}")
        assert missing(answer.data, READ_BY_CLIENTS.get(method, ())) == []


@pytest.fixture(scope="module")
def message_sample(shared_data: Path) -> Json:
    """A message as Slack's samples hold it anywhere: most were recorded of apps' messages only."""
    samples = {name: load_sample(shared_data / f"slack/api/{name}.json") for name in _WITH_MESSAGES}
    messages = [each.get("message") or each["messages"][0] for each in samples.values()]
    message: Json = reduce(union, messages)
    return message | {"root": message}


@pytest.mark.parametrize("method", sorted(CALLS.keys() - WITHOUT_SAMPLE))
async def test_answer_has_slacks_shape(method: str, shared_data: Path, message_sample: Json) -> None:
    sample = load_sample(shared_data / f"slack/api/{method}.json") | RECORDED_ONLY_AS_REFUSED.get(method, {})
    if "messages" in sample:
        sample["messages"] = [message_sample]
    elif "message" in sample and method != "chat.update":
        sample["message"] = message_sample
    async with scene() as s:
        answer = await CALLS[method](s)
    assert compare(answer.data, sample) == []


@pytest.mark.parametrize("method", sorted(CALLS.keys() - NEWER_THAN_SPECIFICATION))
async def test_required_fields_of_the_specification_are_there(method: str, shared_data: Path) -> None:
    specification = load_sample(shared_data / "slack" / "specs" / "slack_web_openapi_v2.json")
    [operation] = specification["paths"][f"/{method}"].values()
    async with scene() as s:
        answer = await CALLS[method](s)
    required = operation["responses"]["200"]["schema"].get("required", ["ok"])
    assert missing(answer.data, required) == []


async def test_what_people_write_carries_rich_text_that_the_sdk_reads() -> None:
    async with scene() as s:
        [block] = s.question["blocks"]
        parsed = Block.parse(block)
        assert isinstance(parsed, RichTextBlock)
        parsed.validate_json()
        [section] = block["elements"]
        assert [element["type"] for element in section["elements"]] == ["text", "link", "text", "user", "text"]


async def test_scopes_come_in_a_header() -> None:
    async with scene() as s:
        answer = await s.client.auth_test()
        assert "chat:write" in answer.headers["x-oauth-scopes"].split(",")
