"""What stands around the direct message: suggestions, titles, and the older assistant pane."""

from collections.abc import AsyncIterator

import pytest

from bot.conversation import ConversationId, Turn
from bot.slack.answering.answer_messages import AnswerMessages
from bot.slack.answering.thinking import TITLE_CHARACTERS
from bot.slack.client import web_client
from bot.slack.pacing import Pacer
from bot.words import Words
from tests.bot.slack.memory_journal import Job
from tests.scenarios.conftest import Team, Transport, running_team, until
from tests.scenarios.faults import Faults
from tests.scripted_engine import Script, ScriptedEngine

WORDS, HINDI = Words(), Words("hi")


@pytest.fixture
async def engine() -> AsyncIterator[ScriptedEngine]:
    async with ScriptedEngine(Script(text="Certainly.")) as engine:
        yield engine


@pytest.fixture
async def team(store_url: str, faults: Faults, engine: ScriptedEngine, transport: Transport) -> AsyncIterator[Team]:
    async with running_team(store_url, engine.url, transport) as team:
        yield team


def prompts(team: Team, name: str, thread_ts: str | None = None) -> str:
    return str(team.workspace.timeline.prompts(team.direct(name), thread_ts))


async def test_prompts_are_suggested_in_the_persons_language_once(team: Team, faults: Faults) -> None:
    ben = team.person("ben")
    for _ in range(3):
        await team.workspace.people.open_messages_tab(ben)
    await until(lambda: all(title in prompts(team, "ben") for title in WORDS.choices("prompt_titles")))
    assert WORDS.choices("prompt_messages")[0] in prompts(team, "ben")
    assert len(WORDS.choices("prompt_titles")) <= 4
    await team.workspace.people.change(ben, locale="hi-IN")
    await team.workspace.people.open_messages_tab(ben)
    assert faults.calls["assistant.threads.setSuggestedPrompts"] == 1


async def test_a_hindi_reader_is_suggested_hindi(team: Team) -> None:
    asha = await team.workspace.people.change(team.person("asha"), locale="hi-IN")
    await team.workspace.people.open_messages_tab(asha.id)
    await until(lambda: HINDI.choices("prompt_titles")[1] in prompts(team, "asha"))


async def test_a_slack_without_prompts_hurts_nothing(team: Team, faults: Faults) -> None:
    faults.next("assistant.threads.setSuggestedPrompts", "not_agent_app")
    ben, direct = team.person("ben"), team.direct("ben")
    await team.workspace.people.open_messages_tab(ben)
    assert await team.answered(await team.say("ben", "hello", channel=direct), channel=direct)


async def test_a_direct_messages_thread_is_named_after_its_question(team: Team) -> None:
    direct = team.direct("ben")
    root = await team.say("ben", "What   do\nllamas eat? " + "Tell me all of it, please. " * 5, channel=direct)
    await team.answered(root, channel=direct)
    title = team.workspace.timeline.title(direct, root)
    assert title is not None
    assert title.startswith("What do llamas eat? Tell me")
    assert len(title) <= TITLE_CHARACTERS
    await team.say("ben", "and drink?", channel=direct, thread=root)
    await team.answered(root, 2, channel=direct)
    assert team.workspace.timeline.title(direct, root) == title


async def test_a_channels_thread_has_no_title(team: Team, faults: Faults) -> None:
    await team.answered(await team.say("ben", "@dolly what do llamas eat?"))
    assert faults.calls["assistant.threads.setTitle"] == 0


async def test_a_title_that_slack_refuses_is_no_reason_to_be_silent(team: Team, faults: Faults) -> None:
    faults.always("assistant.threads.setTitle", "not_agent_app")
    direct = team.direct("ben")
    assert await team.answered(await team.say("ben", "hello", channel=direct), channel=direct)


async def test_the_older_pane_is_greeted_suggested_to_and_answered_in(team: Team, engine: ScriptedEngine) -> None:
    ben, direct = team.person("ben"), team.direct("ben")
    root = await team.workspace.people.open_assistant(ben, looked_at_id=team.channel("general"))
    await until(lambda: WORDS.say("greeting") in str(team.thread(root, channel=direct)))
    await until(lambda: WORDS.choices("prompt_titles")[0] in prompts(team, "ben", root))
    await team.workspace.people.look_at(ben, team.channel("general"), assistant_ts=root)
    await team.workspace.people.look_at(ben, team.channel("general"))
    await team.say("ben", "what do llamas eat?", channel=direct, thread=root)
    await until(lambda: "Certainly." in str(team.thread(root, channel=direct)))
    assert "what do llamas eat?" in str(engine.requests[0].messages[-1]["content"])
    assert sum(WORDS.say("greeting") == m["text"] for m in team.thread(root, channel=direct)) == 1
    await until(lambda: all(envelope.acked for envelope in team.workspace.delivery.delivered))


async def test_a_greeting_after_a_question_is_not_taken_for_its_answer(team: Team, faults: Faults) -> None:
    """A worker that takes over looks for a message of Dolly's that nobody has written down."""
    ben, direct = team.person("ben"), team.direct("ben")
    root = await team.workspace.people.open_assistant(ben)
    await until(lambda: WORDS.say("greeting") in str(team.thread(root, channel=direct)))
    greeting = team.thread(root, channel=direct)[-1]["ts"]
    before = ConversationId(team.workspace.identity.team_id, direct, root)
    job = Job(f"{before}/{root}")
    job.shape = "stream"
    client = web_client(team.workspace.identity.bot_token, team.workspace.api_url)
    asked = Turn(before, root, ben, "what do llamas eat?", is_direct=True)
    messages = AnswerMessages(client, team.service.identity, asked, job.claim(), Pacer(scale=1e6))
    await messages.take_over()
    assert not messages.is_begun
    assert team.thread(root, channel=direct)[-1]["ts"] == greeting, "it stays"
