"""The mailbox on a real Valkey: stored once, in order, one worker at a time, finished once."""

import asyncio
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from redis.asyncio import Redis

from bot.conversation import ConversationId, Exchange, Posting, Shown, Turn
from bot.errors import LeaseLost, StoreUnavailable, TooManyWaiting
from bot.store.claims import Claim
from bot.store.connection import connect, run_script
from bot.store.layout import Layout
from bot.store.mailbox import Mailbox
from bot.store.memory import Memory
from bot.store.sealing import Sealing
from bot.store.settlings import Settlings
from bot.store.tombstones import Target, Tombstones
from tests.bot.store.life import spread

LAYOUT = Layout("T1/B1")
SEALING = Sealing([bytes(range(32))])
THREAD = ConversationId("T1", "C1", "100.000100")
OTHER_THREAD = ConversationId("T1", "C1", "200.000100")
EXCHANGE = Exchange("100.000100", "U1", "hi", "hello", tokens=7)


def turn(ts: str = "100.000100", conversation: ConversationId = THREAD, text: str = "hi") -> Turn:
    return Turn(conversation, ts=ts, user_id="U1", text=text)


@pytest.fixture
def mailbox(redis: Redis) -> Mailbox:
    return Mailbox(redis, LAYOUT, SEALING, lease_seconds=0.3)


@pytest.fixture
def memory(redis: Redis) -> Memory:
    return Memory(redis, LAYOUT, SEALING)


async def claimed(mailbox: Mailbox) -> Claim:
    claim = await mailbox.claim()
    assert claim is not None
    return claim


async def test_a_turn_comes_out_as_it_went_in(mailbox: Mailbox) -> None:
    put_in = replace(turn(text="naïve “text”\n🤔"), is_direct=True, response_url="http://127.0.0.1/r")
    assert await mailbox.enqueue(put_in)
    claim = await claimed(mailbox)
    assert claim.turn == put_in
    assert claim.attempt == 1


@pytest.mark.parametrize(
    "target",
    [Target(THREAD), Target(user_id="U1"), Target(THREAD, user_id="U1"), Target(channel_id="C1"), Target()],
    ids=lambda target: target.kind,
)
async def test_what_was_to_be_forgotten_is_not_stored_when_it_comes_again(
    mailbox: Mailbox, redis: Redis, target: Target
) -> None:
    tombstones = Tombstones(redis, LAYOUT, SEALING)
    await tombstones.put({tombstones.of(target): 150.0})
    assert not await mailbox.enqueue(turn())
    assert not await mailbox.refuse(turn(), "question_too_long", is_final=True)
    assert (await mailbox.report()).waiting == 0
    assert await mailbox.enqueue(turn("150.000100")), "it was said since"
    command = replace(turn("0.000000", OTHER_THREAD), response_url="http://127.0.0.1/r")
    assert await mailbox.enqueue(command), "a command is as new as it is"


async def test_a_thread_where_a_lost_worker_may_still_write_is_read_again(mailbox: Mailbox, redis: Redis) -> None:
    for ts, is_settled in (("100.000100", True), ("100.000200", False)):
        await mailbox.enqueue(turn(ts))
        claim = await claimed(mailbox)
        await mailbox.note_shape(claim, "stream")
        await mailbox.commit(claim, None, is_settled=is_settled)
    assert await redis.zrange("dolly:{T1/B1/0}:settle", 0, -1) == [turn("100.000200").job_id]


async def test_the_same_message_is_stored_once(mailbox: Mailbox) -> None:
    assert await mailbox.enqueue(turn())
    assert not await mailbox.enqueue(turn())
    first = await claimed(mailbox)
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
    claim = await claimed(mailbox)
    await mailbox.enqueue(turn("100.000100"))
    await mailbox.commit(claim, None)
    late = await claimed(mailbox)
    assert late.turn.ts == "100.000100"


