"""The way of an answer, with a scripted engine that shows what it was asked."""

import pytest
from slack_sdk.web.async_client import AsyncWebClient

from bot.local.workspace import Workspace
from bot.words import Words
from tests.engine_dialects import Messages
from tests.scenarios.conftest import SYSTEM_PROMPT, Transport, running_team, until
from tests.scripted_engine import Script, ScriptedEngine

WORDS = Words()


def last(messages: Messages) -> str:
    return messages[-1]["content"]


async def test_a_mention_is_answered_in_its_thread(store_url: str, transport: Transport) -> None:
    async with (
        ScriptedEngine(Script(text="It is **four**.")) as engine,
        running_team(store_url, engine.url, transport) as team,
    ):
        root = await team.say("asha", "@dolly what is 2 + 2, if 1 < 2 & 3 > 2?")
        assert await team.answered(root) == ["It is **four**."]
        (request,) = engine.requests
        assert [message["role"] for message in request.messages] == ["system", "user"]
        assert request.messages[0]["content"] == SYSTEM_PROMPT
        assert last(request.messages) == "what is 2 + 2, if 1 < 2 & 3 > 2?"


async def test_a_direct_message_is_answered_in_a_thread_and_says_so_once(store_url: str, transport: Transport) -> None:
    async with ScriptedEngine(Script(text="Hi.")) as engine, running_team(store_url, engine.url, transport) as team:
        place = team.direct("ben")
        first = await team.say("ben", "hello", channel=place)
        assert await team.answered(first, channel=place) == ["Hi.\n\n" + WORDS.say("thread_hint")]
        second = await team.say("ben", "hello again", channel=place)
        assert await team.answered(second, channel=place) == ["Hi."]
        assert len(engine.requests[-1].messages) == 2, "another message, another conversation"


async def test_a_follow_up_has_the_earlier_turn_in_its_prompt(store_url: str, transport: Transport) -> None:
    async with (
        ScriptedEngine(Script(text=lambda messages: f"You said: {messages[1]['content']}")) as engine,
        running_team(store_url, engine.url, transport) as team,
    ):
        root = await team.say("asha", "@dolly my name is Asha")
        await team.answered(root)
        await team.say("asha", "@dolly what is my name?", thread=root)
        assert (await team.answered(root, 2))[1] == "You said: my name is Asha"
        place = team.direct("asha")
        other = await team.say("asha", "who am I?", channel=place)
        await team.answered(other, channel=place)
        assert "my name" not in str(engine.requests[-1].messages), "other threads know nothing of it"
        await team.say("asha", "and now?", channel=place, thread=other)
        await team.answered(other, 2, channel=place)
        assert [m["content"] for m in engine.requests[-1].messages[1::2]] == ["who am I?", "and now?"]


async def test_a_mention_in_a_thread_that_dolly_has_not_seen_brings_its_messages(
    store_url: str, transport: Transport
) -> None:
    async with ScriptedEngine(Script(text="Noon.")) as engine, running_team(store_url, engine.url, transport) as team:
        root = await team.say("asha", "The launch is on Friday")
        await team.say("ben", "at noon, says @chen", thread=root)
        await team.say("chen", "@dolly when is the launch?", thread=root)
        await team.say("chen", "not part of the question", thread=root)
        await team.answered(root)
        asked = last(engine.requests[0].messages)
        assert "asha: The launch is on Friday\nben: at noon, says @chen\n" in asked
        assert asked.endswith("when is the launch?")
        assert "not part" not in asked


async def test_people_who_are_mentioned_in_a_question_have_names(store_url: str) -> None:
    async with ScriptedEngine() as engine, running_team(store_url, engine.url) as team:
        root = await team.say("asha", "@dolly what did @ben and @chen say? write to a@U0NOBODY.example")
        await team.answered(root)
        assert last(engine.requests[0].messages) == "what did @ben and @chen say? write to a@U0NOBODY.example"


async def test_two_people_in_two_threads_are_answered_at_once(store_url: str) -> None:
    script = Script(text=lambda messages: f"echo {last(messages)}", tokens_per_second=20)
    async with ScriptedEngine(script) as engine, running_team(store_url, engine.url) as team:
        asha = await team.say("asha", "@dolly alpha beta gamma delta epsilon zeta")
        ben = await team.say("ben", "@dolly one two three four five six")
        await until(lambda: len(engine.requests) == 2)
        assert not any(request.finished for request in engine.requests), "side by side"
        assert await team.answered(asha) == ["echo alpha beta gamma delta epsilon zeta"]
        assert await team.answered(ben) == ["echo one two three four five six"]


