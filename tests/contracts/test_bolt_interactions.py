"""Commands, clicks, modals, menus and shortcuts through an unmodified Bolt app, over both transports."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from slack_sdk.errors import SlackApiError

from bot.local.workspace.clock import ManualClock
from bot.local.workspace.records import BOT_USER_ID, Json
from bot.local.workspace.timeline.changes import Change
from bot.local.workspace.workspace import Workspace
from tests.bot.local.workspace.bare_app import ASHA, GENERAL, RANDOM, eventually, running, turn
from tests.contracts.bolt import bolt_app, by_http, by_socket_mode, take_the_rest

PLAIN = {"type": "plain_text", "text": "Words"}
FEEDBACK = {
    "type": "context_actions",
    "block_id": "feedback",
    "elements": [
        {
            "type": "feedback_buttons",
            "action_id": "rated",
            "positive_button": {"text": PLAIN, "value": "good"},
            "negative_button": {"text": PLAIN, "value": "bad"},
        },
        {"type": "icon_button", "action_id": "removed", "icon": "trash", "text": PLAIN, "value": "this one"},
    ],
}
BUTTON = {
    "type": "actions",
    "block_id": "buttons",
    "elements": [{"type": "button", "action_id": "fix", "text": PLAIN, "value": "42"}],
}
FORM = {
    "type": "modal",
    "callback_id": "fix_form",
    "title": PLAIN,
    "submit": PLAIN,
    "notify_on_close": True,
    "private_metadata": "about 42",
    "blocks": [
        {
            "type": "input",
            "block_id": "better",
            "label": PLAIN,
            "element": {"type": "plain_text_input", "action_id": "text"},
        },
        {
            "type": "input",
            "block_id": "topic",
            "label": PLAIN,
            "optional": True,
            "element": {"type": "external_select", "action_id": "topic", "min_query_length": 0},
        },
    ],
}


def filled(text: str) -> Json:
    return {"better": {"text": {"value": text}}}


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def workspace(clock: ManualClock) -> AsyncIterator[Workspace]:
    async with running(clock=clock) as workspace:
        yield workspace


@pytest.fixture(params=[by_socket_mode, by_http])
def transport(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
def told(workspace: Workspace) -> list[Change]:
    told: list[Change] = []
    workspace.changes.subscribe(lambda change: told.append(change) if change.kind == "error" else None)
    return told


def texts(messages: list[Json]) -> list[str]:
    return [message["text"] for message in messages]


def own_post(workspace: Workspace, *blocks: Json) -> str:
    message = workspace.timeline.post(GENERAL, BOT_USER_ID, "an answer", blocks=list(blocks), as_app=True)
    return str(message["ts"])


async def test_a_command_is_answered_by_its_ack_and_by_its_response_url(workspace: Workspace, transport: Any) -> None:
    app = bolt_app(workspace)

    @app.command("/dolly")
    async def dolly(ack: Any, respond: Any, command: Json) -> None:
        await ack(f"working on {command['text']}")
        await respond("done", response_type="in_channel")
        await respond(text="for you alone")

    take_the_rest(app)
    async with transport(workspace, app):
        await workspace.people.post(ASHA, RANDOM, "/dolly ask why")
        await eventually(lambda: len(workspace.timeline.ephemerals(RANDOM, ASHA)) == 2)
    assert sorted(texts(workspace.timeline.ephemerals(RANDOM, ASHA))) == ["for you alone", "working on ask why"]
    assert texts(workspace.timeline.history(RANDOM)[0]) == ["done"]


@pytest.mark.parametrize(
    "answer", [{"text": "hi", "response_type": "ephemeral"}, {"blocks": [{"type": "section", "text": PLAIN}]}]
)
async def test_a_command_s_ack_may_be_a_message(workspace: Workspace, transport: Any, answer: Json) -> None:
    app = bolt_app(workspace)

    @app.command("/dolly")
    async def dolly(ack: Any) -> None:
        await ack(**answer)

    async with transport(workspace, app):
        await workspace.people.command(ASHA, GENERAL, "/dolly", "")
    (message,) = workspace.timeline.ephemerals(GENERAL, ASHA)
    assert message["text"] == answer.get("text", "")
    assert ("blocks" in message) == ("blocks" in answer)


async def test_a_command_that_is_not_acknowledged_in_time(
    workspace: Workspace, clock: ManualClock, told: list[Change]
) -> None:
    app = bolt_app(workspace)
    started, may_end = asyncio.Event(), asyncio.Event()

    @app.command("/dolly")
    async def dolly(ack: Any) -> None:
        started.set()
        await may_end.wait()
        await ack("too late")

    async with by_socket_mode(workspace, app):
        command = asyncio.create_task(workspace.people.command(ASHA, GENERAL, "/dolly", ""))
        await started.wait()
        await turn(clock, 3)
        await command
        may_end.set()
        await asyncio.sleep(0.05)
    assert "did not respond to /dolly (operation_timeout)" in told[0].detail["text"]
    assert workspace.timeline.ephemerals(GENERAL, ASHA) == []


async def test_feedback_and_icon_buttons(workspace: Workspace, transport: Any) -> None:
    app = bolt_app(workspace)
    heard: list[Json] = []

    @app.action("rated")
    async def rated(ack: Any, body: Json, respond: Any) -> None:
        await ack()
        heard.append(body)
        await respond(text="Thank you", replace_original=False)

    @app.action("removed")
    async def removed(ack: Any, body: Json, respond: Any) -> None:
        await ack()
        heard.append(body)
        await respond(delete_original=True)

    take_the_rest(app)
    async with transport(workspace, app):
        ts = own_post(workspace, FEEDBACK)
        await workspace.people.click(ASHA, GENERAL, ts, "feedback", "rated", value="bad")
        await eventually(lambda: workspace.timeline.ephemerals(GENERAL, ASHA))
        await workspace.people.click(ASHA, GENERAL, ts, "feedback", "removed")
        await eventually(lambda: workspace.timeline.message(GENERAL, ts) is None)
    first, second = heard
    assert first["actions"][0] | {"action_ts": ""} == {
        "type": "feedback_buttons",
        "action_id": "rated",
        "block_id": "feedback",
        "value": "bad",
        "action_ts": "",
    }
    assert first["message"]["ts"] == ts
    assert second["actions"][0]["value"] == "this one"


async def test_a_button_opens_a_form_that_finds_a_fault_and_then_takes_it(workspace: Workspace, transport: Any) -> None:
    app = bolt_app(workspace)
    taken: list[Json] = []

    @app.action("fix")
    async def fix(ack: Any, body: Json, client: Any) -> None:
        await client.views_open(trigger_id=body["trigger_id"], view=FORM)
        await ack()

    @app.view("fix_form")
    async def submitted(ack: Any, view: Json) -> None:
        text = view["state"]["values"]["better"]["text"]["value"]
        if len(text) < 5:
            await ack(response_action="errors", errors={"better": "Say a little more."})
            return
        await ack()
        taken.append(view)

    take_the_rest(app)
    async with transport(workspace, app):
        await workspace.people.click(ASHA, GENERAL, own_post(workspace, BUTTON), "buttons", "fix")
        view = workspace.timeline.top_view(ASHA)
        assert view is not None
        faults = await workspace.people.submit_view(ASHA, view["id"], filled("no"))
        assert faults == {"better": "Say a little more."}
        assert await workspace.people.submit_view(ASHA, view["id"], filled("Because of the tides")) == {}
        await eventually(lambda: taken)
    assert workspace.timeline.top_view(ASHA) is None
    assert taken[0]["private_metadata"] == "about 42"
    assert taken[0]["state"]["values"]["topic"]["topic"] == {"type": "external_select", "selected_option": None}


@pytest.mark.parametrize(("seconds", "error"), [(3.5, "expired_trigger_id"), (0, "exchanged_trigger_id")])
async def test_a_trigger_lasts_three_seconds_and_works_once(
    workspace: Workspace, clock: ManualClock, seconds: float, error: str
) -> None:
    app = bolt_app(workspace)
    triggers: list[str] = []

    @app.action("fix")
    async def fix(ack: Any, body: Json) -> None:
        await ack()
        triggers.append(body["trigger_id"])

    take_the_rest(app)
    async with by_socket_mode(workspace, app):
        await workspace.people.click(ASHA, GENERAL, own_post(workspace, BUTTON), "buttons", "fix")
        await eventually(lambda: triggers)
        if seconds:
            await clock.advance(seconds)
        else:
            await app.client.views_open(trigger_id=triggers[0], view=FORM)
        with pytest.raises(SlackApiError) as refused:
            await app.client.views_open(trigger_id=triggers[0], view=FORM)
    assert refused.value.response["error"] == error


async def test_forms_are_updated_pushed_cleared_and_closed(workspace: Workspace, transport: Any) -> None:
    app = bolt_app(workspace)
    closed: list[Json] = []

    @app.view("fix_form")
    async def first(ack: Any) -> None:
        await ack(response_action="update", view={**FORM, "callback_id": "second"})

    @app.view("second")
    async def second(ack: Any) -> None:
        await ack(response_action="push", view={**FORM, "callback_id": "third"})

    @app.view("third")
    async def third(ack: Any) -> None:
        await ack(response_action="clear")

    @app.view_closed("fix_form")
    async def was_closed(ack: Any, view: Json) -> None:
        await ack()
        closed.append(view)

    async with transport(workspace, app):
        timeline = workspace.timeline
        view: Json | None = timeline.open_view(ASHA, FORM)
        for callback_id in ("second", "third", None):
            assert view is not None
            await workspace.people.submit_view(ASHA, view["id"], filled("some words"))
            view = timeline.top_view(ASHA)
            assert (view or {}).get("callback_id") == callback_id
        await workspace.people.close_view(ASHA, timeline.open_view(ASHA, FORM)["id"])
        await eventually(lambda: closed)


async def test_an_external_select_is_filled_by_the_app(workspace: Workspace, transport: Any) -> None:
    app = bolt_app(workspace)

    @app.options("topic")
    async def topics(ack: Any, payload: Json) -> None:
        await ack(options=[{"text": PLAIN, "value": payload["value"] * 2}])

    async with transport(workspace, app):
        view = workspace.timeline.open_view(ASHA, FORM)
        options = await workspace.people.options(ASHA, None, view["id"], "topic", "topic", "ti")
    assert options == [{"text": PLAIN, "value": "titi"}]


async def test_the_home_tab_is_published_and_clicked(workspace: Workspace, transport: Any) -> None:
    app = bolt_app(workspace)
    clicked: list[Json] = []

    @app.event("app_home_opened")
    async def opened(event: Json, client: Any) -> None:
        await client.views_publish(user_id=event["user"], view={"type": "home", "blocks": [BUTTON]})

    @app.action("fix")
    async def fix(ack: Any, body: Json) -> None:
        await ack()
        clicked.append(body)

    async with transport(workspace, app):
        await workspace.people.open_home(ASHA)
        await eventually(lambda: workspace.timeline.home(ASHA))
        home = workspace.timeline.home(ASHA) or {}
        await workspace.people.click(ASHA, None, home["id"], "buttons", "fix")
        await eventually(lambda: clicked)
    assert clicked[0]["view"]["type"] == "home"
    assert clicked[0]["container"] == {"type": "view", "view_id": home["id"]}


async def test_message_and_global_shortcuts(workspace: Workspace, transport: Any) -> None:
    app = bolt_app(workspace)
    used: list[Json] = []

    @app.shortcut("note")
    async def note(ack: Any, shortcut: Json) -> None:
        await ack()
        used.append(shortcut)

    take_the_rest(app)
    async with transport(workspace, app):
        message = await workspace.people.post(ASHA, GENERAL, "note this")
        assert message is not None
        await workspace.people.shortcut(ASHA, GENERAL, message["ts"], "note")
        await workspace.people.shortcut(ASHA, None, None, "note")
        await eventually(lambda: len(used) == 2)
    assert [shortcut["type"] for shortcut in used] == ["message_action", "shortcut"]
    assert used[0]["message"]["text"] == "note this"


async def test_a_click_that_no_listener_takes_is_told(
    workspace: Workspace, clock: ManualClock, transport: Any, told: list[Change]
) -> None:
    app = bolt_app(workspace)
    take_the_rest(app)
    async with transport(workspace, app):
        click = asyncio.create_task(
            workspace.people.click(ASHA, GENERAL, own_post(workspace, BUTTON), "buttons", "fix")
        )
        await asyncio.sleep(0.1)
        await turn(clock, 3)
        await click
    assert told[0].detail["text"].startswith("Dolly did not respond to the click")


async def test_stop_reaches_the_app_and_its_stream(workspace: Workspace, transport: Any) -> None:
    app = bolt_app(workspace)
    stopped: list[Json] = []

    @app.event("agent_session_stopped")
    async def stop(event: Json) -> None:
        stopped.append(event)

    take_the_rest(app)
    async with transport(workspace, app):
        root = await workspace.people.post(ASHA, GENERAL, "@dolly write")
        assert root is not None
        where = {"recipient_team_id": workspace.identity.team_id, "recipient_user_id": ASHA}
        stream = await app.client.chat_stream(channel=GENERAL, thread_ts=root["ts"], buffer_size=1, **where)
        await stream.append(markdown_text="once")
        await workspace.people.stop(ASHA, GENERAL, root["ts"])
        with pytest.raises(SlackApiError) as refused:
            await stream.append(markdown_text=" upon a time")
        await eventually(lambda: stopped)
    assert refused.value.response["error"] == "stopped_by_user"
    assert len(stopped[0]["streaming_message_ts"]) == 1