async def test_a_dead_workers_turn_goes_to_the_next_and_the_dead_one_cannot_finish_it(mailbox: Mailbox) -> None:
    await mailbox.enqueue(turn())
    dead = await claimed(mailbox)
    assert await mailbox.claim() is None
    await asyncio.sleep(mailbox.lease_seconds + 0.05)
    alive = await claimed(mailbox)
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
    claim = await claimed(mailbox)
    for _ in range(4):
        await asyncio.sleep(mailbox.lease_seconds / 2)
        assert await mailbox.renew(claim) is False
        assert await mailbox.claim() is None


async def test_a_renewal_that_comes_just_after_the_end_tells_its_own_worker_of_no_loss(mailbox: Mailbox) -> None:
    """It renews beside the turn: cut off there, the question would be answered, and neither counted nor logged."""
    for ts in ("1.0", "2.0"):
        await mailbox.enqueue(turn(ts))
    first = await claimed(mailbox)
    await mailbox.fail(first, delay_seconds=0)
    assert await mailbox.renew(first) is False
    second = await claimed(mailbox)
    await mailbox.commit(second, None)
    assert await mailbox.renew(second) is False
    with pytest.raises(LeaseLost):
        await mailbox.renew(first)


async def test_a_wish_to_stop_reaches_the_worker_and_not_the_next_turn(mailbox: Mailbox) -> None:
    await mailbox.enqueue(turn("100.000100"))
    await mailbox.enqueue(turn("100.000200"))
    assert not await mailbox.request_stop(THREAD, "100.000150"), "nobody answers"
    claim = await claimed(mailbox)
    assert await mailbox.renew(claim) is False
    assert await mailbox.request_stop(THREAD, "100.000150")
    assert await mailbox.renew(claim) is True
    await mailbox.commit(claim, None)
    claim = await claimed(mailbox)
    assert await mailbox.renew(claim) is False


async def test_a_stop_that_comes_late_does_not_stop_the_next_answer(mailbox: Mailbox) -> None:
    for ts in ("100.000100", "100.000200", "100.000300"):
        await mailbox.enqueue(turn(ts))
    first = await claimed(mailbox)
    await mailbox.note_post(first, "100.000110")
    await mailbox.commit(first, None)
    second = await claimed(mailbox)
    await mailbox.note_post(second, "100.000210")
    assert not await mailbox.request_stop(THREAD, "100.000150"), "pressed before the second was asked"
    assert not await mailbox.request_stop(THREAD, "100.000250", ["100.000110"]), "of the first answer's message"
    assert await mailbox.renew(second) is False
    assert await mailbox.request_stop(THREAD, "100.000150", ["100.000210"]), "whatever a clock says"
    assert await mailbox.renew(second) is True
    await mailbox.commit(second, None)
    third = await claimed(mailbox)
    assert await mailbox.request_stop(THREAD, "100.000350", ["100.000999"]), "its message may not be written down yet"
    assert await mailbox.renew(third) is True


async def test_a_turn_handed_back_is_claimed_again_after_its_delay(mailbox: Mailbox) -> None:
    await mailbox.enqueue(turn())
    claim = await claimed(mailbox)
    await mailbox.fail(claim, delay_seconds=0.2)
    assert await mailbox.claim() is None
    await asyncio.sleep(0.25)
    again = await claimed(mailbox)
    assert again.attempt == 2


async def test_memory_is_what_was_committed_and_only_of_its_own_thread(mailbox: Mailbox, memory: Memory) -> None:
    for ts in ("100.000100", "100.000200"):
        await mailbox.enqueue(turn(ts))
        claim = await claimed(mailbox)
        await mailbox.commit(claim, replace(EXCHANGE, tokens=int(ts[-3:])))
    assert [exchange.tokens for exchange in await memory.read(THREAD)] == [100, 200]
    assert await memory.read(OTHER_THREAD) == []


async def test_committing_without_an_exchange_remembers_nothing(mailbox: Mailbox, memory: Memory) -> None:
    await mailbox.enqueue(turn())
    claim = await claimed(mailbox)
    await mailbox.commit(claim, None)
    assert await memory.read(THREAD) == []