async def test_no_answer_comes_from_another_one(store_url: str) -> None:
    """The same words in two threads are two questions to the engine, each with its own thread's words alone."""
    async with ScriptedEngine() as engine, running_team(store_url, engine.url) as team:
        for person in ("asha", "ben"):
            await team.answered(await team.say(person, "@dolly what is it?"))
        first, second = engine.requests
        assert first.messages == second.messages
        assert len(second.messages) == 2, "the system's and the question: nothing of the other thread"


async def test_one_message_is_answered_once_although_slack_tells_of_it_twice(
    store_url: str, transport: Transport
) -> None:
    """A mention comes as `app_mention` and as `message`; here both come twice."""
    async with ScriptedEngine() as engine, running_team(store_url, engine.url, transport) as team:
        root = await team.say("asha", "@dolly hello")
        await team.answered(root)
        mine = [e.payload for e in team.workspace.delivery.delivered if e.payload.get("event", {}).get("ts") == root]
        assert {payload["event"]["type"] for payload in mine} == {"app_mention", "message"}
        for payload in mine:
            team.workspace.delivery.event({**payload, "event_id": payload["event_id"] + "again"})
        await until(lambda: team.workspace.delivery.pending() == 0)
        assert len(engine.requests) == 1
        assert len(team.answers(root)) == 1


async def test_a_thread_is_answered_in_order(store_url: str) -> None:
    script = Script(text=lambda messages: f"re: {last(messages)}", tokens_per_second=100)
    async with ScriptedEngine(script) as engine, running_team(store_url, engine.url) as team:
        root = await team.say("asha", "@dolly one")
        for word in ("two", "three"):
            await team.say("asha", f"@dolly {word}", thread=root)
        assert await team.answered(root, 3) == ["re: one", "re: two", "re: three"]


async def test_the_answer_is_streamed_while_it_is_written(store_url: str, transport: Transport) -> None:
    script = Script(text="word " * 20, tokens_per_second=20)
    async with ScriptedEngine(script) as engine, running_team(store_url, engine.url, transport) as team:
        root = await team.say("asha", "@dolly hello")
        await until(lambda: bool(team.answers(root)))
        assert not engine.requests[0].finished
        seen = len(team.answers(root)[0])
        await until(lambda: len(team.answers(root)[0]) > seen)
        assert not engine.requests[0].finished
        assert (await team.answered(root))[0].strip() == ("word " * 20).strip()


async def test_thinking_is_shown_until_the_first_word(store_url: str, transport: Transport) -> None:
    async with (
        ScriptedEngine(Script(first_token_seconds=0.3)) as engine,
        running_team(store_url, engine.url, transport) as team,
    ):
        statuses: list[str] = []
        team.workspace.changes.subscribe(
            lambda change: statuses.append(change.detail["status"]) if change.kind == "status" else None
        )
        root = await team.say("asha", "@dolly hello")
        await until(lambda: bool(statuses))
        assert statuses[0] == WORDS.say("thinking")
        assert team.answers(root) == []
        await team.answered(root)
        assert not team.workspace.timeline.status(team.channel("general"), root)


async def test_stop_ends_the_text_and_frees_the_engine(store_url: str, transport: Transport) -> None:
    script = Script(text="word " * 55, tokens_per_second=10)
    async with ScriptedEngine(script) as engine, running_team(store_url, engine.url, transport) as team:
        root = await team.say("asha", "@dolly hello")
        await until(lambda: bool(team.answers(root)))
        await team.workspace.people.stop(team.person("asha"), team.channel("general"), root)
        text = team.answers(root)[0]
        await until(lambda: engine.requests[0].ended.is_set())
        assert not engine.requests[0].finished
        assert len(team.answers(root)) == 1
        assert team.answers(root)[0] in (text, f"{text}\n\n{WORDS.say('stopped')}")
        await team.say("asha", "@dolly again", thread=root)
        await until(lambda: len(engine.requests) == 2)


async def test_stop_before_the_first_word(store_url: str, transport: Transport) -> None:
    async with (
        ScriptedEngine(Script(first_token_seconds=30)) as engine,
        running_team(store_url, engine.url, transport) as team,
    ):
        root = await team.say("asha", "@dolly hello")
        await engine.asked.wait()
        await team.workspace.people.stop(team.person("asha"), team.channel("general"), root)
        assert await team.answered(root) == [WORDS.say("stopped")]
        assert engine.requests[0].ended.is_set()


async def test_a_slash_question_is_answered_to_its_asker_alone(store_url: str, transport: Transport) -> None:
    async with ScriptedEngine(Script(text="Paris.")) as engine, running_team(store_url, engine.url, transport) as team:
        asha, general = team.person("asha"), team.channel("general")
        await team.workspace.people.command(asha, general, "/dolly", "capital of France?")
        await until(lambda: "Paris." in str(team.workspace.timeline.ephemerals(general, asha)))
        assert last(engine.requests[0].messages) == "capital of France?"
        assert not team.workspace.timeline.ephemerals(general, team.person("ben"))


