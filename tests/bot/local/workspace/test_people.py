"""What a person may do, what they are told when not, and what the app hears of it."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from bot.local.workspace.clock import ManualClock
from bot.local.workspace.people.people import PeopleError
from bot.local.workspace.records import BOT_USER_ID, Json
from bot.local.workspace.timeline.changes import Change
from bot.local.workspace.workspace import Workspace
from tests.bot.local.workspace.bare_app import (
    ASHA,
    BEN,
    GENERAL,
    RANDOM,
    BareApp,
    BareSocket,
    bare_app,
    eventually,
    running,
    turn,
)

PLAIN = {"type": "plain_text", "text": "Words"}
MODAL: Json = {
    "type": "modal",
    "callback_id": "form",
    "title": PLAIN,
    "submit": PLAIN,
    "private_metadata": "kept",
    "notify_on_close": True,
    "blocks": [
        {
            "type": "input",
            "block_id": "name",
            "label": PLAIN,
            "element": {"type": "plain_text_input", "action_id": "name"},
        },
        {
            "type": "actions",
            "block_id": "search",
            "elements": [{"type": "external_select", "action_id": "search", "placeholder": PLAIN}],
        },
    ],
}
FILLED = {"name": {"name": {"value": "Ada"}}}


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def workspace(clock: ManualClock) -> AsyncIterator[Workspace]:
    async with running(clock=clock) as workspace:
        yield workspace


@pytest.fixture
async def app(workspace: Workspace) -> AsyncIterator[BareApp]:
    async with bare_app(workspace) as app:
        yield app


@pytest.fixture
async def socket(app: BareApp) -> BareSocket:
    return await app.connect()


@pytest.fixture
def told(workspace: Workspace) -> list[Change]:
    """The errors that people were told."""
    told: list[Change] = []
    workspace.changes.subscribe(lambda change: told.append(change) if change.kind == "error" else None)
    return told


def payloads(socket: BareSocket, kind: str = "interactive") -> list[Json]:
    return [envelope["payload"] for envelope in socket.envelopes if envelope["type"] == kind]


async def said(workspace: Workspace, text: str, user_id: str = ASHA, **options: Any) -> Json:
    message = await workspace.people.post(user_id, GENERAL, text, **options)
    assert message is not None
    return message


async def test_posts_are_kept_as_on_the_wire(workspace: Workspace) -> None:
    message = await said(workspace, "@dolly is 1 < 2 & 3 > 2?")
    assert message["text"] == f"<@{BOT_USER_ID}> is 1 &lt; 2 &amp; 3 &gt; 2?"


@pytest.mark.parametrize("text", ["", "  \n "])
async def test_nothing_cannot_be_said(workspace: Workspace, text: str) -> None:
    with pytest.raises(PeopleError, match="Write something"):
        await workspace.people.post(ASHA, GENERAL, text)


async def test_who_may_say_what_where(workspace: Workspace) -> None:
    dm = workspace.timeline.direct_channel(BEN)
    for user_id, channel_id in ((ASHA, dm.id), (ASHA, "C0NOWHERE"), ("U0NOBODY", GENERAL), (BOT_USER_ID, GENERAL)):
        with pytest.raises(PeopleError):
            await workspace.people.post(user_id, channel_id, "hello")
    with pytest.raises(PeopleError, match="thread is no longer"):
        await workspace.people.post(ASHA, GENERAL, "hello", thread_ts="1.000001")


async def test_one_edits_one_s_own_and_an_admin_deletes(workspace: Workspace) -> None:
    bens, ashas = await said(workspace, "mine", BEN), await said(workspace, "mine", ASHA)
    await workspace.people.edit(BEN, GENERAL, bens["ts"], "changed @asha")
    changed = workspace.timeline.message(GENERAL, bens["ts"]) or {}
    assert changed["text"] == f"changed <@{ASHA}>"
    assert changed["edited"]["user"] == BEN
    for act in (
        workspace.people.edit(ASHA, GENERAL, bens["ts"], "x"),
        workspace.people.edit(BEN, GENERAL, bens["ts"], " "),
        workspace.people.delete(BEN, GENERAL, ashas["ts"]),
        workspace.people.delete(BEN, GENERAL, "1.000001"),
    ):
        with pytest.raises(PeopleError):
            await act
    await workspace.people.delete(ASHA, GENERAL, bens["ts"])
    assert workspace.timeline.message(GENERAL, bens["ts"]) is None


async def test_reactions_come_and_go(workspace: Workspace, socket: BareSocket) -> None:
    message = await said(workspace, "nice", BEN)
    await workspace.people.react(ASHA, GENERAL, message["ts"], "eyes")
    await workspace.people.react(ASHA, GENERAL, message["ts"], "eyes")
    await workspace.people.unreact(ASHA, GENERAL, message["ts"], "eyes")
    await eventually(lambda: workspace.delivery.pending() == 0)
    told = [event for event in socket.events if event["type"].startswith("reaction")]
    assert [event["type"] for event in told] == ["reaction_added", "reaction_removed"]
    assert {(event["user"], event["item_user"], event["reaction"]) for event in told} == {(ASHA, BEN, "eyes")}


async def test_dolly_is_brought_into_a_channel(workspace: Workspace, socket: BareSocket) -> None:
    await workspace.people.post(ASHA, RANDOM, "not for Dolly")
    await workspace.people.join(ASHA, RANDOM, invited_id=BOT_USER_ID)
    await workspace.people.post(ASHA, RANDOM, "for Dolly")
    await eventually(lambda: workspace.delivery.pending() == 0)
    assert socket.events[0] | {"event_ts": ""} == {
        "type": "member_joined_channel",
        "user": BOT_USER_ID,
        "channel": RANDOM,
        "channel_type": "C",
        "team": workspace.identity.team_id,
        "event_ts": "",
    }
    assert "not for Dolly" not in [event.get("text") for event in socket.events]
    assert socket.events[-1]["text"] == "for Dolly"


async def test_a_text_that_opens_with_the_command_runs_it(workspace: Workspace, socket: BareSocket) -> None:
    socket.answer = {"text": "Here is help"}
    assert await workspace.people.post(ASHA, GENERAL, "/dolly ask @ben <now>") is None
    (payload,) = payloads(socket, "slash_commands")
    assert (payload["command"], payload["text"]) == ("/dolly", f"ask <@{BEN}|ben> &lt;now&gt;")
    assert (payload["channel_name"], payload["user_name"]) == ("general", "asha")
    assert "thread_ts" not in payload
    assert [message["text"] for message in workspace.timeline.ephemerals(GENERAL, ASHA)] == ["Here is help"]
    assert workspace.timeline.history(GENERAL)[0] == []


async def test_a_command_s_answer_may_be_for_all(workspace: Workspace, socket: BareSocket) -> None:
    socket.answer = {"text": "Look", "response_type": "in_channel"}
    await workspace.people.command(ASHA, GENERAL, "/dolly", "")
    assert [message["text"] for message in workspace.timeline.history(GENERAL)[0]] == ["Look"]


async def test_commands_that_are_none(workspace: Workspace) -> None:
    with pytest.raises(PeopleError, match="not a command"):
        await workspace.people.post(ASHA, GENERAL, "/shrug hello")
    root = await said(workspace, "root")
    with pytest.raises(PeopleError, match="threads"):
        await workspace.people.post(ASHA, GENERAL, "/dolly help", thread_ts=root["ts"])


async def test_without_an_ack_in_three_seconds_the_person_is_told(
    workspace: Workspace, socket: BareSocket, clock: ManualClock, told: list[Change]
) -> None:
    socket.acks = False
    command = asyncio.create_task(workspace.people.command(ASHA, GENERAL, "/dolly", "help"))
    await eventually(lambda: socket.envelopes)
    await turn(clock, 3)
    await command
    assert [(change.user_id, change.channel_id) for change in told] == [(ASHA, GENERAL)]
    assert told[0].detail["text"] == "Dolly did not respond to /dolly (operation_timeout). Please try again."
    await turn(clock, 400)
    assert len(socket.envelopes) == 1


async def test_with_no_app_connected_the_person_is_told(
    workspace: Workspace, clock: ManualClock, told: list[Change]
) -> None:
    command = asyncio.create_task(workspace.people.command(ASHA, GENERAL, "/dolly", "help"))
    await turn(clock, 3)
    await command
    assert "dispatch_failed" in told[0].detail["text"]


async def test_stop_ends_the_streams_and_tells_the_app(workspace: Workspace, socket: BareSocket) -> None:
    root = await said(workspace, "@dolly write")
    stream = workspace.timeline.start_stream(GENERAL, root["ts"], markdown_text="once upon")
    await workspace.people.stop(ASHA, GENERAL, root["ts"])
    await eventually(lambda: workspace.delivery.pending() == 0)
    stopped = next(event for event in socket.events if event["type"] == "agent_session_stopped")
    assert stopped | {"event_ts": ""} == {
        "type": "agent_session_stopped",
        "channel": GENERAL,
        "thread_ts": root["ts"],
        "user": ASHA,
        "streaming_message_ts": [stream["ts"]],
        "event_ts": "",
    }
    assert workspace.timeline.stream_state(GENERAL, stream["ts"]) == "stopped_by_user"


async def test_home_and_messages_tab(workspace: Workspace, socket: BareSocket) -> None:
    await workspace.people.open_messages_tab(ASHA)
    workspace.timeline.publish_home(ASHA, {"type": "home", "blocks": []})
    await workspace.people.look_at(ASHA, GENERAL)
    await workspace.people.open_home(ASHA)
    await eventually(lambda: workspace.delivery.pending() == 0)
    messages, looked, home = sorted(socket.events, key=lambda event: event["type"] + event.get("tab", "") != "")
    by_kind = {event["type"] + event.get("tab", ""): event for event in (messages, looked, home)}
    assert by_kind["app_home_openedmessages"]["channel"] == workspace.timeline.direct_channel(ASHA).id
    assert "view" not in by_kind["app_home_openedmessages"]
    assert by_kind["app_home_openedhome"]["view"]["type"] == "home"
    assert by_kind["app_home_openedhome"]["context"] == by_kind["app_context_changed"]["context"]
    assert by_kind["app_context_changed"]["context"]["entities"][0]["value"] == GENERAL


async def test_a_modal_is_checked_then_submitted(workspace: Workspace, socket: BareSocket) -> None:
    view = workspace.timeline.open_view(ASHA, MODAL)
    assert set(await workspace.people.submit_view(ASHA, view["id"], {})) == {"name"}
    assert payloads(socket) == []
    assert await workspace.people.submit_view(ASHA, view["id"], FILLED) == {}
    (payload,) = payloads(socket)
    assert payload["type"] == "view_submission"
    assert payload["view"]["private_metadata"] == "kept"
    assert payload["view"]["state"]["values"]["name"]["name"] == {"type": "plain_text_input", "value": "Ada"}
    assert workspace.timeline.top_view(ASHA) is None


async def test_what_the_app_answers_to_a_submission(workspace: Workspace, socket: BareSocket) -> None:
    people, timeline = workspace.people, workspace.timeline
    view = timeline.open_view(ASHA, MODAL)
    socket.answer = {"response_action": "errors", "errors": {"name": "Not this one"}}
    assert await people.submit_view(ASHA, view["id"], FILLED) == {"name": "Not this one"}
    socket.answer = {"response_action": "update", "view": {**MODAL, "callback_id": "updated"}}
    assert await people.submit_view(ASHA, view["id"], FILLED) == {}
    assert (timeline.view(view["id"]) or {})["callback_id"] == "updated"
    socket.answer = {"response_action": "push", "view": {**MODAL, "callback_id": "pushed"}}
    await people.submit_view(ASHA, view["id"], FILLED)
    pushed = timeline.top_view(ASHA)
    assert pushed is not None
    assert (pushed["callback_id"], pushed["previous_view_id"]) == ("pushed", view["id"])
    socket.answer = {"response_action": "clear"}
    await people.submit_view(ASHA, pushed["id"], FILLED)
    assert timeline.top_view(ASHA) is None


@pytest.mark.parametrize(
    "answer",
    [
        {"response_action": "update"},
        {"response_action": "push", "view": {"type": "modal"}},
        {"response_action": "errors"},
        {"response_action": "errors", "errors": "wrong"},
        {"response_action": "unheard_of"},
    ],
)
async def test_an_answer_that_is_none_leaves_the_modal_and_is_told(
    workspace: Workspace, socket: BareSocket, told: list[Change], answer: Json
) -> None:
    view = workspace.timeline.open_view(ASHA, MODAL)
    socket.answer = answer
    assert await workspace.people.submit_view(ASHA, view["id"], FILLED) == {}
    assert len(told) == 1
    assert workspace.timeline.top_view(ASHA) == view


async def test_a_form_that_gets_no_answer_stays_open(
    workspace: Workspace, socket: BareSocket, clock: ManualClock, told: list[Change]
) -> None:
    view = workspace.timeline.open_view(ASHA, MODAL)
    socket.acks = False
    submission = asyncio.create_task(workspace.people.submit_view(ASHA, view["id"], FILLED))
    await eventually(lambda: socket.envelopes)
    await turn(clock, 3)
    assert await submission == {}
    assert len(told) == 1
    assert workspace.timeline.top_view(ASHA) == view


async def test_a_closed_modal_is_told_when_the_app_asked_for_it(workspace: Workspace, socket: BareSocket) -> None:
    first = workspace.timeline.open_view(ASHA, MODAL)
    await workspace.people.close_view(ASHA, first["id"])
    second = workspace.timeline.open_view(ASHA, {**MODAL, "notify_on_close": False})
    await workspace.people.close_view(ASHA, second["id"])
    (payload,) = payloads(socket)
    assert (payload["type"], payload["view"]["id"], payload["is_cleared"]) == ("view_closed", first["id"], False)
    assert workspace.timeline.top_view(ASHA) is None


async def test_one_s_modal_is_one_s_own(workspace: Workspace) -> None:
    view = workspace.timeline.open_view(ASHA, MODAL)
    for act in (
        workspace.people.submit_view(BEN, view["id"], FILLED),
        workspace.people.close_view(BEN, view["id"]),
        workspace.people.click(BEN, None, view["id"], "search", "search"),
    ):
        with pytest.raises(PeopleError, match="no longer open"):
            await act


async def test_an_external_select_asks_the_app(workspace: Workspace, socket: BareSocket) -> None:
    view = workspace.timeline.open_view(ASHA, MODAL)
    option = {"text": PLAIN, "value": "1"}
    socket.answer = {"options": [option]}
    assert await workspace.people.options(ASHA, None, view["id"], "search", "search", "wo") == [option]
    socket.answer = {"option_groups": [{"label": PLAIN, "options": [option]}, {"label": PLAIN, "options": [option]}]}
    assert await workspace.people.options(ASHA, None, view["id"], "search", "search", "wo") == [option, option]
    assert payloads(socket)[0]["type"] == "block_suggestion"
    assert payloads(socket)[0]["value"] == "wo"


async def test_a_click_in_a_modal_carries_what_its_inputs_hold(workspace: Workspace, socket: BareSocket) -> None:
    view = workspace.timeline.open_view(ASHA, MODAL)
    option = {"text": PLAIN, "value": "1"}
    await workspace.people.click(
        ASHA, None, view["id"], "search", "search", selected_option=option, state_values=FILLED
    )
    (payload,) = payloads(socket)
    assert payload["container"] == {"type": "view", "view_id": view["id"]}
    assert payload["actions"][0]["selected_option"] == option
    values = payload["view"]["state"]["values"]
    assert values["name"]["name"]["value"] == "Ada"
    assert values["search"]["search"]["selected_option"] == option
    assert "response_url" not in payload


async def test_a_click_on_an_ephemeral(workspace: Workspace, socket: BareSocket) -> None:
    blocks = [{"type": "actions", "block_id": "b", "elements": [{"type": "button", "action_id": "a", "text": PLAIN}]}]
    ephemeral = workspace.timeline.post_ephemeral(GENERAL, ASHA, "psst", blocks=blocks)
    await workspace.people.click(ASHA, GENERAL, ephemeral["ts"], "b", "a")
    (payload,) = payloads(socket)
    assert payload["container"]["is_ephemeral"] is True
    assert "message" not in payload
    with pytest.raises(PeopleError):
        await workspace.people.click(BEN, GENERAL, ephemeral["ts"], "b", "a")


async def test_shortcuts(workspace: Workspace, socket: BareSocket) -> None:
    message = await said(workspace, "note this")
    await workspace.people.shortcut(BEN, GENERAL, message["ts"], "note")
    await workspace.people.shortcut(BEN, None, None, "anywhere")
    on_message, anywhere = payloads(socket)
    assert (on_message["type"], on_message["message"]["text"]) == ("message_action", "note this")
    assert (anywhere["type"], anywhere["callback_id"]) == ("shortcut", "anywhere")
