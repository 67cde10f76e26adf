"""Every message that was received is answered, or visibly refused, once: also where Slack is away, or Dolly dies."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from prometheus_client import Counter
from redis.asyncio import Redis

from bot import metrics
from bot.access import Bounds
from bot.local.workspace import Workspace
from bot.words import Words
from tests.engine_dialects import Messages
from tests.scenarios.conftest import Team, Transport, running_team, until
from tests.scenarios.faults import Answer, Faults
from tests.scenarios.signed import command, event_callback
from tests.scripted_engine import Script, ScriptedEngine

WORDS = Words()
WAITING = "dolly:*:mailbox:*"


@pytest.fixture
async def workspace(faults: Faults) -> AsyncIterator[Workspace]:
    workspace = Workspace()
    await workspace.start()
    yield workspace
    await workspace.stop()


def echo(messages: Messages) -> str:
    return f"re: {messages[-1]['content']}"


def told(team: Team, name: str) -> list[str]:
    """What only `name` reads in #general."""
    return [m["text"] for m in team.workspace.timeline.ephemerals(team.channel("general"), team.person(name))]


async def all_ended(redis: Redis) -> None:
    async with asyncio.timeout(10):
        while await redis.keys(WAITING):
            await asyncio.sleep(0.01)


# --- refusals -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["cut", 503, "internal_error"])
async def test_who_is_over_a_quota_is_told_when_slack_is_there_again(
    store_url: str, redis: Redis, workspace: Workspace, faults: Faults, fault: Answer
) -> None:
    faults.always("chat.postEphemeral", fault)
    async with (
        ScriptedEngine(Script(text=echo)) as engine,
        running_team(store_url, engine.url, workspace=workspace, bounds=Bounds(questions_per_minute=1)) as team,
    ):
        await team.answered(await team.say("ben", "@dolly one"))
        refused = await team.say("ben", "@dolly two")
        await until(lambda: faults.calls["chat.postEphemeral"] >= 3)
        assert told(team, "ben") == []
        faults.none()
        await until(lambda: bool(told(team, "ben")))
        await all_ended(redis)
        (sentence,) = told(team, "ben")
        assert "You can ask again at" in sentence
        assert (team.answers(refused), len(engine.requests)) == ([], 1)


async def test_a_refusal_that_slack_does_not_take_at_all_ends_the_turn(
    store_url: str, redis: Redis, workspace: Workspace, faults: Faults
) -> None:
    faults.always("chat.postEphemeral", "user_not_in_channel")
    async with (
        ScriptedEngine(Script(text=echo)) as engine,
        running_team(store_url, engine.url, workspace=workspace, bounds=Bounds(questions_per_minute=1)) as team,
    ):
        await team.answered(await team.say("ben", "@dolly one"))
        refused = await team.say("ben", "@dolly two")
        await until(lambda: faults.calls["chat.postEphemeral"] == 1)
        await all_ended(redis)
        assert (team.answers(refused), len(engine.requests)) == ([], 1)


async def test_what_was_too_long_is_told_by_the_dolly_that_starts_next(
    store_url: str, transport: Transport, redis: Redis, workspace: Workspace, faults: Faults
) -> None:
    faults.always("chat.postEphemeral", 503)
    async with ScriptedEngine(Script(text=echo)) as engine:
        async with running_team(store_url, engine.url, transport, workspace=workspace) as team:
            root = await team.say("asha", "@dolly " + "long words " * 2500)
            await until(lambda: faults.calls["chat.postEphemeral"] >= 1)
        faults.none()
        async with running_team(store_url, engine.url, transport, workspace=workspace) as team:
            await until(lambda: bool(told(team, "asha")))
            await all_ended(redis)
            assert told(team, "asha") == [WORDS.say("question_too_long")]
            assert (team.answers(root), engine.requests) == ([], [])


async def test_of_many_that_are_too_many_one_is_told_while_slack_is_away(
    store_url: str, redis: Redis, workspace: Workspace, faults: Faults
) -> None:
    faults.always("chat.postEphemeral", 503)
    async with (
        ScriptedEngine(Script(text=echo, first_token_seconds=1.5)) as engine,
        running_team(store_url, engine.url, workspace=workspace, bounds=Bounds(waiting_per_user=2)) as team,
    ):
        roots = []
        for number in range(6):
            roots.append(await team.say("asha", f"@dolly {number}"))
            await until(lambda: workspace.delivery.pending() == 0)
        assert len(await redis.keys("dolly:*:job:*")) == 3
        for root in roots[:2]:
            await team.answered(root)
        faults.none()
        await until(lambda: bool(told(team, "asha")))
        await all_ended(redis)
        assert told(team, "asha") == [WORDS.say("too_many_waiting")]
        assert [team.answers(root) for root in roots[2:]] == [[]] * 4
        assert len(engine.requests) == 2


# --- commands -------------------------------------------------------------------------------------------------------


class ResponseUrl:
    """Where Slack takes answers to a command; away until it is started."""

    def __init__(self, port: int) -> None:
        self.posts: list[str] = []
        self.url = f"http://127.0.0.1:{port}/"
        application = web.Application()
        application.router.add_post("/", self._take)
        self._port = port
        self._runner = web.AppRunner(application)

    async def start(self) -> None:
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._port).start()

    async def stop(self) -> None:
        await self._runner.cleanup()

    async def _take(self, request: web.Request) -> web.Response:
        self.posts.append((await request.json())["text"])
        return web.Response(text="ok")


@pytest.fixture
async def response_url(unused_tcp_port: int) -> AsyncIterator[ResponseUrl]:
    response_url = ResponseUrl(unused_tcp_port)
    yield response_url
    await response_url.stop()


