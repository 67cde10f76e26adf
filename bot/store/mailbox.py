"""The mailbox: turns wait here from the moment Slack is told "received" until their answer is committed.

Each conversation has its own queue, ordered by Slack's ts, and at most one worker at a time. Each method
is one Lua script, so it happens whole or not at all; times come from the server's clock. All keys carry
the prefix of connection.py, with one hash tag, so that they live in one slot:

    seen:<job>        dedupe mark, kept 26 hours: Slack may deliver a message again for a day
    job:<job>         hash: the turn as JSON, attempts so far
    mailbox:<conv>    sorted set: job ids by Slack ts in microseconds
    ready             sorted set: conversation → time in ms from which it may be claimed
    lease             sorted set: conversation → time in ms at which its worker counts as dead
    claim:<conv>      hash: fence (grows with each claim), job claimed, stop flag
    memory:<conv>     list: committed exchanges (bot/store/memory.py)
"""

import asyncio
import json
from dataclasses import asdict, dataclass
from importlib import resources
from typing import Any

import structlog
from redis.asyncio import Redis
from redis.commands.core import AsyncScript

from bot.conversation import ConversationId, Exchange, Turn
from bot.errors import LeaseLost
from bot.store import memory
from bot.store.connection import key_prefix, store_errors

log = structlog.get_logger(__name__)

DEDUPE_SECONDS = 26 * 3600
FENCE_SECONDS = 7 * 24 * 3600
EXCHANGES_KEPT = 200


@dataclass(frozen=True, slots=True)
class Claim:
    """A turn that this worker holds, until its lease ends."""

    turn: Turn
    job_id: str
    fence: int
    attempt: int
    """1 for the first worker that holds the turn."""


class Mailbox:
    """The queue of turns, in Redis. Every method raises StoreUnavailable when the store does not answer."""

    def __init__(
        self, redis: Redis, owner: str, *, lease_seconds: float = 15, memory_seconds: float = 30 * 86_400
    ) -> None:
        self.lease_seconds = lease_seconds
        self._memory_seconds = round(memory_seconds)
        self._redis = redis
        self._prefix = key_prefix(owner)
        self._enqueue, self._claim, self._renew, self._commit, self._fail = (
            _script(redis, name) for name in ("enqueue", "claim", "renew", "commit", "fail")
        )
        self._arrived = asyncio.Event()

    async def enqueue(self, turn: Turn) -> bool:
        """Store `turn`; when this returns, it will be answered. False when it was stored before."""
        conversation = str(turn.conversation)
        job_id = f"{conversation}/{turn.ts}"
        stored = await self._run(
            self._enqueue,
            keys=["seen:" + job_id, "job:" + job_id, "mailbox:" + conversation, "ready", "lease"],
            args=[job_id, _dump(turn), DEDUPE_SECONDS, conversation, _microseconds(turn.ts)],
        )
        self._arrived.set()
        return bool(stored)

    async def claim(self) -> Claim | None:
        """The earliest turn of some conversation that is free, with a lease on it; None when there is none."""
        claimed = await self._run(
            self._claim,
            keys=["ready", "lease"],
            args=[round(self.lease_seconds * 1000), self._prefix, FENCE_SECONDS],
        )
        if claimed is None:
            return None
        conversation, job_id, fence, attempt, turn = claimed
        try:
            return Claim(_load(turn), job_id, int(fence), int(attempt))
        except (TypeError, ValueError, KeyError) as error:
            # Of another version, or damaged: it would come back to every worker for ever.
            log.error("job_unreadable", job=job_id, error=type(error).__name__)
            await self._finish(conversation, job_id, int(fence), exchange="")
            return await self.claim()

    async def wait(self, seconds: float) -> None:
        """Return when a turn was stored by this process, or after `seconds`."""
        try:
            async with asyncio.timeout(seconds):
                await self._arrived.wait()
        except TimeoutError:
            pass
        self._arrived.clear()

    async def renew(self, claim: Claim) -> bool:
        """Extend the lease; True when the answer shall stop. Raises LeaseLost when another worker has the turn."""
        conversation = str(claim.turn.conversation)
        held = await self._run(
            self._renew,
            keys=["claim:" + conversation, "lease"],
            args=[claim.fence, claim.job_id, conversation, round(self.lease_seconds * 1000)],
        )
        if held == 0:
            raise LeaseLost(f"{claim.job_id} was taken over by another worker")
        return bool(held == 2)

    async def commit(self, claim: Claim, exchange: Exchange | None) -> None:
        """Finish the turn and remember `exchange`. Raises LeaseLost when another worker has the turn."""
        remembered = memory.dump(exchange) if exchange else ""
        if not await self._finish(str(claim.turn.conversation), claim.job_id, claim.fence, remembered):
            raise LeaseLost(f"{claim.job_id} was taken over by another worker")
        self._arrived.set()

    async def _finish(self, conversation: str, job_id: str, fence: int, exchange: str) -> bool:
        keys = ["claim:" + conversation, "mailbox:" + conversation, "job:" + job_id, "ready", "lease"]
        committed = await self._run(
            self._commit,
            keys=[*keys, memory.memory_key(conversation)],
            args=[fence, job_id, conversation, exchange, self._memory_seconds, EXCHANGES_KEPT],
        )
        return bool(committed)

    async def fail(self, claim: Claim, *, delay_seconds: float) -> None:
        """Hand the turn back, to be claimed again after `delay_seconds`. Raises LeaseLost as commit does."""
        conversation = str(claim.turn.conversation)
        returned = await self._run(
            self._fail,
            keys=["claim:" + conversation, "ready", "lease"],
            args=[claim.fence, claim.job_id, conversation, round(delay_seconds * 1000)],
        )
        if not returned:
            raise LeaseLost(f"{claim.job_id} was taken over by another worker")

    async def request_stop(self, conversation: ConversationId) -> None:
        """Ask whoever is answering in `conversation` to stop; without such a worker, nothing happens."""
        key = self._prefix + f"claim:{conversation}"
        async with store_errors(), self._redis.pipeline() as pipe:
            pipe.hset(key, "stop", "1")
            pipe.expire(key, FENCE_SECONDS)
            await pipe.execute()

    async def _run(self, script: AsyncScript, keys: list[str], args: list[Any]) -> Any:
        async with store_errors():
            return await script(keys=[self._prefix + key for key in keys], args=args)


def _script(redis: Redis, name: str) -> AsyncScript:
    text = resources.files("bot.store").joinpath(f"{name}.lua").read_text(encoding="utf-8")
    return redis.register_script(text)


def _microseconds(ts: str) -> int:
    """Slack's ts as a whole number, exact in a sorted set's score (< 2^53)."""
    seconds, _, fraction = ts.partition(".")
    return int(seconds) * 1_000_000 + int(fraction.ljust(6, "0")[:6] or 0)


def _dump(turn: Turn) -> str:
    return json.dumps(asdict(turn), ensure_ascii=False)


def _load(text: str) -> Turn:
    fields = json.loads(text)
    return Turn(conversation=ConversationId(**fields.pop("conversation")), **fields)
