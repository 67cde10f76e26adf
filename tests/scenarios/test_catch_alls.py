"""What Dolly has no use for is acknowledged all the same: nobody waits for a timeout."""

from collections.abc import AsyncIterator

import pytest

from bot.local.workspace.delivery.envelopes import Envelope
from bot.words import Words
from tests.scenarios.conftest import Json, Team, Transport, running_team, until
from tests.scenarios.faults import Faults
from tests.scripted_engine import ScriptedEngine

WORDS = Words()


def plain(text: str) -> Json:
    return {"type": "plain_text", "text": text}


BLOCKS: list[Json] = [
    {
        "type": "actions",
        "block_id": "b",
        "elements": [
            {"type": "button", "action_id": "button", "text": plain("Old")},
            {"type": "external_select", "action_id": "select", "placeholder": plain("Pick")},
        ],
    }
]
MODAL: Json = {
    "type": "modal",
    "callback_id": "old",
    "title": plain("Old"),
    "submit": plain("Send"),
    "notify_on_close": True,
    "blocks": [{"type": "section", "block_id": "s", "text": plain("A form of yesterday")}],
}


@pytest.fixture
async def team(store_url: str, transport: Transport) -> AsyncIterator[Team]:
    """When the test is over, everything must have been acknowledged, in the three seconds that Slack gives."""
    async with ScriptedEngine() as engine, running_team(store_url, engine.url, transport) as team:
        told: list[str] = []
        team.workspace.changes.subscribe(
            lambda change: told.append(change.detail["text"]) if change.kind == "error" else None
        )
        yield team
        await until(lambda: team.workspace.delivery.pending() == 0, 2)
        assert told == []
        assert all(envelope.acked for envelope in team.workspace.delivery.delivered)
        assert team.workspace.delivery.delivered
        assert engine.requests == []


def old_message(team: Team) -> str:
    post = team.workspace.timeline.post
    return str(post(team.channel("general"), team.bot_id, "An old message", blocks=BLOCKS, as_app=True)["ts"])


async def test_an_unknown_button_says_that_it_is_out_of_use(team: Team) -> None:
    asha, general = team.person("asha"), team.channel("general")
    ts = old_message(team)
    await team.workspace.people.click(asha, general, ts, "b", "button")
    await until(lambda: bool(team.workspace.timeline.ephemerals(general, asha)))
    assert [m["text"] for m in team.workspace.timeline.ephemerals(general, asha)] == [WORDS.say("button_unknown")]
    message = team.workspace.timeline.message(general, ts)
    assert message is not None
    assert message["text"] == "An old message", "it stays"


async def test_a_button_in_a_modal_has_no_place_for_a_sentence(team: Team) -> None:
    asha = team.person("asha")
    view = team.workspace.timeline.open_view(asha, {**MODAL, "blocks": BLOCKS})
    await team.workspace.people.click(asha, None, view["id"], "b", "button")


async def test_an_unknown_form_closes(team: Team) -> None:
    asha = team.person("asha")
    view = team.workspace.timeline.open_view(asha, MODAL)
    assert await team.workspace.people.submit_view(asha, view["id"], {}) == {}
    assert team.workspace.timeline.top_view(asha) is None


async def test_an_unknown_form_may_be_closed(team: Team) -> None:
    asha = team.person("asha")
    view = team.workspace.timeline.open_view(asha, MODAL)
    await team.workspace.people.close_view(asha, view["id"])


async def test_unknown_shortcuts(team: Team) -> None:
    ts = old_message(team)
    await team.workspace.people.shortcut(team.person("asha"), team.channel("general"), ts, "old")
    await team.workspace.people.shortcut(team.person("asha"), None, None, "old")


async def test_an_unknown_select_offers_nothing(team: Team) -> None:
    ts = old_message(team)
    options = team.workspace.people.options
    assert await options(team.person("asha"), team.channel("general"), ts, "b", "select", "typed") == []


async def test_an_unknown_command_gets_its_sentence(team: Team) -> None:
    asha, general = team.person("asha"), team.channel("general")
    await team.workspace.people.command(asha, general, "/dolly", "help")
    (known,) = team.workspace.delivery.delivered
    answer = await team.workspace.delivery.ask("slash_commands", {**known.payload, "command": "/lolly"})
    assert answer["text"] == WORDS.say("command_unknown")


async def test_a_kind_of_tomorrow(team: Team) -> None:
    await team.workspace.people.shortcut(team.person("asha"), None, None, "old")
    envelope: Envelope = team.workspace.delivery.delivered[0]
    await team.workspace.delivery.ask("interactive", {**envelope.payload, "type": "a_kind_of_tomorrow"})


async def test_a_home_tab_that_cannot_be_drawn(faults: Faults, team: Team) -> None:
    for fault in ("not_enabled", 503, "cut"):
        before = faults.calls["views.publish"]
        faults.always("views.publish", fault)
        await team.workspace.people.open_home(team.person("asha"))
        await until(lambda: faults.calls["views.publish"] > before)  # noqa: B023
