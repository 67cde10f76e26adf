"""`dolly forget`, as it is typed: with a store that runs, and one that does not."""

import asyncio
import base64
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from bot.conversation import ConversationId, Exchange, Turn
from bot.forget import NotATarget, chosen
from bot.local.store import LocalStore
from bot.store.forgetting import Forgetting
from bot.store.layout import Layout, agree
from bot.store.mailbox import Mailbox
from bot.store.memory import Memory
from bot.store.sealing import Sealing
from tests.data_folder import store_of

ROOT = Path(__file__).resolve().parents[2]
LAYOUT = Layout("T0TEAM/B0BOT", 2)
THREAD, OTHER = ConversationId("T0TEAM", "C0ONE", "1700000000.000100"), ConversationId("T0TEAM", "D0TWO", "17.000100")
ASHA, BEN = "U0ASHA", "U0BEN"
FILES = "The store's files were written anew: what went is not in them any more.\n"


async def dolly_forget(data: Path, *options: str, answer: str = "", **settings: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of the command."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(data), "PYTHONPATH": str(ROOT), "COLUMNS": "200"}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bot", "forget", *options),
        cwd=data.parent,
        env=environment | {"DOLLY_DATA": str(data)} | settings,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(30):
        out, err = await process.communicate(answer.encode())
    assert b"Traceback" not in out + err
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def talk(client: Redis, sealing: Sealing, layout: Layout = LAYOUT) -> None:
    """Asha and Ben in a thread, Asha in a direct message, where a question waits."""
    await agree(client, layout, sealing)
    mailbox = Mailbox(client, layout, sealing)
    for ts, (conversation, user_id) in enumerate([(THREAD, ASHA), (THREAD, BEN), (OTHER, ASHA), (OTHER, ASHA)], 100):
        turn = Turn(conversation, f"{conversation.root_ts.partition('.')[0]}.{ts:06}", user_id, "a question")
        await mailbox.enqueue(turn)
        if ts < 103:
            claim = await mailbox.claim()
            assert claim is not None
            await mailbox.commit(claim, Exchange(turn.ts, user_id, turn.text, "an answer", 7))


async def left(client: Redis, sealing: Sealing) -> list[str]:
    """Who asked what is remembered."""
    memory = Memory(client, LAYOUT, sealing)
    found = []
    for conversation in await Forgetting(client, LAYOUT, sealing).conversations():
        found += [exchange.user_id for exchange in await memory.read(ConversationId.parse(conversation))]
    return sorted(found)


CHOICES = [
    (["--user", ASHA], "2 exchanges and 1 unanswered question, in 2 conversations", [BEN]),
    (["--channel", "C0ONE"], "2 exchanges and 0 unanswered questions, in 1 conversation.", [ASHA]),
    (["--conversation", "D0TWO/17.000100"], "1 exchange and 1 unanswered question, in 1 conv", [ASHA, BEN]),
    (["--conversation", "T0TEAM/D0TWO/17.000100"], "1 exchange and 1 unanswered", [ASHA, BEN]),
    (["--conversation", "https://t.slack.com/archives/C0ONE/p1700000000000100"], "2 exchanges and 0", [ASHA]),
    (
        [
            "--conversation",
            "https://t.slack.com/archives/C0ONE/p1700000000000999?thread_ts=1700000000.000100&cid=C0ONE",
        ],
        "2 exchanges and 0",
        [ASHA],
    ),
    (["--everyone"], "3 exchanges and 1 unanswered question, in 2 conversations.", []),
]


@pytest.mark.parametrize(("options", "says", "remembered"), CHOICES)
async def test_while_the_one_machine_store_runs(
    tmp_path: Path, options: list[str], says: str, remembered: list[str]
) -> None:
    async with store_of(tmp_path / "data") as (client, sealing):
        await talk(client, sealing)
        code, out, err = await dolly_forget(tmp_path / "data", *options, "--yes")
        assert (code, err) == (0, "")
        assert out.startswith(f"Forgotten: {says}")
        assert out.endswith(FILES)
        assert await left(client, sealing) == remembered


async def test_without_a_store_that_runs_one_is_started_for_it(tmp_path: Path) -> None:
    data = tmp_path / "data"
    async with store_of(data) as (client, sealing):
        await talk(client, sealing)
    assert (await dolly_forget(data, "--everyone", "--yes"))[0] == 0
    assert (data / "erasures.jsonl").stat().st_mode & 0o777 == 0o600
    assert await dolly_forget(data, "--everyone", "--yes") == (0, f"There was nothing of it in the store.\n{FILES}", "")
    async with store_of(data) as (client, sealing):
        assert await left(client, sealing) == []


