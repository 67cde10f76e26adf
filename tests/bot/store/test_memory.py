"""What is remembered: within its budget, for as long as it is to be, and where some of it does not open any more."""

import json
from dataclasses import replace

import pytest
from redis.asyncio import Redis

from bot.conversation import ConversationId, Exchange, Line, Turn
from bot.errors import LeaseLost
from bot.store.claims import Claim
from bot.store.corrections import Corrections
from bot.store.layout import Layout
from bot.store.mailbox import Mailbox
from bot.store.memory import TOLD_SECONDS, Memory, dump, load
from bot.store.sealing import Sealing

LAYOUT = Layout("T1/B1")
LOST, SEALING = Sealing([bytes(range(32))]), Sealing([bytes(32)])
THREAD = ConversationId("T1", "C1", "100.000100")
OTHER = ConversationId("T1", "C1", "200.000100")
PREFIX = LAYOUT.prefix_of(THREAD)


@pytest.fixture
def memory(redis: Redis) -> Memory:
    return Memory(redis, LAYOUT, SEALING)


def turn(number: int, conversation: ConversationId = THREAD) -> Turn:
    return Turn(conversation, ts=f"100.00010{number}", user_id="U1", text=f"question {number}")


async def claimed(mailbox: Mailbox) -> Claim:
    claim = await mailbox.claim()
    assert claim is not None
    return claim


async def answered(mailbox: Mailbox, number: int, *, text: str = "said", tokens: int = 7) -> None:
    """`mailbox` is asked, and commits the answer."""
    await mailbox.enqueue(turn(number))
    lines = (Line("100.000050", "U2", "Bo: before"),)
    exchange = Exchange(f"100.00010{number}", "U1", text, "answer", tokens, lines, (f"100.90010{number}",))
    await mailbox.commit(await claimed(mailbox), exchange)


async def remembered(memory: Memory) -> str:
    return "".join(exchange.ts[-1] for exchange in await memory.read(THREAD))


@pytest.mark.parametrize(("tokens", "text"), [(21, "said"), (7, "long " * 400)], ids=["tokens", "bytes"])
async def test_what_is_too_long_by_itself_is_left_out_and_what_came_before_it_stays(
    redis: Redis, memory: Memory, tokens: int, text: str
) -> None:
    mailbox = Mailbox(redis, LAYOUT, SEALING, memory_tokens=20, memory_bytes=1_024)
    await answered(mailbox, 1)
    await answered(mailbox, 2)
    await answered(mailbox, 3, text=text, tokens=tokens)
    assert await remembered(memory) == "12"
    await answered(mailbox, 4)
    assert await remembered(memory) == "24", "the newest that fit, in their order"


async def test_an_entry_of_the_shape_before_is_read(redis: Redis, memory: Memory) -> None:
    sealed = SEALING.seal(str(THREAD), json.dumps({"question": "why?", "answer": "so", "earlier": []}))
    await redis.rpush(f"{PREFIX}memory:{THREAD}", f"7|100.000101|U1|100.900101|{sealed}")
    exchange = Exchange("100.000101", "U1", "why?", "so", 7, answer_ts=("100.900101",))
    assert await memory.read(THREAD) == [exchange]
    whole = replace(exchange, model="team/dolly", is_about=True, asker_team_id="T0OTHER0001")
    assert load(dump(whole, str(THREAD), SEALING), str(THREAD), SEALING) == whole


async def test_where_a_person_took_part_goes_with_memory_however_active_they_are(redis: Redis) -> None:
    mailbox = Mailbox(redis, LAYOUT, SEALING, memory_seconds=100)
    long_ago, _ = await redis.time()
    for user_id in ("U1", "U2"):
        await redis.zadd(f"{PREFIX}person:{user_id}", {str(OTHER): (long_ago - 101) * 1000})
    await answered(mailbox, 1)
    for user_id in ("U1", "U2"):
        assert await redis.zrange(f"{PREFIX}person:{user_id}", 0, -1) == [str(THREAD)]


async def test_that_something_was_told_once_is_not_kept_for_ever(redis: Redis, memory: Memory) -> None:
    assert await memory.first_time("T1/D1")
    assert not await memory.first_time("T1/D1")
    assert await redis.ttl(LAYOUT.prefix + "told:T1/D1") == TOLD_SECONDS


async def test_a_key_that_is_gone_takes_what_it_sealed_and_holds_up_nothing_else(redis: Redis, memory: Memory) -> None:
    """Two exchanges and an edit under way of before, and then two of now."""
    before, now = Mailbox(redis, LAYOUT, LOST), Mailbox(redis, LAYOUT, SEALING)
    corrections = Corrections(redis, LAYOUT, SEALING)
    await answered(before, 1)
    await answered(before, 2)
    await answered(now, 3)
    await answered(now, 4)
    under_way = turn(5)
    await now.enqueue(under_way)
    claim = await claimed(now)
    assert (
        await Corrections(redis, LAYOUT, LOST).revise(THREAD, "100.000103", "an edit that cannot be read") == "unknown"
    )

    assert await remembered(memory) == "4", "what 3 says now nobody knows; what it said is not to be kept"
    assert not await redis.exists(f"{PREFIX}changes:{THREAD}"), "and it is not tried again and again"
    assert await corrections.revise(THREAD, "100.000104", "said better") == "remembered"
    assert await corrections.revise(THREAD, "100.000101", "of an entry that does not open") == "unknown"
    assert await redis.llen(f"{PREFIX}memory:{THREAD}") == 3
    await corrections.withdraw(THREAD, "100.000101")
    await corrections.withdraw(THREAD, "100.900102")
    assert await redis.llen(f"{PREFIX}memory:{THREAD}") == 1, "a question and an answer, known by their ts"
    await now.commit(claim, replace(claim_exchange(claim), question="said"))
    assert [exchange.question for exchange in await memory.read(THREAD)] == ["said better", "said"]


def claim_exchange(claim: Claim) -> Exchange:
    return Exchange(claim.turn.ts, claim.turn.user_id, claim.turn.text, "answer", 7)


async def test_a_waiting_question_that_does_not_open_can_be_edited_and_deleted_in_slack(redis: Redis) -> None:
    before, now = Mailbox(redis, LAYOUT, LOST), Mailbox(redis, LAYOUT, SEALING)
    corrections = Corrections(redis, LAYOUT, SEALING)
    await before.enqueue(turn(1))
    await before.enqueue(turn(2))
    claim = await claimed(now)
    assert claim.verdict == "apology"
    assert await corrections.revise(THREAD, "100.000101", "said better") == "unknown"
    await corrections.withdraw(THREAD, "100.000101")
    with pytest.raises(LeaseLost):
        await now.commit(claim, None)
    await corrections.withdraw(THREAD, "100.000102")
    assert await now.claim() is None
    assert (await now.report()).waiting == 0
    assert not [key async for key in redis.scan_iter(match="*}:job:*")]
    assert await redis.zcard(f"{PREFIX}queue:U1") == 0
