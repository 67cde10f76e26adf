"""Which events the app hears of, by the kind of conversation."""

from collections.abc import AsyncIterator

import pytest

from bot.local.workspace.records import BOT_USER_ID, Channel
from bot.local.workspace.workspace import Workspace
from tests.bot.local.workspace.bare_app import ASHA, BEN, RANDOM, BareSocket, bare_app, eventually, running


@pytest.fixture
async def workspace() -> AsyncIterator[Workspace]:
    async with running() as workspace:
        yield workspace


@pytest.fixture
async def socket(workspace: Workspace) -> AsyncIterator[BareSocket]:
    async with bare_app(workspace) as app:
        yield await app.connect()


def conversation(workspace: Workspace, kind: str) -> Channel:
    timeline = workspace.timeline
    if kind == "im":
        return timeline.direct_channel(ASHA)
    if kind == "mpim":
        return timeline.group_channel([ASHA, BEN])
    channel = timeline.create_channel("project", ASHA, is_private=kind == "group")
    return timeline.join(channel.id, BOT_USER_ID)


@pytest.mark.parametrize(
    ("kind", "mentions"),
    [("channel", ["app_mention"]), ("group", ["app_mention"]), ("mpim", ["app_mention"]), ("im", [])],
)
async def test_a_mention_in_each_kind_of_conversation(
    workspace: Workspace, socket: BareSocket, kind: str, mentions: list[str]
) -> None:
    channel = conversation(workspace, kind)
    message = await workspace.people.post(ASHA, channel.id, "@dolly hello")
    assert message is not None
    await eventually(lambda: not workspace.delivery.pending())
    events = [event for event in socket.events if event.get("ts") == message["ts"]]
    assert sorted(event["type"] for event in events) == [*mentions, "message"]
    assert {event["channel_type"] for event in events if event["type"] == "message"} == {kind}


async def test_only_the_channels_of_the_app_are_heard(workspace: Workspace, socket: BareSocket) -> None:
    message = await workspace.people.post(ASHA, RANDOM, "@dolly are you there?")
    assert message is not None
    await workspace.people.react(BEN, RANDOM, message["ts"], "eyes")
    await workspace.people.edit(ASHA, RANDOM, message["ts"], "changed")
    await workspace.people.delete(ASHA, RANDOM, message["ts"])
    workspace.timeline.post_ephemeral(RANDOM, ASHA, "for one only")
    assert workspace.delivery.pending() == 0
    assert socket.events == []


async def test_a_stream_is_told_of_twice_however_long_it_is(workspace: Workspace, socket: BareSocket) -> None:
    channel = workspace.timeline.direct_channel(ASHA)
    root = await workspace.people.post(ASHA, channel.id, "write")
    assert root is not None
    stream = workspace.timeline.start_stream(channel.id, root["ts"], markdown_text="one")
    for word in (" two", " three", " four"):
        workspace.timeline.append_stream(channel.id, stream["ts"], markdown_text=word)
    workspace.timeline.stop_stream(channel.id, stream["ts"])
    await eventually(lambda: not workspace.delivery.pending())
    started, ended = (event for event in socket.events if event["ts"] != root["ts"])
    assert (started["ts"], started["bot_id"]) == (stream["ts"], workspace.identity.bot_id)
    assert (ended["subtype"], ended["message"]["text"]) == ("message_changed", "one two three four")
