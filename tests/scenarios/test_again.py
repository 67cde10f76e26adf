"""Stop, Regenerate, and questions that are edited after they were answered: in the place where the answer stands."""

import asyncio
import time
from typing import Any

import pytest

from bot.slack.answering.answer_blocks import REGENERATE, STOP
from tests.engine_dialects import Messages
from tests.scenarios.conftest import Team, Transport, running_team, until
from tests.scenarios.faults import Faults
from tests.scripted_engine import Script, ScriptedEngine

LONG = " ".join(f"word{number}" for number in range(400))
SLOW = Script(text=LONG, tokens_per_second=20)


def echo(messages: Messages) -> str:
    return f"re: {messages[-1]['content']}"


def said(engine: ScriptedEngine) -> list[str]:
    """What the engine was last asked, without the system prompt."""
    return [message["content"] for message in engine.requests[-1].messages[1:]]


def buttons(message: dict[str, Any]) -> list[str]:
    """The buttons under a message, by their actions."""
    rows = [block["elements"] for block in message.get("blocks", []) if block["type"] == "actions"]
    return [element["action_id"] for row in rows for element in row]


def own(team: Team, root: str, channel: str | None = None) -> list[dict[str, Any]]:
    return [message for message in team.thread(root, channel=channel) if message.get("user") == team.bot_id]


async def begun(team: Team, root: str, engine: ScriptedEngine) -> dict[str, Any]:
    """The message of an answer that has begun to grow."""
    await until(lambda: any("word3" in text for text in team.answers(root)))
    assert engine.requests[-1].disconnected_at is None
    return own(team, root)[0]


async def has_stopped(team: Team, root: str, engine: ScriptedEngine, since: float) -> None:
    """The engine writes no more, at once; nothing is added to what stands there, and that it was stopped is said."""
    await until(lambda: engine.requests[-1].disconnected_at is not None)
    at = engine.requests[-1].disconnected_at
    assert at is not None
    assert at - since < 1
    await until(lambda: "Stopped." in team.answers(root)[0])
    stands = team.answers(root)
    assert len(stands) == 1
    await asyncio.sleep(0.2)
    assert team.answers(root) == stands
    assert STOP not in buttons(own(team, root)[0])


@pytest.fixture
def no_streams(faults: Faults) -> None:
    faults.always("chat.startStream", "unknown_method")


@pytest.mark.parametrize("emoji", ["octagonal_sign", "black_square_for_stop"])
@pytest.mark.parametrize("on", ["question", "answer"])
async def test_a_stop_sign_on_the_question_or_the_answer_stops_it(
    store_url: str, transport: Transport, emoji: str, on: str
) -> None:
    async with ScriptedEngine(SLOW) as engine, running_team(store_url, engine.url, transport) as team:
        root = await team.say("asha", "@dolly tell me")
        answer = await begun(team, root, engine)
        since, general = time.monotonic(), team.channel("general")
        await team.workspace.people.react(
            team.person("ben"), general, root if on == "question" else answer["ts"], emoji
        )
        await has_stopped(team, root, engine, since)


async def test_another_emoji_stops_nothing(store_url: str) -> None:
    quick = Script(text=LONG, tokens_per_second=200)
    async with ScriptedEngine(quick) as engine, running_team(store_url, engine.url, max_tokens=1000) as team:
        root = await team.say("asha", "@dolly tell me")
        await begun(team, root, engine)
        await team.workspace.people.react(team.person("ben"), team.channel("general"), root, "heart")
        assert await team.answered(root) == [LONG]


async def test_the_stop_button_stands_under_an_answer_that_grows_in_place(
    store_url: str, transport: Transport, no_streams: None
) -> None:
    async with ScriptedEngine(SLOW) as engine, running_team(store_url, engine.url, transport) as team:
        root = await team.say("asha", "@dolly tell me")
        answer = await begun(team, root, engine)
        assert buttons(answer) == [STOP]
        since, general = time.monotonic(), team.channel("general")
        await team.workspace.people.press(team.person("ben"), general, answer["ts"], STOP)
        await has_stopped(team, root, engine, since)
        assert buttons(own(team, root)[0]) == [REGENERATE]
        await team.say("asha", "@dolly go on", thread=root)
        await until(lambda: len(engine.requests) == 2)
        assert said(engine)[1].startswith("word0 word1"), "what was shown is remembered"


