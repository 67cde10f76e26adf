"""A network that fails: a TCP proxy whose connections can be delayed, cut, reset and swallowed.

    async with FaultProxy("127.0.0.1", 6379) as proxy:      # or FaultProxy(Path("/run/store.sock"))
        client = connect(f"redis://127.0.0.1:{proxy.port}")
        proxy.delay_seconds = 0.05
        proxy.reset()

Faults concern every connection, old and new, until they are taken back.
"""

import asyncio
import socket
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Self

HOST = "127.0.0.1"
CHUNK_BYTES = 65_536
CONNECT_SECONDS = 2.0
RESET_ON_CLOSE = struct.pack("ii", 1, 0)
"""SO_LINGER: on, no seconds; closing then sends RST instead of FIN."""


class FaultProxy:
    """Passes bytes between whoever connects to `port` and a server. The server may come and go."""

    def __init__(self, host: str | Path, port: int | None = None) -> None:
        """The server: a host and a port, or the path of a Unix socket."""
        self._server_address = (host, port)
        self._listener: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._passes = asyncio.Event()
        self._passes.set()
        self._reply_bytes_left: int | None = None
        self.port = 0
        """Where the proxy listens on 127.0.0.1, from `start` on; another start takes the same again."""
        self.delay_seconds = 0.0
        """How long every chunk waits, either way."""
        self.accepted = 0
        """How many connections there were."""

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        self._listener = await asyncio.start_server(self._serve, HOST, self.port)
        self.port = self._listener.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._listener is None:
            return
        self._listener.close()
        self.reset()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        await self._listener.wait_closed()
        self._listener = None

    def point_at(self, port: int) -> None:
        """Pass on to another port of this machine from now on, as an address does whose server was replaced."""
        self._server_address = (HOST, port)
        self.reset()

    @property
    def black_hole(self) -> bool:
        """Whether connections are accepted and nothing passes. What was held back passes afterwards, as TCP has it."""
        return not self._passes.is_set()

    @black_hole.setter
    def black_hole(self, swallows: bool) -> None:
        if swallows:
            self._passes.clear()
        else:
            self._passes.set()

    def reset(self) -> None:
        """Send RST on all connections that there are now, to both ends."""
        for writer in tuple(self._writers):
            _reset(writer)

    def cut_replies_after(self, size_bytes: int) -> None:
        """Let `size_bytes` more bytes come from the server, over whichever connections; then reset them all, once."""
        self._reply_bytes_left = size_bytes

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, from its start to when both ends have said all they had to say."""
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        self._writers.add(writer)
        self.accepted += 1
        server_writer: asyncio.StreamWriter | None = None
        try:
            await self._passes.wait()
            server_reader, server_writer = await self._connect()
            self._writers.add(server_writer)
            await asyncio.gather(
                self._copy(reader, server_writer, lambda data: data),
                self._copy(server_reader, writer, self._cut),
            )
        except (OSError, TimeoutError):
            _reset(writer)  # the server is not there, or either end has gone
        except asyncio.CancelledError:
            _reset(writer)  # by `stop`; asyncio's own server would log a cancelled task
        finally:
            for end in (writer, server_writer):
                if end is not None:
                    self._writers.discard(end)
                    end.close()
            self._connections.discard(task)

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        host, port = self._server_address
        async with asyncio.timeout(CONNECT_SECONDS):
            if isinstance(host, Path):
                return await asyncio.open_unix_connection(host)
            return await asyncio.open_connection(host, port)

    async def _copy(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, allowed: Callable[[bytes], bytes]
    ) -> None:
        while data := await reader.read(CHUNK_BYTES):
            if self.delay_seconds:
                await asyncio.sleep(self.delay_seconds)
            await self._passes.wait()
            writer.write(allowed(data))
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()

    def _cut(self, data: bytes) -> bytes:
        """What of a reply still passes; when that is not all of it, everything is reset once it has."""
        if self._reply_bytes_left is None:
            return data
        if len(data) < self._reply_bytes_left:
            self._reply_bytes_left -= len(data)
            return data
        passing = data[: self._reply_bytes_left]
        self._reply_bytes_left = None
        asyncio.get_running_loop().call_soon(self.reset)
        return passing


def _reset(writer: asyncio.StreamWriter) -> None:
    transport_socket = writer.get_extra_info("socket")
    if transport_socket is not None and transport_socket.family != socket.AF_UNIX and transport_socket.fileno() != -1:
        transport_socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
    writer.transport.abort()
