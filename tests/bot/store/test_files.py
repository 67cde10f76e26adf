"""The server's files: what was deleted is in them until they are written anew."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from bot.conversation import ConversationId, Exchange, Turn
from bot.errors import FilesNotRewritten
from bot.local.store import LocalStore
from bot.store import files
from bot.store.connection import connect
from bot.store.files import rewrite_files
from bot.store.forgetting import Forgetting, Forgotten
from bot.store.layout import Layout
from bot.store.mailbox import Mailbox
from bot.store.sealing import Sealing
from tests.bot.store.servers import cluster, cluster_replica_of, debians_redis, running, until, valkey

LAYOUT = Layout("T1/B1")
THREAD = ConversationId("T1", "C1", "100.000100")
PLANTED = "pineapple"


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[LocalStore]:
    store = LocalStore(tmp_path)
    await store.start()
    yield store
    await store.stop()


@pytest.fixture
async def client(store: LocalStore) -> AsyncIterator[Redis]:
    """Its server writes its files so that a search in them sees everything."""
    client = connect(store.url)
    assert isinstance(client, Redis)
    await client.config_set("rdbcompression", "no")
    await client.config_set("aof-use-rdb-preamble", "no")
    yield client
    await client.aclose()


def times_on_disk(folder: Path, text: str) -> int:
    return sum(path.read_bytes().count(text.encode()) for path in folder.rglob("*") if path.is_file())


async def talk(client: Redis, sealing: Sealing) -> str:
    """A remembered exchange and a question that waits; one of the values that are stored of them."""
    mailbox = Mailbox(client, LAYOUT, sealing)
    await mailbox.enqueue(Turn(THREAD, "100.000100", "U1", f"What is a {PLANTED}?"))
    claim = await mailbox.claim()
    assert claim is not None
    await mailbox.commit(claim, Exchange("100.000100", "U1", f"What is a {PLANTED}?", f"A {PLANTED} is a fruit.", 9))
    await mailbox.enqueue(Turn(THREAD, "100.000200", "U1", f"And a {PLANTED}le?"))
    [entry] = await client.lrange(LAYOUT.prefix_of(THREAD) + f"memory:{THREAD}", 0, -1)
    return str(entry).rpartition("|")[2]


@pytest.mark.parametrize("keys", [(), (bytes(range(32)),)], ids=["plain", "sealed"])
async def test_what_was_forgotten_is_not_in_the_files(client: Redis, tmp_path: Path, keys: tuple[bytes, ...]) -> None:
    sealed = await talk(client, Sealing(keys))
    before = times_on_disk(tmp_path, PLANTED)
    assert (before > 0) == (not keys), "the search sees what is there"
    assert times_on_disk(tmp_path, sealed) == 1
    await Forgetting(client, LAYOUT, Sealing(keys)).conversation(THREAD)
    assert times_on_disk(tmp_path, sealed) == 1, "deleting alone leaves it in the append-only file"

    await rewrite_files(client)
    assert times_on_disk(tmp_path, PLANTED) == 0
    assert times_on_disk(tmp_path, sealed) == 0


async def test_a_rewriting_that_began_before_does_not_count(client: Redis, tmp_path: Path) -> None:
    await client.mset({f"filler:{number}": "x" for number in range(500)})
    await client.set("secret", PLANTED)
    await client.config_set("rdb-key-save-delay", 1_000)  # microseconds
    await client.bgrewriteaof()
    await client.delete("secret")
    assert (await client.info("persistence"))["aof_rewrite_in_progress"] == 1
    await client.config_set("rdb-key-save-delay", 0)
    await rewrite_files(client)
    assert times_on_disk(tmp_path, PLANTED) == 0


async def test_a_snapshot_that_the_server_makes_is_written_anew_too(client: Redis, tmp_path: Path) -> None:
    await client.config_set("save", "3600 1")
    await client.set("secret", PLANTED)
    await client.save()
    await client.delete("secret")
    assert PLANTED.encode() in (tmp_path / "dump.rdb").read_bytes()
    await rewrite_files(client)
    assert times_on_disk(tmp_path, PLANTED) == 0


@pytest.mark.parametrize(
    ("commands", "says"),
    [
        (["+@all", "-bgrewriteaof"], r"may not call BGREWRITEAOF.*\+bgrewriteaof"),
        (["+@all", "-config", "-bgsave"], r"may not call BGSAVE.*\+bgsave"),
        (["+@all", "-info"], r"may not call INFO.*\+info"),
        (["+@write", "+@read", "+info"], "may not call BGREWRITEAOF"),
    ],
)
async def test_what_the_acl_forbids_is_said(client: Redis, store: LocalStore, commands: list[str], says: str) -> None:
    await client.acl_setuser("narrow", enabled=True, passwords=["+secret"], keys=["*"], commands=commands)
    narrow = Redis.from_url(store.url, username="narrow", password="secret", decode_responses=True)
    try:
        with pytest.raises(FilesNotRewritten, match=says):
            await rewrite_files(narrow)
    finally:
        await narrow.aclose()


async def test_a_server_that_keeps_its_configuration_to_itself_is_rewritten_whole(
    client: Redis, store: LocalStore, tmp_path: Path
) -> None:
    await client.acl_setuser("narrow", enabled=True, passwords=["+secret"], keys=["*"], commands=["+@all", "-config"])
    narrow = Redis.from_url(store.url, username="narrow", password="secret", decode_responses=True)
    await rewrite_files(narrow)
    await narrow.aclose()
    assert (tmp_path / "dump.rdb").exists()


async def test_without_an_append_only_file_nothing_is_promised(client: Redis) -> None:
    await client.config_set("appendonly", "no")
    with pytest.raises(FilesNotRewritten, match="append-only file is off"):
        await rewrite_files(client)


async def test_a_rewriting_that_fails_is_said(client: Redis, tmp_path: Path) -> None:
    """Where the folder of the server's files should be, there is a file."""
    folder = tmp_path / "appendonlydir"
    folder.rename(tmp_path / "elsewhere")
    folder.touch()
    with pytest.raises(FilesNotRewritten, match="BGREWRITEAOF"):
        await rewrite_files(client)


