"""Events reach an unmodified Bolt app over both transports, as often and as exactly as Slack's do."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from slack_bolt.async_app import AsyncApp

from bot.local.workspace.clock import ManualClock
from bot.local.workspace.delivery.envelopes import DisconnectReason
from bot.local.workspace.records import BOT_USER_ID, Json
from bot.local.workspace.workspace import Workspace
from tests.bot.local.workspace.bare_app import ASHA, GENERAL, eventually, running, turn
from tests.contracts.bolt import bolt_app, by_http, by_socket_mode, take_the_rest


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def workspace(clock: ManualClock) -> AsyncIterator[Workspace]:
    async with running(clock=clock, seed=1) as workspace:
        yield workspace


@pytest.fixture(params=[by_socket_mode, by_http])
def transport(request: pytest.FixtureRequest) -> Any:
    return request.param


def record(app: AsyncApp, *kinds: str) -> list[Json]:
    """The bodies of the events of these kinds as they come; all other events are acknowledged."""
    bodies: list[Json] = []

    async def heard(body: Json) -> None:
        bodies.append(body)

    for kind in kinds:
        app.event(kind)(heard)
    take_the_rest(app)
    return bodies


async def test_a_mention_is_two_events(workspace: Workspace, transport: Any) -> None:
    app = bolt_app(workspace)
    bodies = record(app, "app_mention", "message")
    async with transport(workspace, app):
        await workspace.people.post(ASHA, GENERAL, "@dolly what is 1 < 2?")
        await eventually(lambda: len(bodies) == 2)
    mention, message = sorted(bodies, key=lambda body: str(body["event"]["type"]))
    assert mention["event"]["type"] == "app_mention"
    assert "channel_type" not in mention["event"]
    assert message["event"]["channel_type"] == "channel"
    assert mention["event"]["ts"] == message["event"]["ts"]
    assert mention["event_id"] != message["event_id"]
    assert mention["event"]["text"] == f"<@{BOT_USER_ID}> what is 1 &lt; 2?"


async def test_a_direct_message_is_one(workspace: Workspace, transport: Any) -> None:
    app = bolt_app(workspace)
    bodies = record(app, "app_mention", "message")
    async with transport(workspace, app):
        channel = workspace.timeline.direct_channel(ASHA)
        await workspace.people.post(ASHA, channel.id, "@dolly hello")
        await eventually(lambda: bodies and not workspace.delivery.pending())
    assert [body["event"]["channel_type"] for body in bodies] == ["im"]


async def test_the_app_hears_its_own_posts_and_bolt_leaves_them_out(workspace: Workspace, transport: Any) -> None:
    app = bolt_app(workspace)
    bodies = record(app, "message")
    async with transport(workspace, app):
        await app.client.chat_postMessage(channel=GENERAL, text="mine")
        await eventually(lambda: workspace.delivery.delivered and not workspace.delivery.pending())
    (echo,) = workspace.delivery.delivered
    assert echo.acked
    assert echo.payload["event"]["bot_id"] == workspace.identity.bot_id
    assert bodies == []


async def test_a_stream_is_a_message_then_a_change(workspace: Workspace, transport: Any) -> None:
    app = bolt_app(workspace)
    take_the_rest(app)
    async with transport(workspace, app):
        root = await workspace.people.post(ASHA, GENERAL, "@dolly write")
        assert root is not None
        stream = await app.client.chat_stream(
            channel=GENERAL,
            thread_ts=root["ts"],
            recipient_team_id=workspace.identity.team_id,
            recipient_user_id=ASHA,
            buffer_size=1,
        )
        await stream.append(markdown_text="once **upon**")
        await stream.append(markdown_text=" a time")
        await stream.stop()
        await eventually(lambda: not workspace.delivery.pending())
    bots = [tried.payload["event"] for tried in workspace.delivery.delivered][2:]
    assert [event.get("subtype") for event in bots] == [None, "message_changed"]
    assert bots[1]["message"]["text"] == "once **upon** a time"
    assert bots[1]["message"]["ts"] == bots[0]["ts"]


async def test_edits_deletions_and_broadcasts(workspace: Workspace, transport: Any) -> None:
    app = bolt_app(workspace)
    bodies = record(app, "message")
    async with transport(workspace, app):
        root = await workspace.people.post(ASHA, GENERAL, "root")
        assert root is not None
        reply = await workspace.people.post(ASHA, GENERAL, "for all", thread_ts=root["ts"], reply_broadcast=True)
        assert reply is not None
        await workspace.people.edit(ASHA, GENERAL, reply["ts"], "for everyone")
        await workspace.people.delete(ASHA, GENERAL, reply["ts"])
        await eventually(lambda: len(bodies) == 4)
    by_subtype = {body["event"].get("subtype"): body["event"] for body in bodies}
    assert by_subtype["thread_broadcast"]["thread_ts"] == root["ts"]
    changed, deleted = by_subtype["message_changed"], by_subtype["message_deleted"]
    assert changed["hidden"] is True
    assert changed["previous_message"]["text"] == "for all"
    assert changed["message"]["text"] == "for everyone"
    assert deleted["deleted_ts"] == reply["ts"]


@pytest.mark.parametrize(
    ("transport", "waits", "retries"),
    [
        (by_socket_mode, ((1, 3), (2, 3), (2, 60)), [(["0"], [""]), (["1"], ["timeout"]), (["2"], ["timeout"])]),
        (by_http, ((2, 60),), [(None, None), (["1"], ["http_error"]), (["2"], ["http_error"])]),
    ],
)
async def test_a_listener_that_fails_gets_the_event_again(
    workspace: Workspace, clock: ManualClock, transport: Any, waits: tuple[tuple[int, int], ...], retries: list[Any]
) -> None:
    app = bolt_app(workspace, process_before_response=True)
    event_ids: list[str] = []
    headers: list[Any] = []

    @app.event("message")
    async def failing_at_first(body: Json, req: Any) -> None:
        event_ids.append(body["event_id"])
        headers.append((req.headers.get("x-slack-retry-num"), req.headers.get("x-slack-retry-reason")))
        if len(event_ids) < 3:
            raise RuntimeError("the store is away")

    async with transport(workspace, app):
        await workspace.people.post(ASHA, GENERAL, "hello")
        for tries, seconds in waits:
            await eventually(lambda tries=tries: len(event_ids) == tries)  # type: ignore[misc]
            await turn(clock, seconds)
        await eventually(lambda: not workspace.delivery.pending())
    assert len(set(event_ids)) == 1
    assert headers == retries


async def test_an_event_that_no_listener_takes_is_never_acknowledged(
    workspace: Workspace, clock: ManualClock, transport: Any
) -> None:
    app = bolt_app(workspace)

    @app.event("app_mention")
    async def only_mentions() -> None:
        raise AssertionError("nobody mentioned the app")

    async with transport(workspace, app):
        await workspace.people.post(ASHA, GENERAL, "hello")
        await eventually(lambda: workspace.delivery.delivered)
        for seconds in (3, 3, 60, 3, 300, 3):
            await turn(clock, seconds)
        await eventually(lambda: not workspace.delivery.pending())
    assert [tried.retry_attempt for tried in workspace.delivery.delivered] == [0, 1, 2, 3]


@pytest.mark.parametrize("reason", ["warning", "refresh_requested", "link_disabled", "too_many_websockets"])
async def test_bolt_comes_back_after_a_disconnect_and_nothing_is_lost(
    workspace: Workspace, reason: DisconnectReason
) -> None:
    app = bolt_app(workspace)
    bodies = record(app, "message")
    async with by_socket_mode(workspace, app):
        await workspace.delivery.disconnect(reason)
        for number in range(5):
            await workspace.people.post(ASHA, GENERAL, f"message {number}")
            await asyncio.sleep(0.01)
        await eventually(lambda: not workspace.delivery.pending())
        await eventually(lambda: workspace.delivery.connections == 1)
    assert {body["event"]["text"] for body in bodies} == {f"message {number}" for number in range(5)}


async def test_two_processes_share_the_events(workspace: Workspace) -> None:
    apps = [bolt_app(workspace), bolt_app(workspace)]
    first, second = (record(app, "message") for app in apps)
    async with by_socket_mode(workspace, apps[0]), by_socket_mode(workspace, apps[1]):
        assert workspace.delivery.connections == 2
        for number in range(20):
            await workspace.people.post(ASHA, GENERAL, f"message {number}")
        await eventually(lambda: not workspace.delivery.pending())
    assert len(first) + len(second) == 20
    assert first
    assert second


async def test_an_app_that_starts_later_gets_what_was_said_before(workspace: Workspace, clock: ManualClock) -> None:
    app = bolt_app(workspace)
    bodies = record(app, "message")
    await workspace.people.post(ASHA, GENERAL, "anyone?")
    await turn(clock, 3)
    await turn(clock, 3)
    async with by_socket_mode(workspace, app):
        await turn(clock, 60)
        await eventually(lambda: bodies)
    assert bodies[0]["event"]["text"] == "anyone?"
