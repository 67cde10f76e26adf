"""What the timeline keeps and tells beyond what the Web API shows."""

import time
from collections.abc import Iterator

import pytest

from bot.local.workspace.clock import ManualClock
from bot.local.workspace.records import BOT_USER_ID, Json
from bot.local.workspace.refusals import Refused
from bot.local.workspace.timeline.changes import Change, Changes
from bot.local.workspace.timeline.database import Database
from bot.local.workspace.timeline.timeline import Timeline
from tests.bot.local.workspace.bare_app import ASHA, BEN, GENERAL, RANDOM


class Room:
    """A timeline on a clock that stands still, with all changes it told of."""

    def __init__(self) -> None:
        self.database = Database(None)
        self.clock = ManualClock()
        self.told: list[Change] = []
        changes = Changes()
        changes.subscribe(self.told.append)
        self.timeline = Timeline(self.database, changes, self.clock, self.database.identity())

    def kinds(self) -> list[str]:
        return [change.kind for change in self.told]


@pytest.fixture
def room() -> Iterator[Room]:
    room = Room()
    yield room
    room.database.close()


def test_every_ts_is_new_and_later_even_when_the_clock_stands_or_goes_back(room: Room) -> None:
    post = room.timeline.post
    timestamps = [post(GENERAL, ASHA, "x")["ts"] for _ in range(3)] + [post(RANDOM, BEN, "x")["ts"]]
    room.clock._now -= 3600
    timestamps.append(post(GENERAL, ASHA, "x")["ts"])
    assert timestamps == sorted(set(timestamps))
    assert timestamps[0] == "1790000000.000000"
    room.clock._now += 7200.5
    assert post(GENERAL, ASHA, "x")["ts"] == "1790003600.500000"


def test_people_write_rich_text_and_the_app_carries_its_marks(room: Room) -> None:
    said = room.timeline.post(GENERAL, ASHA, "Hi <@U0DOLLYBOT1>")
    assert said["client_msg_id"]
    assert said["blocks"][0]["type"] == "rich_text"
    answer = room.timeline.post(GENERAL, BOT_USER_ID, "Hi", as_app=True)
    app = room.database.identity()
    assert (answer["bot_id"], answer["app_id"]) == (app.bot_id, app.app_id)
    assert "blocks" not in answer


@pytest.mark.parametrize(
    ("channel_id", "user_id", "error"),
    [
        ("C0NOWHERE01", ASHA, "channel_not_found"),
        (RANDOM, BOT_USER_ID, "not_in_channel"),
        (GENERAL, "U0NOBODY001", "not_in_channel"),
    ],
)
def test_only_members_write(room: Room, channel_id: str, user_id: str, error: str) -> None:
    with pytest.raises(Refused, match=error):
        room.timeline.post(channel_id, user_id, "x")
    assert room.told == []


def test_an_edit_by_a_person_renews_the_rich_text(room: Room) -> None:
    ts = room.timeline.post(GENERAL, ASHA, "One")["ts"]
    edited = room.timeline.update(GENERAL, ts, text="*Two*", edited_by=ASHA)
    [section] = edited["blocks"][0]["elements"]
    assert section["elements"] == [{"type": "text", "text": "Two", "style": {"bold": True}}]
    change = room.told[-1]
    assert (change.kind, change.previous and change.previous["text"]) == ("message_changed", "One")
    assert change.message == edited == room.timeline.message(GENERAL, ts)


def test_what_a_thread_adds_to_its_root_is_never_kept(room: Room) -> None:
    root = room.timeline.post(GENERAL, ASHA, "Root")
    reply = room.timeline.post(GENERAL, BEN, "Reply", thread_ts=root["ts"])
    room.timeline.add_reaction(GENERAL, root["ts"], BEN, "eyes")
    room.timeline.delete(GENERAL, reply["ts"])
    reaction = {"name": "eyes", "users": [BEN], "count": 1}
    assert room.timeline.message(GENERAL, root["ts"]) == {**root, "reactions": [reaction]}


def test_reactions_name_who_reacted(room: Room) -> None:
    ts = room.timeline.post(GENERAL, ASHA, "x")["ts"]
    for user_id in (ASHA, BEN):
        assert room.timeline.add_reaction(GENERAL, ts, user_id, ":+1:") is True
    assert room.timeline.add_reaction(GENERAL, ts, BEN, "+1") is False
    assert room.timeline.remove_reaction(GENERAL, ts, ASHA, "+1") is True
    assert room.timeline.message(GENERAL, ts) == room.told[-1].message
    assert (room.told[-1].message or {})["reactions"] == [{"name": "+1", "users": [BEN], "count": 1}]
    assert [change.detail["added"] for change in room.told[1:]] == [True, True, False]


def test_an_ephemeral_can_be_replaced_and_taken_back(room: Room) -> None:
    message = room.timeline.post_ephemeral(GENERAL, ASHA, "Wait…", response_url_id="R1")
    room.timeline.replace_ephemeral(GENERAL, ASHA, message["ts"], text="Done")
    assert (room.timeline.ephemeral(GENERAL, ASHA, message["ts"]) or {})["text"] == "Done"
    room.timeline.delete_ephemeral(GENERAL, ASHA, message["ts"])
    assert room.timeline.ephemerals(GENERAL, ASHA) == []
    assert room.kinds() == ["ephemeral", "ephemeral", "ephemeral_deleted"]
    with pytest.raises(Refused, match="message_not_found"):
        room.timeline.delete_ephemeral(GENERAL, ASHA, message["ts"])


