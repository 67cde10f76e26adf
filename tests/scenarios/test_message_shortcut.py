"""The message shortcut "Ask Dolly about this": the form, and the answer to its asker alone or in the thread."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from bot.access import AccessRules, Bounds
from bot.conversation import Turn
from bot.slack.answering.answer_blocks import REGENERATE
from bot.slack.answering.slash_reply import AGAIN, RESPONSE_SECONDS, SHARE
from bot.slack.asking.message_shortcut import ASK_ABOUT, PLACE, QUESTION, THREAD
from bot.slack.commands.forget_list import FORGET_ME
from bot.store.mailbox import Mailbox
from bot.words import Words
from tests.scenarios.conftest import Json, Team, Transport, running_team, until
from tests.scenarios.faults import Faults
from tests.scripted_engine import Script, ScriptedEngine

WORDS, HINDI = Words(), Words("hi")


@pytest.fixture
async def engine() -> AsyncIterator[ScriptedEngine]:
    async with ScriptedEngine(Script(text="It is about llamas.")) as engine:
        yield engine


@pytest.fixture
async def team(store_url: str, engine: ScriptedEngine, transport: Transport) -> AsyncIterator[Team]:
    async with running_team(store_url, engine.url, transport) as team:
        yield team


async def form(team: Team, ts: str, name: str = "asha", channel: str | None = None) -> Json:
    """Choose the shortcut in a message's menu; the form that opens."""
    person = team.person(name)
    await team.workspace.people.shortcut(person, channel or team.channel("general"), ts, ASK_ABOUT)
    view = team.workspace.timeline.top_view(person)
    assert view is not None, team.workspace.timeline.ephemerals(channel or team.channel("general"), person)
    return view


def shown(team: Team, name: str = "asha", channel: str | None = None) -> str:
    return str(team.workspace.timeline.ephemerals(channel or team.channel("general"), team.person(name)))


def prompt(engine: ScriptedEngine, number: int = -1) -> str:
    return str(engine.requests[number].messages[-1]["content"])


async def test_the_form_quotes_the_message_and_the_answer_is_private(team: Team, engine: ScriptedEngine) -> None:
    ts = await team.say("ben", "Llamas & <alpacas> spit, says <@U0CHEN00001>.")
    view = await form(team, ts)
    assert "Llamas &amp; &lt;alpacas> spit" in str(view["blocks"])
    assert f"<@{team.person('ben')}>" in str(view["blocks"])
    assert WORDS.say("about_explain") in str(view["blocks"])
    assert await team.workspace.people.fill_in(team.person("asha"), view["id"], {QUESTION: "Is it true?"}) == {}
    await until(lambda: "It is about llamas." in shown(team))
    assert "The message that is asked about, by ben: Llamas & <alpacas> spit" in prompt(engine)
    assert prompt(engine).endswith("Is it true?")
    assert WORDS.say("command_taken", question="Is it true?").splitlines()[-1] in shown(team)
    assert len(team.thread(ts)) == 1, "nobody else sees anything"
    assert "llamas" not in shown(team, "ben")


async def test_a_form_that_was_left_open_leaves_the_answer_so_much_less_time(team: Team) -> None:
    """Slack counts the half an hour of a response_url from when it gave it out, not from the question on."""
    ts = await team.say("ben", "Llamas spit.")
    view = await form(team, ts)
    opened = time.time()
    await asyncio.sleep(0.2)
    stored: list[Turn] = []
    enqueue = Mailbox.enqueue

    async def seen(mailbox: Mailbox, turn: Turn) -> bool:
        stored.append(turn)
        return await enqueue(mailbox, turn)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Mailbox, "enqueue", seen)
        await team.workspace.people.fill_in(team.person("asha"), view["id"], {})
    assert stored[0].response_until <= opened + RESPONSE_SECONDS
    await until(lambda: "It is about llamas." in shown(team))