async def test_a_rewriting_that_does_not_end_is_given_up(client: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "LONGEST_SECONDS", 0.2)

    async def never_idle(*_: object) -> None:
        await asyncio.sleep(10)

    monkeypatch.setattr(files, "_idle", never_idle)
    with pytest.raises(FilesNotRewritten, match="has not ended BGREWRITEAOF"):
        await rewrite_files(client)


async def test_another_server_with_snapshots_and_a_user_who_may_do_only_this(tmp_path: Path) -> None:
    user = "narrow on >secret ~dolly:* ~retrain:* ~model:* +@all -@admin"
    with running(
        debians_redis(),
        tmp_path / "redis",
        save="3600 1",
        user=user.replace(" ", "\n"),
        rdbcompression="no",
        aof_use_rdb_preamble="no",
    ) as server:
        admin, narrow = connect(server.url), connect(server.url.replace("//", "//narrow:secret@"))
        assert isinstance(narrow, Redis)
        await talk(narrow, Sealing(()))
        await admin.bgsave()
        await rewrite_files(admin)
        assert times_on_disk(tmp_path, PLANTED) == 6, "question, answer, question: in both files"
        await Forgetting(narrow, LAYOUT, Sealing(())).conversation(THREAD)
        with pytest.raises(FilesNotRewritten, match=r"\+bgrewriteaof"):
            await rewrite_files(narrow)
        assert times_on_disk(tmp_path, PLANTED) > 0
        await rewrite_files(admin)
        assert times_on_disk(tmp_path, PLANTED) == 0
        await narrow.aclose()
        await admin.aclose()


async def test_every_node_of_a_cluster_writes_its_files_anew(tmp_path: Path) -> None:
    layout = Layout("T1/B1", 16)
    (tmp_path / "nodes").mkdir()
    with (
        cluster(valkey(), tmp_path / "nodes") as servers,
        cluster_replica_of(servers[0], valkey(), tmp_path / "replica") as replica,
    ):
        until(lambda: str(replica.port) in str(servers[0].ask("CLUSTER", "SLOTS")), "the replica to be known")
        for server in servers:
            server.ask("CONFIG", "SET", "aof-use-rdb-preamble", "no")
        client = connect(servers[0].url, cluster=True)
        mailbox = Mailbox(client, layout, Sealing(()))
        for number in range(30):
            conversation = ConversationId("T1", "C1", f"{number}.000100")
            await mailbox.enqueue(Turn(conversation, f"{number}.000100", f"U{number}", f"What is a {PLANTED}?"))
        nodes = [tmp_path / "nodes" / str(number) for number in range(3)]
        assert all(times_on_disk(folder, PLANTED) for folder in (*nodes, tmp_path / "replica"))
        assert await Forgetting(client, layout, Sealing(())).team() == Forgotten(30, 0, 30)
        await rewrite_files(client)
        assert times_on_disk(tmp_path, PLANTED) == 0
        await client.aclose()
