"""What was asked while nobody heard is found in Slack's history: once, in all its pages, whatever fails."""

import asyncio
from pathlib import Path

import pytest
from redis.asyncio import Redis, RedisCluster
from slack_sdk.web.async_client import AsyncWebClient

from bot.conversation import ConversationId
from bot.errors import StoreUnavailable
from bot.local.workspace import Workspace
from bot.local.workspace.clock import ManualClock
from bot.local.workspace.records import BOT_USER_ID, Json
from bot.slack.answering.own_messages import metadata
from bot.slack.client import Identity
from bot.store.connection import connect
from bot.store.cursors import Cursors
from tests.bot.local.workspace.bare_app import eventually
from tests.bot.slack.conftest import ASHA, BEN, GENERAL
from tests.bot.slack.listening import Listener
from tests.bot.store.servers import cluster, valkey
from tests.scenarios.faults import Faults

DOLLY = f"<@{BOT_USER_ID}>"


@pytest.fixture
def listener(workspace: Workspace, client: AsyncWebClient, redis: Redis, identity: Identity) -> Listener:
    return Listener(workspace, client, redis, identity)


@pytest.fixture
async def ears(listener: Listener, clock: ManualClock) -> Listener:
    """One that had heard everything up to now; what is said is not delivered to it."""
    await listener.cursors.read(listener.now)
    await clock.advance(60)
    return listener


def say(ears: Listener, text: str, channel_id: str = GENERAL, user_id: str = ASHA, **options: object) -> Json:
    return ears.workspace.timeline.post(channel_id, user_id, text, **options)  # type: ignore[arg-type]


def answered(ears: Listener, question: Json, *, is_part: bool = False) -> None:
    """An answer of Dolly's stands under the question, or a part of one."""
    marks = metadata(f"T0DOLLYWS01/{GENERAL}/{question['ts']}/{question['ts']}", is_part=is_part)
    say(ears, "an answer", user_id=BOT_USER_ID, thread_ts=question["ts"], as_app=True, metadata=marks)


async def test_mentions_direct_messages_and_thread_replies_are_found(ears: Listener) -> None:
    direct = ears.workspace.timeline.direct_channel(BEN).id
    group = ears.workspace.timeline.group_channel([ASHA, BEN]).id
    secret = ears.workspace.timeline.create_channel("secret", ASHA, is_private=True).id
    ears.workspace.timeline.join(secret, BOT_USER_ID)
    root = say(ears, "not for Dolly")
    say(ears, f"{DOLLY} in a thread", thread_ts=root["ts"], user_id=BEN)
    say(ears, f"{DOLLY} shown to all", thread_ts=root["ts"], reply_broadcast=True)
    say(ears, f"{DOLLY} a mention")
    first = say(ears, "a direct message", direct, BEN)
    say(ears, "a follow-up", direct, BEN, thread_ts=first["ts"])
    say(ears, "not for Dolly", group)
    say(ears, f"{DOLLY} in a group", group)
    say(ears, f"{DOLLY} in private", secret)
    say(ears, f"{DOLLY} says an app", user_id=BOT_USER_ID, as_app=True)
    async with ears.catching_up():
        turns = await ears.waiting()
    assert sorted(turn.text for turn in turns) == [
        *("a direct message", "a follow-up", "a mention", "in a group", "in a thread", "in private", "shown to all"),
    ]
    assert {turn.text: turn.conversation.root_ts for turn in turns}["in a thread"] == root["ts"]
    assert {turn.text for turn in turns if turn.is_direct} == {"a direct message", "a follow-up"}
    assert not any(turn.is_late for turn in turns)


async def test_what_was_heard_before_is_not_found(listener: Listener, clock: ManualClock) -> None:
    """At the first start, that is everything."""
    say(listener, f"{DOLLY} long ago")
    await clock.advance(1)
    async with listener.catching_up():
        assert await listener.texts() == []
    await clock.advance(1)
    say(listener, f"{DOLLY} lately")
    for _ in range(2):
        async with listener.catching_up():
            pass
    assert await listener.texts() == ["lately"], "found twice, stored once"


