"""Slack's rules for streamed messages, agent threads and views, through slack_sdk's own client."""

from typing import Any

import pytest
from slack_sdk.errors import SlackApiError

from bot.local.workspace.clock import ManualClock
from bot.local.workspace.records import Json
from bot.local.workspace.timeline.changes import Change
from tests.bot.local.workspace.bare_app import ASHA, GENERAL
from tests.contracts.web_api_calls import HOME, MODAL, Scene, scene


async def refused(call: Any) -> str:
    """Slack's error name for a call that must fail."""
    with pytest.raises(SlackApiError) as caught:
        await call
    return str(caught.value.response["error"])


async def test_the_sdks_own_stream_writes_one_message() -> None:
    async with scene() as s:
        changes: list[Change] = []
        s.workspace.changes.subscribe(changes.append)
        stream = await s.client.chat_stream(
            channel=GENERAL,
            thread_ts=s.ts,
            recipient_team_id=s.workspace.identity.team_id,
            recipient_user_id=ASHA,
            buffer_size=1,
        )
        for delta in ("**Forty", "-two", "**"):
            await stream.append(markdown_text=delta)
        answer = await stream.stop(blocks=[{"type": "divider"}], metadata={"event_type": "a", "event_payload": {}})
        message = answer["message"]
        assert message["text"] == "**Forty-two**"
        assert [block["type"] for block in message["blocks"]] == ["markdown", "divider"]
        assert message["thread_ts"] == s.ts
        assert s.workspace.timeline.message(GENERAL, message["ts"]) == message
        assert s.workspace.timeline.text_format(GENERAL, message["ts"]) == "markdown"
        told = [
            (c.kind, c.detail.get("state"), c.detail.get("delta")) for c in changes if c.kind in ("message", "stream")
        ]
        assert told == [
            ("message", "streaming", None),
            ("stream", "streaming", "-two"),
            ("stream", "streaming", "**"),
            ("stream", "stopped", ""),
        ]


async def start(s: Scene, **arguments: Any) -> str:
    recipient = {"recipient_team_id": s.workspace.identity.team_id, "recipient_user_id": ASHA}
    answer = await s.client.chat_startStream(**{"channel": GENERAL, "thread_ts": s.ts, **recipient, **arguments})
    return str(answer["ts"])


async def test_a_stream_needs_a_thread_and_in_channels_a_recipient() -> None:
    async with scene() as s:
        assert await refused(start(s, recipient_user_id=None)) == "missing_recipient_user_id"
        assert await refused(start(s, recipient_team_id=None)) == "missing_recipient_team_id"
        assert await refused(start(s, recipient_user_id="U0NOBODY001")) == "user_not_found"
        assert await refused(start(s, thread_ts="")) == "invalid_arguments"
        assert await refused(start(s, thread_ts="1.000001")) == "thread_not_found"


async def test_text_and_chunks_are_never_mixed() -> None:
    async with scene() as s:
        chunks = [{"type": "markdown_text", "text": "x"}]
        both = {"markdown_text": "x", "chunks": chunks}
        assert await refused(start(s, **both)) == "cannot_provide_both_markdown_text_and_chunks"
        append, text_stream = s.client.chat_appendStream, await start(s, markdown_text="x")
        assert await refused(append(channel=GENERAL, ts=text_stream, chunks=chunks)) == "streaming_mode_mismatch"
        assert await refused(append(channel=GENERAL, ts=text_stream)) == "markdown_text_or_chunks_required"
        chunk_stream = await start(s, chunks=chunks)
        error = refused(s.client.chat_stopStream(channel=GENERAL, ts=chunk_stream, markdown_text="x"))
        assert await error == "streaming_mode_mismatch"
        undecided = await start(s)
        await append(channel=GENERAL, ts=undecided, chunks=chunks)
        assert await refused(append(channel=GENERAL, ts=undecided, markdown_text="x")) == "streaming_mode_mismatch"


@pytest.mark.parametrize(
    ("chunk", "error"),
    [
        ({"type": "markdown_text", "text": "x" * 12_001}, "msg_too_long"),
        ({"type": "markdown_text"}, "invalid_chunks"),
        ({"type": "song", "text": "la"}, "invalid_chunks"),
        ({"type": "task_update", "id": "1", "title": "t", "status": "someday"}, "invalid_chunks"),
        ({"type": "blocks", "blocks": [{"type": "divider"}] * 51}, "invalid_blocks"),
    ],
)
async def test_chunks_beyond_slacks_limits_are_refused_and_leave_no_trace(chunk: Json, error: str) -> None:
    async with scene() as s:
        ts = await s.streaming()
        before = s.workspace.timeline.message(GENERAL, ts)
        assert await refused(s.client.chat_appendStream(channel=GENERAL, ts=ts, chunks=[chunk])) == error
        assert s.workspace.timeline.message(GENERAL, ts) == before


