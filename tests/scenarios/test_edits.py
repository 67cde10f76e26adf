"""People edit and delete what they wrote: answers, prompts and memory follow."""

from tests.engine_dialects import Messages
from tests.scenarios.conftest import Team, Transport, running_team, until
from tests.scripted_engine import Script, ScriptedEngine

SLOW = 8


def echo(messages: Messages) -> str:
    return f"re: {messages[-1]['content']}"


def said(engine: ScriptedEngine) -> list[str]:
    """What the engine was last asked, without the system prompt."""
    return [message["content"] for message in engine.requests[-1].messages[1:]]


async def edit(team: Team, name: str, ts: str, text: str) -> None:
    await team.workspace.people.edit(team.person(name), team.channel("general"), ts, text)
    await until(lambda: team.workspace.delivery.pending() == 0)


async def delete(team: Team, name: str, ts: str) -> None:
    await team.workspace.people.delete(team.person(name), team.channel("general"), ts)
    await until(lambda: team.workspace.delivery.pending() == 0)


async def test_memory_follows_an_edit(store_url: str, transport: Transport) -> None:
    async with ScriptedEngine(Script(text=echo)) as engine, running_team(store_url, engine.url, transport) as team:
        root = await team.say("asha", "@dolly the key is 1234")
        await team.answered(root)
        await edit(team, "asha", root, "@dolly the key is a secret")
        await until(lambda: team.answers(root) == ["re: the key is a secret"])
        await team.say("asha", "@dolly what is the key?", thread=root)
        await team.answered(root, 2)
        assert said(engine) == ["the key is a secret", "re: the key is a secret", "what is the key?"]
        assert len(engine.requests) == 3


async def test_what_is_deleted_is_forgotten(store_url: str, transport: Transport) -> None:
    async with ScriptedEngine(Script(text="Noted.")) as engine, running_team(store_url, engine.url, transport) as team:
        root = await team.say("asha", "the launch is secret")
        quoted = await team.say("ben", "it is on Friday", thread=root)
        first = await team.say("asha", "@dolly when?", thread=root)
        await team.answered(root)
        assert "Friday" in said(engine)[0]
        await delete(team, "ben", quoted)
        await team.say("asha", "@dolly and where?", thread=root)
        await team.answered(root, 2)
        assert "Friday" not in str(engine.requests[-1].messages)
        assert "when?" in said(engine)[0]
        await delete(team, "asha", first)
        await team.say("asha", "@dolly well?", thread=root)
        await team.answered(root, 3)
        assert "when?" not in str(engine.requests[-1].messages)


async def test_an_edit_while_the_answer_is_written_is_answered_instead(store_url: str, transport: Transport) -> None:
    slow = Script(text=echo, tokens_per_second=SLOW)
    async with ScriptedEngine(slow) as engine, running_team(store_url, engine.url, transport) as team:
        root = await team.say("asha", "@dolly one two three four five six seven eight nine")
        await until(lambda: bool(team.answers(root)))
        await edit(team, "asha", root, "@dolly ten")
        await until(lambda: team.answers(root) == ["re: ten"])
        await team.say("asha", "@dolly again", thread=root)
        await team.answered(root, 2)
        assert said(engine) == ["ten", "re: ten", "again"]


async def test_a_question_deleted_while_it_is_answered_leaves_nothing(store_url: str) -> None:
    slow = Script(text=echo, tokens_per_second=SLOW)
    async with ScriptedEngine(slow) as engine, running_team(store_url, engine.url) as team:
        root = await team.say("asha", "talk")
        question = await team.say("asha", "@dolly one two three four five six seven eight nine", thread=root)
        await until(lambda: bool(team.answers(root)))
        await delete(team, "asha", question)
        await until(lambda: engine.requests[0].disconnected_at is not None)
        await until(lambda: team.answers(root) == [])  # what was shown of it is taken back, and no stream stays open
        await team.say("ben", "@dolly and now?", thread=root)
        await until(lambda: len(engine.requests) == 2)
        assert "one two" not in said(engine)[-1].replace("re: one two", "")


async def test_adding_the_mention_asks_the_question(store_url: str, transport: Transport) -> None:
    async with ScriptedEngine(Script(text=echo)) as engine, running_team(store_url, engine.url, transport) as team:
        root = await team.say("asha", "who is there?")
        await edit(team, "asha", root, "@dolly who is there?")
        assert await team.answered(root) == ["re: who is there?"]
        await edit(team, "asha", root, "@dolly who was there?")
        await until(lambda: team.answers(root) == ["re: who was there?"])
        assert len(engine.requests) == 2


async def test_a_question_that_is_too_long_is_refused_to_its_author_alone(store_url: str, transport: Transport) -> None:
    async with ScriptedEngine(Script(text=echo)) as engine, running_team(store_url, engine.url, transport) as team:
        root = await team.say("asha", "@dolly " + "word " * 5000)
        ephemerals = team.workspace.timeline.ephemerals
        await until(lambda: bool(ephemerals(team.channel("general"), team.person("asha"))))
        await until(lambda: team.workspace.delivery.pending() == 0)
        assert len(ephemerals(team.channel("general"), team.person("asha"))) == 1
        assert team.answers(root) == []
        assert engine.requests == []
