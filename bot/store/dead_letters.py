"""The questions that were given up (commit.lua has put them there): looked at, asked again, or dropped."""

from dataclasses import dataclass, replace
from typing import Any

from bot.conversation import AGAIN, ConversationId, Turn
from bot.errors import SealBroken
from bot.store import claims
from bot.store.connection import Client, load_script, run_script, store_errors
from bot.store.layout import Layout
from bot.store.mailbox import DEDUPE_SECONDS, microseconds
from bot.store.partitions import Partitions
from bot.store.repeats import Repeats
from bot.store.sealing import Sealing

STORE_SECONDS = 1.0
"""Somebody has clicked, and Slack waits three seconds."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A question that was given up; what was asked is not in it."""

    job_id: str
    conversation: ConversationId
    ts: str
    """Slack's `ts` of the question."""
    user_id: str
    reason: str
    """Slack's name for why it could not be answered, or the key of the apology that stands there."""
    buried_at: float
    """Seconds since 1970."""
    can_be_asked: bool
    """False where it does not open any more, and for a `/dolly`: Slack takes no late answer to it."""


class DeadLetters:
    """Every method raises StoreUnavailable."""

    def __init__(
        self,
        client: Client,
        layout: Layout,
        sealing: Sealing,
        repeats: Repeats,
        *,
        memory_seconds: float = 0,
        wait_replicas: int = 0,
    ) -> None:
        self._client = client
        self._layout = layout
        self._sealing = sealing
        self._repeats = repeats
        self._memory_seconds = round(memory_seconds)
        self._wait_replicas = wait_replicas
        self._partitions = Partitions(client, layout.prefixes)
        self._script = load_script("revive")

    async def newest(self, most: int) -> list[DeadLetter]:
        """The newest first, of all partitions that answer."""
        found, errors = await self._partitions.each(lambda prefix: self._newest_in(prefix, most), seconds=STORE_SECONDS)
        if not found:
            raise errors[0]
        letters = [letter for of_partition in found for letter in of_partition]
        return sorted(letters, key=lambda letter: letter.buried_at, reverse=True)[:most]

    async def ask_again(self, job_id: str) -> bool:
        """Have the question answered after all, in its turn. False where somebody has done so or dropped it before.

        One that an answer is remembered of (a part, or the one before) is answered once more, in that one's place.
        Raises ValueError for what is no job's id.
        """
        conversation, ts = _of_job(job_id)
        prefix = self._layout.prefix_of(conversation)
        async with store_errors(STORE_SECONDS):
            letter: Any = await self._client.hmget(f"{prefix}letter:{job_id}", ["turn", "user"])
            sealed, user_id = letter
            buried_ms = await self._client.zscore(prefix + "dead", job_id)
            if not user_id or buried_ms is None:
                return False
            answered = await self._repeats.remembered(conversation, ts)
            turn = self._opened(sealed, conversation)
            if answered is not None and turn is not None:
                anew = replace(turn, text=answered.question, files=(), about="", again=f"{buried_ms:.0f}")
                if await self._repeats.ask(anew, is_bounded=False) != "unknown":
                    return await self.drop(job_id)
            names = [
                *("dead", f"letter:{job_id}", f"job:{job_id}", f"seen:{job_id}", f"mailbox:{conversation}", "ready"),
                *("lease", "waiting", f"queue:{user_id}", f"person:{user_id}", "threads"),
            ]
            return bool(
                await run_script(
                    self._client,
                    self._script,
                    [prefix + name for name in names],
                    [job_id, str(conversation), user_id, microseconds(ts), DEDUPE_SECONDS, self._memory_seconds],
                    wait_replicas=self._wait_replicas,
                )
            )

    async def drop(self, job_id: str) -> bool:
        """Have it gone for good. False where it was not there any more. Raises ValueError for what is no job's id."""
        prefix = self._layout.prefix_of(_of_job(job_id)[0])
        async with store_errors(STORE_SECONDS), self._client.pipeline(transaction=False) as pipe:
            pipe.delete(f"{prefix}letter:{job_id}")
            pipe.zrem(prefix + "dead", job_id)
            *_, was_there = await pipe.execute()
        return bool(was_there)

    async def _newest_in(self, prefix: str, most: int) -> list[DeadLetter]:
        buried: Any = await self._client.zrange(prefix + "dead", -most, -1, withscores=True)
        async with self._client.pipeline(transaction=False) as pipe:
            for job_id, _ in buried:
                pipe.hmget(f"{prefix}letter:{job_id}", ["reason", "user", "turn"])
            letters = await pipe.execute()
        return [
            self._letter(job_id, buried_ms / 1000, *fields)
            for (job_id, buried_ms), fields in zip(buried, letters, strict=True)
            if fields[1] is not None  # else it has ended by itself, as memory does
        ]

    def _letter(self, job_id: str, buried_at: float, reason: str, user_id: str, sealed: str | None) -> DeadLetter:
        conversation, ts = _of_job(job_id)
        turn = self._opened(sealed, conversation)
        can_be_asked = turn is not None and turn.response_url is None
        return DeadLetter(job_id, conversation, ts, user_id, reason or "", buried_at, can_be_asked)

    def _opened(self, sealed: str | None, conversation: ConversationId) -> Turn | None:
        try:
            return claims.load(sealed or "", str(conversation), self._sealing)
        except (SealBroken, ValueError, KeyError, TypeError):
            return None


def _of_job(job_id: str) -> tuple[ConversationId, str]:
    conversation, _, ts = job_id.rpartition("/")
    return ConversationId.parse(conversation), ts.removesuffix(AGAIN)