async def test_a_late_stop_ends_nothing(store_url: str, transport: Transport) -> None:
    async with (
        ScriptedEngine(Script(text=echo)) as engine,
        running_team(store_url, engine.url, transport, max_tokens=1000) as team,
    ):
        root = await team.say("asha", "@dolly one")
        await team.answered(root)
        engine.script = Script(text=LONG, tokens_per_second=200)
        await team.say("asha", "@dolly two", thread=root)
        await until(lambda: len(engine.requests) == 2)
        general = team.channel("general")
        await team.workspace.people.react(team.person("ben"), general, root, "octagonal_sign")
        await team.workspace.people.react(team.person("ben"), general, own(team, root)[0]["ts"], "octagonal_sign")
        assert await team.answered(root, 2) == ["re: one", LONG]


async def test_a_question_is_answered_again_in_the_same_place(store_url: str, transport: Transport) -> None:
    async with ScriptedEngine(Script(text=echo)) as engine, running_team(store_url, engine.url, transport) as team:
        root = await team.say("asha", "@dolly one")
        await team.answered(root)
        await team.say("asha", "@dolly two", thread=root)
        await team.answered(root, 2)
        first, second = own(team, root)
        assert buttons(first) == buttons(second) == [REGENERATE]
        engine.script = Script(text="Another answer.")
        await team.workspace.people.press(team.person("asha"), team.channel("general"), first["ts"], REGENERATE)
        await until(lambda: team.answers(root) == ["Another answer.", "re: two"])
        await until(lambda: buttons(own(team, root)[0]) == [REGENERATE])
        assert [message["ts"] for message in own(team, root)] == [first["ts"], second["ts"]]
        assert said(engine) == ["one"], "what was said since is no part of it"
        await team.say("asha", "@dolly three", thread=root)
        await team.answered(root, 3)
        assert said(engine) == ["one", "Another answer.", "two", "re: two", "three"]


@pytest.mark.parametrize("how", ["button", "edit"])
async def test_a_new_answer_that_needs_fewer_messages_is_remembered(store_url: str, how: str) -> None:
    """Slack tells of the message that goes before the new answer is committed."""
    paragraphs = "\n\n".join(" ".join(f"word{n}" for n in range(at, at + 100)) for at in range(0, 2500, 100))
    async with (
        ScriptedEngine(Script(text=paragraphs), window_tokens=30_000) as engine,
        running_team(store_url, engine.url, max_tokens=8000) as team,
    ):
        general, asha = team.channel("general"), team.person("asha")
        root = await team.say("asha", "@dolly one")
        await until(lambda: len(own(team, root)) == 2 and buttons(own(team, root)[-1]) == [REGENERATE])
        engine.script, engine.counting_seconds = Script(text="A short one."), 0.1
        if how == "button":
            await team.workspace.people.press(asha, general, own(team, root)[-1]["ts"], REGENERATE)
        else:
            await team.workspace.people.edit(asha, general, root, "@dolly one, shortly")
        await until(lambda: team.answers(root) == ["A short one."])
        engine.counting_seconds = 0
        await team.say("asha", "@dolly two", thread=root)
        await team.answered(root, 2)
        assert said(engine)[1:] == ["A short one.", "two"]


async def test_only_who_asked_and_admins_may_have_it_answered_again(store_url: str, transport: Transport) -> None:
    async with ScriptedEngine(Script(text=echo)) as engine, running_team(store_url, engine.url, transport) as team:
        general, ben = team.channel("general"), team.person("ben")
        root = await team.say("chen", "@dolly one")
        await team.answered(root)
        (answer,) = own(team, root)
        await team.workspace.people.press(ben, general, answer["ts"], REGENERATE)
        await until(lambda: bool(team.workspace.timeline.ephemerals(general, ben)))
        assert "Only who asked" in team.workspace.timeline.ephemerals(general, ben)[-1]["text"]
        assert len(engine.requests) == 1
        await team.workspace.people.press(team.person("asha"), general, answer["ts"], REGENERATE)
        await until(lambda: len(engine.requests) == 2)


