"""The engine fails: one plain sentence in the thread, what was written stays, and the next question is answered."""

from typing import Any

import pytest

from bot.access import Bounds
from bot.words import Words
from tests.scenarios.conftest import Transport, running_team, until
from tests.scripted_engine import Script, ScriptedEngine

WORDS = Words()
WELL = Script(text="I am well.")


@pytest.mark.parametrize(
    ("script", "limits", "written", "key"),
    [
        (Script(overloaded=True), {}, "", "engine_overloaded"),
        (Script(refusal=(503, "loading")), {}, "", "engine_overloaded"),
        (Script(refusal=(500, "<html>PLANTED PHRASE</html>")), {}, "", "engine_broke"),
        (Script(first_token_seconds=20), {"first_token_seconds": 0.3}, "", "engine_slow"),
        (
            Script(text="Once upon a time", end="hang", after=2),
            {"between_tokens_seconds": 0.3},
            "Once upon",
            "engine_slow",
        ),
        (Script(text="Once upon a time", end="error", after=2), {}, "Once upon", "engine_broke"),
        (Script(text="Once upon a time", end="cut", after=2), {}, "Once upon", "engine_broke"),
        (Script(text="Once upon a <b>time</b>", end="cut", after=7), {}, "Once upon a &lt;b&gt;time", "engine_broke"),
    ],
)
async def test_one_plain_sentence_in_the_end_and_what_was_written_stays(
    store_url: str, script: Script, limits: dict[str, Any], written: str, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.turns.RETRY_SECONDS", 0.01)
    patience = Bounds(answer_within_seconds=0)
    async with (
        ScriptedEngine(script) as engine,
        running_team(store_url, engine.url, bounds=patience, **limits) as team,
    ):
        root = await team.say("asha", "@dolly tell me a story")
        expected = "\n\n".join(part for part in (written, WORDS.say(key)) if part)
        await until(lambda: team.answers(root) == [expected], seconds=30)
        engine.script = WELL
        await team.say("asha", "@dolly are you well?", thread=root)
        assert (await team.answered(root, 2))[1] == "I am well."


async def test_an_engine_that_is_down_and_comes_back_answers_what_was_asked_meanwhile(
    store_url: str, transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.turns.NOTICE_SECONDS", 0.5)
    async with ScriptedEngine(WELL) as engine, running_team(store_url, engine.url, transport) as team:
        port = engine.port
        await engine.stop()
        root = await team.say("asha", "@dolly are you well?")
        asha, general = team.person("asha"), team.channel("general")
        await team.workspace.people.command(asha, general, "/dolly", "are you well?")
        notices = [[WORDS.say("waiting_for_engine", place=place)] for place in (1, 2)]
        await until(lambda: team.answers(root) in notices, seconds=20)
        await engine.start(port)
        await until(lambda: team.answers(root) == ["I am well."], seconds=30)  # where the notice stood
        await until(
            lambda: "I am well." in [m["text"] for m in team.workspace.timeline.ephemerals(general, asha)], seconds=30
        )


async def test_an_engine_that_breaks_once_is_asked_again_and_its_half_answer_is_replaced(store_url: str) -> None:
    async with ScriptedEngine(WELL) as engine, running_team(store_url, engine.url) as team:
        engine.then(Script(text="Once upon a time", end="cut", after=3, tokens_per_second=20))
        root = await team.say("asha", "@dolly are you well?")
        await until(lambda: team.answers(root) == ["I am well."], seconds=20)


async def test_an_engine_that_is_not_there_yet_is_no_reason_not_to_start(store_url: str) -> None:
    engine = ScriptedEngine(WELL)
    await engine.start()
    port = engine.port
    await engine.stop()
    async with running_team(store_url, engine.url) as team:
        await engine.start(port)
        root = await team.say("asha", "@dolly are you well?")
        assert await team.answered(root) == ["I am well."]
        await engine.stop()


async def test_stop_and_a_dying_engine_at_once_end_the_answer(store_url: str) -> None:
    async with ScriptedEngine(WELL) as engine, running_team(store_url, engine.url) as team:
        engine.then(Script(text="Once upon a time", end="cut", after=3, tokens_per_second=20))
        root = await team.say("asha", "@dolly tell me a story")
        await until(lambda: bool(team.answers(root)))
        (ts,) = (message["ts"] for message in team.thread(root) if message["user"] == team.bot_id)
        team.workspace.timeline.stop_by_user(team.channel("general"), ts)  # its event has not arrived yet
        await until(lambda: engine.requests[0].ended.is_set())
        await team.say("asha", "@dolly are you well?", thread=root)
        assert await team.answered(root, 2) == ["Once", "I am well."]
        assert len(engine.requests) == 2
