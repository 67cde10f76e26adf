"""The mailbox on a real Valkey: stored once, in order, one worker at a time, finished once."""

import asyncio
from dataclasses import replace

import pytest
from redis.asyncio import Redis

from bot.conversation import ConversationId, Exchange, Message, Turn
from bot.errors import LeaseLost, StoreUnavailable
from bot.store.connection import connect, key_prefix
from bot.store.mailbox import Mailbox
from bot.store.memory import Memory

OWNER = "T1/B1"
THREAD = ConversationId("T1", "C1", "100.000100")
OTHER_THREAD = ConversationId("T1", "C1", "200.000100")
EXCHANGE = Exchange((Message("user", "hi"), Message("assistant", "hello")), tokens=7)


def turn(ts: str = "100.000100", conversation: ConversationId = THREAD, text: str = "hi") -> Turn:
    return Turn(conversation, ts=ts, user_id="U1", text=text)


@pytest.fixture
def mailbox(redis: Redis) -> Mailbox:
    return Mailbox(redis, OWNER, lease_seconds=0.3)


async def test_a_turn_comes_out_as_it_went_in(mailbox: Mailbox) -> None:
    put_in = replace(turn(text="naïve “text”\n🤔"), is_direct=True, response_url="http://127.0.0.1/r")
    assert await mailbox.enqueue(put_in)
    claim = await mailbox.claim()
    assert claim is not None
    assert claim.turn == put_in
    assert claim.attempt == 1


async def test_the_same_message_is_stored_once(mailbox: Mailbox) -> None:
    assert await mailbox.enqueue(turn())
    assert not await mailbox.enqueue(turn())
    first = await mailbox.claim()
    assert first is not None
    await mailbox.commit(first, EXCHANGE)
    assert not await mailbox.enqueue(turn()), "not even after it was answered"
    assert await mailbox.claim() is None


async def test_a_thread_is_answered_in_slacks_order_one_turn_at_a_time(mailbox: Mailbox) -> None:
    for ts in ("100.000300", "100.000100", "100.000200"):
        await mailbox.enqueue(turn(ts))
    order = []
    while claim := await mailbox.claim():
        assert await mailbox.claim() is None, "the thread has a worker already"
        order.append(claim.turn.ts)
        await mailbox.commit(claim, None)
    assert order == ["100.000100", "100.000200", "100.000300"]


async def test_threads_do_not_wait_for_each_other(mailbox: Mailbox) -> None:
    await mailbox.enqueue(turn())
    await mailbox.enqueue(turn("200.000100", OTHER_THREAD))
    claims = [await mailbox.claim(), await mailbox.claim()]
    assert {claim.turn.conversation for claim in claims if claim} == {THREAD, OTHER_THREAD}


async def test_an_earlier_message_that_comes_late_does_not_undo_a_finished_answer(mailbox: Mailbox) -> None:
    await mailbox.enqueue(turn("100.000200"))
    claim = await mailbox.claim()
    assert claim is not None
    await mailbox.enqueue(turn("100.000100"))
    await mailbox.commit(claim, None)
    late = await mailbox.claim()
    assert late is not None
    assert late.turn.ts == "100.000100"


async def test_a_dead_workers_turn_goes_to_the_next_and_the_dead_one_cannot_finish_it(mailbox: Mailbox) -> None:
    await mailbox.enqueue(turn())
    dead = await mailbox.claim()
    assert dead is not None
    assert await mailbox.claim() is None
    await asyncio.sleep(mailbox.lease_seconds + 0.05)
    alive = await mailbox.claim()
    assert alive is not None
    assert alive.attempt == 2
    with pytest.raises(LeaseLost):
        await mailbox.commit(dead, EXCHANGE)
    with pytest.raises(LeaseLost):
        await mailbox.renew(dead)
    with pytest.raises(LeaseLost):
        await mailbox.fail(dead, delay_seconds=0)
    await mailbox.commit(alive, EXCHANGE)


async def test_a_renewed_lease_lasts(mailbox: Mailbox) -> None:
    await mailbox.enqueue(turn())
    claim = await mailbox.claim()
    assert claim is not None
    for _ in range(4):
        await asyncio.sleep(mailbox.lease_seconds / 2)
        assert await mailbox.renew(claim) is False
        assert await mailbox.claim() is None