async def test_what_is_forgotten_is_not_answered_again(store_url: str, transport: Transport) -> None:
    async with ScriptedEngine(Script(text=echo)) as engine, running_team(store_url, engine.url, transport) as team:
        general, asha = team.channel("general"), team.person("asha")
        root = await team.say("asha", "@dolly one")
        await team.answered(root)
        (answer,) = own(team, root)
        link = f"https://x.slack.com/archives/{general}/p{root.replace('.', '')}"
        await team.workspace.people.command(asha, general, "/dolly", f"forget {link}")
        told = team.workspace.timeline.ephemerals
        await until(lambda: any("I have forgotten" in each["text"] for each in told(general, asha)))
        before = len(told(general, asha))
        await team.workspace.people.press(asha, general, answer["ts"], REGENERATE)
        await until(
            lambda: any("don't remember this question" in each["text"] for each in told(general, asha)[before:])
        )
        assert len(engine.requests) == 1


async def test_a_second_click_while_it_is_written_is_none(store_url: str) -> None:
    async with ScriptedEngine(Script(text=echo)) as engine, running_team(store_url, engine.url) as team:
        general, asha = team.channel("general"), team.person("asha")
        root = await team.say("asha", "@dolly one")
        await team.answered(root)
        (answer,) = own(team, root)
        engine.script = Script(text="Another answer.", first_token_seconds=0.5)
        for _ in range(3):
            await team.workspace.people.press(asha, general, answer["ts"], REGENERATE)
        await until(lambda: team.answers(root) == ["Another answer."])
        await asyncio.sleep(0.3)
        assert len(engine.requests) == 2


async def test_stopped_before_the_first_word_of_a_new_answer_the_old_one_stays(
    store_url: str, transport: Transport
) -> None:
    async with ScriptedEngine(Script(text=echo)) as engine, running_team(store_url, engine.url, transport) as team:
        general, asha = team.channel("general"), team.person("asha")
        root = await team.say("asha", "@dolly one")
        await team.answered(root)
        (answer,) = own(team, root)
        engine.script = Script(text="Another answer.", first_token_seconds=5)
        await team.workspace.people.press(asha, general, answer["ts"], REGENERATE)
        await until(lambda: len(engine.requests) == 2)
        await team.workspace.people.react(asha, general, answer["ts"], "octagonal_sign")
        await until(lambda: team.answers(root) == ["re: one\n\n_Stopped._"])
        assert engine.requests[-1].disconnected_at is not None
        engine.script = Script(text=echo)
        await team.say("asha", "@dolly two", thread=root)
        await team.answered(root, 2)
        assert said(engine) == ["one", "re: one", "two"]


async def test_an_edited_question_is_answered_anew_in_the_same_place(store_url: str, transport: Transport) -> None:
    async with ScriptedEngine(Script(text=echo)) as engine, running_team(store_url, engine.url, transport) as team:
        general, asha = team.channel("general"), team.person("asha")
        root = await team.say("asha", "@dolly the key is 1234")
        await team.answered(root)
        follow_up = await team.say("asha", "@dolly what is the key?", thread=root)
        await team.answered(root, 2)
        places = [message["ts"] for message in own(team, root)]
        await team.workspace.people.edit(asha, general, root, "@dolly the key is a secret")
        await until(lambda: team.answers(root)[0] == "re: the key is a secret")
        assert said(engine) == ["the key is a secret"]
        await team.workspace.people.edit(asha, general, follow_up, "@dolly which key?")
        await until(lambda: team.answers(root)[1] == "re: which key?")
        assert said(engine) == ["the key is a secret", "re: the key is a secret", "which key?"]
        assert [message["ts"] for message in own(team, root)] == places
        assert len(engine.requests) == 4


async def test_a_second_edit_begins_the_new_answer_again(store_url: str, transport: Transport) -> None:
    async with ScriptedEngine(Script(text=echo)) as engine, running_team(store_url, engine.url, transport) as team:
        general, asha = team.channel("general"), team.person("asha")
        root = await team.say("asha", "@dolly one")
        await team.answered(root)
        engine.script = Script(text=echo, tokens_per_second=8)
        await team.workspace.people.edit(asha, general, root, "@dolly two three four five six seven eight nine ten")
        await until(lambda: "two three" in team.answers(root)[0])
        engine.script = Script(text=echo)
        await team.workspace.people.edit(asha, general, root, "@dolly eleven")
        await until(lambda: team.answers(root) == ["re: eleven"])
        await team.say("asha", "@dolly twelve", thread=root)
        await team.answered(root, 2)
        assert said(engine) == ["eleven", "re: eleven", "twelve"]
