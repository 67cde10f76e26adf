"""Under an answer to `/dolly` there are two buttons: share it in the channel, and ask again. Both outlive a restart."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from bot.local.workspace import Workspace
from bot.slack.answering.markdown import MARKDOWN_CHARACTERS
from bot.slack.answering.slash_reply import AGAIN, SHARE
from bot.slack.commands.forget_list import FORGET_ME
from bot.words import Words
from tests.scenarios.conftest import Json, Team, Transport, running_team, until
from tests.scenarios.faults import Faults
from tests.scripted_engine import Script, ScriptedEngine

WORDS = Words()
PLANTED = "https://evil.example/steal"


@pytest.fixture
async def engine() -> AsyncIterator[ScriptedEngine]:
    async with ScriptedEngine(Script(text="**Paris**, of course.")) as engine:
        yield engine


@pytest.fixture
async def team(store_url: str, engine: ScriptedEngine, transport: Transport) -> AsyncIterator[Team]:
    async with running_team(store_url, engine.url, transport) as team:
        yield team


def shown(team: Team, name: str = "asha", channel: str | None = None) -> list[Json]:
    """What one person alone sees in the channel, oldest first."""
    return team.workspace.timeline.ephemerals(channel or team.channel("general"), team.person(name))


async def answer(team: Team, question: str, name: str = "asha", channel: str | None = None) -> Json:
    """Ask by command; the private answer."""
    place, before = channel or team.channel("general"), len(shown(team, name, channel))
    await team.workspace.people.command(team.person(name), place, "/dolly", question)
    await until(lambda: SHARE in str(shown(team, name, channel)[before:]))
    return shown(team, name, channel)[-1]


async def press(team: Team, message: Json, action_id: str, name: str = "asha", channel: str | None = None) -> None:
    place = channel or team.channel("general")
    await team.workspace.people.press(team.person(name), place, message["ts"], action_id)


async def told(team: Team, sentence: str, name: str = "asha", channel: str | None = None) -> None:
    await until(lambda: sentence in str(shown(team, name, channel)))


def public(team: Team, channel: str | None = None) -> list[Json]:
    return team.workspace.timeline.history(channel or team.channel("general"))[0]


async def test_an_answer_is_shared_once_as_dollys_own_message(team: Team) -> None:
    private = await answer(team, "capital of <France> & Co?")
    assert not public(team) or "Paris" not in str(public(team))
    await press(team, private, SHARE)
    await told(team, WORDS.say("share_done"))
    (message,) = [message for message in public(team) if "Paris" in str(message)]
    assert message["user"] == team.bot_id
    assert WORDS.say("share_head", user=f"<@{team.person('asha')}>") in message["text"]
    assert "> capital of &lt;France&gt; &amp; Co?" in message["text"]
    (line,) = [line for line in shown(team) if line["ts"] == private["ts"]]
    assert line["text"] == WORDS.say("share_done")
    assert not line.get("blocks"), "the buttons are gone with the answer"


async def test_a_second_click_shares_nothing(team: Team, monkeypatch: pytest.MonkeyPatch) -> None:
    private = await answer(team, "capital of France?")
    await asyncio.gather(*(press(team, private, SHARE) for _ in range(3)))
    await told(team, WORDS.say("share_before"))
    await told(team, WORDS.say("share_done"))
    assert sum("Paris" in str(message) for message in public(team)) == 1


async def test_a_channel_that_dolly_is_not_in_is_told_how_to_let_it_in(team: Team) -> None:
    asha, ben = team.person("asha"), team.person("ben")
    channel = (await team.workspace.people.create_channel(asha, "quiet")).id
    await team.workspace.people.join(ben, channel)
    team.workspace.timeline.leave(channel, team.bot_id)
    private = await answer(team, "capital of France?", channel=channel)
    await press(team, private, SHARE, channel=channel)
    await told(team, WORDS.say("share_not_there"), channel=channel)
    assert "Paris" not in str(public(team, channel))
    await team.workspace.people.join(asha, channel, invited_id=team.bot_id)
    await press(team, private, SHARE, channel=channel)
    await told(team, WORDS.say("share_done"), channel=channel)
    assert "Paris" in str(public(team, channel))


async def test_asked_again_a_new_answer_stands_in_the_place_of_the_old(team: Team, engine: ScriptedEngine) -> None:
    private = await answer(team, "capital of France?")
    engine.then(Script(text="Still Paris."))
    await press(team, private, AGAIN)
    await until(lambda: "Still Paris." in str(shown(team)))
    (line,) = [line for line in shown(team) if line["ts"] == private["ts"]]
    assert "Still Paris." in line["text"]
    assert [request.messages[-1]["content"] for request in engine.requests] == ["capital of France?"] * 2
    assert engine.requests[0].messages == engine.requests[1].messages, (
        "the first answer is no part of the second prompt"
    )
    await press(team, line, SHARE)
    await until(lambda: "Still Paris." in str(public(team)))


async def test_asked_again_of_an_engine_that_is_away_the_answer_comes_when_it_is_back(
    team: Team, engine: ScriptedEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slack takes five posts at a click's address; there are more attempts than that."""
    private = await answer(team, "capital of France?")
    monkeypatch.setattr("bot.turns.RETRY_SECONDS", 0.01)
    monkeypatch.setattr("bot.turns.LONGEST_RETRY_SECONDS", 0.05)
    engine.script = Script(refusal=(429, "overloaded"))
    await press(team, private, AGAIN)
    await until(lambda: len(engine.requests) > 8)
    assert WORDS.say("command_taken", question="capital of France?") in shown(team)[-1]["text"]
    engine.script = Script(text="Still Paris.")
    await until(lambda: "Still Paris." in str(shown(team)))
    assert shown(team)[-1]["ts"] == private["ts"]


