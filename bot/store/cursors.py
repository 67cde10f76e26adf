"""Up to where Slack has been heard: where a catch-up begins to read.

One sorted set, of Slack's ts in microseconds:

    cursors    `*` → up to here everything was heard, in each channel that has no cursor of its own
               <channel> → here it has still to be read on from, because that failed so far

So a channel that Dolly is invited to, or a person's first direct message, begins at `*` too.
"""

from dataclasses import dataclass, field
from typing import Any

from redis.asyncio import RedisCluster
from redis.exceptions import NoPermissionError

from bot.store.connection import Client, store_errors
from bot.store.layout import Layout
from bot.store.partitions import Partitions

EVERYWHERE = "*"
MICROSECONDS = 1_000_000


@dataclass(frozen=True, slots=True)
class Heard:
    """Up to when Slack was heard, in seconds since 1970."""

    until: float
    behind: dict[str, float] = field(default_factory=dict)
    """The channels that are not as far."""


class Cursors:
    """The cursors that all Dollies on one store share. Every method raises StoreUnavailable."""

    def __init__(self, client: Client, layout: Layout) -> None:
        self._client = client
        self._key = layout.prefix + "cursors"
        self._partitions = Partitions(client, (layout.prefix, *layout.prefixes))

    async def read(self, now: float) -> Heard:
        """Where to read on from; `now` at the very first start, when there is nothing to catch up with."""
        async with store_errors():
            await self._client.zadd(self._key, {EVERYWHERE: _score(now)}, nx=True)
            found = {name: score / MICROSECONDS for name, score in await self._stored()}
        return Heard(found.pop(EVERYWHERE), found)

    async def advance(self, to: float) -> None:
        """Everything was heard up to `to`. A cursor never moves back, whoever moves it."""
        async with store_errors():
            await self._client.zadd(self._key, {EVERYWHERE: _score(to)}, gt=True)

    async def probe(self, seconds: float) -> None:
        """Return when every partition has taken a write, one that changes nothing; they have so many seconds.

        Where one is away, questions are refused: nobody has heard all.
        """
        _, errors = await self._partitions.each(
            lambda prefix: self._client.zadd(prefix + "cursors", {EVERYWHERE: 0}, xx=True, gt=True), seconds=seconds
        )
        if errors:
            raise errors[0]

    async def servers(self) -> frozenset[str]:
        """The ids of the servers that take writes, each of which a server gives itself when it is started.

        None where the store's user may not ask (`+info`).
        """
        nodes = {"target_nodes": RedisCluster.PRIMARIES} if isinstance(self._client, RedisCluster) else {}
        async with store_errors():
            try:
                told: Any = await self._client.info("server", **nodes)
            except NoPermissionError:
                return frozenset()
        found = [told] if "run_id" in told else told.values()
        return frozenset(str(each["run_id"]) for each in found)

    async def hold(self, channel_id: str, at: float) -> None:
        """`channel_id` has still to be read from `at` on, or from where it was held before if that is earlier."""
        async with store_errors():
            await self._client.zadd(self._key, {channel_id: _score(at)}, lt=True)

    async def release(self, channel_id: str) -> None:
        """`channel_id` was read."""
        async with store_errors():
            await self._client.zrem(self._key, channel_id)

    async def _stored(self) -> list[tuple[str, float]]:
        stored: Any = await self._client.zrange(self._key, 0, -1, withscores=True)
        return [(str(name), float(score)) for name, score in stored]


def _score(seconds: float) -> int:
    return round(seconds * MICROSECONDS)
