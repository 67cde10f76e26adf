"""Forgetting on a real Valkey: what goes, what stays, and that nothing under way brings it back."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from redis.asyncio import Redis

from bot.conversation import ConversationId, Exchange, Line, Turn
from bot.errors import LeaseLost
from bot.store.claims import Claim
from bot.store.connection import Client
from bot.store.corrections import Corrections
from bot.store.forgetting import Forgetting, Forgotten
from bot.store.layout import Layout
from bot.store.mailbox import Mailbox
from bot.store.memory import Memory
from bot.store.sealing import Sealing

LAYOUT = Layout("T1/B1", 4)
SEALING = Sealing([bytes(range(32))])
ASHA, BEN, CHANDRA = "U0ASHA", "U0BEN", "U0CHANDRA"
THREAD = ConversationId("T1", "C1", "100.000100")
OTHER = ConversationId("T1", "C1", "200.000100")
ELSEWHERE = ConversationId("T1", "C2", "300.000100")
DIRECT = ConversationId("T1", "D1", "400.000100")
LASTING = {"seen", "claim", "claimed"}
"""Kinds of keys that stay: they hold no text."""


@pytest.fixture
def mailbox(redis: Redis) -> Mailbox:
    return Mailbox(redis, LAYOUT, SEALING, lease_seconds=0.3)


@pytest.fixture
def memory(redis: Redis) -> Memory:
    return Memory(redis, LAYOUT, SEALING)


@pytest.fixture
def forgetting(redis: Redis) -> Forgetting:
    return Forgetting(redis, LAYOUT, SEALING)


class Talk:
    """People who ask, and workers who answer."""

    def __init__(self, mailbox: Mailbox) -> None:
        self.mailbox = mailbox
        self._micros = 200

    async def ask(self, user_id: str, conversation: ConversationId = THREAD) -> Turn:
        self._micros += 1
        seconds = conversation.root_ts.partition(".")[0]
        turn = Turn(conversation, ts=f"{seconds}.{self._micros:06}", user_id=user_id, text=f"question of {user_id}")
        assert await self.mailbox.enqueue(turn)
        return turn

    async def claim(self, turn: Turn) -> Claim:
        claim = await self.mailbox.claim()
        assert claim is not None
        assert claim.turn == turn
        return claim

    async def exchange(self, user_id: str, conversation: ConversationId = THREAD, *quoted: str) -> Turn:
        turn = await self.ask(user_id, conversation)
        await self.mailbox.commit(await self.claim(turn), answer(turn, *quoted))
        return turn


@pytest.fixture
def talk(mailbox: Mailbox) -> Talk:
    return Talk(mailbox)


def answer(turn: Turn, *quoted: str) -> Exchange:
    lines = tuple(Line(f"100.00000{n}", user, f"{user}: words of {user}") for n, user in enumerate(quoted, 1))
    return Exchange(turn.ts, turn.user_id, turn.text, f"answer to {turn.user_id}", 7, lines, ("100.900000",))


async def kinds(client: Client, containing: str = "") -> set[str]:
    """The kinds of all keys of conversations."""
    keys = [key async for key in client.scan_iter(match=f"dolly:{{T1/B1/*}}:*{containing}*")]
    return {key.partition("}:")[2].partition(":")[0] for key in keys}


async def everything(client: Redis) -> str:
    """All names and values that the store holds, as one text."""
    readers: dict[Any, Callable[[Any], Awaitable[Any]]] = {
        "string": client.get,
        "hash": client.hgetall,
        "list": lambda key: client.lrange(key, 0, -1),
        "zset": lambda key: client.zrange(key, 0, -1),
    }
    return repr([(key, await readers[await client.type(key)](key)) async for key in client.scan_iter()])


async def test_a_conversation_goes_with_all_that_it_left(
    redis: Redis, talk: Talk, mailbox: Mailbox, memory: Memory, forgetting: Forgetting
) -> None:
    await talk.exchange(ASHA)
    buried = await talk.ask(BEN)
    claim = await talk.claim(buried)
    await mailbox.note_post(claim, "100.800000")
    await mailbox.commit(claim, None, buried="apology")
    await talk.ask(ASHA)
    await talk.exchange(BEN, OTHER)
    assert await forgetting.conversation(THREAD) == Forgotten(conversations=1, exchanges=1, waiting=2)

    assert await memory.read(THREAD) == []
    assert await kinds(redis, str(THREAD)) <= LASTING
    assert str(THREAD) not in repr(await memory.threads(1e9))
    assert await forgetting.conversations_of(ASHA) == []
    assert (await mailbox.report()).waiting == (await mailbox.report()).dead == 0
    assert await mailbox.claim() is None
    assert [exchange.user_id for exchange in await memory.read(OTHER)] == [BEN]
    assert await forgetting.conversations_of(BEN) == [OTHER]
    assert await forgetting.conversation(THREAD) == Forgotten()


async def test_an_answer_under_way_cannot_bring_its_conversation_back(
    redis: Redis, talk: Talk, mailbox: Mailbox, memory: Memory, forgetting: Forgetting
) -> None:
    await talk.exchange(ASHA)
    claim = await talk.claim(await talk.ask(ASHA))
    await Corrections(redis, LAYOUT, SEALING).revise(
        THREAD, "100.000050", "an edit that a later look at the memory takes in"
    )
    await forgetting.conversation(THREAD)
    for refused in (
        mailbox.renew(claim),
        mailbox.note_post(claim, "100.800000"),
        mailbox.note_kept(claim, answer(claim.turn)),
        mailbox.fail(claim, delay_seconds=0),
        mailbox.commit(claim, answer(claim.turn)),
    ):
        with pytest.raises(LeaseLost):
            await refused
    await asyncio.sleep(mailbox.lease_seconds + 0.05)
    assert await mailbox.claim() is None
    assert await memory.read(THREAD) == []
    assert await kinds(redis, str(THREAD)) <= LASTING


async def test_a_forgotten_question_that_comes_again_is_not_stored_and_a_new_one_is_answered(
    talk: Talk, mailbox: Mailbox, memory: Memory, forgetting: Forgetting
) -> None:
    turn = await talk.exchange(ASHA)
    old = await talk.claim(await talk.ask(ASHA))
    await forgetting.conversation(THREAD)
    assert not await mailbox.enqueue(turn)
    claim = await talk.claim(await talk.ask(ASHA))
    assert claim.fence > old.fence, "a worker of before may still be alive"
    await mailbox.commit(claim, answer(claim.turn))
    assert len(await memory.read(THREAD)) == 1


async def test_a_thread_that_is_to_be_read_again_is_left_alone(
    redis: Redis, talk: Talk, mailbox: Mailbox, forgetting: Forgetting
) -> None:
    turn = await talk.ask(ASHA)
    await mailbox.note_shape(await talk.claim(turn), "stream")
    await asyncio.sleep(mailbox.lease_seconds + 0.05)
    claim = await talk.claim(turn)
    await mailbox.commit(claim, answer(turn))
    assert {"settle", "settling"} <= await kinds(redis)
    await forgetting.conversation(THREAD)
    assert not {"settle", "settling"} & await kinds(redis)


async def test_a_channel_goes_with_all_its_conversations(talk: Talk, memory: Memory, forgetting: Forgetting) -> None:
    for conversation in (THREAD, OTHER, ELSEWHERE):
        await talk.exchange(ASHA, conversation)
    assert await forgetting.channel("C1") == Forgotten(2, 2, 0)
    assert [len(await memory.read(conversation)) for conversation in (THREAD, OTHER, ELSEWHERE)] == [0, 0, 1]
    assert await forgetting.conversations_of(ASHA) == [ELSEWHERE]


async def test_a_team_goes_whole_and_another_stays(redis: Redis, talk: Talk, forgetting: Forgetting) -> None:
    other = Mailbox(redis, Layout("T1/B2"), SEALING)
    await other.enqueue(Turn(THREAD, "100.000200", ASHA, "of another app"))
    for conversation in (THREAD, OTHER, ELSEWHERE, DIRECT):
        await talk.exchange(ASHA, conversation, BEN)
    await talk.ask(BEN, DIRECT)
    assert await forgetting.team() == Forgotten(4, 4, 1)
    assert await kinds(redis) <= LASTING
    assert await other.claim() is not None


async def test_a_persons_questions_and_their_answers_go_out_of_shared_threads(
    redis: Redis, talk: Talk, memory: Memory, mailbox: Mailbox, forgetting: Forgetting
) -> None:
    await talk.exchange(BEN, THREAD, ASHA, CHANDRA)
    await talk.exchange(ASHA)
    await talk.exchange(BEN)
    await talk.exchange(ASHA, DIRECT)
    await memory.first_time("T1/D1")
    await mailbox.commit(await talk.claim(await talk.ask(ASHA, ELSEWHERE)), None, buried="apology")
    waiting = [await talk.ask(ASHA), await talk.ask(BEN), await talk.ask(ASHA)]
    assert await forgetting.user(ASHA) == Forgotten(conversations=3, exchanges=3, waiting=3)

    first, second = await memory.read(THREAD)
    assert (first.user_id, second.user_id) == (BEN, BEN)
    assert first.people == {BEN, CHANDRA}
    assert [line.user_id for line in first.earlier] == [CHANDRA]
    assert await memory.read(DIRECT) == []
    assert (await talk.claim(waiting[1])).turn.user_id == BEN
    assert await mailbox.claim() is None
    assert await forgetting.conversations_of(ASHA) == []
    assert (await mailbox.report()).dead == 0
    assert await memory.first_time("T1/D1"), "it is as if they had never met"
    assert BEN in await everything(redis)
    assert ASHA not in await everything(redis)
    assert await forgetting.user(ASHA) == Forgotten()


async def test_a_person_in_one_conversation_keeps_the_others(
    talk: Talk, memory: Memory, forgetting: Forgetting
) -> None:
    await talk.exchange(ASHA)
    await talk.exchange(BEN)
    await talk.exchange(ASHA, OTHER)
    assert await forgetting.user(ASHA, within=THREAD) == Forgotten(1, 1, 0)
    assert [exchange.user_id for exchange in await memory.read(THREAD)] == [BEN]
    assert len(await memory.read(OTHER)) == 1
    assert await forgetting.conversations_of(ASHA) == [OTHER]


async def test_another_persons_answer_under_way_is_begun_again_without_the_forgotten_words(
    talk: Talk, mailbox: Mailbox, memory: Memory, forgetting: Forgetting
) -> None:
    await talk.exchange(ASHA)
    turn = await talk.ask(BEN)
    stale = await talk.claim(turn)
    await mailbox.note_kept(stale, answer(turn, ASHA))
    await forgetting.user(ASHA)
    with pytest.raises(LeaseLost):
        await mailbox.commit(stale, answer(turn, ASHA))
    again = await talk.claim(turn)
    assert again.kept is None
    assert (again.attempt, again.claims) == (1, 2), "it is no fault of the question"
    await mailbox.commit(again, answer(turn))
    assert [exchange.people for exchange in await memory.read(THREAD)] == [{BEN}]


async def test_an_answer_under_way_that_may_have_read_the_person_in_slack_is_begun_again(
    talk: Talk, mailbox: Mailbox, memory: Memory, forgetting: Forgetting
) -> None:
    """Nothing of hers is in the store yet, but her lines of the thread stand before the question being answered."""
    turn = await talk.ask(BEN)
    stale = await talk.claim(turn)
    assert await forgetting.user(ASHA) == Forgotten()
    with pytest.raises(LeaseLost):
        await mailbox.commit(stale, answer(turn, ASHA))
    again = await talk.claim(turn)
    assert (again.attempt, again.claims) == (1, 2)
    await mailbox.commit(again, answer(turn))
    assert [exchange.people for exchange in await memory.read(THREAD)] == [{BEN}]


async def test_a_finished_answer_that_waits_for_slack_is_written_anew(
    redis: Redis, talk: Talk, mailbox: Mailbox, forgetting: Forgetting
) -> None:
    turn = await talk.ask(BEN)
    claim = await talk.claim(turn)
    await mailbox.note_kept(claim, answer(turn, ASHA))
    await mailbox.fail(claim, delay_seconds=60)
    assert await forgetting.quoted(THREAD) == {ASHA}
    await forgetting.user(ASHA)
    assert await forgetting.quoted(THREAD) == frozenset()
    assert ASHA not in await everything(redis)


async def test_a_quoting_exchange_that_does_not_open_goes_whole(
    redis: Redis, talk: Talk, memory: Memory, forgetting: Forgetting
) -> None:
    await talk.exchange(BEN, THREAD, ASHA)
    without_key = Forgetting(redis, LAYOUT, Sealing([bytes(32)]))
    assert await without_key.user(ASHA) == Forgotten(1, 1, 0)
    assert await memory.read(THREAD) == []


async def test_a_commit_between_reading_and_rewriting_is_not_lost(
    redis: Redis, talk: Talk, memory: Memory, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another exchange that quotes the person is committed after the first look: it is found by the second."""
    forgetting = Forgetting(redis, LAYOUT, SEALING)
    await talk.exchange(BEN, THREAD, ASHA)
    look, late = forgetting._unquote, [True]

    async def look_and_be_overtaken(conversation: str, user_id: str) -> int:
        unquoted = await look(conversation, user_id)
        if late:
            late.clear()
            await talk.exchange(CHANDRA, THREAD, ASHA, BEN)
        return unquoted

    monkeypatch.setattr(forgetting, "_unquote", look_and_be_overtaken)
    await forgetting.user(ASHA)
    assert [exchange.people for exchange in await memory.read(THREAD)] == [{BEN}, {CHANDRA, BEN}]


