"""On a real cluster of three nodes."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import pytest
from redis.asyncio import RedisCluster
from redis.crc import key_slot

from bot.conversation import ConversationId, Turn
from bot.errors import StoreUnavailable
from bot.local.store import LocalStore
from bot.preflight import check_store
from bot.store import connection
from bot.store.connection import connect, store_errors
from bot.store.cursors import Cursors
from bot.store.inspection import inspect
from bot.store.layout import Layout, agree
from bot.store.mailbox import Mailbox
from bot.store.memory import Memory
from bot.store.settlings import Settlings
from tests.bot.store.life import OWNER, SEALING, live, spread
from tests.bot.store.servers import HOST, SLOTS, Server, cluster, running, valkey

Answer = TypeVar("Answer")
LAYOUT = Layout(OWNER, partitions=16)


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Server]]:
    with cluster(valkey(), tmp_path_factory.mktemp("cluster")) as nodes:
        yield nodes


@pytest.fixture
async def client(nodes: list[Server]) -> AsyncIterator[RedisCluster]:
    for node in nodes:
        node.ask("FLUSHALL")
    client = connect(nodes[0].url, cluster=True)
    assert isinstance(client, RedisCluster)
    yield client
    await client.aclose()


async def test_partitions_spread_over_all_nodes_and_live(client: RedisCluster, nodes: list[Server]) -> None:
    await client.initialize()
    owners = {prefix: client.get_node_from_key(prefix) for prefix in LAYOUT.prefixes}
    assert {owner.port for owner in owners.values() if owner} == {node.port for node in nodes}
    await live(client, LAYOUT)
    for node in nodes:
        stats = node.ask("INFO", "commandstats")
        assert "cmdstat_evalsha" in stats
        assert "cmdstat_bgrewriteaof" in stats


async def test_each_node_is_asked_for_its_promises(client: RedisCluster, nodes: list[Server]) -> None:
    findings = await check_store(nodes[2].url, cluster=True)
    assert {finding.verdict for finding in findings} == {"safe"}
    nodes[1].ask("CONFIG", "SET", "appendfsync", "everysec")
    try:
        report = await inspect(client)
        findings = await check_store(nodes[2].url, cluster=True, production=True)
    finally:
        nodes[1].ask("CONFIG", "SET", "appendfsync", "always")
    assert len(report.unsafe) == 1
    assert "appendfsync" in report.unsafe[0]
    verdicts = {finding.promise: finding.verdict for finding in findings}
    assert [promise for promise, verdict in verdicts.items() if verdict == "unsafe"] == [
        *("persistence", "user", "keys", "commands"),
    ]
    assert verdicts["replicas"] == verdicts["version"] == verdicts["clock"] == "safe"


async def test_a_cluster_and_a_single_server_are_not_taken_for_each_other(
    nodes: list[Server], local_store: LocalStore, tmp_path: Path
) -> None:
    elsewhere = next(where for where in spread(LAYOUT) if key_slot(LAYOUT.prefix_of(where).encode()) > SLOTS / 2)
    async with connect(nodes[0].url) as client:
        with pytest.raises(StoreUnavailable, match="set REDIS_CLUSTER=1"):
            await Memory(client, LAYOUT, SEALING).read(elsewhere)
    with running(valkey(), tmp_path / "single") as single:
        client = connect(single.url, cluster=True)
        with pytest.raises(StoreUnavailable, match="no cluster"):
            await agree(client, LAYOUT, SEALING)
        await client.aclose()
    for url in (local_store.url, nodes[0].url + "/1"):
        (finding,) = await check_store(url, cluster=True)
        assert finding.verdict == "wrong"
        assert "REDIS_CLUSTER=1" in finding.sentence


async def test_a_partition_that_moves_is_followed(
    client: RedisCluster, nodes: list[Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where a script and WAIT must go to one node together, which there is no replica of."""
    monkeypatch.setattr(connection, "REPLICA_SECONDS", 0.1)
    conversation = spread(LAYOUT)[0]
    first, second = Turn(conversation, "1.0", "U1", "said"), Turn(conversation, "2.0", "U1", "said")
    mailbox = Mailbox(client, LAYOUT, SEALING)
    assert await mailbox.known(first) is False  # the client knows all nodes by now
    _, port = address(client, conversation)
    home = next(node for node in nodes if node.port == port)
    away = next(node for node in nodes if node is not home)
    slot = key_slot(LAYOUT.prefix_of(conversation).encode())

    move(slot, away, nodes)
    assert await mailbox.enqueue(first)
    assert address(client, conversation) == (HOST, away.port)
    away.ask("FLUSHALL")
    move(slot, home, nodes)
    with pytest.raises(StoreUnavailable, match="0 replicas"):
        await Mailbox(client, LAYOUT, SEALING, wait_replicas=1).enqueue(second)
    assert address(client, conversation) == (HOST, home.port)
    assert await mailbox.known(second)


