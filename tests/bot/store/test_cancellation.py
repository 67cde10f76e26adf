"""Calls that are cancelled half-way leave nobody with another's reply.

That is how the users of a large assistant once saw each other's conversations (CVE-2023-28858 and -28859 of the
library that Dolly uses, too). Whatever version of it is installed: a small shared pool, a slow network, and a caller
in two that goes away.
"""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import RedisCluster
from redis.asyncio.connection import AbstractConnection

from bot.errors import StoreUnavailable
from bot.store.connection import Client, Script, connect, run_script, store_errors
from tests.bot.store.servers import HOST, cluster, running, until, valkey
from tests.chaos.fault_proxy import FaultProxy

CALLERS = 48
CONNECTIONS = 8
CALLS = 4_000
DELAY_SECONDS = 0.001
ECHO_TEXT = "return {redis.call('GET', KEYS[1]), ARGV[1]}"
ECHO = Script(ECHO_TEXT, "0" * 40)
"""A script of which the server never knows the hash: two commands for each call."""

Outcomes = Counter[str]


@pytest.fixture(params=["single", "cluster"])
async def client(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Client]:
    """Of a server behind a slow network."""
    serve = on_a_server if request.param == "single" else on_a_cluster
    async with serve(tmp_path) as client:
        yield client
        await client.aclose()


@asynccontextmanager
async def on_a_server(folder: Path) -> AsyncIterator[Client]:
    with running(valkey(), folder / "server") as server:
        async with FaultProxy(HOST, server.port) as proxy:
            proxy.delay_seconds = DELAY_SECONDS
            yield connect(f"redis://{HOST}:{proxy.port}")


@asynccontextmanager
async def on_a_cluster(folder: Path) -> AsyncIterator[Client]:
    with cluster(valkey(), folder, nodes=1) as (node,):
        async with FaultProxy(HOST, node.port) as proxy:
            node.ask("CONFIG", "SET", "cluster-announce-port", proxy.port)
            until(lambda: str(proxy.port) in str(node.ask("CLUSTER", "SLOTS")), "the node to send clients to the proxy")
            proxy.delay_seconds = DELAY_SECONDS
            yield connect(f"redis://{HOST}:{proxy.port}", cluster=True)


async def test_cancelled_calls_leave_nobody_with_anothers_reply(client: Client) -> None:
    outcomes = await calls(client)
    assert outcomes["wrong"] == 0
    assert outcomes["cancelled"] + outcomes["late"] > 0.3 * CALLS
    assert outcomes["right"] > 0.3 * CALLS
    assert outcomes["unavailable"] < 0.05 * CALLS


async def test_a_client_that_keeps_such_connections_would_be_found(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def kept(*_: Any, **__: Any) -> None:
        """Does not disconnect."""

    async def unread(*_: Any) -> bool:
        return False

    with monkeypatch.context() as patch:
        patch.setattr(AbstractConnection, "disconnect", kept)
        patch.setattr(AbstractConnection, "can_read", unread)
        outcomes = await calls(client)
    assert outcomes["wrong"] > 0


async def calls(client: Client) -> Outcomes:
    """How many calls of many callers ended how."""
    outcomes, chance = Outcomes(), random.Random(0)
    places = asyncio.Semaphore(CONNECTIONS)
    for number in range(CALLERS):
        await client.set(f"{{calls}}:{number}", f"value {number}")
        await client.xadd(f"{{calls}}:stream:{number}", {"value": number}, id="1-1")
    kinds = [got, got_by_pipeline, got_by_script, read_from_stream, waited_for_stream]

    async def caller(number: int) -> None:
        for _ in range(CALLS // CALLERS):
            async with places:
                outcomes[await outcome(client, chance.choice(kinds), number, chance)] += 1

    await asyncio.gather(*map(caller, range(CALLERS)))
    return outcomes


async def outcome(
    client: Client, call: Callable[[Client, int], Awaitable[bool]], number: int, chance: random.Random
) -> str:
    """One call: with its own deadline, cancelled from outside, or let alone."""
    way = chance.choices(["alone", "late", "cancelled"], [5, 3, 2])[0]
    soon = chance.uniform(0, 8 * DELAY_SECONDS)

    async def called() -> bool:
        async with store_errors(soon if way == "late" else 5):
            return await call(client, number)

    task = asyncio.create_task(called())
    if way == "cancelled":
        await asyncio.sleep(soon)
        task.cancel()
    try:
        return "right" if await task else "wrong"
    except asyncio.CancelledError:
        return "cancelled"
    except StoreUnavailable:
        return "late" if way == "late" else "unavailable"
    except Exception:  # what a reply of another kind does to the client
        return "wrong"


async def got(client: Client, number: int) -> bool:
    return bool(await client.get(f"{{calls}}:{number}") == f"value {number}")


async def got_by_pipeline(client: Client, number: int) -> bool:
    other = (number + 1) % CALLERS
    async with client.pipeline(transaction=not isinstance(client, RedisCluster)) as pipe:
        for key in (number, other):
            pipe.get(f"{{calls}}:{key}")
        return bool(await pipe.execute() == [f"value {number}", f"value {other}"])


async def got_by_script(client: Client, number: int) -> bool:
    found = await run_script(client, ECHO, [f"{{calls}}:{number}"], [f"echo {number}"])
    return bool(found == [f"value {number}", f"echo {number}"])


async def read_from_stream(client: Client, number: int) -> bool:
    key = f"{{calls}}:stream:{number}"
    return bool(await client.xread({key: 0}, block=1_000) == [[key, [("1-1", {"value": str(number)})]]])


async def waited_for_stream(client: Client, number: int) -> bool:
    return not await client.xread({f"{{calls}}:stream:{number}": "1-1"}, block=2)