async def test_an_engine_that_is_away_is_no_reason_to_say_a_thing_twice(
    team: Team, engine: ScriptedEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.turns.RETRY_SECONDS", 0.01)
    monkeypatch.setattr("bot.turns.LONGEST_RETRY_SECONDS", 0.05)
    engine.script = Script(refusal=(429, "overloaded"))
    view = await form(team, await team.say("ben", "Llamas spit."))
    await team.workspace.people.fill_in(team.person("asha"), view["id"], {QUESTION: "Is it true?"})
    await until(lambda: len(engine.requests) > 8)
    engine.script = Script(text="It is about llamas.")
    await until(lambda: "It is about llamas." in shown(team))
    told = team.workspace.timeline.ephemerals(team.channel("general"), team.person("asha"))
    assert len(told) == 2, "that an answer is prepared, and the answer"


async def test_the_question_is_prefilled_in_the_persons_language(team: Team, engine: ScriptedEngine) -> None:
    asha = await team.workspace.people.change(team.person("asha"), locale="hi-IN")
    ts = await team.say("ben", "Llamas spit.")
    view = await form(team, ts)
    assert HINDI.say("about_explain") in str(view["blocks"])
    await team.workspace.people.fill_in(asha.id, view["id"], {})
    await until(lambda: "It is about llamas." in shown(team))
    assert prompt(engine).endswith(HINDI.say("about_explain"))


async def test_an_answer_in_the_thread_is_streamed_for_its_askers_team(
    faults: Faults, store_url: str, transport: Transport
) -> None:
    slow, rules = (
        Script(text="It is about llamas.", tokens_per_second=20),
        AccessRules(teams=frozenset({"T0OTHER0001"})),
    )
    async with (
        ScriptedEngine(slow) as engine,
        running_team(store_url, engine.url, transport, rules=rules) as team,
    ):
        await team.workspace.people.invite("gita", team.channel("general"), team_id="T0OTHER0001")
        ts = await team.say("ben", "Llamas spit.")
        view = await form(team, ts, "gita")
        await team.workspace.people.fill_in(team.person("gita"), view["id"], {QUESTION: "Why?", PLACE: THREAD})
        await team.answered(ts)
        assert faults.sent["chat.startStream"]["recipient_team_id"] == "T0OTHER0001"


async def test_the_answer_may_go_to_the_thread(team: Team, engine: ScriptedEngine) -> None:
    root = await team.say("chen", "An animal question.")
    ts = await team.say("ben", "Llamas spit.", thread=root)
    view = await form(team, ts)
    answers = {QUESTION: "Is <!channel> true?", PLACE: THREAD}
    assert await team.workspace.people.fill_in(team.person("asha"), view["id"], answers) == {}
    (answer,) = await team.answered(root)
    assert answer.endswith("It is about llamas.")
    heading = WORDS.say("about_heading", name="@asha", question="Is &lt;!channel&gt; true?")
    assert answer.startswith(heading)
    said = prompt(engine)
    assert said.index("chen: An animal question.") < said.index("The message that is asked about, by ben: Llamas spit.")
    assert said.count("Llamas spit.") == 1
    await team.say("chen", "@dolly why?", thread=root)
    await team.answered(root, 2)
    assert "Llamas spit." in str(engine.requests[-1].messages[1]["content"]), "it is remembered in the thread"


@pytest.mark.parametrize("new", ["Another one.", ""], ids=["another", "none"])
async def test_the_question_stands_above_an_answer_that_is_asked_for_again(
    team: Team, engine: ScriptedEngine, new: str
) -> None:
    """It stands nowhere else there; also where no new answer comes, and the one before stays."""
    asha, general = team.person("asha"), team.channel("general")
    ts = await team.say("ben", "Llamas spit.")
    view = await form(team, ts)
    await team.workspace.people.fill_in(asha, view["id"], {QUESTION: "Why?", PLACE: THREAD})
    await team.answered(ts)
    engine.script = Script(text=new)
    await team.workspace.people.press(asha, general, team.thread(ts)[-1]["ts"], REGENERATE)
    shown = f"{WORDS.say('about_heading', name='@asha', question='Why?')}\n\n{new or 'It is about llamas.'}"
    closing = "" if new else "\n\n" + WORDS.say("engine_silent")
    await until(lambda: len(engine.requests) == 2 and team.answers(ts) == [shown + closing])
    assert "Llamas spit." in prompt(engine)


async def test_in_a_channel_without_dolly_the_answer_is_private_and_knows_the_message(
    team: Team, engine: ScriptedEngine
) -> None:
    asha, ben = team.person("asha"), team.person("ben")
    direct = team.workspace.timeline.direct_channel(asha, ben).id
    ts = await team.say("ben", "Only you read this: llamas.", channel=direct)
    view = await form(team, ts, channel=direct)
    assert PLACE not in str(view["blocks"])
    assert WORDS.say("about_only_private") in str(view["blocks"])
    await team.workspace.people.fill_in(asha, view["id"], {})
    await until(lambda: "It is about llamas." in shown(team, channel=direct))
    assert "by ben: Only you read this: llamas." in prompt(engine)


async def test_asked_again_the_message_is_in_the_prompt_again(team: Team, engine: ScriptedEngine) -> None:
    ts = await team.say("ben", "Llamas spit.")
    view = await form(team, ts)
    asha, general = team.person("asha"), team.channel("general")
    await team.workspace.people.fill_in(asha, view["id"], {})
    await until(lambda: AGAIN in shown(team))
    for round_ in range(2):
        engine.then(Script(text=f"New answer {round_}."))
        private = team.workspace.timeline.ephemerals(general, asha)[-1]
        await team.workspace.people.press(asha, general, private["ts"], AGAIN)
        await until(lambda number=round_: f"New answer {number}." in shown(team))  # type: ignore[misc]
        assert prompt(engine) == prompt(engine, 0)
    private = team.workspace.timeline.ephemerals(general, asha)[-1]
    await team.workspace.people.press(asha, general, private["ts"], SHARE)
    await until(lambda: "New answer 1." in str(team.workspace.timeline.history(general)[0]))
    link = f"p{ts.replace('.', '')}"
    assert link in str(team.workspace.timeline.history(general)[0]), "the message that was asked about is linked to"


async def test_attached_text_is_read(team: Team, engine: ScriptedEngine) -> None:
    ben, general = team.person("ben"), team.channel("general")
    message = await team.workspace.people.share(ben, general, [("notes.txt", b"alpacas hum")], "see here")
    view = await form(team, message["ts"])
    await team.workspace.people.fill_in(team.person("asha"), view["id"], {})
    await until(lambda: "It is about llamas." in shown(team))
    assert "alpacas hum" in prompt(engine)
    assert "see here" in prompt(engine)


async def test_who_is_forgotten_leaves_no_words_in_other_peoples_forms(team: Team, engine: ScriptedEngine) -> None:
    await team.answered(await team.say("ben", "@dolly hello"))
    ts = await team.say("ben", "Ben's own words.")
    view = await form(team, ts)
    ben, general = team.person("ben"), team.channel("general")
    await team.workspace.people.command(ben, general, "/dolly", "forget")
    listed = team.workspace.timeline.ephemerals(general, ben)[-1]
    await team.workspace.people.press(ben, general, listed["ts"], FORGET_ME)
    await until(lambda: WORDS.say("forgotten_all") in shown(team, "ben"))
    faults = await team.workspace.people.fill_in(team.person("asha"), view["id"], {})
    assert faults == {QUESTION: WORDS.say("about_gone")}
    assert len(engine.requests) == 1


async def test_a_message_without_text_is_told(team: Team) -> None:
    general, asha = team.channel("general"), team.person("asha")
    blocks = [{"type": "divider"}]
    message = team.workspace.timeline.post(general, team.bot_id, "", blocks=blocks, as_app=True)
    await team.workspace.people.shortcut(asha, general, message["ts"], ASK_ABOUT)
    await until(lambda: WORDS.say("about_empty") in shown(team))
    assert team.workspace.timeline.top_view(asha) is None


async def test_too_long_a_question_is_refused_in_the_form(
    store_url: str, engine: ScriptedEngine, transport: Transport
) -> None:
    async with running_team(store_url, engine.url, transport, bounds=Bounds(question_characters=20)) as team:
        view = await form(team, await team.say("ben", "Llamas spit."))
        faults = await team.workspace.people.fill_in(team.person("asha"), view["id"], {QUESTION: "x" * 21})
        assert faults == {QUESTION: WORDS.say("question_too_long")}
