"""Where things lie in the store: the prefix of every key, and what all Dollies on one store must agree on."""

import zlib
from dataclasses import dataclass
from typing import Any

from bot.conversation import ConversationId
from bot.errors import SealBroken, StoreMismatch
from bot.store.connection import Client, store_errors
from bot.store.sealing import Sealing

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


async def layouts(client: Client) -> list[Layout]:
    """All that the store was begun with: one for each app in each team."""
    found = []
    async with store_errors(60):
        async for key in client.scan_iter(match="dolly:{*}:layout", count=1_000):
            owner = key.removeprefix("dolly:{").removesuffix("}:layout")
            found.append(Layout(owner, int(await client.hget(key, "partitions") or 1)))
    return sorted(set(found), key=lambda layout: layout.owner)


async def layout_of(client: Client, team: str | None) -> Layout:
    """The layout of the one Dolly whose texts are in the store, or of the one in `team`.

    Raises StoreMismatch, with what to do, where there is none, or more than one.
    """
    found = await layouts(client)
    if not found:
        raise StoreMismatch("The store holds nothing of Dolly's; is it the right one?")
    chosen = [layout for layout in found if team in (None, layout.owner, layout.owner.partition("/")[0])]
    if len(chosen) != 1:
        owners = ", ".join(layout.owner for layout in found)
        raise StoreMismatch(f"Say which Dolly is meant with --team; the store holds those of {owners}.")
    return chosen[0]


PROBE = "dolly"
"""Sealed at the first start, and opened at each later one: a Dolly without the right key is told so at once."""


async def agree(client: Client, layout: Layout, sealing: Sealing) -> None:
    """Write partition count, schema and a sealed probe down at the first start; go on at later ones only with these.

    Raises StoreMismatch, with what to do.
    """
    key = layout.prefix + "layout"
    async with store_errors():
        await client.hsetnx(key, "partitions", str(layout.partitions))
        await client.hsetnx(key, "schema", str(SCHEMA))
        await client.hsetnx(key, "probe", sealing.seal(PROBE, PROBE))
    schema = await check(client, layout, sealing)
    async with store_errors():
        # What is written from now on has this version, and is sealed with the newest key.
        await client.hset(key, mapping={"schema": max(schema, SCHEMA), "probe": sealing.seal(PROBE, PROBE)})


async def check(client: Client, layout: Layout, sealing: Sealing) -> int:
    """See that a store that was begun is one to go on with; its schema. Raises StoreMismatch, with what to do."""
    async with store_errors():
        stored: Any = await client.hgetall(layout.prefix + "layout")
    # What is missing was not written down yet, so that nothing else is there either.
    found = {"partitions": layout.partitions, "schema": SCHEMA, "probe": sealing.seal(PROBE, PROBE), **stored}
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
    try:
        sealing.open(PROBE, found["probe"])
    except SealBroken:
        raise StoreMismatch(
            "The store was encrypted with a key that is not in DOLLY_MEMORY_KEY: add it there, after the newest one."
        ) from None
    return schema