async def test_slash_help_says_what_dolly_does(store_url: str, transport: Transport) -> None:
    async with ScriptedEngine() as engine, running_team(store_url, engine.url, transport) as team:
        asha, general = team.person("asha"), team.channel("general")
        for text in ("", "help"):
            await team.workspace.people.command(asha, general, "/dolly", text)
        shown = team.workspace.timeline.ephemerals(general, asha)
        assert [WORDS.say("command_help", mention=f"<@{team.bot_id}>")] * 2 == [message["text"] for message in shown]


async def test_the_home_tab_is_drawn(store_url: str) -> None:
    async with ScriptedEngine() as engine, running_team(store_url, engine.url) as team:
        await team.workspace.people.open_home(team.person("asha"))
        await until(lambda: team.workspace.timeline.home(team.person("asha")) is not None)
        assert WORDS.say("home_title") in str(team.workspace.timeline.home(team.person("asha")))


async def test_yesterdays_thread_goes_on_after_a_restart(store_url: str, tmp_path: "pytest.TempPathFactory") -> None:
    """Workspace, bot and memory are all started anew."""
    async with ScriptedEngine(Script(text=lambda messages: f"{len(messages)} messages")) as engine:
        for turn in (1, 2):
            workspace = Workspace(tmp_path / "workspace.sqlite3")  # type: ignore[operator]
            await workspace.start()
            async with running_team(store_url, engine.url, workspace=workspace) as team:
                if turn == 1:
                    root = await team.say("asha", "@dolly one")
                else:
                    await team.say("asha", "@dolly two", thread=root)
                answers = await team.answered(root, turn)
            await workspace.stop()
        assert answers == ["2 messages", "4 messages"]


async def test_other_bots_are_not_answered(store_url: str) -> None:
    """Dolly's own words come back as events, and other apps may mention Dolly: neither starts an answer."""
    async with ScriptedEngine() as engine, running_team(store_url, engine.url) as team:
        client = AsyncWebClient(token=team.workspace.identity.bot_token, base_url=team.workspace.api_url)
        await client.chat_postMessage(channel=team.channel("general"), text=f"<@{team.bot_id}> talking to myself")
        foreign = {"type": "app_mention", "channel": team.channel("general"), "ts": "1790000000.000100", "text": "hi"}
        for extra in (
            {"user": "U0OTHERBOT1", "bot_id": "B0OTHERBOT1"},
            {"bot_id": "B0OTHERBOT1", "subtype": "bot_message"},
        ):
            envelope = team.workspace.delivery.delivered[0].payload
            team.workspace.delivery.event({**envelope, "event_id": f"Ev{len(extra)}", "event": {**foreign, **extra}})
        await until(lambda: team.workspace.delivery.pending() == 0)
        root = await team.say("asha", "@dolly hello")
        await team.answered(root)
        assert len(engine.requests) == 1


async def test_what_is_written_is_seen_although_the_engine_pauses(store_url: str) -> None:
    script = Script(text="one two three four five six", end="hang", after=5)
    async with ScriptedEngine(script) as engine, running_team(store_url, engine.url) as team:
        root = await team.say("asha", "@dolly count")
        await until(lambda: team.answers(root) == ["one two three four five"], seconds=5)


@pytest.mark.parametrize("end", ["stop", "too long", "engine away", "answered"])
async def test_whatever_the_end_nothing_is_shown_as_under_way(store_url: str, end: str) -> None:
    script = Script(text="word " * 20, tokens_per_second=20)
    async with ScriptedEngine(script) as engine, running_team(store_url, engine.url) as team:
        if end == "engine away":
            await engine.stop()
        root = await team.say("asha", "@dolly hello " + ("word " * 3_900 if end == "too long" else ""))
        if end == "stop":
            await until(lambda: bool(team.answers(root)))
            await team.workspace.people.stop(team.person("asha"), team.channel("general"), root)
        await team.answered(root)
        await until(lambda: team.workspace.timeline.session(team.channel("general"), root) != "processing")
        assert not team.workspace.timeline.open_streams(team.channel("general"), root)


async def test_a_dolly_that_is_stopped_leaves_no_half_answer_open(store_url: str) -> None:
    workspace = Workspace()
    await workspace.start()
    script = Script(text="word " * 55, tokens_per_second=5)
    async with ScriptedEngine(script) as engine:
        async with running_team(store_url, engine.url, workspace=workspace) as team:
            root = await team.say("asha", "@dolly hello")
            await until(lambda: bool(team.answers(root)))
        assert not workspace.timeline.open_streams(team.channel("general"), root)
        engine.script = Script(text="The whole answer.")
        async with running_team(store_url, engine.url, workspace=workspace) as team:
            await until(lambda: team.answers(root) == ["The whole answer."])
    await workspace.stop()
