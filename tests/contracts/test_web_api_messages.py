"""What chat.*, conversations.* and reactions.* do and refuse, through slack_sdk's own client."""

from typing import Any

import aiohttp
import pytest
from slack_sdk.errors import SlackApiError

from bot.local.workspace.records import BOT_USER_ID, Json
from tests.bot.local.workspace.bare_app import ASHA, BEN, GENERAL, RANDOM
from tests.contracts.web_api_calls import scene


async def refused(call: Any) -> str:
    """Slack's error name for a call that must fail."""
    with pytest.raises(SlackApiError) as caught:
        await call
    return str(caught.value.response["error"])


async def test_a_post_needs_something_to_say() -> None:
    async with scene() as s:
        for nothing in ({}, {"text": ""}, {"text": " \n"}, {"text": "", "blocks": []}):
            call = s.client.api_call("chat.postMessage", json={"channel": GENERAL, **nothing})
            assert await refused(call) == "no_text"


async def test_a_post_goes_to_an_id_a_name_or_a_person() -> None:
    async with scene() as s:
        for place, channel_id in [("general", GENERAL), ("#general", GENERAL), (ASHA, "D0ASHA00001")]:
            assert (await s.client.chat_postMessage(channel=place, text="Hi"))["channel"] == channel_id
        assert await refused(s.client.chat_postMessage(channel="C0NOWHERE01", text="Hi")) == "channel_not_found"
        assert await refused(s.client.chat_postMessage(channel=RANDOM, text="Hi")) == "not_in_channel"
        private = s.workspace.timeline.create_channel("secret", ASHA, is_private=True)
        assert await refused(s.client.chat_postMessage(channel=private.id, text="Hi")) == "channel_not_found"
        s.workspace.timeline.archive(GENERAL)
        assert await refused(s.client.chat_postMessage(channel=GENERAL, text="Hi")) == "is_archived"


async def test_a_long_text_is_cut_in_a_post_and_refused_in_an_update() -> None:
    async with scene() as s:
        posted = await s.client.chat_postMessage(channel=GENERAL, text="x" * 50_000)
        assert len(posted["message"]["text"]) == 40_000
        update = s.client.chat_update
        assert await refused(update(channel=GENERAL, ts=posted["ts"], text="x" * 4_001)) == "msg_too_long"
        assert (await update(channel=GENERAL, ts=posted["ts"], text="x" * 4_000))["ok"]


async def test_markdown_text_stands_alone() -> None:
    async with scene() as s:
        post = s.client.chat_postMessage
        answer = await post(channel=GENERAL, markdown_text="**bold**")
        assert answer["message"]["blocks"][0]["type"] == "markdown"
        assert s.workspace.timeline.text_format(GENERAL, answer["ts"]) == "markdown"
        assert await refused(post(channel=GENERAL, markdown_text="x", text="y")) == "markdown_text_conflict"
        assert await refused(post(channel=GENERAL, markdown_text="x" * 12_001)) == "msg_too_long"


@pytest.mark.parametrize(
    ("blocks", "error", "pointer"),
    [
        ([{"type": "divider"}] * 51, "invalid_blocks", "no more than 50 items allowed [json-pointer:/blocks]"),
        ([{"type": "shout"}], "invalid_blocks", "unsupported type: shout [json-pointer:/blocks/0/type]"),
        ([{"type": "section"}], "invalid_blocks", "missing required field: text or fields [json-pointer:/blocks/0]"),
        (
            [{"type": "section", "text": {"type": "mrkdwn", "text": "x" * 3001}}],
            "invalid_blocks",
            "must be less than 3001 characters [json-pointer:/blocks/0/text/text]",
        ),
        (
            [{"type": "header", "text": {"type": "plain_text", "text": "x" * 151}}],
            "invalid_blocks",
            "must be less than 151 characters [json-pointer:/blocks/0/text/text]",
        ),
        (
            [{"type": "context", "elements": [{"type": "mrkdwn", "text": "x"}] * 11}],
            "invalid_blocks",
            "no more than 10 items allowed [json-pointer:/blocks/0/elements]",
        ),
        (
            [
                {
                    "type": "actions",
                    "elements": [{"type": "button", "text": {"type": "plain_text", "text": "x" * 76}, "value": "v"}],
                }
            ],
            "invalid_blocks",
            "must be less than 76 characters [json-pointer:/blocks/0/elements/0/text/text]",
        ),
        (
            [{"type": "divider", "block_id": "same"}] * 2,
            "invalid_blocks",
            "block_id same already exists [json-pointer:/blocks/1]",
        ),
        ([{"type": "markdown", "text": "x" * 7000}] * 2, "msg_blocks_too_long", None),
    ],
)
async def test_blocks_beyond_slacks_limits_are_refused(blocks: list[Json], error: str, pointer: str | None) -> None:
    async with scene() as s:
        with pytest.raises(SlackApiError) as caught:
            await s.client.chat_postMessage(channel=GENERAL, text="x", blocks=blocks)
        assert caught.value.response["error"] == error
        if pointer:
            assert caught.value.response["response_metadata"]["messages"] == [f"[ERROR] {pointer}"]


