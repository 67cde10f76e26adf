"""`/dolly settings`: what a person chooses in the form is in the next prompt."""

from collections.abc import AsyncIterator

import pytest

from bot.slack.commands.settings import INSTRUCTIONS, LANGUAGE, LENGTH, SETTINGS
from bot.words import Words
from tests.scenarios.conftest import SYSTEM_PROMPT, Json, Team, Transport, running_team, until
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


def form(team: Team, name: str) -> Json | None:
    return team.workspace.timeline.top_view(team.person(name))


async def opened(team: Team, name: str) -> Json:
    await team.workspace.people.command(team.person(name), team.channel("general"), "/dolly", "settings")
    await until(lambda: form(team, name) is not None)
    view = form(team, name)
    assert view is not None
    return view


def system_prompts(engine: ScriptedEngine) -> list[str]:
    return [request.messages[0]["content"] for request in engine.requests]


async def test_what_is_chosen_is_told_to_the_model_from_then_on(team: Team, engine: ScriptedEngine) -> None:
    ben = team.person("ben")
    view = await opened(team, "ben")
    assert view["callback_id"] == SETTINGS
    chosen = {
        LENGTH: {LENGTH: {"selected_option": {"value": "short"}}},
        LANGUAGE: {LANGUAGE: {"selected_option": {"value": "hi"}}},
        INSTRUCTIONS: {INSTRUCTIONS: {"value": "I am a nurse."}},
    }
    assert await team.workspace.people.submit_view(ben, view["id"], chosen) == {}
    await until(lambda: form(team, "ben") is None)

    await team.answered(await team.say("ben", "@dolly what now?"))
    told = system_prompts(engine)[-1]
    assert told.startswith(SYSTEM_PROMPT)
    for part in ("three sentences", "Answer in Hindi.", "I am a nurse."):
        assert part in told
    await team.answered(await team.say("asha", "@dolly and I?"))
    assert "nurse" not in system_prompts(engine)[-1]

    again = await opened(team, "ben")
    held = [block["element"] for block in again["blocks"]]
    assert held[0]["initial_option"]["value"] == "short"
    assert held[1]["initial_option"]["value"] == "hi"
    assert held[2]["initial_value"] == "I am a nurse."
    assert form(team, "asha") is None


async def test_a_command_a_mention_and_a_direct_message_ask_the_same(team: Team, engine: ScriptedEngine) -> None:
    ben, general, direct = team.person("ben"), team.channel("general"), team.direct("ben")
    view = await opened(team, "ben")
    assert await team.workspace.people.fill_in(ben, view["id"], {INSTRUCTIONS: "I am a nurse."}) == {}
    await team.workspace.people.command(ben, general, "/dolly", "what is a loom?")
    await until(lambda: len(engine.requests) == 1)
    await team.answered(await team.say("ben", "@dolly what is a loom?"))
    await team.answered(await team.say("ben", "what is a loom?", channel=direct), channel=direct)
    asked = [request.body for request in engine.requests]
    assert asked[0]["messages"][-1] == {"role": "user", "content": "what is a loom?"}
    assert asked == [asked[0]] * 3


async def test_a_question_may_begin_with_the_word(team: Team) -> None:
    await team.workspace.people.command(
        team.person("ben"), team.channel("general"), "/dolly", "settings of the loom for silk?"
    )

    def told() -> list[str]:
        timeline = team.workspace.timeline
        return [message["text"] for message in timeline.ephemerals(team.channel("general"), team.person("ben"))]

    await until(lambda: any("Certainly." in text for text in told()))
    assert form(team, "ben") is None
