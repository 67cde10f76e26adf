"""The app's side of the wire, by hand: sockets that acknowledge what, when and how a test wants."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from bot.local.workspace.clock import ManualClock
from bot.local.workspace.records import Json
from bot.local.workspace.workspace import Workspace

ASHA, BEN = "U0ASHA00001", "U0BEN000001"
GENERAL, RANDOM = "C0GENERAL01", "C0RANDOM001"


@asynccontextmanager
async def running(**options: Any) -> AsyncIterator[Workspace]:
    """A workspace in memory, started and stopped."""
    workspace = Workspace(**options)
    await workspace.start()
    try:
        yield workspace
    finally:
        await workspace.stop()


async def eventually(happened: Callable[[], Any], *, seconds: float = 5.0) -> None:
    """Wait until `happened()` is true."""
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, "this never happened"
        await asyncio.sleep(0.005)


async def turn(clock: ManualClock, seconds: float) -> None:
    """Turn the clock, giving real servers and clients a moment before and after."""
    await asyncio.sleep(0.05)
    await clock.advance(seconds)
    await asyncio.sleep(0.05)


class BareSocket:
    """One Socket Mode connection. Acknowledges everything with `answer` unless `acks` is False."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.acks = True
        self.answer: Json | None = None
        self.frames: list[Json] = []
        self._reader = asyncio.create_task(self._read())

    @property
    def envelopes(self) -> list[Json]:
        return [frame for frame in self.frames if "envelope_id" in frame]

    @property
    def events(self) -> list[Json]:
        """The inner events."""
        return [frame["payload"]["event"] for frame in self.envelopes if frame["type"] == "events_api"]

    async def ack(self, envelope: Json) -> None:
        payload = {} if self.answer is None else {"payload": self.answer}
        await self.socket.send_json({"envelope_id": envelope["envelope_id"], **payload})

    async def close(self) -> None:
        await self.socket.close()
        await self._reader

    async def _read(self) -> None:
        async for message in self.socket:
            frame = message.json()
            self.frames.append(frame)
            if self.acks and "envelope_id" in frame:
                await self.ack(frame)


class BareApp:
    """An app that opens its sockets itself."""

    def __init__(self, workspace: Workspace, session: aiohttp.ClientSession) -> None:
        self.workspace = workspace
        self.session = session
        self.sockets: list[BareSocket] = []

    async def ticket_url(self) -> str:
        headers = {"Authorization": f"Bearer {self.workspace.identity.app_token}"}
        url = f"{self.workspace.api_url}apps.connections.open"
        async with self.session.post(url, headers=headers) as response:
            answer = await response.json()
        assert answer["ok"], answer
        return str(answer["url"])

    async def connect(self) -> BareSocket:
        """Open a socket, and wait for its hello."""
        socket = BareSocket(await self.session.ws_connect(await self.ticket_url()))
        self.sockets.append(socket)
        await eventually(lambda: socket.frames)
        return socket


@asynccontextmanager
async def bare_app(workspace: Workspace) -> AsyncIterator[BareApp]:
    async with aiohttp.ClientSession() as session:
        app = BareApp(workspace, session)
        yield app
        for socket in app.sockets:
            await socket.close()