async def test_a_stream_ends_five_minutes_after_its_start_even_while_it_grows() -> None:
    clock = ManualClock()
    async with scene(clock=clock) as s:
        ts = await s.streaming()
        chunks = [{"type": "markdown_text", "text": "."}]
        for _ in range(9):
            await clock.advance(33)
            await s.client.chat_appendStream(channel=GENERAL, ts=ts, chunks=chunks)
        await clock.advance(3)
        error = refused(s.client.chat_appendStream(channel=GENERAL, ts=ts, chunks=chunks))
        assert await error == "message_not_in_streaming_state"
        assert await refused(s.client.chat_stopStream(channel=GENERAL, ts=ts)) == "message_not_in_streaming_state"
        assert s.workspace.timeline.stream_state(GENERAL, ts) == "expired"
        update = await s.client.chat_update(channel=GENERAL, ts=ts, text="Finished by hand")
        assert update["text"] == "Finished by hand"


async def test_a_stream_that_a_person_stopped_says_so() -> None:
    async with scene() as s:
        ts = await s.streaming()
        s.workspace.timeline.stop_by_user(GENERAL, ts)
        chunks = [{"type": "markdown_text", "text": "."}]
        assert await refused(s.client.chat_appendStream(channel=GENERAL, ts=ts, chunks=chunks)) == "stopped_by_user"
        assert await refused(s.client.chat_stopStream(channel=GENERAL, ts=ts)) == "message_not_in_streaming_state"
        assert (await s.client.chat_update(channel=GENERAL, ts=ts, text="Stopped."))["ok"]


async def test_a_stream_can_be_neither_changed_nor_deleted_before_it_is_stopped() -> None:
    async with scene() as s:
        ts = await s.streaming()
        assert await refused(s.client.chat_update(channel=GENERAL, ts=ts, text="x")) == "streaming_state_conflict"
        assert await refused(s.client.chat_delete(channel=GENERAL, ts=ts)) == "cant_delete_message"
        await s.client.chat_stopStream(channel=GENERAL, ts=ts)
        assert await refused(s.client.chat_stopStream(channel=GENERAL, ts=ts)) == "message_not_in_streaming_state"
        assert (await s.client.chat_delete(channel=GENERAL, ts=ts))["ok"]


async def test_a_stream_is_listed_while_it_grows_and_has_its_metadata_from_its_end_on() -> None:
    async with scene() as s:
        ts, metadata = await s.streaming(), {"event_type": "answered", "event_payload": {"n": 1}}

        async def listed() -> Any:
            answer = await s.client.conversations_replies(channel=GENERAL, ts=s.ts, include_all_metadata=True)
            return next(message for message in answer["messages"] if message["ts"] == ts)

        assert "metadata" not in await listed()
        await s.client.chat_stopStream(channel=GENERAL, ts=ts, metadata=metadata)
        assert (await listed())["metadata"] == metadata
        await s.client.chat_update(channel=GENERAL, ts=ts, markdown_text="Replaced")
        assert (await listed())["metadata"] == metadata
        assert (await listed())["text"] == "Replaced"


async def test_what_never_was_a_stream_cannot_become_one() -> None:
    async with scene() as s:
        posted, chunks = await s.said(), [{"type": "markdown_text", "text": "x"}]
        for ts, error in [
            (posted, "message_not_in_streaming_state"),
            (s.ts, "message_not_owned_by_app"),
            ("1.000001", "message_not_found"),
        ]:
            assert await refused(s.client.chat_appendStream(channel=GENERAL, ts=ts, chunks=chunks)) == error


async def test_a_stream_moves_the_session_and_clears_the_status() -> None:
    async with scene() as s:
        thread: Json = {"channel_id": GENERAL, "thread_ts": s.ts}
        timeline = s.workspace.timeline
        await s.client.assistant_threads_setStatus(**thread, status="is thinking…", loading_messages=["Reading"])
        assert timeline.status(GENERAL, s.ts) == {"status": "is thinking…", "loading_messages": ["Reading"]}
        assert timeline.session(GENERAL, s.ts) == "processing"
        ts = await s.streaming()
        assert (timeline.status(GENERAL, s.ts), timeline.session(GENERAL, s.ts)) == (None, "processing")
        await s.client.chat_stopStream(channel=GENERAL, ts=ts, session_status="suspended")
        assert timeline.session(GENERAL, s.ts) == "suspended"
        await s.client.agents_sessions_setStatus(**thread, status="closed", title="Done")
        assert (timeline.session(GENERAL, s.ts), timeline.title(GENERAL, s.ts)) == ("closed", "Done")
        nowhere = {**thread, "thread_ts": "1.000001"}
        assert await refused(s.client.assistant_threads_setStatus(**nowhere, status="x")) == "invalid_thread_ts"
        assert await refused(s.client.agents_sessions_setStatus(**thread, status="idle")) == "invalid_arguments"
        eleven = ["x"] * 11
        call = s.client.assistant_threads_setStatus(**thread, status="x", loading_messages=eleven)
        assert await refused(call) == "invalid_arguments"


