"""What the store's user may do beyond what Dolly needs. Nothing is written or taken away to find out.

Where the server refuses, its ACL LOG notes that it was asked.
"""

from dataclasses import dataclass
from typing import Any

from redis.exceptions import NoPermissionError, ResponseError

from bot.store.connection import Client, store_errors
from bot.store.inspection import each_node

FOREIGN_KEY = "preflight:not-dollys"
"""None of Dolly's keys begin so."""

HARMFUL = (
    ("FLUSHALL",),
    ("KEYS", "*"),
    ("CONFIG", "SET", "appendonly", "no"),
    ("ACL", "SETUSER", "preflight"),
    ("REPLICAOF", "NO", "ONE"),
    ("MODULE", "LOAD", "preflight"),
    ("SHUTDOWN",),
    ("MONITOR",),
)
"""What deploy/store-users.acl keeps from Dolly: never sent, only asked about with ACL DRYRUN."""

HARMLESS = (("DBSIZE",), ("LASTSAVE",), ("SLOWLOG", "LEN"), ("ACL", "USERS"), ("PUBSUB", "CHANNELS", "preflight"))
"""Of the same categories as those, and only read: sent where ACL DRYRUN is refused too."""


@dataclass(frozen=True, slots=True)
class Rights:
    """What was found of them; of a cluster, on any of its nodes."""

    user: str | None
    """None where the server does not tell."""
    reads_all_keys: bool
    beyond: tuple[str, ...]
    """Commands that it may use and Dolly does not."""
    is_sample: bool
    """Whether only some harmless commands were tried."""


async def rights_of_user(client: Client) -> Rights:
    """Ask each server. Raises StoreUnavailable where one does not answer."""
    async with store_errors():
        found = [await _rights(client, where) for where in await each_node(client)]
    return Rights(
        found[0].user,
        any(rights.reads_all_keys for rights in found),
        tuple(dict.fromkeys(command for rights in found for command in rights.beyond)),
        any(rights.is_sample for rights in found),
    )


async def _rights(client: Client, where: dict[str, Any]) -> Rights:
    user = await _reply(client, where, "ACL WHOAMI")
    reads = await _reply(client, where, "EXISTS", FOREIGN_KEY)
    beyond = []
    is_sample = user is None
    if user is not None:
        for command in HARMFUL:
            reply = await _reply(client, where, "ACL DRYRUN", user, *command)
            if reply is None:
                is_sample = True
                break
            if reply == "OK":
                beyond.append(_name(command))
    if is_sample:
        beyond = [_name(command) for command in HARMLESS if await _reply(client, where, *command) is not None]
    return Rights(user, reads is not None, tuple(beyond), is_sample)


async def _reply(client: Client, where: dict[str, Any], *command: str) -> Any:
    """None where the user may not, or the server is too old to know the command (ACL DRYRUN came with Redis 7)."""
    try:
        return await client.execute_command(*command, **where)
    except NoPermissionError:
        return None
    except ResponseError as error:
        if "unknown" in str(error).lower():
            return None
        raise


def _name(command: tuple[str, ...]) -> str:
    return " ".join(command[:2]) if command[0] in ("CONFIG", "ACL", "MODULE", "SLOWLOG", "PUBSUB") else command[0]
