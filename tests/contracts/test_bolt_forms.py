"""Forms with every kind of input, and messages that one person sees, through an unmodified Bolt app."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from slack_sdk.errors import SlackApiError

from bot.local.workspace.clock import ManualClock
from bot.local.workspace.records import Json
from bot.local.workspace.workspace import Workspace
from tests.bot.local.workspace.bare_app import ASHA, BEN, GENERAL, eventually, running
from tests.contracts.bolt import bolt_app, by_http, by_socket_mode, take_the_rest


def plain(text: str) -> Json:
    return {"type": "plain_text", "text": text}


def option(text: str) -> Json:
    return {"text": plain(text), "value": text.lower()}


OPTIONS = [option("One"), option("Two"), option("Three")]


def field(name: str, element: Json, **more: Any) -> Json:
    return {"type": "input", "block_id": name, "label": plain(name), "element": {"action_id": "it", **element}, **more}


FORM: Json = {
    "type": "modal",
    "callback_id": "form",
    "title": plain("Form"),
    "submit": plain("Send"),
    "private_metadata": "kept",
    "blocks": [
        field("text", {"type": "plain_text_input", "multiline": True, "initial_value": "as it was", "max_length": 20}),
        field("one", {"type": "static_select", "options": OPTIONS, "initial_option": OPTIONS[1]}),
        field("several", {"type": "multi_static_select", "options": OPTIONS}, optional=True),
        field("radio", {"type": "radio_buttons", "options": OPTIONS}),
        field("boxes", {"type": "checkboxes", "options": OPTIONS}, optional=True),
        field("person", {"type": "users_select"}, optional=True),
        field("people", {"type": "multi_users_select", "initial_users": [BEN]}, optional=True),
        field("channels", {"type": "multi_channels_select"}, optional=True),
        field("places", {"type": "multi_conversations_select"}, optional=True),
        field("day", {"type": "datepicker"}, optional=True),
    ],
}


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


async def test_the_state_of_every_kind_of_input(workspace: Workspace, transport: Any) -> None:
    app = bolt_app(workspace)
    taken: list[Json] = []

    @app.view("form")
    async def submitted(ack: Any, view: Json) -> None:
        await ack()
        taken.append(view)

    people = workspace.people
    async with transport(workspace, app):
        view = workspace.timeline.open_view(ASHA, FORM)
        assert await people.fill_in(ASHA, view["id"], {"text": "x" * 21}) == {
            "radio": "Please complete this required field.",
            "text": "Please write at most 20 characters: this has 21.",
        }
        answers = {
            "radio": "three",
            "boxes": ["one", "three"],
            "person": ASHA,
            "channels": [GENERAL],
            "places": [GENERAL],
            "day": "2026-11-22",
        }
        assert await people.fill_in(ASHA, view["id"], answers) == {}
        await eventually(lambda: taken)
    assert taken[0]["private_metadata"] == "kept"
    held = {block_id: state["it"] for block_id, state in taken[0]["state"]["values"].items()}
    for chosen in (held["one"]["selected_option"], held["radio"]["selected_option"]):
        assert set(chosen) == {"text", "value"}
    assert held == {
        "text": {"type": "plain_text_input", "value": "as it was"},
        "one": {"type": "static_select", "selected_option": OPTIONS[1]},
        "several": {"type": "multi_static_select", "selected_options": []},
        "radio": {"type": "radio_buttons", "selected_option": OPTIONS[2]},
        "boxes": {"type": "checkboxes", "selected_options": [OPTIONS[0], OPTIONS[2]]},
        "person": {"type": "users_select", "selected_user": ASHA},
        "people": {"type": "multi_users_select", "selected_users": [BEN]},
        "channels": {"type": "multi_channels_select", "selected_channels": [GENERAL]},
        "places": {"type": "multi_conversations_select", "selected_conversations": [GENERAL]},
        "day": {"type": "datepicker", "selected_date": "2026-11-22"},
    }


async def test_a_view_is_updated_only_from_the_hash_it_has(workspace: Workspace) -> None:
    client = bolt_app(workspace).client
    view = workspace.timeline.open_view(ASHA, FORM)
    first = await client.views_update(view_id=view["id"], hash=view["hash"], view=FORM)
    assert first["view"]["hash"] != view["hash"]
    with pytest.raises(SlackApiError) as refused:
        await client.views_update(view_id=view["id"], hash=view["hash"], view=FORM)
    assert refused.value.response["error"] == "hash_conflict"


OFFER: list[Json] = [
    {
        "type": "actions",
        "elements": [
            {"type": "button", "action_id": "share", "text": plain("Share in channel"), "value": "42"},
            {"type": "overflow", "action_id": "more", "options": [option("Hide"), option("Again")]},
        ],
    }
]


async def test_a_message_for_one_person_is_replaced_shared_and_taken_away(workspace: Workspace, transport: Any) -> None:
    app = bolt_app(workspace)
    heard: list[Json] = []

    @app.command("/dolly")
    async def asked(ack: Any, respond: Any) -> None:
        await ack()
        await respond(text="for you", blocks=OFFER)

    @app.action("share")
    async def share(ack: Any, body: Json, respond: Any) -> None:
        await ack()
        heard.append(body)
        await respond(text="for all", response_type="in_channel", replace_original=False)
        await respond(text="shared", blocks=OFFER, replace_original=True)

    @app.action("more")
    async def more(ack: Any, body: Json, respond: Any) -> None:
        await ack()
        heard.append(body)
        await respond(delete_original=True)

    take_the_rest(app)
    timeline, people = workspace.timeline, workspace.people
    async with transport(workspace, app):
        await people.command(ASHA, GENERAL, "/dolly", "why")
        await eventually(lambda: timeline.ephemerals(GENERAL, ASHA))
        (offered,) = timeline.ephemerals(GENERAL, ASHA)
        await people.press(ASHA, GENERAL, offered["ts"], "share")
        await eventually(lambda: timeline.ephemerals(GENERAL, ASHA)[0]["text"] == "shared")
        assert timeline.history(GENERAL)[0][0]["text"] == "for all"
        await people.press(ASHA, GENERAL, offered["ts"], "more", selected_option={"value": "hide"})
        await eventually(lambda: not timeline.ephemerals(GENERAL, ASHA))
    first, second = heard
    assert "message" not in first
    assert (first["container"]["is_ephemeral"], first["container"]["message_ts"]) == (True, offered["ts"])
    assert first["actions"][0]["value"] == "42"
    assert second["actions"][0]["selected_option"] == option("Hide")