async def test_blocks_get_ids() -> None:
    async with scene() as s:
        button = {"type": "button", "text": {"type": "plain_text", "text": "Fix"}}
        answer = await s.client.chat_postMessage(
            channel=GENERAL, text="x", blocks=[{"type": "actions", "elements": [button]}]
        )
        [block] = answer["message"]["blocks"]
        assert block["block_id"]
        assert block["elements"][0]["action_id"]


async def test_replies_know_their_root_and_roots_their_replies() -> None:
    async with scene() as s:
        first = await s.said("One")
        nested = (await s.client.chat_postMessage(channel=GENERAL, text="Two", thread_ts=first))["message"]
        assert (nested["thread_ts"], nested["parent_user_id"]) == (s.ts, ASHA)
        s.workspace.timeline.post(GENERAL, BEN, "Three", thread_ts=s.ts)
        [root, *replies] = (await s.client.conversations_replies(channel=GENERAL, ts=s.ts))["messages"]
        assert root["reply_count"] == 3
        assert root["reply_users"] == [BOT_USER_ID, BEN]
        assert root["latest_reply"] == replies[-1]["ts"]
        assert [reply["text"] for reply in replies] == ["One", "Two", "Three"]
        history = (await s.client.conversations_history(channel=GENERAL))["messages"]
        assert [message["ts"] for message in history] == [s.ts]
        error = refused(s.client.conversations_replies(channel=GENERAL, ts="1.000001"))
        assert await error == "thread_not_found"
        assert (
            await refused(s.client.chat_postMessage(channel=GENERAL, text="x", thread_ts="1.0")) == "thread_not_found"
        )


async def test_a_broadcast_reply_stands_in_the_history_too() -> None:
    async with scene() as s:
        ts = await s.said("For all", reply_broadcast=True)
        history = (await s.client.conversations_history(channel=GENERAL))["messages"]
        assert [(message["ts"], message.get("subtype")) for message in history] == [
            (ts, "thread_broadcast"),
            (s.ts, None),
        ]


async def test_history_between_two_times() -> None:
    async with scene() as s:
        ts = [s.ts] + [s.workspace.timeline.post(GENERAL, BEN, f"{n}")["ts"] for n in range(3)]

        async def between(**bounds: Any) -> list[str]:
            answer = await s.client.conversations_history(channel=GENERAL, **bounds)
            return [message["ts"] for message in reversed(answer["messages"])]

        assert await between(oldest=ts[0], latest=ts[3]) == ts[1:3]
        assert await between(oldest=ts[0], latest=ts[3], inclusive=True) == ts
        assert await between(oldest=ts[1]) == ts[2:]
        assert await between(latest="1") == []


async def test_metadata_is_read_only_when_asked_for() -> None:
    async with scene() as s:
        metadata = {"event_type": "answered", "event_payload": {"n": 1}}
        await s.said(metadata=metadata)
        for asked, kept in [(False, None), (True, metadata)]:
            answer = await s.client.conversations_replies(channel=GENERAL, ts=s.ts, include_all_metadata=asked)
            assert answer["messages"][1].get("metadata") == kept


async def test_only_the_apps_own_messages_can_be_changed_or_deleted() -> None:
    async with scene() as s:
        assert await refused(s.client.chat_update(channel=GENERAL, ts=s.ts, text="x")) == "cant_update_message"
        assert await refused(s.client.chat_delete(channel=GENERAL, ts=s.ts)) == "cant_delete_message"
        assert await refused(s.client.chat_update(channel=GENERAL, ts="1.000001", text="x")) == "message_not_found"
        ephemeral = await s.client.chat_postEphemeral(channel=GENERAL, user=ASHA, text="Only you")
        error = refused(s.client.chat_update(channel=GENERAL, ts=ephemeral["message_ts"], text="x"))
        assert await error == "message_not_found"


async def test_an_update_replaces_text_and_blocks_as_slack_does() -> None:
    async with scene() as s:
        ts = await s.said("One", blocks=[{"type": "divider"}])
        change = {"channel": GENERAL, "ts": ts, "metadata": {"event_type": "a", "event_payload": {}}}
        kept = await s.client.api_call("chat.update", json=change)
        assert [block["type"] for block in kept["message"]["blocks"]] == ["divider"]
        replaced = await s.client.chat_update(channel=GENERAL, ts=ts, text="Two")
        assert (replaced["text"], replaced["message"].get("blocks")) == ("Two", None)
        assert replaced["message"]["edited"]["user"] == BOT_USER_ID
        assert await refused(s.client.api_call("chat.update", json={"channel": GENERAL, "ts": ts})) == "no_text"


