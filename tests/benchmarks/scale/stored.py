"""What a store holds and does: turns through the real mailbox on Dolly's own Valkey, with every write on disk."""

import asyncio
import itertools
import secrets
import time
from dataclasses import dataclass
from pathlib import Path

from bot.conversation import ConversationId, Exchange, Turn
from bot.local.store import LocalStore
from bot.store.connection import connect
from bot.store.layout import Layout
from bot.store.mailbox import Mailbox
from bot.store.sealing import Sealing
from tests.benchmarks.delivery.processes import cpu_seconds
from tests.benchmarks.delivery.stored import ANSWER, QUESTION

ASKERS = 32
"""As many turns go through the mailbox at once."""


@dataclass(frozen=True)
class Kept:
    """What one turn costs its store: a question of 180 characters and an answer of 700, encrypted."""

    turns_per_second: float
    """As fast as one Python process can ask for it; the store is not what it waits for."""
    cpu_seconds: float
    """Of the store, per turn."""
    memory_bytes: float
    """Per turn, in conversations of one."""
    disk_bytes: float
    """Of the append-only file, per turn, before it is rewritten."""
    rewritten_bytes: float
    """The same, rewritten."""


async def measured(turns: int, place: Path) -> Kept:
    """`turns` conversations of one turn each: stored, claimed, committed."""
    store = LocalStore(place)
    await store.start()
    client, pid = connect(store.url), store.pid
    assert pid is not None, "it was started"
    try:
        layout, sealing = Layout("T0SCALE/B0SCALE"), Sealing([secrets.token_bytes(32)])
        numbers = iter(range(turns))
        await client.config_set("auto-aof-rewrite-percentage", 0)
        before = await client.info("memory")
        began, used = time.perf_counter(), cpu_seconds(pid)

        async def answer() -> None:
            mailbox = Mailbox(client, layout, sealing, waiting_per_user=turns)
            for number in numbers:
                ts = f"{time.time():.0f}.{number:06d}"
                turn = Turn(ConversationId("T0SCALE", f"C{number % 400}", ts), ts, f"U{number % 5_000}", QUESTION)
                await mailbox.enqueue(turn)
                while (claim := await mailbox.claim()) is None:
                    await asyncio.sleep(0)
                asked = claim.turn
                await mailbox.commit(claim, Exchange(asked.ts, asked.user_id, QUESTION, ANSWER, tokens=240))

        await asyncio.gather(*itertools.starmap(answer, [()] * ASKERS))
        seconds, spent = time.perf_counter() - began, cpu_seconds(pid) - used
        after = await client.info("memory")
        grown = _size(place)
        await client.bgrewriteaof()
        while (await client.info("persistence"))["aof_rewrite_in_progress"]:
            await asyncio.sleep(0.05)
        return Kept(
            turns / seconds,
            spent / turns,
            (after["used_memory"] - before["used_memory"]) / turns,
            grown / turns,
            _size(place) / turns,
        )
    finally:
        await client.aclose()
        await store.stop()


def _size(place: Path) -> int:
    return sum(path.stat().st_size for path in place.rglob("appendonly*") if path.is_file())
