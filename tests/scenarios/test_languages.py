"""Everybody is spoken to in the language that they have chosen in Slack."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from bot.access import Bounds
from bot.local.workspace.web_api.server import WebApi
from bot.settings import DEFAULT_SYSTEM_PROMPT
from bot.words import Words
from tests.scenarios.conftest import Json, Team, Transport, running_team, until
from tests.scripted_engine import Script, ScriptedEngine

ENGLISH, HINDI = Words("en"), Words("hi")


@pytest.fixture
async def engine() -> AsyncIterator[ScriptedEngine]:
    async with ScriptedEngine(Script(text="ठीक है।")) as engine:
        yield engine


@pytest.fixture
def directory(monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """Slack says who somebody is as long as it is set."""
    done, is_well = WebApi._answer, asyncio.Event()
    is_well.set()

    async def answer(api: WebApi, request: web.Request) -> web.Response:
        if request.match_info["method"] == "users.info":
            await is_well.wait()
        return await done(api, request)

    monkeypatch.setattr(WebApi, "_answer", answer)
    return is_well


@pytest.fixture
async def team(
    store_url: str, engine: ScriptedEngine, transport: Transport, directory: asyncio.Event
) -> AsyncIterator[Team]:
    """Divya has chosen Hindi, the others English."""
    async with running_team(store_url, engine.url, transport) as team:
        yield team


def told(team: Team, name: str) -> list[Json]:
    """What only this person sees in #general."""
    return team.workspace.timeline.ephemerals(team.channel("general"), team.person(name))


async def command(team: Team, name: str, text: str) -> Json:
    await team.workspace.people.command(team.person(name), team.channel("general"), "/dolly", text)
    await until(lambda: bool(told(team, name)))
    return told(team, name)[-1]


async def test_an_answer_is_asked_for_in_the_language_of_its_question(
    store_url: str, engine: ScriptedEngine, transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever asks: Asha has chosen English."""
    monkeypatch.setattr("tests.scenarios.conftest.SYSTEM_PROMPT", DEFAULT_SYSTEM_PROMPT)
    async with running_team(store_url, engine.url, transport) as team:
        assert await team.answered(await team.say("asha", "@dolly लामा कहाँ रहते हैं?")) == ["ठीक है।"]
    system, question = engine.requests[-1].messages
    assert system["content"].endswith("\n\nAnswer in the language of the question.")
    assert question["content"] == "लामा कहाँ रहते हैं?"


async def test_a_command_is_answered_in_the_language_of_who_gave_it(team: Team) -> None:
    mention = f"<@{team.bot_id}>"
    assert (await command(team, "divya", "help"))["text"] == HINDI.say("command_help", mention=mention)
    assert (await command(team, "ben", "help"))["text"] == ENGLISH.say("command_help", mention=mention)


async def test_in_one_thread_each_reads_their_own(team: Team) -> None:
    root = await team.say("ben", "@dolly")
    await team.answered(root)
    await team.say("divya", "@dolly", thread=root)
    assert await team.answered(root, 2) == [words.say("empty_question") for words in (ENGLISH, HINDI)]


async def test_what_stands_below_an_answer_and_in_the_home_tab(team: Team) -> None:
    place = team.direct("divya")
    root = await team.say("divya", "भारत की राजधानी क्या है?", channel=place)
    assert await team.answered(root, channel=place) == ["ठीक है।\n\n" + HINDI.say("thread_hint")]
    await team.workspace.people.open_home(team.person("divya"))
    await until(lambda: team.workspace.timeline.home(team.person("divya")) is not None)
    drawn = str(team.workspace.timeline.home(team.person("divya")))
    assert HINDI.say("home_title") in drawn
    assert ENGLISH.say("home_title") not in drawn


async def test_the_line_while_an_answer_is_prepared(team: Team, engine: ScriptedEngine) -> None:
    engine.then(Script(first_token_seconds=1))
    root = await team.say("divya", "@dolly नमस्ते")
    general, timeline = team.channel("general"), team.workspace.timeline
    await until(lambda: bool((timeline.status(general, root) or {}).get("status")))
    status = timeline.status(general, root) or {}
    assert status["status"] == HINDI.say("thinking")
    assert status["loading_messages"] == HINDI.choices("thinking_steps")


async def test_the_list_of_what_can_be_forgotten(team: Team) -> None:
    await team.answered(await team.say("divya", "@dolly नमस्ते"))
    listed = str(await command(team, "divya", "forget"))
    for key in ("forget_list", "forget_button", "forget_confirm", "forget_keep", "forget_all_button"):
        assert HINDI.say(key) in listed
        assert ENGLISH.say(key) not in listed


async def test_an_apology(store_url: str) -> None:
    async with ScriptedEngine(Script(refusal=(400, "no"))) as engine, running_team(store_url, engine.url) as team:
        root = await team.say("divya", "@dolly नमस्ते")
        assert await team.answered(root) == [HINDI.say("engine_refused")]


async def test_the_place_in_the_queue(store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.turns.NOTICE_SECONDS", 0.1)
    async with ScriptedEngine() as engine, running_team(store_url, engine.url) as team:
        await engine.stop()
        root = await team.say("divya", "@dolly नमस्ते")
        await until(lambda: team.answers(root) == [HINDI.say("waiting_for_engine", place=1)])


async def test_a_refusal_that_only_its_reader_sees(store_url: str) -> None:
    bounds = Bounds(questions_per_minute=1)
    async with ScriptedEngine() as engine, running_team(store_url, engine.url, bounds=bounds) as team:
        await team.answered(await team.say("divya", "@dolly पहला"))
        await team.say("divya", "@dolly दूसरा")
        await until(lambda: bool(told(team, "divya")))
        beginning, _, end = HINDI.say("quota_questions", time="|").partition("|")
        (refusal,) = told(team, "divya")
        assert refusal["text"].startswith(beginning)
        assert refusal["text"].endswith(end)


async def test_a_slow_slack_has_nobody_wait_for_their_language(team: Team, directory: asyncio.Event) -> None:
    """A command must be acknowledged within three seconds."""
    directory.clear()
    mention = f"<@{team.bot_id}>"
    async with asyncio.timeout(2):
        assert (await command(team, "divya", "help"))["text"] == ENGLISH.say("command_help", mention=mention)
    directory.set()
    await asyncio.sleep(0.1)
    assert (await command(team, "divya", "help"))["text"] == HINDI.say("command_help", mention=mention), "the next time"
