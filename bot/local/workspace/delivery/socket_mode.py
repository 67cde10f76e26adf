"""Socket Mode: the WebSockets over which the app is reached, as Slack's /link/ serves them.

An app holds up to ten sockets; each envelope goes to one of them, chosen at random, and may be
acknowledged over any of them (an app that reconnects acknowledges over its new socket).
"""

import asyncio
import json
import random
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime

from aiohttp import ClientConnectionResetError, WSMsgType, web

from bot.local.workspace.clock import Clock
from bot.local.workspace.delivery.envelopes import DisconnectReason, Envelope, EnvelopeKind, NotAcknowledged
from bot.local.workspace.records import Json

MAX_SOCKETS = 10
LIFETIME_SECONDS = 3600
DEBUG_LIFETIME_SECONDS = 360
WARNING_SECONDS = 10
CLOSE_SECONDS = 2.0


@dataclass
class _Unacked:
    socket: web.WebSocketResponse
    kind: EnvelopeKind
    answer: asyncio.Future[Json]


class SocketMode:
    """The app's sockets. `host` is "127.0.0.1:PORT"; `seed` fixes which socket gets what."""

    def __init__(self, clock: Clock, app_id: str, host: str, *, seed: int | None = None) -> None:
        self._clock = clock
        self._app_id = app_id
        self._host = host
        self._random = random.Random(seed)
        self._tickets: set[str] = set()
        self._sockets: list[web.WebSocketResponse] = []
        self._connected = asyncio.Event()
        self._unacked: dict[str, _Unacked] = {}

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/link/", self._link)]

    def open_socket(self) -> str:
        """The address at which one socket may be opened, once (apps.connections.open)."""
        ticket = secrets.token_hex(16)
        self._tickets.add(ticket)
        return f"ws://{self._host}/link/?ticket={ticket}&app_id={self._app_id}"

    @property
    def connections(self) -> int:
        return len(self._sockets)

    async def send(self, envelope: Envelope) -> Json:
        """Send to one socket, waiting for one if there is none; return the payload of its ack."""
        while not self._sockets:
            await self._connected.wait()
        socket = self._random.choice(self._sockets)
        answer: asyncio.Future[Json] = asyncio.get_running_loop().create_future()
        self._unacked[envelope.envelope_id] = _Unacked(socket, envelope.kind, answer)
        try:
            await socket.send_str(json.dumps(_frame(envelope)))
            return await answer
        except ClientConnectionResetError as error:
            raise NotAcknowledged("connection_failed") from error
        finally:
            del self._unacked[envelope.envelope_id]

    async def disconnect(self, reason: DisconnectReason, *, sockets: int | None = None) -> None:
        """Tell every socket (or so many, the oldest first) to go, and close it, except on a mere warning."""
        for socket in tuple(self._sockets)[:sockets]:
            await self._dismiss(socket, reason)

    async def stop(self) -> None:
        for socket in tuple(self._sockets):
            await socket.close()

    async def _link(self, request: web.Request) -> web.StreamResponse:
        ticket = request.query.get("ticket", "")
        if ticket not in self._tickets:
            return web.json_response({"ok": False, "error": "invalid_ticket"}, status=403)
        self._tickets.remove(ticket)
        socket = web.WebSocketResponse(timeout=CLOSE_SECONDS)
        await socket.prepare(request)
        if len(self._sockets) >= MAX_SOCKETS:
            await self._dismiss(socket, "too_many_websockets")
            return socket
        lifetime = DEBUG_LIFETIME_SECONDS if request.query.get("debug_reconnects") else LIFETIME_SECONDS
        await socket.send_json(self._hello(lifetime))
        retirement = asyncio.create_task(self._retire(socket, lifetime))
        self._sockets.append(socket)
        self._connected.set()
        try:
            async for frame in socket:
                if frame.type is WSMsgType.TEXT:
                    self._receive(frame.data)
        finally:
            self._forget(socket)
            retirement.cancel()
            await asyncio.gather(retirement, return_exceptions=True)
        return socket

    def _hello(self, lifetime_seconds: int) -> Json:
        return {
            "type": "hello",
            "num_connections": len(self._sockets) + 1,
            "connection_info": {"app_id": self._app_id},
            "debug_info": {
                "host": self._host,
                "started": datetime.fromtimestamp(self._clock.now(), UTC).isoformat(" ", "milliseconds")[:23],
                "build_number": 1,
                "approximate_connection_time": lifetime_seconds,
            },
        }

    def _receive(self, text: str) -> None:
        try:
            ack = json.loads(text)
        except ValueError:
            return
        unacked = self._unacked.get(str(ack.get("envelope_id"))) if isinstance(ack, dict) else None
        if unacked and not unacked.answer.done():
            payload = ack.get("payload")
            unacked.answer.set_result(payload if isinstance(payload, dict) else {})

    async def _retire(self, socket: web.WebSocketResponse, lifetime_seconds: int) -> None:
        await self._clock.sleep(lifetime_seconds - WARNING_SECONDS)
        await self._dismiss(socket, "warning")
        await self._clock.sleep(WARNING_SECONDS)
        await self._dismiss(socket, "refresh_requested")

    async def _dismiss(self, socket: web.WebSocketResponse, reason: DisconnectReason) -> None:
        frame = {"type": "disconnect", "reason": reason, "debug_info": {"host": self._host}}
        try:
            await socket.send_json(frame)
        except ClientConnectionResetError:
            return  # it has gone by itself
        if reason != "warning":
            await socket.close()

    def _forget(self, socket: web.WebSocketResponse) -> None:
        """Events that this socket did not acknowledge go out again; commands are never sent twice."""
        self._sockets.remove(socket)
        if not self._sockets:
            self._connected.clear()
        for unacked in self._unacked.values():
            if unacked.socket is socket and unacked.kind == "events_api" and not unacked.answer.done():
                unacked.answer.set_exception(NotAcknowledged("connection_failed"))


def _frame(envelope: Envelope) -> Json:
    frame: Json = {
        "envelope_id": envelope.envelope_id,
        "type": envelope.kind,
        "payload": envelope.payload,
        "accepts_response_payload": envelope.kind != "events_api",
    }
    if envelope.kind == "events_api":
        # Socket Mode knows one reason only; the HTTP names are not used here.
        frame["retry_attempt"] = envelope.retry_attempt
        frame["retry_reason"] = "timeout" if envelope.retry_attempt else ""
    return frame
