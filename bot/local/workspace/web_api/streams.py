"""chat.startStream, chat.appendStream, chat.stopStream."""

from bot.local.workspace.records import Json
from bot.local.workspace.refusals import Refused
from bot.local.workspace.timeline.block_rules import check_message_blocks
from bot.local.workspace.web_api.call import Call, Handler
from bot.local.workspace.web_api.chat import read_metadata

DISPLAY_MODES = ("timeline", "plan", "dense")


def start_stream(call: Call) -> Json:
    channel = call.joined_channel()
    thread_ts = call.arguments.needed("thread_ts")
    if channel.kind != "im":
        for name in ("recipient_user_id", "recipient_team_id"):
            if not call.arguments.text(name):
                raise Refused(f"missing_{name}")
    if call.arguments.text("recipient_user_id"):
        call.user("recipient_user_id")
    display_mode = call.arguments.text("task_display_mode") or "timeline"
    if display_mode not in DISPLAY_MODES:
        raise Refused("invalid_arguments", f"[ERROR] task_display_mode must be one of {DISPLAY_MODES}")
    message = call.timeline.start_stream(
        channel.id,
        thread_ts,
        markdown_text=call.arguments.text("markdown_text"),
        chunks=_chunks(call),
        task_display_mode=display_mode,
    )
    return {"channel": channel.id, "ts": message["ts"]}


def append_stream(call: Call) -> Json:
    channel = call.channel()
    ts = call.arguments.needed("ts")
    call.timeline.append_stream(
        channel.id, ts, markdown_text=call.arguments.text("markdown_text"), chunks=_chunks(call)
    )
    return {"channel": channel.id, "ts": ts}


def stop_stream(call: Call) -> Json:
    channel = call.channel()
    ts = call.arguments.needed("ts")
    blocks = call.arguments.items("blocks", fault="invalid_blocks")
    check_message_blocks(blocks or [])
    session_status = read_session_status(call, "session_status") or "active"
    message = call.timeline.stop_stream(
        channel.id,
        ts,
        markdown_text=call.arguments.text("markdown_text"),
        chunks=_chunks(call),
        blocks=blocks,
        metadata=read_metadata(call),
    )
    call.timeline.set_session(channel.id, message["thread_ts"], session_status)
    return {"channel": channel.id, "ts": ts, "message": message}


def read_session_status(call: Call, name: str) -> str | None:
    """What an agent session is to be: processing, active, suspended or closed."""
    status = call.arguments.text(name)
    if status and status not in ("processing", "active", "suspended", "closed"):
        raise Refused("invalid_arguments", f"[ERROR] unknown session status [json-pointer:/{name}]")
    return status


def _chunks(call: Call) -> list[Json] | None:
    chunks = call.arguments.items("chunks", fault="invalid_chunks")
    for chunk in chunks or []:
        if chunk.get("type") == "blocks" and isinstance(chunk.get("blocks"), list):
            check_message_blocks(chunk["blocks"])
    return chunks


METHODS: dict[str, Handler] = {
    "chat.startStream": start_stream,
    "chat.appendStream": append_stream,
    "chat.stopStream": stop_stream,
}
