"""Slack fails in all its ways: no question is lost, no answer is cut, and nothing goes on for ever."""

import asyncio
import io
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
from redis.asyncio import Redis

from bot.local.workspace import Workspace
from bot.local.workspace.clock import ManualClock
from bot.local.workspace.delivery.envelopes import DisconnectReason
from bot.slack.mrkdwn import unescape
from bot.slack.pacing import Pacer
from bot.words import Words
from tests.engine_dialects import Messages
from tests.scenarios.conftest import Transport, running_team, until
from tests.scenarios.faults import Answer, Faults
from tests.scripted_engine import Script, ScriptedEngine

WORDS = Words()
COUNTING = " ".join(str(number) for number in range(60))
WHOLE = Script(text=COUNTING)
WAITING = "dolly:*:mailbox:*"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(
        time.time() + 60
    )  # what is asked is younger than Dolly: no answer of an earlier one is looked for


@pytest.fixture
async def workspace(clock: ManualClock, faults: Faults) -> AsyncIterator[Workspace]:
    workspace = Workspace(clock=clock)
    await workspace.start()
    yield workspace
    await workspace.stop()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every delta is an append of its own."""
    monkeypatch.setattr("bot.service.Pacer", lambda shared, scale: Pacer(scale=1e6))


def echo(messages: Messages) -> str:
    return f"re: {messages[-1]['content'].splitlines()[-1]}"


async def redelivered(workspace: Workspace, clock: ManualClock) -> None:
    """Turn the clock until the workspace has nothing left to deliver."""
    async with asyncio.timeout(10):
        while workspace.delivery.pending():
            await clock.advance(3)
            await asyncio.sleep(0.02)


# --- auth.test --------------------------------------------------------------------------------------------


async def test_questions_wait_while_slack_cannot_say_who_dolly_is(
    store_url: str, transport: Transport, workspace: Workspace, clock: ManualClock, faults: Faults
) -> None:
    people, asha, general = workspace.people, "U0ASHA00001", "C0GENERAL01"
    roots = []
    async with ScriptedEngine(Script(text=echo)) as engine, AsyncExitStack() as stack:
        starting = running_team(store_url, engine.url, transport, workspace=workspace)
        start = asyncio.create_task(stack.enter_async_context(starting))
        failures: list[Answer] = [503, "internal_error", ("ratelimited", 0), "fatal_error", "cut"]
        for number, failure in enumerate(failures):
            faults.always("auth.test", failure)
            before = faults.calls["auth.test"]
            await until(lambda: faults.calls["auth.test"] >= before + 2)  # noqa: B023
            roots.append(await people.post(asha, general, f"@dolly {number}"))
        assert workspace.delivery.connections == 0
        assert not start.done()
        faults.none()
        team = await start
        await redelivered(workspace, clock)
        for number, root in enumerate(roots):
            assert root is not None
            assert await team.answered(root["ts"]) == [f"re: {number}"]


async def test_once_dolly_is_up_auth_test_is_of_no_interest(
    store_url: str, transport: Transport, workspace: Workspace, faults: Faults
) -> None:
    async with (
        ScriptedEngine(Script(text=echo)) as engine,
        running_team(store_url, engine.url, transport, workspace=workspace) as team,
    ):
        faults.always("auth.test", "internal_error")
        before = faults.calls["auth.test"]
        root = await team.say("asha", "@dolly one")
        assert await team.answered(root) == ["re: one"]
        await team.workspace.people.command(team.person("ben"), team.channel("general"), "/dolly", "help")
        assert len(team.workspace.timeline.ephemerals(team.channel("general"), team.person("ben"))) == 1
        assert faults.calls["auth.test"] == before


async def test_oauth_settings_of_another_app_in_the_environment_change_nothing(
    store_url: str, transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bolt by itself would drop the token and turn its OAuth flow on."""
    for name in ("CLIENT_ID", "CLIENT_SECRET", "SIGNING_SECRET", "BOT_TOKEN", "APP_TOKEN", "VERIFICATION_TOKEN"):
        monkeypatch.setenv(f"SLACK_{name}", "another-apps")
    async with (
        ScriptedEngine(Script(text=echo)) as engine,
        running_team(store_url, engine.url, transport) as team,
    ):
        root = await team.say("asha", "@dolly one")
        assert await team.answered(root) == ["re: one"]
        await team.workspace.people.command(team.person("asha"), team.channel("general"), "/dolly", "help")
        assert len(team.workspace.timeline.ephemerals(team.channel("general"), team.person("asha"))) == 1


