"""Jobs of retraining that an admin in Slack is told of: which, in which message, and who tells.

    followed          sorted set: ids of the jobs whose end was not told yet, by when they were asked for
    asked             sorted set: ids of the newest jobs, told or not
    following:<job>   hash: channel and ts of the message that shows the job, the hash of its text, whether all is told
    follower          string: which process tells just now

The jobs themselves are the trainer's as well, and lie elsewhere (retraining.py). Nothing here holds a text.
"""

from dataclasses import dataclass
from typing import Any

from bot.store.connection import Client, store_errors
from bot.store.layout import Layout

KEPT = 20
"""So many jobs are remembered as asked for."""
KEPT_SECONDS = 30 * 86_400


@dataclass(frozen=True, slots=True)
class ToldSoFar:
    """What Slack shows of a job."""

    channel_id: str = ""
    ts: str = ""
    """The message; "" where there is none yet."""
    shown: str = ""
    """The hash of what it shows."""
    is_concluded: bool = False
    """Whether it stands below the message how the job ended."""


class Followed:
    """Reads and writes it. Every method raises StoreUnavailable."""

    def __init__(self, client: Client, layout: Layout) -> None:
        self._client = client
        self._prefix = layout.prefix

    async def lead(self, who: str, seconds: int) -> bool:
        """Whether `who` is the one that tells, for so many seconds from now on; another may after them.

        One that is taken for dead may still finish its round, so that something is told twice then.
        """
        key = f"{self._prefix}follower"
        async with store_errors():
            if await self._client.set(key, who, nx=True, ex=seconds):
                return True
            return await self._client.get(key) == who and bool(await self._client.expire(key, seconds))

    async def resign(self, who: str) -> None:
        """Let another be the one that tells, at once."""
        key = f"{self._prefix}follower"
        async with store_errors():
            if await self._client.get(key) == who:
                await self._client.delete(key)

    async def follow(self, job_id: str, at: float) -> None:
        """Have the job told of, until `end`."""
        async with store_errors():
            await self._client.zadd(f"{self._prefix}followed", {job_id: at})
            await self._client.zadd(f"{self._prefix}asked", {job_id: at})
            old: Any = await self._client.zrange(f"{self._prefix}asked", 0, -KEPT - 1)
            if old:
                await self._client.zrem(f"{self._prefix}asked", *old)

    async def end(self, job_id: str) -> None:
        """All of the job was told."""
        async with store_errors():
            await self._client.zrem(f"{self._prefix}followed", job_id)

    async def open(self) -> list[str]:
        """The jobs that are to be told of, the oldest first."""
        async with store_errors():
            found: Any = await self._client.zrange(f"{self._prefix}followed", 0, -1)
        return list(found)

    async def asked(self) -> list[str]:
        """The newest jobs that were asked for here, the newest first."""
        async with store_errors():
            found: Any = await self._client.zrange(f"{self._prefix}asked", 0, -1)
        return list(reversed(found))

    async def told(self, job_id: str) -> ToldSoFar:
        """What Slack shows of the job."""
        async with store_errors():
            found: Any = await self._client.hgetall(self._key(job_id))
        channel_id, ts, shown = (found.get(name, "") for name in ("channel", "ts", "shown"))
        return ToldSoFar(channel_id, ts, shown, found.get("concluded") == "1")

    async def note(self, job_id: str, told: ToldSoFar) -> None:
        """Slack shows this of the job now."""
        concluded = "1" if told.is_concluded else ""
        fields: Any = {"channel": told.channel_id, "ts": told.ts, "shown": told.shown, "concluded": concluded}
        async with store_errors(), self._client.pipeline(transaction=False) as pipe:
            pipe.hset(self._key(job_id), mapping=fields)
            pipe.expire(self._key(job_id), KEPT_SECONDS)
            await pipe.execute()

    def _key(self, job_id: str) -> str:
        return f"{self._prefix}following:{job_id}"
