"""Where things lie in the store: the prefix of every key, and what all Dollies on one store must agree on."""

import zlib
from dataclasses import dataclass

from redis.asyncio import Redis, RedisCluster

from bot.conversation import ConversationId
from bot.errors import StoreMismatch
from bot.store.connection import store_errors

SCHEMA = 1
"""The version of what is written down in mailbox.py and memory.py. A neighbouring version can read it."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The keys of `owner`: one app in one team.

    Two Dollies may share a server, and neither may take the other's turns. Every key of a conversation
    carries its partition's hash tag, so that a script may touch several of them on a cluster too.
    """

    owner: str
    partitions: int = 1

    @property
    def prefix(self) -> str:
        """Of the keys that belong to no conversation."""
        return f"dolly:{{{self.owner}}}:"

    @property
    def prefixes(self) -> tuple[str, ...]:
        """Of all partitions."""
        return tuple(f"dolly:{{{self.owner}/{number}}}:" for number in range(self.partitions))

    def prefix_of(self, conversation: ConversationId | str) -> str:
        """Of the keys of `conversation`."""
        return f"dolly:{{{self.owner}/{zlib.crc32(str(conversation).encode()) % self.partitions}}}:"


async def agree(redis: Redis | RedisCluster, layout: Layout) -> None:
    """Write partition count and schema down at the first start, and refuse to go on with others at a later one.

    Raises StoreMismatch, with what to do.
    """
    key = layout.prefix + "layout"
    async with store_errors():
        await redis.hsetnx(key, "partitions", layout.partitions)
        await redis.hsetnx(key, "schema", SCHEMA)
        found = await redis.hgetall(key)
    partitions, schema = int(found["partitions"]), int(found["schema"])
    if partitions != layout.partitions:
        raise StoreMismatch(
            f"The store was begun with REDIS_PARTITIONS={partitions} and this Dolly has {layout.partitions}: "
            f"set it back to {partitions}, or begin with an empty store."
        )
    if abs(schema - SCHEMA) > 1:
        raise StoreMismatch(
            f"The store was written by a Dolly of schema {schema} and this one knows {SCHEMA}: "
            "upgrade or go back one version at a time."
        )
    if schema < SCHEMA:
        async with store_errors():
            await redis.hset(key, "schema", SCHEMA)
