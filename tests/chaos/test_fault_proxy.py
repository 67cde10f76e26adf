"""The proxy does what its faults are named after."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import pytest

from tests.chaos.fault_proxy import FaultProxy

WAIT_SECONDS = 0.2


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while line := await reader.readline():
            writer.write(line)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()


@pytest.fixture
async def proxy() -> AsyncIterator[FaultProxy]:
    """Before a server that says what it is told."""
    server = await asyncio.start_server(_echo, "127.0.0.1", 0)
    async with FaultProxy("127.0.0.1", server.sockets[0].getsockname()[1]) as proxy:
        yield proxy
    server.close()
    await server.wait_closed()


class Caller:
    """Somebody who talks through a proxy."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def ask(self, text: bytes) -> bytes:
        self._writer.write(text + b"\n")
        return await self._reader.readline()

    async def hang_up(self) -> bytes:
        """Say that nothing more will come; what still came."""
        self._writer.write_eof()
        return await self._reader.read()

    def leave(self) -> None:
        self._writer.close()


Call = Callable[[FaultProxy], Awaitable[Caller]]


@pytest.fixture
async def call() -> AsyncIterator[Call]:
    """Connects to a proxy; the callers leave when the test ends."""
    callers: list[Caller] = []

    async def call(proxy: FaultProxy) -> Caller:
        callers.append(Caller(*await asyncio.open_connection("127.0.0.1", proxy.port)))
        return callers[-1]

    yield call
    for caller in callers:
        caller.leave()
    await asyncio.sleep(0)


async def test_without_faults_everything_passes_and_ends(proxy: FaultProxy, call: Call) -> None:
    caller = await call(proxy)
    assert await caller.ask(b"a" * 200) == b"a" * 200 + b"\n"
    assert await caller.hang_up() == b""
    assert proxy.accepted == 1


async def test_a_unix_socket_is_a_server_too(tmp_path: Path, call: Call) -> None:
    server = await asyncio.start_unix_server(_echo, tmp_path / "s")
    async with FaultProxy(tmp_path / "s") as proxy:
        assert await (await call(proxy)).ask(b"hello") == b"hello\n"
    server.close()
    await server.wait_closed()


async def test_delay(proxy: FaultProxy, call: Call) -> None:
    caller = await call(proxy)
    proxy.delay_seconds = 0.1
    began = time.monotonic()
    await caller.ask(b"hello")
    assert time.monotonic() - began >= 0.2, "both ways wait"


async def test_reset_ends_what_is_there_and_lets_new_callers_in(proxy: FaultProxy, call: Call) -> None:
    caller = await call(proxy)
    await caller.ask(b"hello")
    proxy.reset()
    with pytest.raises(ConnectionResetError):
        await caller.ask(b"again")
    assert await (await call(proxy)).ask(b"hello") == b"hello\n"


async def test_a_black_hole_swallows_old_and_new_and_gives_back(proxy: FaultProxy, call: Call) -> None:
    old = await call(proxy)
    await old.ask(b"hello")
    proxy.black_hole = True
    new = await call(proxy)
    asked = [asyncio.create_task(caller.ask(b"anybody?")) for caller in (old, new)]
    done, _ = await asyncio.wait(asked, timeout=WAIT_SECONDS)
    assert not done
    proxy.black_hole = False
    assert await asyncio.gather(*asked) == [b"anybody?\n"] * 2


async def test_a_reply_is_cut_in_the_middle_once(proxy: FaultProxy, call: Call) -> None:
    caller = await call(proxy)
    proxy.cut_replies_after(7)
    assert await caller.ask(b"1234") == b"1234\n"
    with suppress(ConnectionResetError):  # it comes with what still came, or after it
        assert await caller.ask(b"5678") in (b"56", b"")
    with pytest.raises(ConnectionError):
        await caller.ask(b"9")
    assert await (await call(proxy)).ask(b"a longer reply") == b"a longer reply\n"


async def test_a_server_that_is_away_resets_and_may_come_back(tmp_path: Path, call: Call) -> None:
    path = tmp_path / "s"
    async with FaultProxy(path) as proxy:
        caller = await call(proxy)
        with pytest.raises(ConnectionResetError):
            await caller.ask(b"hello")
        server = await asyncio.start_unix_server(_echo, path)
        assert await (await call(proxy)).ask(b"hello") == b"hello\n"
        server.close()
    await server.wait_closed()


async def test_stop_ends_connections_and_start_takes_the_same_port(proxy: FaultProxy, call: Call) -> None:
    caller, port = await call(proxy), proxy.port
    await caller.ask(b"hello")
    await proxy.stop()
    with pytest.raises(ConnectionError):
        await caller.ask(b"again")
    await proxy.start()
    assert proxy.port == port
    assert await (await call(proxy)).ask(b"hello") == b"hello\n"
