"""A store whose memory is full takes no question, and still forgets."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from bot.conversation import ConversationId, Exchange, Line, Turn
from bot.errors import StoreUnavailable
from bot.feedback import Feedback, name_of, record_id
from bot.store.connection import connect
from bot.store.corrections import Corrections
from bot.store.feedback import FeedbackStore
from bot.store.forgetting import Forgetting, Forgotten
from bot.store.layout import Layout, agree, check
from bot.store.mailbox import Mailbox
from bot.store.memory import Memory
from bot.store.retraining import Request, Retraining
from bot.store.sealing import Sealing
from bot.store.tombstones import Target, Tombstones
from tests.bot.store.servers import Server, debians_redis, running, valkey

LAYOUT = Layout("T1/B1", 2)
SEALING = Sealing([bytes(32)])
ASHA, BEN = "U0ASHA", "U0BEN"
THREAD, OTHER = ConversationId("T1", "C1", "100.000100"), ConversationId("T1", "D1", "200.000100")


@pytest.fixture(scope="module", params=[valkey, debians_redis], ids=["valkey", "redis"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder: Path = tmp_path_factory.mktemp("full") / "store"
    with running(request.param(), folder) as server:
        yield server


@pytest.fixture
async def client(server: Server) -> AsyncIterator[Redis]:
    client = connect(server.url)
    assert isinstance(client, Redis)
    await client.config_set("maxmemory", "0")
    await client.flushall()
    yield client
    await client.aclose()


async def filled(client: Redis) -> Mailbox:
    """Both have asked in a thread, Ben after Asha's line; Asha waits elsewhere, and no byte is left."""
    await agree(client, LAYOUT, SEALING)
    mailbox = Mailbox(client, LAYOUT, SEALING)
    for number, (conversation, user_id) in enumerate([(THREAD, ASHA), (THREAD, BEN), (OTHER, ASHA), (THREAD, BEN)]):
        turn = Turn(conversation, f"{conversation.root_ts.partition('.')[0]}.00020{number}", user_id, "said")
        await mailbox.enqueue(turn)
        if number in (0, 1):
            claim = await mailbox.claim()
            assert claim is not None
            lines = (Line("100.000100", ASHA, "Asha: said"),) if number else ()
            await mailbox.commit(claim, Exchange(turn.ts, user_id, "said", "answer", 7, lines))
    while (claim := await mailbox.claim()) is not None:
        await mailbox.note_post(claim, "100.900000")
    await client.config_set("maxmemory", "1")
    with pytest.raises(StoreUnavailable, match="memory is full"):
        await mailbox.enqueue(Turn(THREAD, "100.000900", BEN, "one more"))
    return mailbox


async def test_a_conversation_and_then_all(client: Redis) -> None:
    await filled(client)
    forgetting = Forgetting(client, LAYOUT, SEALING)
    assert await forgetting.conversation(THREAD) == Forgotten(1, 2, 1)
    assert await forgetting.team() == Forgotten(1, 0, 1)
    left = {key.partition("}:")[2].partition(":")[0] async for key in client.scan_iter(match="dolly:*/?}:*")}
    assert left <= {"seen", "claim", "claimed"}


async def test_a_person_and_what_others_quote_of_them(client: Redis) -> None:
    await filled(client)
    assert await Forgetting(client, LAYOUT, SEALING).user(ASHA) == Forgotten(2, 2, 1)
    [exchange] = await Memory(client, LAYOUT, SEALING).read(THREAD)
    assert exchange.people == {BEN}
    await client.config_set("maxmemory", "0")
    claim: Any = await Mailbox(client, LAYOUT, SEALING).claim()
    assert (claim.turn.user_id, claim.claims) == (BEN, 2), "begun again"


async def test_an_edit_and_a_deletion_in_slack_are_followed(client: Redis) -> None:
    await filled(client)
    memory = Memory(client, LAYOUT, SEALING)
    assert await memory.change(THREAD, {"100.000200": "said better"})
    await client.delete(LAYOUT.prefix_of(THREAD) + f"claim:{THREAD}")
    await Corrections(client, LAYOUT, SEALING).withdraw(THREAD, "100.000201")
    assert [exchange.question for exchange in await memory.read(THREAD)] == ["said better"]


async def test_what_a_trainer_was_given(client: Redis) -> None:
    store, retraining = FeedbackStore(client, LAYOUT, SEALING), Retraining(client, LAYOUT.owner, bytes(32))
    said = Feedback("100.000200", ASHA, BEN, "down", "said", "answer", "m", "h", True, 1.0, "better")
    reviewed = replace(said, ts="200.000202", asker_id=BEN).reviewed("approved", ASHA, edit="best")
    names = {name_of(THREAD, said), name_of(OTHER, reviewed)}
    await store.put(THREAD, said)
    await store.put(OTHER, reviewed)
    await retraining.prepare(Request("retrain", "U1"), dict.fromkeys(names, "a line"))
    await filled(client)
    await Forgetting(client, LAYOUT, SEALING).user(ASHA)
    assert await retraining.exported.names() == frozenset()
    assert [kept.feedback for kept in await store.all()] == [reviewed.unreviewed()]
    withdrawn: Any = client.smembers("retrain:withdrawn")
    assert await withdrawn == {record_id(name) for name in names}
    assert await store.withdraw(OTHER, reviewed.ts, BEN)


async def test_that_it_was_forgotten_is_noted(client: Redis) -> None:
    await filled(client)
    await check(client, LAYOUT, SEALING)
    stones = Tombstones(client, LAYOUT, SEALING)
    await stones.put({stones.of(Target(user_id=ASHA)): 150.0})
    await stones.note_applied(["one", "two"])
    assert await stones.applied() == {"one", "two"}
    assert await stones.unforgotten(THREAD, [Line("100.000100", ASHA, "Asha: said")]) == []