async def test_the_buttons_outlive_a_restart(store_url: str, engine: ScriptedEngine, transport: Transport) -> None:
    workspace = Workspace(rate_limits=True)
    await workspace.start()
    async with running_team(store_url, engine.url, transport, workspace=workspace) as team:
        private = await answer(team, "capital of France?")
    engine.then(Script(text="Paris, after all."))
    async with running_team(store_url, engine.url, transport, workspace=workspace) as team:
        await press(team, private, AGAIN)
        await until(lambda: "Paris, after all." in str(shown(team)))
        await press(team, private, SHARE)
        await until(lambda: "Paris, after all." in str(public(team)))
    await workspace.stop()


async def test_what_was_forgotten_is_neither_shared_nor_asked_again(team: Team, engine: ScriptedEngine) -> None:
    private = await answer(team, "capital of France?")
    general, asha = team.channel("general"), team.person("asha")
    async with asyncio.timeout(10):
        while "capital of France?" not in str(listed := shown(team)[-1]):  # the list shows private answers too
            await team.workspace.people.command(asha, general, "/dolly", "forget")
    await press(team, listed, FORGET_ME)
    await told(team, WORDS.say("forgotten_all"))
    for action in (AGAIN, SHARE):
        before = len(shown(team))
        await press(team, private, action)
        await until(lambda before=before: len(shown(team)) > before, seconds=15)  # type: ignore[misc]
        assert shown(team)[-1]["text"] == WORDS.say("private_gone")
    assert len(engine.requests) == 1
    assert "Paris" not in str(public(team))


async def test_what_is_shared_is_filtered_and_unfurls_nothing(team: Team, engine: ScriptedEngine) -> None:
    engine.then(Script(text=f"See <!channel> {PLANTED} and <@U0BEN000001>."))
    private = await answer(team, "look <!here>")
    await press(team, private, SHARE)
    await told(team, WORDS.say("share_done"))
    message = public(team)[0]
    assert "<!" not in message["text"]
    assert "<@U0BEN" not in message["text"]
    assert PLANTED not in message["text"]
    assert message["text"].count("<@") == 1


async def test_the_question_is_shared_with_no_link_under_another_name_and_calls_nobody(team: Team) -> None:
    private = await answer(team, f"what is [our wiki]({PLANTED}) @channel")
    await press(team, private, SHARE)
    await told(team, WORDS.say("share_done"))
    text = public(team)[0]["text"]
    assert f"> what is our wiki ({PLANTED}) @\u2060channel\n" in text


async def test_a_long_answer_is_shared_in_several_messages(store_url: str, transport: Transport) -> None:
    text = "\n\n".join(f"Paragraph {number}. " + "w" * 500 for number in range(60))
    assert len(text) > 2 * MARKDOWN_CHARACTERS
    async with (
        ScriptedEngine(Script(text=text)) as engine,
        running_team(store_url, engine.url, transport, max_tokens=1000) as team,
    ):
        private = await answer(team, "a long one")
        await press(team, private, SHARE)
        await told(team, WORDS.say("share_done"))
        root = public(team)[0]
        thread = team.thread(root["ts"])
        assert len(thread) > 2
        said = "".join(message["text"] for message in thread)
        assert all(f"Paragraph {number}." in said for number in range(60))


@pytest.mark.parametrize(("fault", "key"), [("restricted_action", "share_refused"), ("ratelimited", "share_later")])
async def test_a_slack_that_fails_is_said_and_the_button_works_again(
    faults: Faults, team: Team, fault: str, key: str
) -> None:
    private = await answer(team, "capital of France?")
    faults.next("chat.postMessage", fault)
    await press(team, private, SHARE)
    await told(team, WORDS.say(key))
    await press(team, private, SHARE)
    await told(team, WORDS.say("share_done"))


async def test_private_answers_are_sealed(team: Team, redis: Redis) -> None:
    await answer(team, "capital of France?")
    await until(lambda: bool(team.workspace.delivery.delivered))
    keys = [key async for key in redis.scan_iter("*")]
    stored = [await redis.dump(key) for key in keys]
    assert stored
    assert not any(b"France" in (value or b"") for value in stored)
