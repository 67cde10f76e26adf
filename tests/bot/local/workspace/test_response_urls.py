"""response_urls: five uses in thirty minutes; say, replace, delete."""

import json
from collections.abc import AsyncIterator

import pytest

from bot.local.workspace.clock import ManualClock
from bot.local.workspace.records import Json
from bot.local.workspace.workspace import Workspace
from tests.bot.local.workspace.bare_app import ASHA, BEN, GENERAL, RANDOM, BareApp, BareSocket, bare_app, running

BUTTON = [
    {
        "type": "actions",
        "block_id": "b",
        "elements": [{"type": "button", "action_id": "a", "text": {"type": "plain_text", "text": "Go"}}],
    }
]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def workspace(clock: ManualClock) -> AsyncIterator[Workspace]:
    async with running(clock=clock) as workspace:
        yield workspace


@pytest.fixture
async def app(workspace: Workspace) -> AsyncIterator[BareApp]:
    async with bare_app(workspace) as app:
        yield app


@pytest.fixture
async def socket(app: BareApp) -> BareSocket:
    return await app.connect()


async def use(app: BareApp, url: str, body: Json | bytes) -> tuple[int, str]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    async with app.session.post(url, data=data) as response:
        return response.status, await response.text()


def newest_url(socket: BareSocket) -> str:
    return str(next(e["payload"] for e in reversed(socket.envelopes) if e["type"] != "events_api")["response_url"])


async def command_url(workspace: Workspace, socket: BareSocket, channel_id: str = GENERAL) -> str:
    await workspace.people.command(ASHA, channel_id, "/dolly", "help")
    return newest_url(socket)


async def click_url(workspace: Workspace, socket: BareSocket, ts: str) -> str:
    await workspace.people.click(ASHA, GENERAL, ts, "b", "a")
    return newest_url(socket)


def own_post(workspace: Workspace) -> str:
    message = workspace.timeline.post(GENERAL, workspace.identity.bot_user_id, "click", blocks=BUTTON, as_app=True)
    return str(message["ts"])


async def test_five_uses(app: BareApp, workspace: Workspace, socket: BareSocket) -> None:
    url = await command_url(workspace, socket)
    for number in range(5):
        assert await use(app, url, {"text": f"answer {number}"}) == (200, "ok")
    status, body = await use(app, url, {"text": "one too many"})
    assert (status, json.loads(body)) == (404, {"ok": False, "error": "used_url"})
    assert len(workspace.timeline.ephemerals(GENERAL, ASHA)) == 5
    assert workspace.timeline.ephemerals(GENERAL, BEN) == []


async def test_thirty_minutes(app: BareApp, workspace: Workspace, socket: BareSocket, clock: ManualClock) -> None:
    url = await command_url(workspace, socket)
    await clock.advance(30 * 60)
    assert (await use(app, url, {"text": "just in time"}))[0] == 200
    await clock.advance(1)
    status, body = await use(app, url, {"text": "too late"})
    assert (status, json.loads(body)["error"]) == (404, "expired_url")
    unknown = f"{workspace.url}response/unknown"
    assert (await use(app, unknown, {"text": "lost"}))[0] == 404


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff\xfe", b'"text"'])
async def test_bad_bodies_use_nothing_up(app: BareApp, workspace: Workspace, socket: BareSocket, body: bytes) -> None:
    url = await command_url(workspace, socket)
    for _ in range(6):
        status, text = await use(app, url, body)
        assert (status, json.loads(text)["error"]) == (400, "invalid_payload")
    assert (await use(app, url, {"text": "fine"}))[0] == 200


async def test_an_answer_that_cannot_be_shown_is_refused(
    app: BareApp, workspace: Workspace, socket: BareSocket
) -> None:
    url = await command_url(workspace, socket)
    for answer, error in (({}, "no_text"), ({"blocks": [{"type": "nonsense"}]}, "invalid_blocks")):
        status, body = await use(app, url, answer)
        assert (status, json.loads(body)["error"]) == (400, error)


async def test_in_channel_is_for_all_and_is_the_app_s_own(
    app: BareApp, workspace: Workspace, socket: BareSocket
) -> None:
    url = await command_url(workspace, socket)
    await use(app, url, {"text": "for all", "response_type": "in_channel"})
    (message, *_), _ = workspace.timeline.history(GENERAL, limit=1)
    assert (message["text"], message["bot_id"]) == ("for all", workspace.identity.bot_id)


async def test_a_command_where_the_app_is_no_member_can_be_answered(
    app: BareApp, workspace: Workspace, socket: BareSocket
) -> None:
    url = await command_url(workspace, socket, RANDOM)
    assert (await use(app, url, {"text": "only for you"}))[0] == 200
    assert [message["text"] for message in workspace.timeline.ephemerals(RANDOM, ASHA)] == ["only for you"]
    assert (await use(app, url, {"text": "for all", "response_type": "in_channel"}))[0] == 200
    assert workspace.timeline.history(RANDOM, limit=1)[0][0]["text"] == "for all"


async def test_a_click_s_message_can_be_replaced_and_deleted(
    app: BareApp, workspace: Workspace, socket: BareSocket
) -> None:
    ts = own_post(workspace)
    url = await click_url(workspace, socket, ts)
    assert (await use(app, url, {"text": "clicked", "replace_original": True}))[0] == 200
    assert (workspace.timeline.message(GENERAL, ts) or {})["text"] == "clicked"
    assert (await use(app, url, {"delete_original": True}))[0] == 200
    assert workspace.timeline.message(GENERAL, ts) is None
    status, body = await use(app, url, {"text": "gone", "replace_original": True})
    assert (status, json.loads(body)["error"]) == (400, "message_not_found")


async def test_an_ephemeral_can_be_replaced_and_deleted(app: BareApp, workspace: Workspace, socket: BareSocket) -> None:
    ts = workspace.timeline.post_ephemeral(GENERAL, ASHA, "click", blocks=BUTTON)["ts"]
    url = await click_url(workspace, socket, ts)
    await use(app, url, {"text": "clicked", "replace_original": True})
    assert [message["text"] for message in workspace.timeline.ephemerals(GENERAL, ASHA)] == ["clicked"]
    await use(app, url, {"delete_original": True})
    assert workspace.timeline.ephemerals(GENERAL, ASHA) == []


async def test_an_answer_can_go_to_a_thread(app: BareApp, workspace: Workspace, socket: BareSocket) -> None:
    ts = own_post(workspace)
    url = await click_url(workspace, socket, ts)
    await use(app, url, {"text": "in thread", "response_type": "in_channel", "thread_ts": ts})
    assert [message["text"] for message in workspace.timeline.replies(GENERAL, ts)[0]] == ["click", "in thread"]


async def test_another_s_message_can_be_neither_replaced_nor_deleted(
    app: BareApp, workspace: Workspace, socket: BareSocket
) -> None:
    message = await workspace.people.post(BEN, GENERAL, "mine")
    assert message is not None
    await workspace.people.shortcut(ASHA, GENERAL, message["ts"], "save")
    url = newest_url(socket)
    for body in ({"text": "yours", "replace_original": True}, {"delete_original": True}):
        status, text = await use(app, url, body)
        assert (status, json.loads(text)["error"]) == (400, "cant_update_message")
    assert (workspace.timeline.message(GENERAL, message["ts"]) or {})["text"] == "mine"
