"""Dolly asks nothing of a store that Redis 6.2 could not do, and needs every right that deploy's file gives."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from bot.store.connection import connect
from bot.store.inspection import inspect
from bot.store.layout import Layout
from tests.bot.store.life import OWNER, live
from tests.bot.store.servers import HOST, Server, debians_redis, replica_of, running
from tests.store_users import OF_CLUSTERS, rights

NEWEST = (6, 2)
ROOT = Path(__file__).resolve().parents[3]

OTHERS = {"monitor", "echo", "config|resetstat", "replconf", "psync"}
"""Commands of this test, and of replicas."""

Command = tuple[str, ...]


@asynccontextmanager
async def monitored(server: Server) -> AsyncIterator[list[Command]]:
    """Commands that `server` gets meanwhile, those of Lua scripts included, as they were sent.

    Servers do not show administrators' commands: CONFIG GET, BGREWRITEAOF.
    """
    reader, writer = await asyncio.open_connection(HOST, server.port)
    writer.write(b"MONITOR\r\n")
    assert await reader.readline() == b"+OK\r\n"
    seen: list[Command] = []

    async def watch() -> None:
        while line := await reader.readline():
            words = re.findall(rb'"((?:[^"\\]|\\.)*)"', line.partition(b"] ")[2])
            seen.append(tuple(word.decode() for word in words))

    watching = asyncio.create_task(watch())
    yield seen
    server.ask("ECHO", "the end")
    async with asyncio.timeout(10):
        while ("ECHO", "the end") not in seen:
            await asyncio.sleep(0.01)
    seen.remove(("ECHO", "the end"))
    watching.cancel()
    writer.close()


class Catalogue:
    """Since when a server has its commands and their options, from its own COMMAND DOCS."""

    def __init__(self, server: Server) -> None:
        self._docs = fields(server.ask("COMMAND", "DOCS"))

    def name_of(self, command: Command) -> str:
        """`get` or `config|get`, as access lists have it."""
        name = command[0].lower()
        both = f"{name}|{command[1].lower()}" if len(command) > 1 else name
        return both if both in fields(fields(self._docs[name]).get("subcommands", [])) else name

    def newer(self, command: Command) -> list[str]:
        """What of `command` came after Redis 6.2."""
        name = self.name_of(command)
        doc = fields(self._docs[name.partition("|")[0]])
        if "|" in name:
            doc = fields(fields(doc["subcommands"])[name])
        found = [name] if version(doc["since"]) > NEWEST else []
        words = {word.upper() for word in command[1:]}
        return found + [f"{name} {token}" for token in newer_tokens(doc.get("arguments", [])) if token in words]


def fields(flat_pairs: Sequence[Any]) -> dict[str, Any]:
    """A map as protocol 2 has it: key, value, key, value …"""
    return dict(zip(flat_pairs[::2], flat_pairs[1::2], strict=True))


def newer_tokens(arguments: Sequence[Any], since: str = "1.0") -> Iterator[str]:
    """The words among a command's arguments that came after Redis 6.2, those inside others too."""
    for argument in map(fields, arguments):
        came = argument.get("since", since)
        if "token" in argument and version(came) > NEWEST:
            yield argument["token"]
        yield from newer_tokens(argument.get("arguments", []), came)


def version(text: str) -> tuple[int, int]:
    major, minor, *_ = text.split(".")
    return int(major), int(minor)


async def test_a_life_takes_redis_6_2_and_every_right_of_deploys_file(tmp_path: Path) -> None:
    primary = running(debians_redis(), tmp_path / "primary", save="3600\n1")
    with primary as server, replica_of(server, debians_redis(), tmp_path / "replica"):
        catalogue = Catalogue(server)
        server.ask("CONFIG", "RESETSTAT")
        async with monitored(server) as seen, connect(server.url) as client:
            await inspect(client)
            await live(client, Layout(OWNER, partitions=2), wait_replicas=1)
        errors = server.ask("INFO", "errorstats")
        ran = set(re.findall("cmdstat_([a-z|]+):", server.ask("INFO", "commandstats"))) - OTHERS
    needed = ran | in_scripts()
    assert len(seen) > 500
    assert {catalogue.name_of(command) for command in seen} <= ran
    assert [newer for command in seen for newer in catalogue.newer(command)] == []
    assert [newer for name in needed for newer in catalogue.newer(tuple(name.split("|")))] == []
    assert set(re.findall("errorstat_([A-Z]+)", errors)) == {"NOSCRIPT"}, "a server counts what it does not know"
    assert rights("dolly") == needed | OF_CLUSTERS


def in_scripts() -> set[str]:
    """The commands in all Lua scripts: what a life does not come by is needed once in a while, too."""
    scripts = list((ROOT / "bot" / "store").glob("*.lua"))
    assert len(scripts) > 5
    return {name.lower() for path in scripts for name in re.findall(r"redis\.p?call\('(\w+)'", path.read_text())}


@pytest.mark.parametrize(
    ("command", "newer"),
    [
        (("LMPOP", "1", "key", "LEFT"), ["lmpop"]),
        (("CLUSTER", "LINKS"), ["cluster|links"]),
        (("EXPIRE", "key", "1", "nx"), ["expire NX"]),
        (("SET", "key", "value", "GET"), []),
        (("ZADD", "key", "GT", "1", "member"), []),
        (("CONFIG", "GET", "save"), []),
    ],
)
def test_newer_commands_and_options_would_be_found(newest: Catalogue, command: Command, newer: list[str]) -> None:
    assert newest.newer(command) == newer


@pytest.fixture(scope="module")
def newest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Catalogue]:
    with running(debians_redis(), tmp_path_factory.mktemp("redis") / "redis") as server:
        yield Catalogue(server)