async def test_prompts_stand_in_a_thread_or_at_the_top_of_the_tab() -> None:
    async with scene() as s:
        [prompt] = prompts = [{"title": "Summarise", "message": "Summarise this"}]
        await s.client.assistant_threads_setSuggestedPrompts(channel_id=GENERAL, prompts=prompts)
        assert s.workspace.timeline.prompts(GENERAL, None) == {"title": None, "prompts": [prompt]}
        assert s.workspace.timeline.prompts(GENERAL, s.ts) is None
        call = s.client.assistant_threads_setSuggestedPrompts(channel_id=GENERAL, prompts=prompts * 5)
        assert await refused(call) == "invalid_arguments"


async def test_modals_are_opened_pushed_and_updated_by_trigger_id_and_hash() -> None:
    async with scene() as s:
        trigger_id = await s.trigger_id()
        view = (await s.client.views_open(trigger_id=trigger_id, view=MODAL))["view"]
        assert s.workspace.timeline.top_view(ASHA) == view
        assert await refused(s.client.views_open(trigger_id=trigger_id, view=MODAL)) == "exchanged_trigger_id"
        assert await refused(s.client.views_open(trigger_id="1.2.3", view=MODAL)) == "invalid_trigger_id"
        for _ in range(2):
            pushed = (await s.client.views_push(trigger_id=await s.trigger_id(), view=MODAL))["view"]
        assert (pushed["root_view_id"], s.workspace.timeline.top_view(ASHA)) == (view["id"], pushed)
        error = refused(s.client.views_push(trigger_id=await s.trigger_id(), view=MODAL))
        assert await error == "push_limit_reached"
        updated = (await s.client.views_update(view_id=view["id"], hash=view["hash"], view=MODAL))["view"]
        assert updated["hash"] != view["hash"]
        error = refused(s.client.views_update(view_id=view["id"], hash=view["hash"], view=MODAL))
        assert await error == "hash_conflict"
        assert await refused(s.client.views_update(view_id="V0NOTHING01", view=MODAL)) == "not_found"


async def test_a_trigger_id_is_worth_three_seconds() -> None:
    clock = ManualClock()
    async with scene(clock=clock) as s:
        trigger_id = await s.trigger_id()
        await clock.advance(3.1)
        assert await refused(s.client.views_open(trigger_id=trigger_id, view=MODAL)) == "expired_trigger_id"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"type": "home"}, "must be a valid enum value: modal [json-pointer:/view/type]"),
        ({"title": None}, "missing required field: title [json-pointer:/view]"),
        ({"submit": None}, "missing required field: submit [json-pointer:/view]"),
        ({"blocks": None}, "missing required field: blocks [json-pointer:/view]"),
        ({"blocks": [{"type": "divider"}] * 101}, "no more than 100 items allowed [json-pointer:/view/blocks]"),
        (
            {"title": {"type": "plain_text", "text": "x" * 25}},
            "must be less than 25 characters [json-pointer:/view/title/text]",
        ),
        ({"private_metadata": "x" * 3001}, "must be less than 3001 characters [json-pointer:/view/private_metadata]"),
    ],
)
async def test_views_beyond_slacks_limits_are_refused_before_the_trigger_is_used(change: Json, message: str) -> None:
    async with scene() as s:
        trigger_id = await s.trigger_id()
        with pytest.raises(SlackApiError) as caught:
            await s.client.views_open(trigger_id=trigger_id, view={**MODAL, **change})
        assert caught.value.response["error"] == "invalid_arguments"
        assert caught.value.response["response_metadata"]["messages"] == [f"[ERROR] {message}"]
        assert (await s.client.views_open(trigger_id=trigger_id, view=MODAL))["ok"]


async def test_a_home_tab_is_published_and_kept() -> None:
    async with scene() as s:
        view = (await s.client.views_publish(user_id=ASHA, view=HOME))["view"]
        assert s.workspace.timeline.home(ASHA) == view
        again = (await s.client.views_publish(user_id=ASHA, view=HOME, hash=view["hash"]))["view"]
        assert again["id"] == view["id"]
        assert await refused(s.client.views_publish(user_id=ASHA, view=HOME, hash=view["hash"])) == "hash_conflict"
        assert await refused(s.client.views_publish(user_id="U0NOBODY001", view=HOME)) == "user_not_found"
