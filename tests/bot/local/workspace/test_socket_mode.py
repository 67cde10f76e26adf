"""Socket Mode by hand: tickets, hello, acknowledgement, redelivery, several sockets, disconnects."""

from collections.abc import AsyncIterator

import aiohttp
import pytest

from bot.local.workspace.clock import ManualClock
from bot.local.workspace.delivery.envelopes import DisconnectReason
from bot.local.workspace.workspace import Workspace
from tests.bot.local.workspace.bare_app import ASHA, GENERAL, BareApp, bare_app, eventually, running, turn


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def workspace(clock: ManualClock) -> AsyncIterator[Workspace]:
    async with running(clock=clock, seed=7) as workspace:
        yield workspace


@pytest.fixture
async def app(workspace: Workspace) -> AsyncIterator[BareApp]:
    async with bare_app(workspace) as app:
        yield app


async def test_hello_names_the_app_and_counts_sockets(app: BareApp, workspace: Workspace) -> None:
    first, second = await app.connect(), await app.connect()
    assert first.frames[0]["type"] == "hello"
    assert first.frames[0]["connection_info"] == {"app_id": workspace.identity.app_id}
    assert first.frames[0]["debug_info"] == {
        "host": workspace.url.removeprefix("http://").strip("/"),
        "started": "2026-09-21 14:13:20.000",
        "build_number": 1,
        "approximate_connection_time": 3600,
    }
    assert [first.frames[0]["num_connections"], second.frames[0]["num_connections"]] == [1, 2]
    assert workspace.delivery.connections == 2


async def test_a_ticket_opens_one_socket(app: BareApp) -> None:
    url = await app.ticket_url()
    async with app.session.ws_connect(url):
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await app.session.ws_connect(url)
    assert refused.value.status == 403
    with pytest.raises(aiohttp.WSServerHandshakeError):
        await app.session.ws_connect(url.replace("ticket=", "ticket=x"))


async def test_pong_carries_the_payload_of_its_ping(app: BareApp) -> None:
    async with app.session.ws_connect(await app.ticket_url(), autoping=False) as socket:
        await socket.receive_json()
        await socket.ping(b"sdk-ping-pong:1790000000.5")
        pong = await socket.receive()
    assert (pong.type, pong.data) == (aiohttp.WSMsgType.PONG, b"sdk-ping-pong:1790000000.5")


async def test_an_event_is_one_envelope_and_its_ack_ends_it(app: BareApp, workspace: Workspace) -> None:
    socket = await app.connect()
    await workspace.people.post(ASHA, GENERAL, "hello")
    await eventually(lambda: workspace.delivery.pending() == 0)
    (envelope,) = socket.envelopes
    assert envelope["type"] == "events_api"
    assert envelope["accepts_response_payload"] is False
    assert (envelope["retry_attempt"], envelope["retry_reason"]) == (0, "")
    assert envelope["payload"]["type"] == "event_callback"
    assert [tried.acked for tried in workspace.delivery.delivered] == [True]


async def test_without_ack_it_comes_again_at_once_after_one_and_after_five_minutes(
    app: BareApp, workspace: Workspace, clock: ManualClock
) -> None:
    socket = await app.connect()
    socket.acks = False
    await workspace.people.post(ASHA, GENERAL, "hello")
    await eventually(lambda: len(socket.envelopes) == 1)
    await turn(clock, 2.9)
    assert len(socket.envelopes) == 1
    await turn(clock, 0.1)
    await eventually(lambda: len(socket.envelopes) == 2)
    await turn(clock, 3)
    await turn(clock, 59.9)
    assert len(socket.envelopes) == 2
    await turn(clock, 0.1)
    await eventually(lambda: len(socket.envelopes) == 3)
    await turn(clock, 3)
    await turn(clock, 299.9)
    assert len(socket.envelopes) == 3
    await turn(clock, 0.1)
    await eventually(lambda: len(socket.envelopes) == 4)
    await turn(clock, 3)
    await eventually(lambda: workspace.delivery.pending() == 0)

    assert len({envelope["payload"]["event_id"] for envelope in socket.envelopes}) == 1
    retries = [(envelope["retry_attempt"], envelope["retry_reason"]) for envelope in socket.envelopes]
    assert retries == [(0, ""), (1, "timeout"), (2, "timeout"), (3, "timeout")]
    assert not any(tried.acked for tried in workspace.delivery.delivered)


async def test_an_ack_ends_the_retries(app: BareApp, workspace: Workspace, clock: ManualClock) -> None:
    socket = await app.connect()
    socket.acks = False
    await workspace.people.post(ASHA, GENERAL, "hello")
    await eventually(lambda: socket.envelopes)
    socket.acks = True
    await turn(clock, 3)
    await eventually(lambda: workspace.delivery.pending() == 0)
    assert [tried.acked for tried in workspace.delivery.delivered] == [False, True]


