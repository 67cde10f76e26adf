"""Dolly is told to stop while it answers, alone or beside another replica: nothing is lost or written twice."""

import asyncio

from bot.access import Bounds
from bot.local.workspace import Workspace
from tests.scenarios.conftest import Transport, running_team, until
from tests.scripted_engine import Script, ScriptedEngine

SLOW = Script(text="one two three four five six seven eight", tokens_per_second=10)
PATIENT = Bounds(finish_seconds=10)


async def test_a_running_answer_is_finished_and_what_waits_is_left_to_the_next(
    store_url: str, transport: Transport
) -> None:
    workspace = Workspace()
    await workspace.start()
    async with ScriptedEngine(SLOW) as engine:
        one_at_a_time = Bounds(finish_seconds=10, concurrent_answers=1)
        async with running_team(store_url, engine.url, transport, workspace=workspace, bounds=one_at_a_time) as team:
            first = await team.say("asha", "@dolly count")
            await asyncio.wait_for(engine.asked.wait(), 10)
            second = await team.say("asha", "@dolly count too")
            await until(lambda: workspace.delivery.pending() == 0)
        assert team.answers(first) == ["one two three four five six seven eight"]
        assert team.answers(second) == []
        async with running_team(store_url, engine.url, transport, workspace=workspace) as team:
            assert await team.answered(second) == ["one two three four five six seven eight"]
        assert len(team.answers(first)) == 1
    await workspace.stop()


async def test_a_replica_that_stops_at_once_hands_its_answers_over(store_url: str) -> None:
    workspace = Workspace()
    await workspace.start()
    async with (
        ScriptedEngine(SLOW) as engine,
        running_team(store_url, engine.url, workspace=workspace, bounds=Bounds(finish_seconds=0)) as team,
    ):
        asked = await team.say("asha", "@dolly count")
        await until(lambda: bool(team.answers(asked)))
        async with running_team(store_url, engine.url, workspace=workspace, bounds=PATIENT):
            team.service.answering.cancel()  # as the end of the first replica does
            await until(lambda: team.answers(asked) == ["one two three four five six seven eight"], seconds=20)
    await workspace.stop()
