"""The App Home shows a person's own settings and conversations, and has them forgotten; `/dolly status`, the rest."""

import re
from collections.abc import AsyncIterator, Callable

import pytest

from bot.errors import StoreUnavailable
from bot.preferences import INSTRUCTION_CHARACTERS
from bot.slack.commands.forget_list import FORGET_CONVERSATION, FORGET_ME
from bot.slack.commands.settings import INSTRUCTIONS, LANGUAGE, LENGTH, SETTINGS
from bot.store.preferences import PreferenceStore
from bot.words import Words
from tests.scenarios.conftest import Json, Team, Transport, running_team, until
from tests.scenarios.faults import Faults
from tests.scripted_engine import Script, ScriptedEngine

WORDS = Words()


@pytest.fixture
async def engine() -> AsyncIterator[ScriptedEngine]:
    async with ScriptedEngine(Script(text="Certainly.")) as engine:
        yield engine


@pytest.fixture
async def team(store_url: str, engine: ScriptedEngine, transport: Transport) -> AsyncIterator[Team]:
    async with running_team(store_url, engine.url, transport) as team:
        yield team


def said_on(view: Json | None) -> str:
    """All texts of a view, a line each."""
    blocks = view["blocks"] if view else []
    return "\n".join(block["text"]["text"] for block in blocks if "text" in block)


async def home(team: Team, name: str, shows: Callable[[str], bool]) -> Json:
    """The home tab, once it shows what is waited for."""
    await until(lambda: shows(said_on(team.workspace.timeline.home(team.person(name)))))
    view = team.workspace.timeline.home(team.person(name))
    assert view is not None
    return view


async def click(team: Team, name: str, view: Json, action_id: str) -> None:
    block_id = next(
        block["block_id"]
        for block in view["blocks"]
        for element in (*block.get("elements", ()), block.get("accessory", {}))
        if element.get("action_id") == action_id
    )
    await team.workspace.people.click(team.person(name), None, view["id"], block_id, action_id)


async def test_the_home_tab_shows_ones_own_and_forgets_it(team: Team, engine: ScriptedEngine) -> None:
    engine.model_sha = "1234567890abcdef"
    await team.answered(await team.say("ben", "@dolly where do llamas live?"))
    await team.answered(await team.say("ben", "@dolly and alpacas?"))
    await team.answered(await team.say("asha", "@dolly what is not Ben's?"))
    await team.workspace.people.open_home(team.person("ben"))
    view = await home(team, "ben", lambda said: "llamas" in said and "alpacas" in said)
    assert "not Ben's" not in said_on(view)
    model = WORDS.say("status_model", model=f"{engine.model}@1234567890ab")
    assert f"{model}\n{WORDS.say('home_kept', count=30)}" in said_on(view)

    await click(team, "ben", view, FORGET_CONVERSATION)
    view = await home(team, "ben", lambda said: WORDS.say("forgotten_conversation") in said)
    assert ("llamas" in said_on(view)) != ("alpacas" in said_on(view))
    await click(team, "ben", view, FORGET_ME)
    view = await home(team, "ben", lambda said: WORDS.say("forgotten_all") in said)
    assert "llamas" not in said_on(view)
    assert "alpacas" not in said_on(view)


async def test_settings_are_changed_from_the_home_tab_and_forgotten_with_their_person(team: Team) -> None:
    ben = team.person("ben")
    await team.answered(await team.say("ben", "@dolly where do llamas live?"))
    await team.workspace.people.open_home(ben)
    usual = WORDS.say("home_settings", length=WORDS.say("settings_usual"), language="The language of the question")
    view = await home(team, "ben", lambda said: usual in said)
    await click(team, "ben", view, SETTINGS)
    await until(lambda: team.workspace.timeline.top_view(ben) is not None)
    form = team.workspace.timeline.top_view(ben)
    assert form is not None
    chosen = {
        LENGTH: {LENGTH: {"selected_option": {"value": "long"}}},
        LANGUAGE: {LANGUAGE: {"selected_option": {"value": "hi"}}},
        INSTRUCTIONS: {INSTRUCTIONS: {"value": "I am <a> nurse."}},
    }
    assert await team.workspace.people.submit_view(ben, form["id"], chosen) == {}
    view = await home(team, "ben", lambda said: "हिन्दी" in said)
    assert WORDS.say("settings_long") in said_on(view)
    assert "&lt;a> nurse" in said_on(view)

    await click(team, "ben", view, FORGET_ME)
    await home(team, "ben", lambda said: WORDS.say("forgotten_all") in said and usual in said and "nurse" not in said)


async def test_the_home_tab_is_drawn_whatever_the_instructions_are(team: Team) -> None:
    """Escaped they are four times as long as Slack takes them; and longer than what a paragraph may have."""
    ben = team.person("ben")
    await team.workspace.people.open_home(ben)
    await click(team, "ben", await home(team, "ben", lambda said: bool(said)), SETTINGS)
    await until(lambda: team.workspace.timeline.top_view(ben) is not None)
    form = team.workspace.timeline.top_view(ben)
    assert form is not None
    assert await team.workspace.people.fill_in(ben, form["id"], {INSTRUCTIONS: "<" * INSTRUCTION_CHARACTERS}) == {}
    view = await home(team, "ben", lambda said: "&lt;" in said)
    assert "&lt;…" in said_on(view)


async def test_a_form_that_does_not_open_is_told_on_the_home_tab(
    faults: Faults, team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    ben = team.person("ben")
    await team.workspace.people.open_home(ben)
    view = await home(team, "ben", lambda said: bool(said))
    faults.next("views.open", "invalid_arguments")
    await click(team, "ben", view, SETTINGS)
    view = await home(team, "ben", lambda said: said.startswith(WORDS.say("form_not_opened")))

    async def away(*_: object) -> None:
        raise StoreUnavailable("The store is away.")

    monkeypatch.setattr(PreferenceStore, "of_person", away)
    await click(team, "ben", view, SETTINGS)
    await home(team, "ben", lambda said: said.startswith(WORDS.say(StoreUnavailable.words_key)))


async def test_the_status_names_the_model_the_queue_and_the_usual_wait(team: Team, engine: ScriptedEngine) -> None:
    engine.model_sha = "1234567890abcdef"
    await team.answered(await team.say("ben", "@dolly where do llamas live?"))
    general, ben = team.channel("general"), team.person("ben")
    await team.workspace.people.command(ben, general, "/dolly", "status")
    await until(lambda: bool(team.workspace.timeline.ephemerals(general, ben)))
    said = team.workspace.timeline.ephemerals(general, ben)[-1]["text"]
    assert said.startswith(WORDS.say("status_title"))
    assert re.search("[01] questions? (is|are) waiting or being answered", said), "the answer may not be committed yet"
    assert "Half of my answers begin within" in said
    assert WORDS.say("status_model", model=f"{engine.model}@1234567890ab") in said


async def test_the_status_says_what_is_away(team: Team, engine: ScriptedEngine) -> None:
    await engine.stop()
    general, ben = team.channel("general"), team.person("ben")
    await team.workspace.people.command(ben, general, "/dolly", "status")
    await until(lambda: bool(team.workspace.timeline.ephemerals(general, ben)))
    assert WORDS.say("status_no_model") in team.workspace.timeline.ephemerals(general, ben)[-1]["text"]