# --- the connection ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("reason", ["warning", "refresh_requested", "link_disabled", "too_many_websockets"])
async def test_a_disconnect_loses_and_doubles_nothing(store_url: str, reason: DisconnectReason) -> None:
    workspace = Workspace()
    await workspace.start()
    async with (
        ScriptedEngine(Script(text=echo, tokens_per_second=100)) as engine,
        running_team(store_url, engine.url, workspace=workspace) as team,
    ):
        roots = [await team.say("asha", "@dolly 0")]
        await workspace.delivery.disconnect(reason)
        for number in range(1, 6):
            roots.append(await team.say("asha", f"@dolly {number}"))
            await asyncio.sleep(0.01)
        for number, root in enumerate(roots):
            assert await team.answered(root) == [f"re: {number}"]
        await until(lambda: workspace.delivery.pending() == 0)
        assert len(engine.requests) == len(roots)
    await workspace.stop()


async def test_sockets_that_cannot_be_opened_are_tried_at_new_addresses(
    store_url: str, workspace: Workspace, clock: ManualClock, faults: Faults, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An address is good for one try, and the client by itself would try the same one for ever."""
    monkeypatch.setattr("bot.slack.hearing.sockets.PING_SECONDS", 0.1)
    async with (
        ScriptedEngine(Script(text=echo)) as engine,
        running_team(store_url, engine.url, workspace=workspace) as team,
    ):
        sockets = workspace._sockets
        monkeypatch.setattr(sockets, "_tickets", NoTickets())
        await sockets.stop()
        root = await team.say("asha", "@dolly one")
        await asyncio.sleep(0.5)
        assert workspace.delivery.connections == 0
        monkeypatch.setattr(sockets, "_tickets", set())
        await until(lambda: workspace.delivery.connections >= 1)
        await redelivered(workspace, clock)
        assert await team.answered(root) == ["re: one"]


class NoTickets(set[str]):
    """Every address is useless."""

    def __contains__(self, _: object) -> bool:
        return False


# --- what Slack does not let Dolly write ------------------------------------------------------------------


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("method", ["chat.startStream", "chat.appendStream", "chat.stopStream"])
async def test_a_rate_limit_is_waited_for(
    store_url: str, transport: Transport, workspace: Workspace, faults: Faults, method: str
) -> None:
    faults.next(method, ("ratelimited", 0), ("ratelimited", 1), "done", ("ratelimited", 0))
    async with (
        ScriptedEngine(Script(text=COUNTING, tokens_per_second=100)) as engine,
        running_team(store_url, engine.url, transport, workspace=workspace, max_tokens=200) as team,
    ):
        root = await team.say("asha", "@dolly count")
        assert await team.answered(root) == [COUNTING]
        assert faults.calls[method] >= 3


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("fault", [("ratelimited", 0), "internal_error", "unknown_method", 503])
async def test_what_cannot_be_streamed_any_more_is_written_over(
    store_url: str, transport: Transport, workspace: Workspace, faults: Faults, fault: Answer
) -> None:
    faults.always("chat.appendStream", fault)
    async with (
        ScriptedEngine(Script(text=COUNTING, tokens_per_second=200)) as engine,
        running_team(store_url, engine.url, transport, workspace=workspace, max_tokens=200) as team,
    ):
        root = await team.say("asha", "@dolly count")
        await until(lambda: team.answers(root) == [COUNTING])
        assert faults.calls["chat.update"] >= 2
        assert len(engine.requests) == 1


@pytest.mark.parametrize(
    ("fault", "script"),
    [
        *((fault, WHOLE) for fault in ("unknown_method", "not_allowed_token_type", "internal_error", 500)),
        ("unknown_method", Script(text=COUNTING, end="error", after=9)),
    ],
)
async def test_without_streaming_the_answer_is_posted_whole(
    store_url: str, transport: Transport, workspace: Workspace, faults: Faults, fault: Answer, script: Script
) -> None:
    faults.always("chat.startStream", fault)
    async with (
        ScriptedEngine(script) as engine,
        running_team(store_url, engine.url, transport, workspace=workspace, max_tokens=200) as team,
    ):
        root = await team.say("asha", "@dolly count")
        broken = "0 1 2 3 4 5 6 7 8\n\n" + WORDS.say("engine_broke")
        await until(lambda: team.answers(root) == [COUNTING if script.end == "finish" else broken], seconds=30)
        assert faults.calls["chat.startStream"] <= 1, "asked once at most, not with every word"


@pytest.mark.usefixtures("quick")
async def test_a_stream_that_slack_has_ended_goes_on_at_its_place(
    store_url: str, transport: Transport, workspace: Workspace, clock: ManualClock
) -> None:
    script = Script(text=COUNTING, tokens_per_second=60)
    async with (
        ScriptedEngine(script) as engine,
        running_team(store_url, engine.url, transport, workspace=workspace, max_tokens=200) as team,
    ):
        root = await team.say("asha", "@dolly count")
        for number in ("3", "9"):
            await until(lambda: number in "".join(team.answers(root)))  # noqa: B023
            await clock.advance(301)
        await until(lambda: team.answers(root) == [COUNTING])


@pytest.mark.parametrize("reason", ["is_archived", "not_in_channel", "channel_not_found", "restricted_action"])
async def test_where_slack_takes_nothing_the_turn_ends(
    store_url: str, redis: Redis, workspace: Workspace, faults: Faults, reason: str
) -> None:
    for method in ("chat.startStream", "chat.postMessage"):
        faults.always(method, reason)
    async with (
        ScriptedEngine(Script(text=echo)) as engine,
        running_team(store_url, engine.url, workspace=workspace) as team,
    ):
        root = await team.say("asha", "@dolly one")
        await until(lambda: faults.calls["chat.postMessage"] > 0)
        async with asyncio.timeout(5):
            while await redis.keys(WAITING):
                await asyncio.sleep(0.01)
        apologies = int(reason == "restricted_action")  # where nothing can be said at all, none is tried
        assert (len(engine.requests), faults.calls["chat.postMessage"]) == (1, 1 + apologies)
        faults.none()
        await team.say("asha", "@dolly two", thread=root)
        assert await team.answered(root) == ["re: two"]


async def test_a_channel_that_is_archived_while_dolly_writes(store_url: str, redis: Redis) -> None:
    async with (
        ScriptedEngine(Script(text=COUNTING, tokens_per_second=50)) as engine,
        running_team(store_url, engine.url) as team,
    ):
        root = await team.say("asha", "@dolly count")
        await until(lambda: bool(team.answers(root)))
        team.workspace.timeline.archive(team.channel("general"))
        async with asyncio.timeout(10):
            while await redis.keys(WAITING):
                await asyncio.sleep(0.01)
        assert len(engine.requests) == 1


@pytest.mark.parametrize("fault", ["cut", 503, "internal_error", "service_unavailable"])
async def test_a_slack_that_is_away_for_a_moment_gets_the_answer_later(
    store_url: str, workspace: Workspace, faults: Faults, fault: Answer, logs: io.StringIO
) -> None:
    faults.always("chat.startStream", fault)
    faults.next("chat.postMessage", fault)
    faults.next("assistant.threads.setStatus", fault)
    async with (
        ScriptedEngine(Script(text=echo, tokens_per_second=20)) as engine,  # slower than a stream starts
        running_team(store_url, engine.url, workspace=workspace) as team,
    ):
        root = await team.say("asha", "@dolly one")
        await until(lambda: faults.calls["chat.startStream"] == 1)
        if fault == "cut":
            faults.none()
        assert await team.answered(root) == ["re: one"]
        assert len(engine.requests) == 1, "what is finished is kept, and not written again"
    assert "exception" not in logs.getvalue()


async def test_a_thread_that_cannot_be_read_is_answered_without_it(
    store_url: str, transport: Transport, workspace: Workspace, faults: Faults
) -> None:
    async with (
        ScriptedEngine(Script(text=echo)) as engine,
        running_team(store_url, engine.url, transport, workspace=workspace) as team,
    ):
        for number, fault in enumerate[Answer](["missing_scope", "cut", 503]):
            faults.always("conversations.replies", fault)
            root = await team.say("asha", "The launch is on Friday")
            await team.say("ben", f"@dolly {number}", thread=root)
            assert await team.answered(root) == [f"re: {number}"]


# --- what Dolly writes ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("transport", "streaming"), [("socket_mode", True), ("http", False)])
async def test_a_long_answer_comes_whole(
    store_url: str, transport: Transport, workspace: Workspace, faults: Faults, streaming: bool
) -> None:
    text = " ".join(f"<{number}>" for number in range(2000))  # 12,889 characters, 24,889 escaped
    if not streaming:
        faults.always("chat.startStream", "unknown_method")
    async with (
        ScriptedEngine(Script(text=text), window_tokens=20_000) as engine,
        running_team(store_url, engine.url, transport, workspace=workspace, max_tokens=15_000) as team,
    ):
        root = await team.say("asha", "@dolly count")
        await until(lambda: "1999" in "".join(team.answers(root)))
        answers = await team.answered(root)
        assert unescape("".join(answers)).replace(" ", "") == text.replace(" ", "")
        assert len(answers) < 5
        asha, general = team.person("asha"), team.channel("general")
        await team.workspace.people.command(asha, general, "/dolly", "count")
        await until(lambda: len(team.workspace.timeline.ephemerals(general, asha)) == 2)
        taken, answer = (message["text"] for message in team.workspace.timeline.ephemerals(general, asha))
        assert taken == WORDS.say("command_taken", question="count")
        part, cut = unescape(answer).rsplit("\n\n", 1)
        assert text.startswith(part)
        assert cut == WORDS.say("answer_cut")


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("streaming", [True, False])
async def test_what_a_model_writes_pings_nobody(
    store_url: str, transport: Transport, workspace: Workspace, faults: Faults, streaming: bool
) -> None:
    text = "<!channel> <@U0ASHA00001> <!subteam^S1> <https://evil.example|good> a & b &amp; <#C1>"
    shown = "<!channel> <@U0ASHA00001> <!subteam^S1> good (https[:]//evil[.]example) a & b & <#C1>"
    if not streaming:
        faults.always("chat.startStream", "unknown_method")
    async with (
        ScriptedEngine(Script(text=text, tokens_per_second=500)) as engine,
        running_team(store_url, engine.url, transport, workspace=workspace, max_tokens=200) as team,
    ):
        root = await team.say("asha", "@dolly ping everyone")
        await until(lambda: [unescape(answer) for answer in team.answers(root)] == [shown])
        assert "<" not in team.answers(root)[0]
        asha, general = team.person("asha"), team.channel("general")
        await team.workspace.people.command(asha, general, "/dolly", "ping everyone")
        await until(lambda: "evil" in str(team.workspace.timeline.ephemerals(general, asha)))
        assert unescape(team.workspace.timeline.ephemerals(general, asha)[-1]["text"]) == shown
        assert "<" not in str(team.workspace.timeline.ephemerals(general, asha)[-1])


async def test_a_model_that_says_nothing_is_not_silence(store_url: str) -> None:
    async with ScriptedEngine(Script(text=" \n ")) as engine, running_team(store_url, engine.url) as team:
        root = await team.say("asha", "@dolly hello")
        assert await team.answered(root) == [WORDS.say("engine_silent")]