async def test_a_deleted_root_leaves_a_tombstone_with_its_replies() -> None:
    async with scene() as s:
        root = (await s.client.chat_postMessage(channel=GENERAL, text="Root"))["ts"]
        await s.client.chat_postMessage(channel=GENERAL, text="Reply", thread_ts=root)
        await s.client.chat_delete(channel=GENERAL, ts=root)
        [tombstone, reply] = (await s.client.conversations_replies(channel=GENERAL, ts=root))["messages"]
        assert (tombstone["subtype"], tombstone["text"]) == ("tombstone", "This message was deleted.")
        assert reply["text"] == "Reply"


async def test_ephemerals_are_seen_by_one_member_and_in_no_history() -> None:
    async with scene() as s:
        await s.client.chat_postEphemeral(channel=GENERAL, user=ASHA, text="Only you", thread_ts=s.ts)
        assert [m["text"] for m in s.workspace.timeline.ephemerals(GENERAL, ASHA)] == ["Only you"]
        assert s.workspace.timeline.ephemerals(GENERAL, BEN) == []
        assert len((await s.client.conversations_replies(channel=GENERAL, ts=s.ts))["messages"]) == 1
        s.workspace.timeline.leave(GENERAL, BEN)
        assert await refused(s.client.chat_postEphemeral(channel=GENERAL, user=BEN, text="x")) == "user_not_in_channel"


async def test_reactions_are_added_once_and_removed_once() -> None:
    async with scene() as s:
        reaction = {"channel": GENERAL, "timestamp": s.ts, "name": "eyes"}
        await s.client.reactions_add(**reaction)
        assert await refused(s.client.reactions_add(**reaction)) == "already_reacted"
        await s.client.reactions_remove(**reaction)
        assert await refused(s.client.reactions_remove(**reaction)) == "no_reaction"
        assert await refused(s.client.reactions_add(**{**reaction, "name": "no such!"})) == "invalid_name"
        assert await refused(s.client.reactions_add(**{**reaction, "timestamp": "1.0"})) == "message_not_found"


async def test_direct_messages_are_opened_once() -> None:
    async with scene() as s:
        alone = await s.client.conversations_open(users=[ASHA])
        assert (alone["channel"], alone.get("already_open")) == ({"id": "D0ASHA00001"}, None)
        assert (await s.client.conversations_open(users=[ASHA]))["already_open"] is True
        together = (await s.client.conversations_open(users=[ASHA, BEN], return_im=True))["channel"]
        assert together["is_mpim"] is True
        assert (await s.client.conversations_open(users=[BEN, ASHA]))["channel"]["id"] == together["id"]
        assert await refused(s.client.conversations_open(users=["U0NOBODY001"])) == "user_not_found"
        assert await refused(s.client.api_call("conversations.open")) == "users_list_not_supplied"


async def test_joining_says_so_in_the_channel_and_only_once() -> None:
    async with scene() as s:
        joined: list[Json] = []
        s.workspace.changes.subscribe(lambda change: joined.append(change.detail))
        assert (await s.client.conversations_join(channel=RANDOM))["channel"]["is_member"] is True
        assert {"joined": BOT_USER_ID} in joined
        [message] = (await s.client.conversations_history(channel=RANDOM))["messages"]
        assert (message["subtype"], message["user"]) == ("channel_join", BOT_USER_ID)
        assert (await s.client.conversations_join(channel=RANDOM))["warning"] == "already_in_channel"


async def test_files_are_uploaded_shared_and_read_with_the_token() -> None:
    async with scene() as s:
        answer = await s.client.files_upload_v2(
            channel=GENERAL, filename="a.txt", content="three\nlines\n", thread_ts=s.ts
        )
        file = answer["files"][0]
        [_, shared] = (await s.client.conversations_replies(channel=GENERAL, ts=s.ts))["messages"]
        assert (shared["subtype"], shared["files"][0]["id"]) == ("file_share", file["id"])
        assert await read_file(file["url_private"], s.client.token) == (200, b"three\nlines\n")
        status, content = await read_file(file["url_private"], "xoxb-another")
        assert status == 200
        assert b"<title>" in content, "as in Slack, the page that one signs in by"
        assert await refused(s.client.files_info(file="F0NOTHING01")) == "file_not_found"


async def read_file(url: str, token: str | None) -> tuple[int, bytes]:
    headers = {"Authorization": f"Bearer {token}"}
    async with aiohttp.ClientSession() as session, session.get(url, headers=headers) as response:
        return response.status, await response.read()