async def test_all_pages_are_read(ears: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.slack.hearing.history.PAGE_MESSAGES", 2)
    root = say(ears, "a long thread")
    for number in range(5):
        say(ears, f"{DOLLY} reply {number}", thread_ts=root["ts"], user_id=BEN if number % 2 else ASHA)
        say(ears, f"{DOLLY} message {number}", user_id="U0CHEN00001" if number % 2 else BEN)
    async with ears.catching_up():
        assert await ears.texts() == [f"{what} {number}" for what in ("message", "reply") for number in range(5)]


async def test_a_thread_that_goes_on_is_read_where_dolly_knows_it_or_sees_its_root(
    ears: Listener, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.slack.hearing.history.PAGE_MESSAGES", 3)
    unknown, known = say(ears, "unknown"), say(ears, f"{DOLLY} known")
    await ears.remember(known, GENERAL, "yes")
    for _ in range(3):
        say(ears, "both go out of sight")
    seen = say(ears, "in sight")
    await clock.advance(3600)
    await ears.cursors.advance(ears.now - 60)
    for root in (unknown, known, seen):
        say(ears, f"{DOLLY} under {root['text'].split()[-1]}", thread_ts=root["ts"], user_id=BEN)
    async with ears.catching_up():
        assert await ears.texts() == ["under known", "under sight"]


async def test_of_many_threads_only_those_that_go_on_are_read(
    ears: Listener, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their roots in the channel's older pages tell it of all others, as long as that takes fewer calls."""
    monkeypatch.setattr("bot.slack.hearing.history.PAGE_MESSAGES", 4)
    roots = [say(ears, f"{DOLLY} known {number}") for number in range(12)]
    for root in roots:
        await ears.remember(root, GENERAL, "yes")
    alone = say(ears, f"{DOLLY} and the first")
    await clock.advance(3600)
    await ears.cursors.advance(ears.now - 60)
    say(ears, f"{DOLLY} goes on", thread_ts=roots[1]["ts"], user_id=BEN)
    read: list[str] = []
    thread = ears.history.thread

    async def counted(channel_id: str, root_ts: str, since: float) -> list[Json]:
        read.append(root_ts)
        return await thread(channel_id, root_ts, since)

    monkeypatch.setattr(ears.history, "thread", counted)
    async with ears.catching_up():
        assert await ears.texts() == ["goes on"]
    assert read == [roots[1]["ts"]]
    assert alone["ts"] > roots[-1]["ts"]


async def test_what_has_its_answer_is_not_asked_again_though_the_store_forgot(ears: Listener) -> None:
    since = ears.now
    first = say(ears, f"{DOLLY} one")
    second = say(ears, f"{DOLLY} two", thread_ts=first["ts"], user_id=BEN)
    answered(ears, first)
    await ears.redis.flushall()
    await ears.cursors.read(since)
    async with ears.catching_up():
        turns = await ears.waiting()
    assert [turn.ts for turn in turns] == [second["ts"]], "the answer to one is none to two"


async def test_what_broke_off_is_no_answer(ears: Listener) -> None:
    """The store that knew of it is gone: a stream that nobody ended, and one that was ended before it was whole."""
    since = ears.now
    first, second = say(ears, f"{DOLLY} one"), say(ears, f"{DOLLY} two")
    say(ears, "begun", user_id=BOT_USER_ID, thread_ts=first["ts"], as_app=True)
    answered(ears, second, is_part=True)
    await ears.redis.flushall()
    await ears.cursors.read(since)
    async with ears.catching_up():
        assert sorted(await ears.texts()) == ["one", "two"]


async def test_nor_is_it_when_it_was_edited_meanwhile(ears: Listener, clock: ManualClock) -> None:
    older = say(ears, f"{DOLLY} older")
    answered(ears, older)
    await clock.advance(60)
    since = ears.now
    newer = say(ears, f"{DOLLY} newer")
    answered(ears, newer)
    for message in (older, newer):
        await ears.workspace.people.edit(ASHA, GENERAL, message["ts"], "@dolly edited")
    await ears.redis.flushall()
    await ears.cursors.read(since)
    async with ears.catching_up():
        assert await ears.texts() == []


async def test_the_answer_to_an_earlier_question_is_known_before_its_stream_ends(ears: Listener) -> None:
    """Only the store knows then whose it is."""
    first = say(ears, f"{DOLLY} one")
    second = say(ears, f"{DOLLY} two", thread_ts=first["ts"], user_id=BEN)
    await ears.remember(first, GENERAL, "being written")
    async with ears.catching_up():
        assert [turn.ts for turn in await ears.waiting()] == [second["ts"]]


async def test_an_old_question_is_marked_late(ears: Listener, clock: ManualClock) -> None:
    say(ears, f"{DOLLY} seven hours ago")
    await clock.advance(2 * 3600)
    say(ears, f"{DOLLY} five hours ago")
    await clock.advance(5 * 3600)
    async with ears.catching_up():
        late = {turn.text: turn.is_late for turn in await ears.waiting()}
    assert late == {"seven hours ago": True, "five hours ago": False}


async def test_an_edited_question_is_asked_as_it_stands_now(ears: Listener) -> None:
    asked, answered, told = say(ears, f"{DOLLY} teh"), say(ears, f"{DOLLY} Berlin?"), say(ears, "told Ben")
    await ears.remember(answered, GENERAL, "yes")
    for message, text in ((asked, "@dolly the"), (answered, "@dolly Bern?"), (told, "@dolly told?")):
        await ears.workspace.people.edit(ASHA, GENERAL, message["ts"], text)
    async with ears.catching_up():
        assert await ears.texts() == ["Bern?", "the", "told?"]
    async with ears.catching_up():
        assert await ears.texts() == [], "what was read once is asked once"
    assert await ears.remembered(answered, GENERAL) == [("Bern?", "yes")]


@pytest.mark.parametrize("fault", ["missing_scope", "not_in_channel", "internal_error", 503])
async def test_a_channel_that_cannot_be_read_is_read_later(
    ears: Listener, clock: ManualClock, faults: Faults, monkeypatch: pytest.MonkeyPatch, fault: str | int
) -> None:
    monkeypatch.setattr("bot.slack.hearing.catch_up.FIRST_RETRY_SECONDS", 0.2)
    direct = ears.workspace.timeline.direct_channel(ASHA).id
    say(ears, "first", direct)
    say(ears, f"{DOLLY} second")
    faults.next("conversations.history", fault)
    async with ears.catching_up():
        assert await ears.texts() == ["second"], "the others are read all the same"
        await clock.advance(3600)
        assert list((await ears.cursors.read(0)).behind) == [direct]
        async with asyncio.timeout(5):
            while not (turns := await ears.waiting()):
                await asyncio.sleep(0.02)
        assert [turn.text for turn in turns] == ["first"]
        await eventually(lambda: not ears.catch_up._behind)
    assert (await ears.cursors.read(0)).behind == {}


async def test_what_a_killed_dolly_left_behind_is_read_by_the_next(ears: Listener, faults: Faults) -> None:
    say(ears, f"{DOLLY} here")
    faults.always("conversations.history", "internal_error")
    async with ears.catching_up() as first:
        await eventually(lambda: first.is_done)
    await ears.cursors.advance(ears.now + 60)
    faults.none()
    async with ears.catching_up():
        assert await ears.texts() == ["here"]


async def test_a_kind_of_channel_that_may_not_be_listed_is_left_out(ears: Listener, faults: Faults) -> None:
    say(ears, "unseen", ears.workspace.timeline.direct_channel(ASHA).id)
    say(ears, f"{DOLLY} seen")
    faults.next("users.conversations", "missing_scope")
    async with ears.catching_up():
        assert await ears.texts() == ["seen"]


@pytest.mark.parametrize("fault", ["missing_scope", "access_denied", 503])
async def test_what_is_held_back_is_not_given_up_for_a_list_that_slack_does_not_give(
    ears: Listener, clock: ManualClock, faults: Faults, fault: str | int
) -> None:
    direct = ears.workspace.timeline.direct_channel(ASHA).id
    say(ears, "first", direct)
    faults.always("conversations.history", "internal_error")
    async with ears.catching_up():
        held = (await ears.cursors.read(0)).behind
    assert {direct, GENERAL} <= held.keys()
    await clock.advance(60)
    faults.none()
    faults.always("users.conversations", fault)
    catch_up, calls = ears.new_catch_up(), faults.calls["users.conversations"]
    running = asyncio.create_task(catch_up.run())
    await eventually(lambda: faults.calls["users.conversations"] > calls and not catch_up._is_reading)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert (await ears.cursors.read(0)).behind == held
    faults.none()
    async with ears.catching_up():
        assert await ears.texts() == ["first"]
    assert (await ears.cursors.read(0)).behind == {}


async def test_a_list_that_slack_refuses_just_now_is_asked_for_again(
    ears: Listener, faults: Faults, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.slack.hearing.catch_up.FIRST_RETRY_SECONDS", 0.05)
    say(ears, "direct", ears.workspace.timeline.direct_channel(ASHA).id)
    say(ears, f"{DOLLY} in a channel")
    faults.next("users.conversations", "access_denied")
    async with ears.catching_up():
        assert await ears.texts() == ["direct", "in a channel"]


async def test_a_channel_that_dolly_has_left_is_held_back_no_more(ears: Listener) -> None:
    say(ears, f"{DOLLY} hello")
    await ears.cursors.hold("C0GONE00001", ears.now)
    async with ears.catching_up():
        assert await ears.texts() == ["hello"]
    assert (await ears.cursors.read(0)).behind == {}


async def test_an_unreachable_slack_holds_everything(
    ears: Listener, faults: Faults, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.slack.hearing.catch_up.FIRST_RETRY_SECONDS", 0.05)
    say(ears, f"{DOLLY} hello")
    before = (await ears.cursors.read(0)).until
    faults.always("users.conversations", 503)
    running = asyncio.create_task(ears.catch_up.run())
    await eventually(lambda: faults.calls["users.conversations"] > 2)
    assert not ears.catch_up.is_done
    assert (await ears.cursors.read(0)).until == before
    faults.none()
    await eventually(lambda: ears.catch_up.is_done)
    assert await ears.texts() == ["hello"]
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_a_node_of_a_cluster_that_was_away_is_an_outage(
    workspace: Workspace,
    client: AsyncWebClient,
    identity: Identity,
    clock: ManualClock,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also one that does not hold the cursors: what was to be stored there has been refused."""
    monkeypatch.setattr("bot.slack.hearing.catch_up.WATCH_SECONDS", 0.02)
    monkeypatch.setattr("bot.slack.hearing.catch_up.DEAF_SECONDS", 0.5)
    with cluster(valkey(), tmp_path) as nodes:
        async with connect(nodes[0].url, cluster=True) as store:
            assert isinstance(store, RedisCluster)
            ears = Listener(workspace, client, store, identity, partitions=16)
            await ears.cursors.read(ears.now)
            await clock.advance(60)
            async with ears.catching_up():
                cursors_at = port_of(store, ears.layout.prefix)
                gone = next(node for node in nodes if node.port != cursors_at)
                message = say(ears, f"{DOLLY} hello")
                while port_of(store, ears.layout.prefix_of(conversation_of(ears, message))) != gone.port:
                    message = say(ears, f"{DOLLY} hello")
                with gone.paused():
                    with pytest.raises(StoreUnavailable):
                        await ears.questions.said({**message, "channel": GENERAL, "channel_type": "channel"})
                    for _ in range(10):
                        await clock.advance(0.1)
                        await asyncio.sleep(0.1)
                async with asyncio.timeout(20):
                    while conversation_of(ears, message) not in {turn.conversation for turn in await ears.waiting()}:
                        await asyncio.sleep(0.02)


def conversation_of(ears: Listener, message: Json) -> ConversationId:
    return ears.questions.conversation({**message, "channel": GENERAL})


def port_of(store: RedisCluster, key: str) -> int:
    node = store.get_node_from_key(key)
    assert node is not None
    return int(node.port)


async def test_a_mistake_does_not_end_the_watch(
    ears: Listener, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was said while nobody watched is read as soon as somebody does."""
    monkeypatch.setattr("bot.background.PAUSE_SECONDS", 0.05)
    monkeypatch.setattr("bot.slack.hearing.catch_up.WATCH_SECONDS", 0.05)
    probe, mistakes = Cursors.probe, 0

    async def mistaken(cursors: Cursors, seconds: float) -> None:
        nonlocal mistakes
        mistakes += 1
        if mistakes < 4:
            raise KeyError("cursors")
        await probe(cursors, seconds)

    async with ears.catching_up() as catch_up:
        monkeypatch.setattr(Cursors, "probe", mistaken)
        say(ears, f"{DOLLY} unheard")
        await clock.advance(30)
        await eventually(lambda: mistakes > 5 and catch_up.is_done)
        assert await ears.texts() == ["unheard"]
