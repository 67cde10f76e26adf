"""What an open page is told while it is open: one WebSocket, one JSON frame per change."""

import asyncio
from collections.abc import Iterable
from contextlib import suppress

from aiohttp import WSCloseCode, web

from bot.local.workspace.page.reader import Reader
from bot.local.workspace.records import Json
from bot.local.workspace.timeline.changes import Change, Changes

_OF_A_MESSAGE = ("message", "message_changed", "stream", "reaction", "ephemeral")
_OF_A_THREADS_WORK = ("message", "stream", "status", "session")
_HEARTBEAT_SECONDS = 20


async def follow(socket: web.WebSocketResponse, changes: Changes, reader: Reader) -> None:
    """Tell `socket` of every change that its reader sees, until it closes."""
    waiting: asyncio.Queue[Change] = asyncio.Queue()
    unsubscribe = changes.subscribe(waiting.put_nowait)
    sender = asyncio.create_task(_send(socket, waiting, reader))
    try:
        await socket.send_json({"kind": "hello"})
        async for _ in socket:
            pass
    finally:
        unsubscribe()
        sender.cancel()
        with suppress(asyncio.CancelledError, ConnectionError):
            await sender


def new_socket() -> web.WebSocketResponse:
    return web.WebSocketResponse(heartbeat=_HEARTBEAT_SECONDS, max_msg_size=1024)


async def _send(socket: web.WebSocketResponse, waiting: asyncio.Queue[Change], reader: Reader) -> None:
    """Draw what waits and send it. What came meanwhile is drawn together: fast streams cost one drawing each time.

    When that fails the socket is closed: the page comes back and reads everything anew.
    """
    try:
        while True:
            batch = [await waiting.get()]
            while not waiting.empty():
                batch.append(waiting.get_nowait())
            for frame in frames(batch, reader):
                await socket.send_json(frame)
    except Exception:
        await socket.close(code=WSCloseCode.INTERNAL_ERROR)
        raise


def frames(batch: Iterable[Change], reader: Reader) -> list[Json]:
    """The frames for `batch`, each thing once, as it is now."""
    found: dict[tuple[str, ...], Json] = {}
    for change in batch:
        if change.user_id not in (None, reader.viewer.id) and change.kind in ("ephemeral", "ephemeral_deleted"):
            continue
        for frame in _frames(change, reader):
            key = (frame["kind"], *(str(frame.get(name)) for name in ("channel_id", "ts", "thread_ts", "text")))
            is_new = frame.get("is_new") or found.pop(key, {}).get("is_new")
            found[key] = frame | {"is_new": True} if is_new else frame
    return list(found.values())


def _frames(change: Change, reader: Reader) -> list[Json]:
    channel_id, ts, thread_ts = change.channel_id, change.ts, change.thread_ts
    told: list[Json | None] = []
    if channel_id and ts and change.kind in _OF_A_MESSAGE:
        told.append(_message(reader, channel_id, ts, is_new=change.kind in ("message", "ephemeral")))
    if channel_id and ts and change.kind in ("message_deleted", "ephemeral_deleted"):
        told.append({"kind": "removed", "channel_id": channel_id, "ts": ts})
    if channel_id and thread_ts and (change.kind in _OF_A_THREADS_WORK or change.kind == "message_deleted"):
        if thread_ts != ts:
            told.append(_message(reader, channel_id, thread_ts, is_new=False))
        told.append(
            {"kind": "work", "channel_id": channel_id, "thread_ts": thread_ts, **reader.work(channel_id, thread_ts)}
        )
    if change.kind in ("channel", "user"):
        told.append({"kind": "state"})
    if change.kind in ("prompts", "title"):
        told.append({"kind": "refresh", "channel_id": channel_id})
    if change.user_id == reader.viewer.id:
        told.append(_own(change, reader))
    return [frame for frame in told if frame is not None]


def _message(reader: Reader, channel_id: str, ts: str, *, is_new: bool) -> Json | None:
    item = reader.message(channel_id, ts)
    if item is None:
        return None
    return {"kind": "message", "is_new": is_new, **item}


def _own(change: Change, reader: Reader) -> Json | None:
    """What only this reader is told."""
    match change.kind:
        case "view":
            return {"kind": "modal", "html": reader.modal()}
        case "home":
            return {"kind": "home", "html": reader.home()}
        case "error":
            return {"kind": "error", "text": str(change.detail.get("text") or "That did not work.")}
        case _:
            return None