async def test_a_wish_to_stop_reaches_the_worker_and_not_the_next_turn(mailbox: Mailbox) -> None:
    await mailbox.enqueue(turn("100.000100"))
    await mailbox.enqueue(turn("100.000200"))
    claim = await mailbox.claim()
    assert claim is not None
    await mailbox.request_stop(THREAD)
    assert await mailbox.renew(claim) is True
    await mailbox.commit(claim, None)
    claim = await mailbox.claim()
    assert claim is not None
    assert await mailbox.renew(claim) is False


async def test_a_turn_handed_back_is_claimed_again_after_its_delay(mailbox: Mailbox) -> None:
    await mailbox.enqueue(turn())
    claim = await mailbox.claim()
    assert claim is not None
    await mailbox.fail(claim, delay_seconds=0.2)
    assert await mailbox.claim() is None
    await asyncio.sleep(0.25)
    again = await mailbox.claim()
    assert again is not None
    assert again.attempt == 2


async def test_memory_is_what_was_committed_and_only_of_its_own_thread(mailbox: Mailbox, redis: Redis) -> None:
    memory = Memory(redis, OWNER)
    for ts in ("100.000100", "100.000200"):
        await mailbox.enqueue(turn(ts))
        claim = await mailbox.claim()
        assert claim is not None
        await mailbox.commit(claim, replace(EXCHANGE, tokens=int(ts[-3:])))
    assert [exchange.tokens for exchange in await memory.read(THREAD)] == [100, 200]
    assert await memory.read(OTHER_THREAD) == []


async def test_committing_without_an_exchange_remembers_nothing(mailbox: Mailbox, redis: Redis) -> None:
    await mailbox.enqueue(turn())
    claim = await mailbox.claim()
    assert claim is not None
    await mailbox.commit(claim, None)
    assert await Memory(redis, OWNER).read(THREAD) == []


async def test_what_is_stored_goes_away_in_time(mailbox: Mailbox, redis: Redis) -> None:
    """Only the queues themselves, which are empty by then, have no end."""
    await mailbox.enqueue(turn())
    claim = await mailbox.claim()
    assert claim is not None
    await mailbox.commit(claim, EXCHANGE)
    keys = await redis.keys("*")
    assert keys
    assert all([await redis.ttl(key) > 0 for key in keys])


async def test_something_is_told_the_first_time_only(redis: Redis) -> None:
    memory = Memory(redis, OWNER)
    assert await memory.first_time("T1/D1")
    assert not await memory.first_time("T1/D1")
    assert await memory.first_time("T1/D2")


async def test_a_store_that_is_away_is_an_expected_error() -> None:
    nowhere = connect("unix:///nonexistent/valkey.sock")
    mailbox, memory = Mailbox(nowhere, OWNER), Memory(nowhere, OWNER)
    with pytest.raises(StoreUnavailable):
        await mailbox.enqueue(turn())
    with pytest.raises(StoreUnavailable):
        await mailbox.claim()
    with pytest.raises(StoreUnavailable):
        await memory.read(THREAD)
    with pytest.raises(StoreUnavailable):
        await mailbox.request_stop(THREAD)
    await nowhere.aclose()


async def test_two_apps_on_one_server_do_not_take_each_others_turns(mailbox: Mailbox, redis: Redis) -> None:
    other = Mailbox(redis, "T2/B2")
    await mailbox.enqueue(turn())
    assert await other.claim() is None
    assert await other.enqueue(turn()), "nor each other's dedupe marks"
    assert await mailbox.claim() is not None
    assert await Memory(redis, "T2/B2").read(THREAD) == []


@pytest.mark.parametrize("damage", [None, "{", '{"conversation": {}}', '{"a": 1}'])
async def test_a_job_that_cannot_be_read_is_dropped_and_holds_up_nobody(
    mailbox: Mailbox, redis: Redis, damage: str | None
) -> None:
    await mailbox.enqueue(turn("100.000100"))
    await mailbox.enqueue(turn("100.000200"))
    job = key_prefix(OWNER) + f"job:{THREAD}/100.000100"
    await (redis.delete(job) if damage is None else redis.hset(job, "turn", damage))
    claim = await mailbox.claim()
    assert claim is not None
    assert claim.turn.ts == "100.000200"
    await mailbox.commit(claim, None)
    assert await mailbox.claim() is None