def test_a_status_goes_with_the_next_message_or_after_two_minutes(room: Room) -> None:
    root_ts = room.timeline.post(GENERAL, ASHA, "x")["ts"]

    def told() -> list[str]:
        return [change.detail["status"] for change in room.told if change.kind == "status"]

    room.timeline.set_status(GENERAL, root_ts, "is thinking…")
    room.timeline.post(GENERAL, BEN, "Me too", thread_ts=root_ts)
    assert told() == ["is thinking…"]
    room.timeline.post(GENERAL, BOT_USER_ID, "42", thread_ts=root_ts, as_app=True)
    assert told() == ["is thinking…", ""]
    room.timeline.set_status(GENERAL, root_ts, "is checking…")
    room.clock._now += 119
    room.timeline.expire()
    assert room.timeline.status(GENERAL, root_ts)
    room.clock._now += 1
    assert room.timeline.status(GENERAL, root_ts) is None
    room.timeline.expire()
    assert told() == ["is thinking…", "", "is checking…", ""]


def test_open_streams_end_by_the_clock_and_it_is_told(room: Room) -> None:
    root_ts = room.timeline.post(GENERAL, ASHA, "x")["ts"]
    stream_ts = room.timeline.start_stream(GENERAL, root_ts, markdown_text="So far")["ts"]
    room.clock._now += 299
    room.timeline.expire()
    assert room.timeline.open_streams(GENERAL, root_ts) == [stream_ts]
    assert room.timeline.open_streams(GENERAL, "1.000001") == []
    room.clock._now += 1
    assert room.timeline.open_streams(GENERAL, root_ts) == []
    room.timeline.expire()
    room.timeline.expire()
    ended = [change for change in room.told if change.detail.get("state") == "expired"]
    assert [(change.ts, (change.message or {})["text"]) for change in ended] == [(stream_ts, "So far")]


@pytest.mark.parametrize(("mode", "kinds"), [("timeline", ["task_card", "task_card"]), ("plan", ["plan"])])
def test_tasks_are_updated_in_their_place(room: Room, mode: str, kinds: list[str]) -> None:
    root_ts = room.timeline.post(GENERAL, ASHA, "x")["ts"]

    def task(id: str, status: str, **more: str) -> Json:
        return {"type": "task_update", "id": id, "title": f"Task {id}", "status": status, **more}

    first = [task("1", "in_progress", details="half "), task("2", "pending")]
    stream = room.timeline.start_stream(GENERAL, root_ts, chunks=first, task_display_mode=mode)
    last = [task("1", "complete", details="done")]
    message = room.timeline.append_stream(GENERAL, stream["ts"], chunks=last)
    assert [block["type"] for block in message["blocks"]] == kinds
    cards = message["blocks"][0]["tasks"] if mode == "plan" else message["blocks"]
    assert [(card["task_id"], card["status"]) for card in cards] == [("1", "complete"), ("2", "pending")]
    texts = [each["text"] for each in cards[0]["details"]["elements"][0]["elements"]]
    assert "".join(texts) == "half done"


def test_closing_a_modal_closes_those_above_it(room: Room) -> None:
    view: Json = {"type": "modal", "title": {"type": "plain_text", "text": "T"}, "blocks": []}
    first = room.timeline.open_view(ASHA, view)
    second = room.timeline.push_view(ASHA, view)
    third = room.timeline.push_view(ASHA, view)
    assert room.timeline.view_owner(third["id"]) == ASHA
    room.timeline.close_view(second["id"])
    closed = [change.detail["view"]["id"] for change in room.told if change.detail.get("event") == "closed"]
    assert closed == [third["id"], second["id"]]
    assert room.timeline.top_view(ASHA) == first
    room.timeline.push_view(ASHA, view)
    room.timeline.close_view(first["id"], all=True)
    assert room.timeline.top_view(ASHA) is None
    with pytest.raises(Refused, match="not_found"):
        room.timeline.close_view(first["id"])


def test_channels_have_one_name_and_members_come_and_go(room: Room) -> None:
    channel = room.timeline.create_channel("#Plans", BEN)
    assert (channel.name, channel.members) == ("plans", (BEN,))
    for name, error in [("plans", "name_taken"), ("two words", "invalid_name_specials"), ("", "invalid_name_required")]:
        with pytest.raises(Refused, match=error):
            room.timeline.create_channel(name, BEN)
    room.timeline.join(channel.id, ASHA)
    room.timeline.join(channel.id, ASHA)
    assert room.timeline.leave(channel.id, BEN).members == (ASHA,)
    messages, _ = room.timeline.history(channel.id)
    assert [message["subtype"] for message in reversed(messages)] == ["channel_join", "channel_leave"]


def test_a_listener_that_left_is_told_no_more(room: Room) -> None:
    heard: list[Change] = []
    changes = Changes()
    leave = changes.subscribe(heard.append)
    changes.publish(Change("error", detail={"text": "one"}))
    leave()
    changes.publish(Change("error", detail={"text": "two"}))
    assert [change.detail["text"] for change in heard] == ["one"]


def test_a_long_thread_is_read_quickly(room: Room) -> None:
    root_ts = room.timeline.post(GENERAL, ASHA, "Root")["ts"]
    for number in range(1000):
        room.timeline.post(GENERAL, BEN, f"{number}", thread_ts=root_ts)
    started = time.perf_counter()
    messages, cursor = room.timeline.replies(GENERAL, root_ts, limit=1000)
    assert time.perf_counter() - started < 1
    assert (len(messages), messages[-1]["text"]) == (1000, "998")
    rest, last = room.timeline.replies(GENERAL, root_ts, cursor=cursor)
    assert ([message["text"] for message in rest], last) == (["999"], None)