async def test_a_command_that_is_delivered_again_is_answered_once(
    store_url: str, transport: Transport, redis: Redis, workspace: Workspace, response_url: ResponseUrl
) -> None:
    await response_url.start()
    async with (
        ScriptedEngine(Script(text=echo)) as engine,
        running_team(store_url, engine.url, transport, workspace=workspace) as team,
    ):
        first = command(team, text="one", response_url=response_url.url)
        other = {**first, "trigger_id": "1.2.other"}
        acks = [await workspace.delivery.ask("slash_commands", payload) for payload in (first, first, other)]
        assert [ack["text"] for ack in acks] == [WORDS.say("command_taken", question="one")] * 3
        await until(lambda: len(response_url.posts) == 2)
        await workspace.delivery.ask("slash_commands", first)  # after its answer
        await all_ended(redis)
        assert response_url.posts == ["re: one"] * 2
        assert len(engine.requests) == 2


async def test_a_command_that_was_refused_and_comes_again_is_refused_again(
    store_url: str, workspace: Workspace, response_url: ResponseUrl
) -> None:
    await response_url.start()
    async with (
        ScriptedEngine(Script(text=echo, first_token_seconds=1)) as engine,
        running_team(store_url, engine.url, workspace=workspace, bounds=Bounds(waiting_per_user=1)) as team,
    ):
        first = command(team, text="one", response_url=response_url.url)
        await workspace.delivery.ask("slash_commands", first)
        for _ in range(2):
            ack = await workspace.delivery.ask("slash_commands", {**first, "trigger_id": "1.2.other"})
            assert ack["text"] == WORDS.say("too_many_waiting")
        await until(lambda: response_url.posts == ["re: one"])


async def test_an_answer_to_a_command_waits_for_slack(
    store_url: str, redis: Redis, workspace: Workspace, response_url: ResponseUrl, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.slack.answering.slash_reply.CONNECT_RETRY_SECONDS", ())
    unknown = counted(metrics.ephemeral_unknown)
    async with (
        ScriptedEngine(Script(text=echo)) as engine,
        running_team(store_url, engine.url, workspace=workspace) as team,
    ):
        await workspace.delivery.ask("slash_commands", command(team, text="one", response_url=response_url.url))
        async with asyncio.timeout(10):
            while not [key for key in await redis.keys("dolly:*:job:*") if await redis.hexists(key, "kept")]:
                await asyncio.sleep(0.01)
        await response_url.start()
        await until(lambda: bool(response_url.posts))
        await all_ended(redis)
        assert response_url.posts == ["re: one"]
        assert len(engine.requests) == 1, "what is finished is kept, and not written again"
    assert counted(metrics.ephemeral_unknown) == unknown


async def test_an_answer_to_a_command_that_slack_takes_no_more_is_a_dead_letter(
    store_url: str, redis: Redis, workspace: Workspace, response_url: ResponseUrl, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.slack.asking.questions.RESPONSE_SECONDS", 0)
    before = [counted(metric) for metric in (metrics.ephemeral_unknown, metrics.apologies)]
    async with (
        ScriptedEngine(Script(text=echo)) as engine,
        running_team(store_url, engine.url, workspace=workspace) as team,
    ):
        await workspace.delivery.ask("slash_commands", command(team, text="one", response_url=response_url.url))
        async with asyncio.timeout(10):
            while not (letters := await redis.keys("dolly:*:letter:*")):
                await asyncio.sleep(0.01)
        assert await redis.hget(letters[0], "reason") == "expired"
    assert [counted(metric) for metric in (metrics.ephemeral_unknown, metrics.apologies)] == before


def counted(counter: Counter) -> float:
    """What a counter has counted, all of its labels together."""
    return sum(s.value for family in counter.collect() for s in family.samples if s.name.endswith("_total"))


# --- stop -----------------------------------------------------------------------------------------------------------


async def test_a_stop_that_comes_late_does_not_stop_the_next_answer(
    store_url: str, transport: Transport, workspace: Workspace
) -> None:
    async with (
        ScriptedEngine(Script(text="one two three four five six", tokens_per_second=8)) as engine,
        running_team(store_url, engine.url, transport, workspace=workspace) as team,
    ):
        root = await team.say("asha", "@dolly count")
        await until(lambda: bool(team.answers(root)))
        (first,) = [m["ts"] for m in team.thread(root) if m.get("user") == team.bot_id]
        await team.answered(root)
        pressed = {"channel": team.channel("general"), "thread_ts": root, "user": team.person("asha")}
        stop = {"type": "agent_session_stopped", **pressed, "event_ts": first, "streaming_message_ts": [first]}
        await team.say("asha", "@dolly count again", thread=root)
        await until(lambda: len(team.answers(root)) == 2)
        workspace.delivery.event(event_callback(team, stop))
        assert await team.answered(root, 2) == ["one two three four five six"] * 2
        assert len(engine.requests) == 2


async def test_a_stop_ends_the_answer_under_way(store_url: str, transport: Transport, workspace: Workspace) -> None:
    async with (
        ScriptedEngine(Script(text="one two three four five six seven", tokens_per_second=5)) as engine,
        running_team(store_url, engine.url, transport, workspace=workspace) as team,
    ):
        root = await team.say("asha", "@dolly count")
        await until(lambda: bool(engine.requests))
        await team.workspace.people.stop(team.person("asha"), team.channel("general"), root)
        await team.answered(root)
        await engine.requests[0].ended.wait()
        assert "seven" not in team.answers(root)[0]
