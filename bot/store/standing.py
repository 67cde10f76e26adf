"""What the servers of a store are: their versions, who follows whom, and their clocks."""

import time
from dataclasses import dataclass

from bot.store.connection import Client, store_errors
from bot.store.inspection import each_node, info_of, setting


@dataclass(frozen=True, slots=True)
class Standing:
    """One server."""

    software: str
    """`Redis` or `Valkey`."""
    version: str
    """Empty where it does not tell."""
    role: str
    """`master` or `slave`, as servers call it; empty where it does not tell."""
    replicas: int
    min_replicas_to_write: int | None
    """With how many replicas it takes writes at least; None where it does not tell."""
    ahead_seconds: float
    """By how much its clock is ahead of this machine's."""


async def standings(client: Client) -> list[Standing]:
    """Each server of the store. Raises StoreUnavailable where one does not answer."""
    async with store_errors():
        found = []
        for where in await each_node(client):
            server = await info_of(client, "server", where)
            replication = await info_of(client, "replication", where)
            wanted = await setting(client, "min-replicas-to-write", where)
            before = time.time()
            seconds, microseconds = await client.execute_command("TIME", **where)
            ours = (before + time.time()) / 2
            valkey = server.get("valkey_version")
            standing = Standing(
                software="Valkey" if valkey else "Redis",
                version=str(valkey or server.get("redis_version") or ""),
                role=str(replication.get("role", "")),
                replicas=int(replication.get("connected_slaves", 0)),
                min_replicas_to_write=None if wanted is None else int(wanted),
                ahead_seconds=int(seconds) + int(microseconds) / 1e6 - ours,
            )
            found.append(standing)
    return found