def address(client: RedisCluster, conversation: ConversationId) -> tuple[str, int]:
    """Where the client believes a conversation to be."""
    node = client.get_node_from_key(LAYOUT.prefix_of(conversation))
    assert node is not None
    return node.host, int(node.port)


def move(slot: int, to: Server, nodes: list[Server]) -> None:
    """Give an empty slot to another node."""
    name = to.ask("CLUSTER", "MYID")
    for node in sorted(nodes, key=lambda node: node is not to):
        node.ask("CLUSTER", "SETSLOT", slot, "NODE", name)


@pytest.fixture
def parted(tmp_path: Path) -> Iterator[list[Server]]:
    """A cluster whose nodes go on where one is away."""
    with cluster(valkey(), tmp_path) as nodes:
        for node in nodes:
            node.ask("CONFIG", "SET", "cluster-require-full-coverage", "no")
        yield nodes


@contextmanager
def away(node: Server, how: str) -> Iterator[None]:
    """`node` does not answer; where it was killed, it does not come back."""
    if how == "paused":
        with node.paused():
            yield
    else:
        node.process.kill()
        node.process.wait()
        yield


@pytest.mark.parametrize("how", ["paused", "killed"])
async def test_a_node_that_is_away_holds_up_only_what_lies_on_it(
    parted: list[Server], how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.store.mailbox.SETTLE_SECONDS", -60.0)
    async with connect(parted[0].url, cluster=True) as client:
        assert isinstance(client, RedisCluster)
        mailbox = Mailbox(client, LAYOUT, SEALING, waiting_per_user=100)
        settlings, cursors = Settlings(client, LAYOUT, SEALING), Cursors(client, LAYOUT)
        for conversation in spread(LAYOUT):
            await written_by_two(mailbox, Turn(conversation, "1.0", "U1", "said"))
        for conversation in spread(LAYOUT):
            await mailbox.enqueue(Turn(conversation, "2.0", "U1", "said"))
        await cursors.probe(2)
        gone = parted[0]
        assert client.get_node_from_key(LAYOUT.prefix).port != gone.port  # type: ignore[union-attr]
        there = {where for where in spread(LAYOUT) if address(client, where)[1] != gone.port}
        with away(gone, how):
            begun = time.monotonic()
            with pytest.raises(StoreUnavailable):
                await cursors.probe(0.5)
            report = await mailbox.report()
            while report.partitions_away > 16 - len(there) and time.monotonic() - begun < 10:  # slow, and not away
                report = await mailbox.report()
            assert (report.waiting, report.leased, report.partitions_away) == (len(there), 0, 16 - len(there))
            assert 0 < report.oldest_seconds < 60
            claims = await all_of(mailbox.claim, len(there))
            assert {claim.turn.conversation for claim in claims} == there
            assert await mailbox.place(claims[-1]) > 1
            settled = await all_of(settlings.next, len(there))
            assert {settling.conversation for settling in settled} == there
            for conversation in spread(LAYOUT):
                turn = Turn(conversation, "3.0", "U1", "said")
                if conversation in there:
                    assert await mailbox.enqueue(turn)
                else:
                    with pytest.raises(StoreUnavailable):
                        async with store_errors(0.2):
                            await mailbox.enqueue(turn)
            assert time.monotonic() - begun < 30
        if how == "paused":
            rest = await all_of(mailbox.claim, 16 - len(there))
            assert {claim.turn.conversation for claim in (*claims, *rest)} == set(spread(LAYOUT))
            await all_of(settlings.next, 16 - len(there))
            await cursors.probe(2)
            assert (await mailbox.report()).partitions_away == 0


async def written_by_two(mailbox: Mailbox, turn: Turn) -> None:
    """Two workers have answered `turn`."""
    await mailbox.enqueue(turn)
    first = await mailbox.claim()
    assert first is not None
    await mailbox.note_shape(first, "stream")
    await mailbox.fail(first, delay_seconds=0)
    second = await mailbox.claim()
    assert second is not None
    await mailbox.commit(second, None)


async def all_of(ask: Callable[[], Awaitable[Answer | None]], count: int) -> list[Answer]:
    """So many answers, asked for as a worker does."""
    found: list[Answer] = []
    async with asyncio.timeout(20):
        while len(found) < count:
            try:
                if (answer := await ask()) is not None:
                    found.append(answer)
            except StoreUnavailable:
                await asyncio.sleep(0.1)
    return found
