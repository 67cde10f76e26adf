"""With REDIS_WAIT_REPLICAS, a question counts as stored only when replicas have it."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bot.conversation import ConversationId, Exchange, Turn
from bot.errors import StoreUnavailable
from bot.store import connection
from bot.store.connection import connect
from bot.store.dead_letters import DeadLetters
from bot.store.layout import Layout
from bot.store.mailbox import Mailbox
from bot.store.repeats import Repeats
from tests.bot.store.life import OWNER, SEALING, live, spread
from tests.bot.store.servers import (
    Server,
    cluster,
    cluster_replica_of,
    debians_redis,
    replica_of,
    running,
    valkey,
)

CLUSTER = Layout(OWNER, partitions=16)


@pytest.fixture(params=[valkey, debians_redis])
def pair(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Server, Server]]:
    """A primary, and its replica."""
    binary: Callable[[], Path] = request.param
    with (
        running(binary(), tmp_path / "primary") as primary,
        replica_of(primary, binary(), tmp_path / "replica") as replica,
    ):
        yield primary, replica


async def test_a_life_with_a_replica(pair: tuple[Server, Server]) -> None:
    async with connect(pair[0].url) as client:
        await live(client, Layout(OWNER), wait_replicas=1)


async def test_what_no_replica_confirms_is_not_acknowledged(
    pair: tuple[Server, Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    primary, replica = pair
    async with connect(primary.url) as client:
        mailbox = Mailbox(client, Layout(OWNER), SEALING, wait_replicas=1)
        await is_confirmed_only_while_the_replica_runs(mailbox, replica, spread(Layout(OWNER))[0], monkeypatch)
        with pytest.raises(StoreUnavailable, match="REDIS_WAIT_REPLICAS wants 2"):
            await Mailbox(client, Layout(OWNER), SEALING, wait_replicas=2).enqueue(said("9.0"))


async def test_what_is_asked_once_more_is_acknowledged_no_sooner(
    pair: tuple[Server, Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    primary, replica = pair
    layout = Layout(OWNER)
    async with connect(primary.url) as client:
        mailbox = Mailbox(client, layout, SEALING)
        repeats = Repeats(client, layout, SEALING, mailbox, wait_replicas=1)
        letters = DeadLetters(client, layout, SEALING, repeats, wait_replicas=1)
        answered, given_up = said("1.0"), said("2.0")
        for turn in (answered, given_up):
            await mailbox.enqueue(turn)
            claim = await mailbox.claim()
            assert claim is not None
            exchange = Exchange(turn.ts, "U1", turn.text, "answer", tokens=1) if turn == answered else None
            await mailbox.commit(claim, exchange, buried="" if exchange else "is_archived")
        with monkeypatch.context() as patch, replica.paused():
            patch.setattr(connection, "REPLICA_SECONDS", 0.2)
            for _ in range(2):  # also what is stored, and comes again
                with pytest.raises(StoreUnavailable, match="0 replicas"):
                    await repeats.ask(replace(answered, again="Tr1"))
            with pytest.raises(StoreUnavailable, match="0 replicas"):
                await letters.ask_again(given_up.job_id)
        assert await repeats.ask(replace(answered, again="Tr1")) == "before"
        assert (await mailbox.report()).waiting == 2


async def test_on_a_cluster_the_replica_of_the_conversations_node_must_confirm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cluster").mkdir()
    with (
        cluster(valkey(), tmp_path / "cluster") as nodes,
        cluster_replica_of(nodes[1], valkey(), tmp_path / "replica") as replica,
    ):
        async with connect(nodes[0].url, cluster=True) as client:
            mailbox = Mailbox(client, CLUSTER, SEALING, wait_replicas=1)
            confirmed, unconfirmed = [], []
            monkeypatch.setattr(connection, "REPLICA_SECONDS", 0.2)
            for conversation in spread(CLUSTER):
                try:
                    assert await mailbox.enqueue(said("1.0", conversation))
                    confirmed.append(conversation)
                except StoreUnavailable:
                    unconfirmed.append(conversation)
            assert confirmed, "those of the second node"
            assert unconfirmed, "those of the others"
            replicated = {key for key in replica.ask("KEYS", "dolly:*:seen:*")}
            assert {key.partition("seen:")[2] for key in replicated} == {f"{where}/1.0" for where in confirmed}
            await is_confirmed_only_while_the_replica_runs(mailbox, replica, confirmed[0], monkeypatch)


async def is_confirmed_only_while_the_replica_runs(
    mailbox: Mailbox, replica: Server, conversation: ConversationId, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = said("2.0", conversation), said("3.0", conversation)
    assert await mailbox.enqueue(first)
    assert not await mailbox.enqueue(first)
    monkeypatch.setattr(connection, "REPLICA_SECONDS", 0.2)
    with replica.paused():
        for turn in (second, second, first):  # also what is stored, and comes again
            with pytest.raises(StoreUnavailable, match="0 replicas"):
                await mailbox.enqueue(turn)
    assert not await mailbox.enqueue(second), "it was stored, and is confirmed when Slack delivers it again"


def said(ts: str, conversation: ConversationId | None = None) -> Turn:
    return Turn(conversation or spread(Layout(OWNER))[0], ts, "U1", "said")
