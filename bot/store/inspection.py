"""Whether a server keeps what it is given: what it says of its append-only file and of a full memory."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from redis.asyncio import RedisCluster
from redis.exceptions import NoPermissionError, ResponseError

from bot.store.connection import Client, store_errors


@dataclass(frozen=True, slots=True)
class Promise:
    """One setting of one server."""

    name: str
    kept: bool | None
    """None where the server does not tell."""
    sentence: str
    """What is wrong, and what to do; empty where it is kept."""


@dataclass(frozen=True, slots=True)
class StoreReport:
    """What can be known of a server's promise to keep what it acknowledged; of a cluster, of all its nodes."""

    version: str
    promises: tuple[Promise, ...]

    @property
    def unsafe(self) -> tuple[str, ...]:
        """What may lose a question, a sentence each, with what to do."""
        return sentences(promise for promise in self.promises if promise.kept is False)

    @property
    def unknown(self) -> tuple[str, ...]:
        """What the server did not tell, a sentence each."""
        return sentences(promise for promise in self.promises if promise.kept is None)

    @property
    def safe(self) -> bool:
        return all(promise.kept for promise in self.promises)


WANTED = {
    "appendonly": (
        "yes",
        "its append-only file is off, so a restart loses what it was given; set appendonly yes",
    ),
    "appendfsync": (
        "always",
        "it acknowledges before it has written to disk, so a power cut loses up to a second; set appendfsync always",
    ),
    "maxmemory-policy": (
        "noeviction",
        "it deletes data when its memory is full; set maxmemory-policy noeviction",
    ),
}
"""By the setting's name, what it should be, and what follows where it is not."""


async def inspect(client: Client) -> StoreReport:
    """Ask the server, or each node of a cluster, what it promises.

    Raises StoreUnavailable, with a sentence, when it does not answer.
    """
    async with store_errors():
        found = [await _inspect(client, where) for where in await each_node(client)]
    versions = sorted({version for version, _ in found})
    return StoreReport(", ".join(versions), tuple(promise for _, promises in found for promise in promises))


async def each_node(client: Client) -> list[dict[str, Any]]:
    """For each server behind `client`, the arguments with which a command goes to it. Within `store_errors`."""
    if not isinstance(client, RedisCluster):
        return [{}]
    await client.initialize()
    return [{"target_nodes": node} for node in client.get_nodes()]


async def setting(client: Client, name: str, where: dict[str, Any]) -> str | None:
    """A server's setting; None where it does not tell: managed services and tight ACLs keep it to themselves."""
    try:
        found: dict[Any, Any] = await client.config_get(name, **where)
    except ResponseError:
        return None
    return None if found.get(name) is None else str(found[name])


async def info_of(client: Client, section: str, where: dict[str, Any]) -> dict[str, Any]:
    """A section of a server's INFO; empty where it does not tell."""
    try:
        info: dict[str, Any] = await client.info(section, **where)
    except NoPermissionError:
        return {}
    return info


async def _inspect(client: Client, where: dict[str, Any]) -> tuple[str, list[Promise]]:
    info = await info_of(client, "server", where)
    version = info.get("valkey_version") or info.get("redis_version") or "unknown"
    promises = []
    for name, (wanted, risk) in WANTED.items():
        found = await setting(client, name, where)
        if found is None:
            sentence = f"The store does not say what its {name} is; it should be {wanted}."
        else:
            sentence = "" if found == wanted else f"The store is unsafe: {risk}."
        promises.append(Promise(name, None if found is None else found == wanted, sentence))
    return str(version), promises


def sentences(promises: Iterable[Promise]) -> tuple[str, ...]:
    """What they say, each once."""
    return tuple(dict.fromkeys(promise.sentence for promise in promises))