async def test_a_forgotten_person_is_found_after_their_own_list_has_expired(
    redis: Redis, talk: Talk, memory: Memory, forgetting: Forgetting
) -> None:
    await talk.exchange(ASHA)
    await talk.exchange(BEN)
    await redis.delete(LAYOUT.prefix_of(THREAD) + f"person:{ASHA}")
    assert await forgetting.user(ASHA) == Forgotten(1, 1, 0)
    assert [exchange.user_id for exchange in await memory.read(THREAD)] == [BEN]


async def test_a_storm_of_commits_and_erasures_leaves_nothing(
    redis: Redis, talk: Talk, mailbox: Mailbox, forgetting: Forgetting
) -> None:
    """Workers answer while the conversation is forgotten over and over; after the last time nothing is there."""

    async def work() -> None:
        while True:
            claim = await mailbox.claim()
            if claim is None:
                await asyncio.sleep(0)
                continue
            try:
                await mailbox.note_post(claim, "100.800000")
                await mailbox.commit(claim, answer(claim.turn, ASHA))
            except LeaseLost:
                pass

    workers = [asyncio.create_task(work()) for _ in range(4)]
    for _ in range(40):
        for _ in range(3):
            await talk.ask(BEN)
        await forgetting.conversation(THREAD)
    for worker in workers:
        worker.cancel()
    await asyncio.gather(*workers, return_exceptions=True)
    await forgetting.conversation(THREAD)
    assert await kinds(redis) <= LASTING