async def test_what_is_stored_goes_away_in_time(mailbox: Mailbox, redis: Redis) -> None:
    """Only the queues themselves, which are empty by then, have no end."""
    await mailbox.enqueue(turn())
    claim = await claimed(mailbox)
    await mailbox.commit(claim, EXCHANGE)
    keys = await redis.keys("*")
    assert keys
    assert all([await redis.ttl(key) > 0 for key in keys])


async def test_something_is_told_the_first_time_only(memory: Memory) -> None:
    assert await memory.first_time("T1/D1")
    assert not await memory.first_time("T1/D1")
    assert await memory.first_time("T1/D2")


async def test_a_store_that_is_away_is_an_expected_error() -> None:
    nowhere = connect("unix:///nonexistent/valkey.sock")
    mailbox, memory = Mailbox(nowhere, LAYOUT, SEALING), Memory(nowhere, LAYOUT, SEALING)
    with pytest.raises(StoreUnavailable):
        await mailbox.enqueue(turn())
    with pytest.raises(StoreUnavailable):
        await mailbox.claim()
    with pytest.raises(StoreUnavailable):
        await memory.read(THREAD)
    with pytest.raises(StoreUnavailable):
        await mailbox.request_stop(THREAD, "100.000150")
    await nowhere.aclose()


async def test_two_apps_on_one_server_do_not_take_each_others_turns(mailbox: Mailbox, redis: Redis) -> None:
    other = Mailbox(redis, Layout("T2/B2"), SEALING)
    await mailbox.enqueue(turn())
    assert await other.claim() is None
    assert await other.enqueue(turn()), "nor each other's dedupe marks"
    assert await mailbox.claim() is not None
    assert await Memory(redis, Layout("T2/B2"), SEALING).read(THREAD) == []


@pytest.mark.parametrize("damage", [None, "{", '{"conversation": {}}', '{"a": 1}'])
async def test_a_job_that_cannot_be_read_is_apologised_for_and_holds_up_nobody(
    mailbox: Mailbox, redis: Redis, damage: str | None
) -> None:
    await mailbox.enqueue(turn("100.000100"))
    await mailbox.enqueue(turn("100.000200"))
    job = LAYOUT.prefix_of(THREAD) + f"job:{THREAD}/100.000100"
    await (redis.delete(job) if damage is None else redis.hset(job, "turn", damage))
    damaged = await claimed(mailbox)
    assert (damaged.verdict, damaged.turn.conversation) == ("apology", THREAD)
    await mailbox.commit(damaged, None, buried="unreadable")
    claim = await claimed(mailbox)
    assert claim.turn.ts == "100.000200"
    await mailbox.commit(claim, None)
    assert await mailbox.claim() is None


async def test_a_worker_that_takes_over_knows_how_far_the_answer_is(mailbox: Mailbox) -> None:
    await mailbox.enqueue(turn())
    dead = await claimed(mailbox)
    assert dead.posting == Posting()
    await mailbox.note_shape(dead, "stream")
    for ts in ("101.000100", "102.000100", "101.000100"):
        await mailbox.note_post(dead, ts)
    await mailbox.note_uses(dead, 2)
    await mailbox.note_kept(dead, EXCHANGE)
    await asyncio.sleep(mailbox.lease_seconds + 0.05)
    alive = await claimed(mailbox)
    assert (alive.claims, alive.attempt) == (2, 2)
    assert alive.posting == Posting("stream", ("101.000100", "102.000100"), 2)
    assert alive.kept == EXCHANGE
    with pytest.raises(LeaseLost):
        await mailbox.note_post(dead, "103.000100")
    assert await mailbox.recorded(THREAD) == {"101.000100", "102.000100"}


