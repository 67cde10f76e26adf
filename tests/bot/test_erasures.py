"""The erasure log: written first, torn, damaged, apart from the store; and a restored store that forgets again."""

import asyncio
import json
import os
import shutil
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from redis.asyncio import Redis

from bot.conversation import ConversationId, Exchange, Line, Turn
from bot.erasures import Erasure, ErasureLog, Erasures
from bot.errors import ErasureLogBroken, FilesNotRewritten, StoreUnavailable
from bot.feedback import Feedback, name_of
from bot.local.store import LocalStore
from bot.store.connection import Client, connect
from bot.store.feedback import FeedbackStore
from bot.store.forgetting import Forgetting
from bot.store.layout import Layout
from bot.store.mailbox import Mailbox
from bot.store.memory import Memory
from bot.store.retraining import Request, Retraining
from bot.store.sealing import Sealing
from bot.store.tombstones import Target, Tombstones

LAYOUT = Layout("T1/B1", 3)
SEALING = Sealing([bytes(range(32))])
ASHA, BEN = "U0ASHA", "U0BEN"
THREAD = ConversationId("T1", "C1", "100.000100")
TARGETS = [
    Target(THREAD),
    Target(channel_id="C1"),
    Target(user_id=ASHA),
    Target(THREAD, user_id=ASHA),
    Target(),
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "erasures.jsonl"


def erasures(client: Client, path: Path) -> Erasures:
    forgetting, tombstones = Forgetting(client, LAYOUT, SEALING), Tombstones(client, LAYOUT, SEALING)
    return Erasures(ErasureLog(path, LAYOUT.owner), forgetting, tombstones, client)


async def talk(client: Client) -> None:
    """Asha and Ben in one thread, Asha in another channel, Ben in a third."""
    mailbox = Mailbox(client, LAYOUT, SEALING)
    said = [(THREAD, ASHA), (THREAD, BEN), (ConversationId("T1", "C2", "200.000100"), ASHA)]
    said.append((ConversationId("T1", "C3", "300.000100"), BEN))
    for number, (conversation, user_id) in enumerate(said):
        ts = f"{conversation.root_ts.partition('.')[0]}.{number + 100:06}"
        await mailbox.enqueue(Turn(conversation, ts, user_id, f"question of {user_id}"))
        claim = await mailbox.claim()
        assert claim is not None
        lines = (Line("100.000001", ASHA, "Asha: words"),) if user_id == BEN else ()
        await mailbox.commit(claim, Exchange(ts, user_id, claim.turn.text, "answer", 7, lines))


async def left(client: Client) -> set[tuple[str, str, str]]:
    """What is remembered: where, who asked, whom it quotes."""
    memory, found = Memory(client, LAYOUT, SEALING), set()
    for conversation in map(ConversationId.parse, await Forgetting(client, LAYOUT, SEALING).conversations()):
        for exchange in await memory.read(conversation):
            quoted = "".join(line.user_id for line in exchange.earlier)
            found.add((conversation.channel_id, exchange.user_id, quoted))
    return found


EVERYTHING = {("C1", ASHA, ""), ("C1", BEN, ASHA), ("C2", ASHA, ""), ("C3", BEN, ASHA)}
AFTER = [
    {("C2", ASHA, ""), ("C3", BEN, ASHA)},
    {("C2", ASHA, ""), ("C3", BEN, ASHA)},
    {("C1", BEN, ""), ("C3", BEN, "")},
    {("C1", BEN, ""), ("C2", ASHA, ""), ("C3", BEN, ASHA)},
    set(),
]


@pytest.mark.parametrize(("target", "after"), [*zip(TARGETS, AFTER, strict=True)], ids=[t.kind for t in TARGETS])
async def test_a_restored_store_forgets_again_before_it_serves(
    tmp_path: Path, path: Path, target: Target, after: set[tuple[str, str, str]]
) -> None:
    async def with_store(folder: Path) -> tuple[LocalStore, Redis]:
        store = LocalStore(folder)
        await store.start()
        client = connect(store.url)
        assert isinstance(client, Redis)
        return store, client

    store, client = await with_store(tmp_path / "store")
    await talk(client)
    await client.aclose()
    await store.stop()
    shutil.copytree(tmp_path / "store", tmp_path / "backup")

    store, client = await with_store(tmp_path / "store")
    assert await left(client) == EVERYTHING
    forever = erasures(client, path)
    await forever.carry_out(await forever.write_down(target), target)
    assert await left(client) == after
    await client.aclose()
    await store.stop()

    store, client = await with_store(tmp_path / "backup")
    assert await left(client) == EVERYTHING, "the backup is older"
    assert await erasures(client, path).replay() is None
    assert await left(client) == after
    await talk_again(client)
    assert await erasures(client, path).replay() is None
    assert ("C9", ASHA, "") in await left(client), "once is enough: what was said since stays"
    await client.aclose()
    await store.stop()


async def talk_again(client: Client) -> None:
    mailbox = Mailbox(client, LAYOUT, SEALING)
    now = f"{time.time() + 1:.6f}"
    turn = Turn(ConversationId("T1", "C9", now), now, ASHA, "hello again")
    await mailbox.enqueue(turn)
    claim = await mailbox.claim()
    assert claim is not None
    await mailbox.commit(claim, Exchange(turn.ts, ASHA, turn.text, "answer", 7))


@pytest.mark.parametrize("target", TARGETS, ids=[t.kind for t in TARGETS])
async def test_a_store_that_is_restored_or_begun_anew_reads_nothing_back_out_of_slack(
    redis: Redis, path: Path, target: Target
) -> None:
    """Even where it holds nothing of a person: the log alone says what is to stay forgotten."""
    memory = Memory(redis, LAYOUT, SEALING)
    before, since = [Line(f"{time.time() + pause:.6f}", ASHA, "Asha: said") for pause in (-60, 60)]
    erasure = await erasures(redis, path).write_down(target)
    assert await memory.unforgotten(THREAD, [before, since]) == [before, since]
    await erasures(redis, path).carry_out(erasure, target)
    assert await memory.unforgotten(THREAD, [before, since]) == [since]
    await redis.flushall()
    assert await memory.unforgotten(THREAD, [before, since]) == [before, since]
    await erasures(redis, path).replay()
    assert await memory.unforgotten(THREAD, [before, since]) == [since]


async def test_a_log_of_a_dolly_that_left_no_tombstones_is_carried_out(redis: Redis, path: Path) -> None:
    await talk(redis)
    await erasures(redis, path).write_down(Target(user_id=ASHA))
    drop_tombstone(path)
    await erasures(redis, path).replay()
    assert await left(redis) == AFTER[2]


def drop_tombstone(path: Path) -> None:
    header, line = path.read_text().splitlines()
    fields = json.loads(line)
    del fields["tombstone"]
    path.write_text(f"{header}\n{json.dumps(fields)}\n")


RATED = Feedback("100.000100", ASHA, BEN, "down", "What is a loom?", "A pot.", "m", "h", True, 1.0, "A frame.")


@pytest.mark.parametrize(
    "target",
    [*TARGETS, Target(user_id=BEN), Target(THREAD, user_id=BEN)],
    ids=lambda target: f"{target.kind} {target.user_id}",
)
async def test_what_somebody_only_rated_is_forgotten_again(redis: Redis, path: Path, target: Target) -> None:
    """Of a restored store that remembers no conversation any more."""
    store = FeedbackStore(redis, LAYOUT, SEALING)
    await store.put(THREAD, RATED)
    await erasures(redis, path).write_down(target)
    await erasures(redis, path).replay()
    assert await store.all() == []


@pytest.mark.parametrize(
    "target",
    [*TARGETS, Target(user_id=BEN), Target(THREAD, user_id=BEN)],
    ids=lambda target: f"{target.kind} {target.user_id}",
)
async def test_what_a_trainer_may_read_is_forgotten_again(redis: Redis, path: Path, target: Target) -> None:
    """Also where nothing else is left of it: Dolly was killed in between."""
    retraining = Retraining(redis, LAYOUT.owner, bytes(32))
    await retraining.prepare(Request("retrain", "U0ADMIN"), {name_of(THREAD, RATED): "a line"})
    await erasures(redis, path).write_down(target)
    await erasures(redis, path).replay()
    assert await retraining.exported.names() == frozenset()


async def test_a_reviewer_is_forgotten_again(redis: Redis, path: Path) -> None:
    store = FeedbackStore(redis, LAYOUT, SEALING)
    await store.put(THREAD, RATED.reviewed("approved", "U0ADMIN", edit="A frame to weave on."))
    await erasures(redis, path).write_down(Target(user_id="U0ADMIN"))
    await erasures(redis, path).replay()
    assert await store.of_conversation(THREAD) == [RATED]


async def test_an_answer_that_waits_for_slack_and_quotes_the_forgotten_is_found_again(redis: Redis, path: Path) -> None:
    """In a restored store, where nothing else is hers."""
    mailbox, target = Mailbox(redis, LAYOUT, SEALING), Target(user_id=ASHA)
    await mailbox.enqueue(Turn(THREAD, "100.000200", BEN, "what did she say?"))
    claim = await mailbox.claim()
    assert claim is not None
    lines = (Line("100.000001", ASHA, "Asha: words"),)
    await mailbox.note_kept(claim, Exchange("100.000200", BEN, claim.turn.text, "answer", 7, lines))
    await mailbox.fail(claim, delay_seconds=0)
    await erasures(redis, path).write_down(target)
    await erasures(redis, path).replay()
    again = await mailbox.claim()
    assert again is not None
    assert again.kept is None


async def test_the_log_is_there_before_anything_goes_and_a_kill_in_between_is_made_good(
    redis: Redis, path: Path
) -> None:
    await talk(redis)
    await erasures(redis, path).write_down(Target(user_id=ASHA))
    assert await left(redis) == EVERYTHING
    await erasures(redis, path).replay()
    assert await left(redis) == AFTER[2]


async def test_what_cannot_be_written_down_is_not_forgotten(redis: Redis, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    await talk(redis)
    for place in ("file/folder/erasures.jsonl", "folder"):
        with pytest.raises(ErasureLogBroken, match="ERASURE_LOG"):
            await erasures(redis, tmp_path / place).write_down(Target())
    assert await left(redis) == EVERYTHING


def test_the_log_names_nobody_and_is_its_owners_alone(path: Path) -> None:
    log = ErasureLog(path, LAYOUT.owner)
    for target in TARGETS:
        log.append(target, "stone")
    assert path.stat().st_mode & 0o777 == 0o600
    text = path.read_text()
    for name in (ASHA, "C1/", "100.000100", "T1/"):
        assert name not in text
    header, *lines = [json.loads(line) for line in text.splitlines()]
    assert set(header) == {"salt"}
    assert [line["kind"] for line in lines] == [target.kind for target in TARGETS]
    assert len({line["hash"] for line in lines}) == len({line["id"] for line in lines}) == len(TARGETS)


def test_a_hash_is_one_of_its_log_and_its_owner(path: Path, tmp_path: Path) -> None:
    written = ErasureLog(path, "T1/B1").append(Target(user_id=ASHA), "stone")
    other_salt = ErasureLog(tmp_path / "other.jsonl", "T1/B1").append(Target(user_id=ASHA), "stone")
    other_owner = ErasureLog(path, "T1/B2").append(Target(user_id=ASHA), "stone")
    assert len({written.hash, other_salt.hash, other_owner.hash}) == 3
    read = ErasureLog(path, "T1/B1")
    assert read.matching(read.read(), [Target(user_id=BEN), Target(user_id=ASHA)]) == [(written, Target(user_id=ASHA))]


def test_two_that_begin_the_log_at_once_share_one(path: Path) -> None:
    first, second = ErasureLog(path, "T1/B1"), ErasureLog(path, "T1/B1")
    assert first._begin() == second._begin()
    assert [p.name for p in path.parent.iterdir()] == ["erasures.jsonl"]


@pytest.mark.parametrize("torn", [b'{"id": "12', b"\xff\xfe", b"[]\n", b'{"id": 1}\n'])
def test_a_damaged_line_is_passed_over(path: Path, torn: bytes) -> None:
    log = ErasureLog(path, "T1/B1")
    before = log.append(Target(user_id=ASHA), "stone")
    with path.open("ab") as file:
        file.write(torn)
    assert log.read() == [before]
    after = log.append(Target(user_id=BEN), "stone")
    assert log.read() == [before, after]


def test_a_damaged_first_line_stops_everything_with_advice(path: Path) -> None:
    log = ErasureLog(path, "T1/B1")
    log.append(Target(user_id=ASHA), "stone")
    path.write_bytes(b"\n" + path.read_bytes())
    for attempt in (lambda: log.append(Target(), "stone"), lambda: log.matching(log.read(), [Target()])):
        with pytest.raises(ErasureLogBroken, match="backup"):
            attempt()


def test_a_log_that_may_not_be_read_is_said(path: Path) -> None:
    path.mkdir(parents=True)
    with pytest.raises(ErasureLogBroken, match="cannot be read"):
        ErasureLog(path, "T1/B1").read()


async def test_a_store_that_has_seen_more_than_the_log_is_warned_of(redis: Redis, path: Path, tmp_path: Path) -> None:
    forever = erasures(redis, path)
    await forever.carry_out(await forever.write_down(Target(user_id=ASHA)), Target(user_id=ASHA))
    assert await forever.replay() is None
    warning = await erasures(redis, tmp_path / "new machine.jsonl").replay()
    assert warning is not None
    assert "1 erasure(s) that are not in this Dolly's erasure log" in warning
    assert "ERASURE_LOG" in warning


async def test_a_replay_whose_files_cannot_be_rewritten_warns(
    redis: Redis, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(_: Client) -> None:
        raise FilesNotRewritten("The store refused BGREWRITEAOF.")

    monkeypatch.setattr("bot.erasures.rewrite_files", refuse)
    forever = erasures(redis, path)
    await forever.write_down(Target(user_id=ASHA))
    assert await forever.replay() == "The store refused BGREWRITEAOF."


async def test_files_are_rewritten_once_for_all_who_ask_meanwhile(
    redis: Redis, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, may_end = [], asyncio.Event()

    async def rewrite(_: Client) -> None:
        begun.append(1)
        await may_end.wait()

    monkeypatch.setattr("bot.erasures.rewrite_files", rewrite)
    forever = erasures(redis, path)
    asking = [asyncio.create_task(forever.rewrite_files())]
    await asyncio.sleep(0)
    asking += [asyncio.create_task(forever.rewrite_files()) for _ in range(5)]
    await asyncio.sleep(0)
    may_end.set()
    await asyncio.gather(*asking)
    assert len(begun) == 2, "the first had begun before the others asked"


async def test_an_erasure_without_a_store_stays_to_be_done(redis: Redis, path: Path) -> None:
    await talk(redis)
    nowhere = connect("redis://127.0.0.1:1/0")
    target = Target(user_id=ASHA)
    erasure = await erasures(nowhere, path).write_down(target)
    with pytest.raises(StoreUnavailable):
        await erasures(nowhere, path).carry_out(erasure, target)
    await nowhere.aclose()
    await erasures(redis, path).replay()
    assert await left(redis) == AFTER[2]


def test_reading_a_log_that_is_not_there_makes_none(path: Path) -> None:
    log = ErasureLog(path, "T1/B1")
    assert log.read() == []
    assert log.matching([Erasure("1", "user", datetime.now(UTC), "2", "stone")], [Target()]) == []
    assert not os.path.exists(path)
