"""When Dolly notices that it was deaf, how far the cursor may move, and what the reading costs."""

import asyncio
from unittest.mock import AsyncMock

import pytest
from redis.asyncio import Redis
from slack_sdk.web.async_client import AsyncWebClient

from bot.errors import StoreUnavailable
from bot.local.workspace import Workspace
from bot.local.workspace.clock import ManualClock
from bot.local.workspace.records import BOT_USER_ID
from bot.slack.client import Identity
from bot.slack.hearing.catch_up import OVERLAP_SECONDS
from bot.store.connection import losses
from bot.store.cursors import Cursors, Heard
from bot.store.layout import Layout
from tests.bot.local.workspace.bare_app import eventually
from tests.bot.slack.conftest import ASHA, GENERAL
from tests.bot.slack.listening import Listener
from tests.scenarios.faults import Faults

DOLLY = f"<@{BOT_USER_ID}>"


@pytest.fixture
async def ears(
    workspace: Workspace,
    client: AsyncWebClient,
    redis: Redis,
    identity: Identity,
    clock: ManualClock,
    monkeypatch: pytest.MonkeyPatch,
) -> Listener:
    monkeypatch.setattr("bot.slack.hearing.catch_up.WATCH_SECONDS", 0.02)
    listener = Listener(workspace, client, redis, identity)
    await listener.cursors.read(listener.now)
    await clock.advance(3600)
    return listener


async def heard_until(ears: Listener) -> float:
    return (await ears.cursors.read(0)).until


async def test_the_cursor_follows_what_is_heard_with_an_overlap(ears: Listener, clock: ManualClock) -> None:
    async with ears.catching_up():
        for _ in range(3):
            await clock.advance(1)
            await asyncio.sleep(0.05)
        assert ears.now - OVERLAP_SECONDS - 20 < await heard_until(ears) <= ears.now - OVERLAP_SECONDS


async def test_after_a_time_without_a_socket_all_since_is_read(ears: Listener, clock: ManualClock) -> None:
    async with ears.catching_up():
        ears.is_hearing = False
        await asyncio.sleep(0.1)
        before = await heard_until(ears)
        await clock.advance(600)
        ears.workspace.timeline.post(GENERAL, ASHA, f"{DOLLY} did you hear me?")
        await clock.advance(600)
        await asyncio.sleep(0.1)
        assert await heard_until(ears) == before, "it hears nothing, and does not claim that it did"
        assert await ears.texts() == []
        ears.is_hearing = True
        async with asyncio.timeout(5):
            while await ears.texts() != ["did you hear me?"]:
                await asyncio.sleep(0.02)
        await eventually(lambda: ears.is_hearing)
        async with asyncio.timeout(5):
            while await heard_until(ears) <= before:
                await asyncio.sleep(0.02)


async def test_after_a_time_without_a_store_all_since_is_read(
    ears: Listener, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    probe, is_up = Cursors.probe, True

    async def failing(cursors: Cursors, seconds: float) -> None:
        if not is_up:
            raise StoreUnavailable("The store is full.")
        await probe(cursors, seconds)

    monkeypatch.setattr(Cursors, "probe", failing)
    async with ears.catching_up():
        for seconds, found in ((1.5, []), (10, ["well?", "well?"])):
            await asyncio.sleep(0.1)
            is_up = False
            ears.workspace.timeline.post(GENERAL, ASHA, f"{DOLLY} well?")
            await asyncio.sleep(0.1)
            await clock.advance(seconds)
            is_up = True
            await asyncio.sleep(0.3)
            assert await ears.texts() == found, "a short absence is bridged by Slack's retries"


async def test_a_full_store_is_noticed(ears: Listener) -> None:
    await ears.redis.config_set("maxmemory", "1")
    try:
        with pytest.raises(StoreUnavailable):
            await ears.cursors.probe(2)
    finally:
        await ears.redis.config_set("maxmemory", "0")
    await ears.cursors.probe(2)


async def test_a_process_that_stood_still_was_deaf(ears: Listener, clock: ManualClock, faults: Faults) -> None:
    async with ears.catching_up() as catch_up:
        await asyncio.sleep(0.1)
        calls = faults.calls["conversations.history"]
        await clock.advance(30)
        await eventually(lambda: faults.calls["conversations.history"] > calls)
        await eventually(lambda: catch_up.is_done)


async def test_a_store_that_is_another_one_may_lack_what_was_heard(
    ears: Listener, faults: Faults, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However short the failover was; a connection to the same server that is lost is no reason."""
    async with ears.catching_up() as catch_up:
        await asyncio.sleep(0.1)
        calls = faults.calls["conversations.history"]
        monkeypatch.setattr(losses, "last", losses.last + 1)
        await asyncio.sleep(0.1)
        assert faults.calls["conversations.history"] == calls
        assert len(await ears.cursors.servers()) == 1
        another = AsyncMock(return_value=frozenset({"0a1b2c"}))
        monkeypatch.setattr(ears.cursors, "servers", another)
        monkeypatch.setattr(losses, "last", losses.last + 1)
        await eventually(lambda: faults.calls["conversations.history"] > calls)
        await eventually(lambda: catch_up.is_done)
        await asyncio.sleep(0.1)
        assert another.await_count == 1


async def test_a_cursor_never_moves_back(redis: Redis) -> None:
    one, other = (Cursors(redis, Layout("T1/B1")) for _ in range(2))
    assert await one.read(1000.0) == Heard(1000.0)
    assert await other.read(2000.0) == Heard(1000.0), "the first start was the other's"
    await one.advance(3000.5)
    await other.advance(2500)
    await one.probe(2)
    await one.hold("C1", 700.25)
    await other.hold("C1", 900)
    assert await one.read(0) == Heard(3000.5, {"C1": 700.25})
    await one.hold("C1", 600)
    assert (await one.read(0)).behind == {"C1": 600}
    await one.release("C1")
    assert await one.read(0) == Heard(3000.5)
    assert await Cursors(redis, Layout("T1/B2")).read(1) == Heard(1), "another app's"