async def test_a_message_is_either_part_of_an_answer_or_taken_back(mailbox: Mailbox) -> None:
    await mailbox.enqueue(turn())
    claim = await claimed(mailbox)
    assert await mailbox.note_post(claim, "101.000100")
    assert await mailbox.note_post(claim, "101.000100"), "the same again, for a lost reply"
    assert not await mailbox.disown(THREAD, "101.000100")
    for _ in range(2):
        assert await mailbox.disown(THREAD, "102.000100")
        assert not await mailbox.note_post(claim, "102.000100")
    assert await mailbox.recorded(THREAD) == {"101.000100"}
    await mailbox.fail(claim, delay_seconds=0)
    assert (await claimed(mailbox)).posting.ts == ("101.000100",)


async def test_a_message_of_an_answer_that_is_taken_back_is_nobodys(mailbox: Mailbox) -> None:
    await mailbox.enqueue(turn())
    claim = await claimed(mailbox)
    for ts in ("101.000100", "102.000100"):
        await mailbox.note_post(claim, ts)
    for _ in range(2):
        await mailbox.note_taken_back(claim, "102.000100")
    assert await mailbox.recorded(THREAD) == {"101.000100"}
    assert await mailbox.disown(THREAD, "102.000100")
    await mailbox.fail(claim, delay_seconds=0)
    with pytest.raises(LeaseLost):
        await mailbox.note_taken_back(claim, "101.000100")
    assert (await claimed(mailbox)).posting.ts == ("101.000100", "102.000100"), "whoever takes over sees to it"