async def test_envelopes_spread_over_the_sockets_and_each_goes_to_one(app: BareApp, workspace: Workspace) -> None:
    sockets = [await app.connect() for _ in range(3)]
    for number in range(30):
        await workspace.people.post(ASHA, GENERAL, f"message {number}")
    await eventually(lambda: workspace.delivery.pending() == 0)
    counts = [len(socket.envelopes) for socket in sockets]
    assert sum(counts) == 30
    assert min(counts) > 0


async def test_another_socket_gets_what_a_dropped_one_did_not_acknowledge(app: BareApp, workspace: Workspace) -> None:
    dropped = await app.connect()
    dropped.acks = False
    await workspace.people.post(ASHA, GENERAL, "hello")
    await eventually(lambda: dropped.envelopes)
    other = await app.connect()
    await dropped.close()
    await eventually(lambda: workspace.delivery.pending() == 0)
    (again,) = other.envelopes
    assert again["payload"] == dropped.envelopes[0]["payload"]
    assert again["retry_attempt"] == 1


async def test_a_reconnecting_app_may_acknowledge_over_its_new_socket(app: BareApp, workspace: Workspace) -> None:
    old = await app.connect()
    old.acks = False
    await workspace.people.post(ASHA, GENERAL, "hello")
    await eventually(lambda: old.envelopes)
    new = await app.connect()
    await new.ack(old.envelopes[0])
    await eventually(lambda: workspace.delivery.pending() == 0)
    assert len(workspace.delivery.delivered) == 1


async def test_an_event_waits_for_a_socket_and_is_retried_without_one(
    app: BareApp, workspace: Workspace, clock: ManualClock
) -> None:
    await workspace.people.post(ASHA, GENERAL, "is anyone there?")
    await turn(clock, 3)
    await turn(clock, 3)
    assert workspace.delivery.pending() == 1
    socket = await app.connect()
    await turn(clock, 60)
    await eventually(lambda: workspace.delivery.pending() == 0)
    assert [envelope["retry_attempt"] for envelope in socket.envelopes] == [2]


async def test_the_eleventh_socket_is_one_too_many(app: BareApp, workspace: Workspace) -> None:
    for _ in range(10):
        await app.connect()
    eleventh = await app.connect()
    assert (eleventh.frames[0]["type"], eleventh.frames[0]["reason"]) == ("disconnect", "too_many_websockets")
    await eventually(lambda: eleventh.socket.closed)
    assert workspace.delivery.connections == 10


@pytest.mark.parametrize("reason", ["refresh_requested", "link_disabled", "too_many_websockets"])
async def test_a_disconnect_says_why_and_closes(app: BareApp, workspace: Workspace, reason: DisconnectReason) -> None:
    socket = await app.connect()
    await workspace.delivery.disconnect(reason)
    await eventually(lambda: socket.socket.closed)
    assert socket.frames[-1]["type"] == "disconnect"
    assert socket.frames[-1]["reason"] == reason
    assert workspace.delivery.connections == 0


async def test_a_warning_leaves_the_socket_open(app: BareApp, workspace: Workspace) -> None:
    socket = await app.connect()
    await workspace.delivery.disconnect("warning")
    await workspace.people.post(ASHA, GENERAL, "still here?")
    await eventually(lambda: socket.events)
    assert [frame["type"] for frame in socket.frames] == ["hello", "disconnect", "events_api"]


@pytest.mark.parametrize(("query", "lifetime"), [("", 3600), ("&debug_reconnects=true", 360)])
async def test_a_socket_is_warned_ten_seconds_before_its_life_ends(
    app: BareApp, workspace: Workspace, clock: ManualClock, query: str, lifetime: int
) -> None:
    async with app.session.ws_connect(await app.ticket_url() + query) as socket:
        assert (await socket.receive_json())["debug_info"]["approximate_connection_time"] == lifetime
        await turn(clock, lifetime - 10)
        assert (await socket.receive_json())["reason"] == "warning"
        await turn(clock, 10)
        assert (await socket.receive_json())["reason"] == "refresh_requested"
        assert (await socket.receive()).type is aiohttp.WSMsgType.CLOSE


@pytest.mark.parametrize(
    "nonsense", ["", "hello", "[]", '"x"', "{}", '{"envelope_id": 7}', '{"envelope_id": "unknown"}']
)
async def test_nonsense_from_the_app_is_ignored(app: BareApp, workspace: Workspace, nonsense: str) -> None:
    socket = await app.connect()
    await socket.socket.send_str(nonsense)
    await workspace.people.post(ASHA, GENERAL, "hello")
    await eventually(lambda: socket.events)
    await eventually(lambda: workspace.delivery.pending() == 0)


async def test_one_of_two_sockets_may_be_sent_away(app: BareApp, workspace: Workspace) -> None:
    first, second = await app.connect(), await app.connect()
    await workspace.delivery.disconnect("refresh_requested", sockets=1)
    await eventually(lambda: first.socket.closed)
    assert not second.socket.closed
    assert workspace.delivery.connections == 1