@pytest.mark.parametrize(("answer", "code", "remembered"), [("", 1, 3), ("n\n", 1, 3), ("y\n", 0, 0)])
async def test_it_asks_first(tmp_path: Path, answer: str, code: int, remembered: int) -> None:
    async with store_of(tmp_path / "data") as (client, sealing):
        await talk(client, sealing)
        ended, out, _ = await dolly_forget(tmp_path / "data", "--everyone", answer=answer)
        assert ended == code
        assert "cannot be brought back" in out
        assert len(await left(client, sealing)) == remembered


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({}, "exactly one of"),
        ({"user": ASHA, "everyone": True}, "exactly one of"),
        ({"user": "asha"}, "wants a person's id"),
        ({"channel": "#general"}, "wants a channel's id"),
        ({"conversation": "https://example.com/"}, "wants a link to a message"),
        ({"conversation": "C0ONE"}, "wants a link to a message"),
        ({"conversation": "a/b/c/17.000100"}, "wants a link to a message"),
    ],
)
def test_what_cannot_be_read_is_a_sentence(options: dict[str, Any], says: str) -> None:
    with pytest.raises(NotATarget, match=says):
        chosen(**{"user": None, "conversation": None, "channel": None, "everyone": False} | options)


async def test_a_mistake_in_the_options_is_exit_code_2(tmp_path: Path) -> None:
    code, out, err = await dolly_forget(tmp_path / "data", "--user", ASHA, "--everyone", "--yes")
    assert (code, out) == (2, "")
    assert "exactly one of" in err


async def test_no_store_is_a_sentence(tmp_path: Path) -> None:
    code, out, err = await dolly_forget(tmp_path / "data", "--everyone", "--yes")
    assert (code, out) == (1, "")
    assert "There is no store in" in err
    assert "DOLLY_DATA" in err
    assert not (tmp_path / "data" / "store").exists()


async def test_an_empty_store_is_a_sentence(tmp_path: Path) -> None:
    async with store_of(tmp_path / "data"):
        code, out, err = await dolly_forget(tmp_path / "data", "--everyone", "--yes")
    assert (code, out) == (1, "")
    assert "holds nothing of Dolly's" in err


async def test_of_several_teams_one_must_be_named(tmp_path: Path) -> None:
    async with store_of(tmp_path / "data") as (client, sealing):
        await talk(client, sealing)
        await agree(client, Layout("T0OTHER/B1"), sealing)
        code, _, err = await dolly_forget(tmp_path / "data", "--everyone", "--yes")
        assert code == 1
        assert "--team; the store holds those of T0OTHER/B1, T0TEAM/B0BOT." in err
        assert (await dolly_forget(tmp_path / "data", "--everyone", "--yes", "--team", "T0TEAM"))[0] == 0
        assert await left(client, sealing) == []


@pytest.fixture
def key() -> dict[str, str]:
    return {"DOLLY_MEMORY_KEY": base64.b64encode(bytes(range(32))).decode()}


async def test_files_that_the_acl_does_not_let_be_rewritten(
    tmp_path: Path, redis: Redis, local_store: LocalStore, key: dict[str, str]
) -> None:
    sealing = Sealing([bytes(range(32))])
    await talk(redis, sealing)
    await redis.acl_setuser(
        "narrow", enabled=True, passwords=["+secret"], keys=["dolly:*", "retrain:*"], commands=["+@all", "-@admin"]
    )
    url = local_store.url.replace("unix://", "unix://narrow:secret@")
    try:
        code, out, err = await dolly_forget(tmp_path / "data", "--user", ASHA, "--yes", REDIS_URL=url, **key)
    finally:
        await redis.acl_deluser("narrow")
    assert code == 1
    assert out.startswith("Forgotten: 2 exchanges")
    assert FILES not in out
    assert "may not call BGREWRITEAOF" in err
    assert await left(redis, sealing) == [BEN]


async def test_a_full_store_forgets(tmp_path: Path, redis: Redis, local_store: LocalStore, key: dict[str, str]) -> None:
    sealing = Sealing([bytes(range(32))])
    await talk(redis, sealing)
    await redis.config_set("maxmemory", "1")
    try:
        code, out, err = await dolly_forget(
            tmp_path / "data", "--user", ASHA, "--yes", REDIS_URL=local_store.url, **key
        )
    finally:
        await redis.config_set("maxmemory", "0")
    assert (code, err) == (0, "")
    assert out.startswith("Forgotten: 2 exchanges and 1 unanswered question")
    assert await left(redis, sealing) == [BEN]
    [tombstone] = [key async for key in redis.scan_iter(match="*}:forgotten:*")]
    assert await redis.ttl(tombstone) == -1, "what was forgotten stays forgotten"


async def test_a_wrong_key_is_said_before_anything_is_forgotten(
    tmp_path: Path, redis: Redis, local_store: LocalStore, key: dict[str, str]
) -> None:
    await talk(redis, Sealing([bytes(32)]))
    code, out, err = await dolly_forget(tmp_path / "data", "--everyone", "--yes", REDIS_URL=local_store.url, **key)
    assert (code, out) == (1, "")
    assert "key that is not in DOLLY_MEMORY_KEY" in err
    assert len(await left(redis, Sealing([bytes(32)]))) == 3


async def test_a_store_that_is_away_is_said(tmp_path: Path, key: dict[str, str]) -> None:
    code, out, err = await dolly_forget(
        tmp_path / "data", "--everyone", "--yes", REDIS_URL="redis://127.0.0.1:1/0", **key
    )
    assert (code, out) == (1, "")
    assert "The store does not answer" in err