async def test_a_thread_that_never_rests_has_an_end_of_what_is_written_down(
    mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.store.mailbox.POSTED_KEPT", 4)
    await mailbox.enqueue(turn())
    claim = await claimed(mailbox)
    posted = [f"10{number}.000100" for number in range(6)]
    for ts in (*posted[1:4], posted[0], posted[4]):  # one that was found late
        assert await mailbox.note_post(claim, ts)
    assert await mailbox.recorded(THREAD) == {"103.000100", "104.000100"}
    await mailbox.note_taken_back(claim, posted[5])
    assert await mailbox.recorded(THREAD) == {"103.000100", "104.000100"}
    await mailbox.fail(claim, delay_seconds=0)
    assert len((await claimed(mailbox)).posting.ts) == 5, "the answer's own stay with it"


async def test_a_message_that_comes_again_after_a_day_finds_its_job_as_it_is(mailbox: Mailbox, redis: Redis) -> None:
    await mailbox.enqueue(turn())
    claim = await claimed(mailbox)
    await mailbox.note_shape(claim, "stream")
    await redis.delete(f"{LAYOUT.prefixes[0]}seen:{claim.job_id}")
    for _ in range(2):
        assert not await mailbox.enqueue(turn(text="as it was sent"))
    await mailbox.fail(claim, delay_seconds=0)
    again = await claimed(mailbox)
    assert (again.claims, again.attempt, again.posting.shape) == (2, 2, "stream")


async def test_an_attempt_that_does_not_count_leaves_the_others(mailbox: Mailbox) -> None:
    await mailbox.enqueue(turn())
    for claims in (1, 2, 3):
        claim = await claimed(mailbox)
        assert (claim.attempt, claim.claims) == (1, claims)
        await mailbox.fail(claim, delay_seconds=0, counted=False)


async def test_a_thread_with_two_workers_is_read_again_and_others_are_not(
    mailbox: Mailbox, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    settlings = Settlings(redis, LAYOUT, SEALING)
    monkeypatch.setattr("bot.store.mailbox.SETTLE_SECONDS", -1.0)
    await mailbox.enqueue(turn())
    await mailbox.note_shape(await claimed(mailbox), "stream")
    await asyncio.sleep(mailbox.lease_seconds + 0.05)
    alive = await claimed(mailbox)
    await mailbox.note_post(alive, "101.000100")
    await mailbox.commit(alive, EXCHANGE, shown={"101.000100": Shown("hello", ({"type": "divider"},))})
    settling = await settlings.next()
    assert settling is not None
    assert (settling.job_id, settling.turn_ts, settling.kept) == (alive.job_id, "100.000100", ("101.000100",))
    assert settling.shown == {"101.000100": Shown("hello", ({"type": "divider"},))}
    assert await settlings.next() is None, "not twice at once"
    await settlings.done(settling)

    await mailbox.enqueue(turn("100.000200"))
    alone = await claimed(mailbox)
    await mailbox.note_shape(alone, "stream")
    await mailbox.commit(alone, None)
    assert await settlings.next() is None


async def test_what_is_given_up_is_kept_as_a_dead_letter(mailbox: Mailbox) -> None:
    await mailbox.enqueue(turn())
    await mailbox.commit(await claimed(mailbox), None, buried="is_archived")
    report = await mailbox.report()
    assert (report.dead, report.waiting, report.leased, report.oldest_seconds) == (1, 0, 0, 0)


async def test_the_queue_tells_its_length_its_age_and_each_turns_place(mailbox: Mailbox) -> None:
    await mailbox.enqueue(turn())
    await asyncio.sleep(0.05)
    await mailbox.enqueue(turn("200.000100", OTHER_THREAD))
    first, second = await claimed(mailbox), await claimed(mailbox)
    assert [await mailbox.place(first), await mailbox.place(second)] == [1, 2]
    report = await mailbox.report()
    assert (report.waiting, report.leased) == (2, 2)
    assert 0.05 <= report.oldest_seconds < 5
    assert 0.05 <= first.age_seconds + 1 < 5


async def test_nobody_can_fill_the_queue(redis: Redis) -> None:
    mailbox = Mailbox(redis, LAYOUT, SEALING, waiting_per_user=2)
    for ts in ("100.000100", "100.000200"):
        assert await mailbox.enqueue(turn(ts))
    with pytest.raises(TooManyWaiting):
        await mailbox.enqueue(turn("100.000300"))
    assert await mailbox.refuse(turn("100.000300"), "too_many_waiting", is_final=True)
    assert not await mailbox.enqueue(turn("100.000300")), "it is refused once, not at every delivery"
    assert await mailbox.enqueue(replace(turn("100.000400"), user_id="U2"))
    for number in range(100):
        assert await mailbox.refuse(turn(f"200.{number:06d}"), "too_many_waiting", is_final=True)
    assert (await mailbox.report()).waiting == 4, "one refusal at a time"
    refusal = await claimed(mailbox)
    assert (refusal.turn.ts, refusal.turn.text, refusal.verdict) == ("100.000300", "", "too_many_waiting")
    await mailbox.commit(refusal, None)
    await mailbox.commit(await claimed(mailbox), None)
    assert await mailbox.enqueue(turn("100.000500"))


async def test_what_a_person_has_waiting_counts_over_all_partitions(redis: Redis) -> None:
    mailbox = Mailbox(redis, Layout("T1/B1", partitions=16), SEALING, waiting_per_user=5)
    threads = [ConversationId("T1", "C1", f"{number}.000100") for number in range(40)]
    taken = 0
    for thread in threads:
        with suppress(TooManyWaiting):
            taken += await mailbox.enqueue(Turn(thread, thread.root_ts, "U1", "hi"))
    assert taken == 5
    assert await mailbox.enqueue(Turn(threads[0], "99.000100", "U2", "hi")), "it is theirs alone"
    for thread in threads:
        await mailbox.refuse(Turn(thread, "98.000100", "U1", "hi"), "too_many_waiting", is_final=True)
    assert (await mailbox.report()).waiting == 7, "one refusal at a time"


async def test_a_question_that_waits_is_not_lost_to_a_refusal_of_its_edit(mailbox: Mailbox) -> None:
    await mailbox.enqueue(turn())
    assert not await mailbox.refuse(turn(), "question_too_long", is_final=False)
    claim = await claimed(mailbox)
    assert (claim.turn.text, claim.verdict) == ("hi", None)


@pytest.mark.parametrize(("tokens", "size_bytes", "kept"), [(20, 65_536, 2), (8_000, 1_200, 2), (6, 65_536, 0)])
async def test_memory_has_a_budget_in_tokens_and_in_bytes(
    redis: Redis, memory: Memory, tokens: int, size_bytes: int, kept: int
) -> None:
    mailbox = Mailbox(redis, LAYOUT, SEALING, memory_tokens=tokens, memory_bytes=size_bytes)
    for number in range(1, 5):
        await mailbox.enqueue(turn(f"100.00010{number}"))
        exchange = replace(EXCHANGE, ts=f"100.00010{number}", question="long " * 40)
        await mailbox.commit(await claimed(mailbox), exchange)
    assert [exchange.ts[-1] for exchange in await memory.read(THREAD)] == ["3", "4"][:kept]


async def test_memory_without_an_end_has_none(redis: Redis) -> None:
    mailbox = Mailbox(redis, LAYOUT, SEALING, memory_seconds=0)
    await mailbox.enqueue(turn())
    await mailbox.commit(await claimed(mailbox), EXCHANGE)
    assert await redis.ttl(LAYOUT.prefix_of(THREAD) + f"memory:{THREAD}") == -1


async def test_another_conversations_memory_does_not_open(mailbox: Mailbox, memory: Memory, redis: Redis) -> None:
    await mailbox.enqueue(turn())
    await mailbox.commit(await claimed(mailbox), EXCHANGE)
    prefix = LAYOUT.prefix_of(THREAD)
    await redis.rename(f"{prefix}memory:{THREAD}", f"{prefix}memory:{OTHER_THREAD}")
    assert await memory.read(OTHER_THREAD) == []


async def test_a_lost_reply_is_asked_for_again(mailbox: Mailbox, memory: Memory) -> None:
    await mailbox.enqueue(turn())
    lost = await claimed(mailbox)
    mailbox._requests[LAYOUT.prefixes[0]] -= 1  # as if the reply had not come
    again = await claimed(mailbox)
    assert replace(again, age_seconds=0) == replace(lost, age_seconds=0), "nobody else's, and no further attempt"
    await mailbox.fail(again, delay_seconds=0)
    await mailbox.fail(again, delay_seconds=0)
    claim = await claimed(mailbox)
    assert claim.attempt == 2
    await mailbox.commit(claim, EXCHANGE)
    await mailbox.commit(claim, EXCHANGE)
    assert await memory.read(THREAD) == [EXCHANGE]
    assert await mailbox.claim() is None


async def test_it_is_asked_for_where_it_was_lost_though_other_partitions_have_turns(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout = Layout("T1/B1", partitions=16)
    mailbox = Mailbox(redis, layout, SEALING)
    for conversation in spread(layout):
        await mailbox.enqueue(turn(conversation=conversation))
    lost: list[str] = []

    async def lose_the_reply(*call: Any) -> Any:
        monkeypatch.setattr("bot.store.mailbox.run_script", run_script)
        claimed = await run_script(*call)
        lost.append(claimed[0])
        raise ConnectionResetError

    monkeypatch.setattr("bot.store.mailbox.run_script", lose_the_reply)
    with pytest.raises(StoreUnavailable):
        await mailbox.claim()
    claims = [await claimed(mailbox) for _ in layout.prefixes]
    assert [str(claims[0].turn.conversation)] == lost
    assert {claim.turn.conversation for claim in claims} == set(spread(layout))
    assert {(claim.claims, claim.attempt) for claim in claims} == {(1, 1)}


async def test_what_is_given_out_again_has_a_whole_lease(mailbox: Mailbox, redis: Redis) -> None:
    await mailbox.enqueue(turn())
    await claimed(mailbox)
    mailbox._requests[LAYOUT.prefixes[0]] -= 1  # as if the reply had not come
    await asyncio.sleep(mailbox.lease_seconds + 0.05)
    again = await claimed(mailbox)
    assert again.claims == 1
    assert await mailbox.claim() is None, "it has one worker"
    await mailbox.commit(again, None)
