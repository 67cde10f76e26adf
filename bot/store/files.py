"""The server's files, written anew: until then they still hold what was deleted."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from redis.asyncio import RedisCluster
from redis.exceptions import NoPermissionError, ResponseError

from bot.errors import FilesNotRewritten
from bot.store.connection import Client, store_errors

POLL_SECONDS = 0.05
LONGEST_SECONDS = 600.0
"""Of rewriting one server's files."""

Run = Callable[..., Awaitable[Any]]
"""Sends a command to one server."""


async def rewrite_files(client: Client) -> None:
    """Have every server of the store write its append-only file anew, and its snapshot where it makes any.

    Returns when that is done. Raises FilesNotRewritten, with what was refused or failed and what to do, and
    StoreUnavailable.
    """
    if isinstance(client, RedisCluster):
        async with store_errors():
            await client.initialize()
            await client.nodes_manager.initialize()  # nodes may have come since this client began
        for node in [*client.get_primaries(), *client.get_replicas()]:
            await _rewrite(node.execute_command)
    else:
        await _rewrite(client.execute_command)


async def _rewrite(run: Run) -> None:
    """The files of one server."""
    if not (await _persistence(run))["aof_enabled"]:
        raise FilesNotRewritten(
            "The store's append-only file is off, so it was not rewritten; files that the server wrote otherwise may "
            "still hold what was forgotten. Set appendonly yes."
        )
    await _done(run, "BGREWRITEAOF", ("aof_rewrite_in_progress", "aof_rewrite_scheduled"), "aof_last_bgrewrite_status")
    if await _makes_snapshots(run):
        await _done(run, "BGSAVE", ("rdb_bgsave_in_progress",), "rdb_last_bgsave_status")


async def _done(run: Run, command: str, busy: tuple[str, ...], status: str) -> None:
    """Run what the server does in the background, from now, and wait for its end."""
    try:
        async with asyncio.timeout(LONGEST_SECONDS):
            await _idle(run, busy)  # one that runs already began before the erasure
            await _asked(run, command)
            await _idle(run, busy)
    except TimeoutError:
        raise FilesNotRewritten(f"The store has not ended {command} within {LONGEST_SECONDS:g} s.") from None
    if (await _persistence(run))[status] != "ok":
        raise FilesNotRewritten(f"The store could not finish {command} ({status} is not ok); its log says why.")


async def _asked(run: Run, command: str) -> None:
    async with store_errors():
        try:
            await run(command)
        except NoPermissionError:
            raise FilesNotRewritten(
                f"The store's user may not call {command}, so the server's files still hold what was forgotten: "
                f"allow it (ACL: +{command.lower()}), or call it yourself."
            ) from None
        except ResponseError as error:
            raise FilesNotRewritten(f"The store refused {command}: {error}") from None


async def _idle(run: Run, busy: tuple[str, ...]) -> None:
    while True:
        persistence = await _persistence(run)
        if not any(persistence.get(name) for name in busy):
            return
        await asyncio.sleep(POLL_SECONDS)


async def _makes_snapshots(run: Run) -> bool:
    """Whether the server writes snapshots beside its append-only file; where it does not tell, it may."""
    async with store_errors():
        try:
            found = await run("CONFIG GET", "save")
        except ResponseError:
            return True
    return dict(found).get("save") != ""


async def _persistence(run: Run) -> dict[str, Any]:
    async with store_errors():
        try:
            info: dict[str, Any] = await run("INFO", "persistence")
        except NoPermissionError:
            raise FilesNotRewritten(
                "The store's user may not call INFO, so nobody can tell whether its files were rewritten: allow it "
                "(ACL: +info), or call BGREWRITEAOF yourself."
            ) from None
    return info
