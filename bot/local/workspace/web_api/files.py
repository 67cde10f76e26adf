"""files.*: announce an upload, complete and share it, look one up. The upload itself is in server.py."""

from bot.local.workspace.records import Channel, Json
from bot.local.workspace.refusals import Refused
from bot.local.workspace.timeline.block_rules import check_message_blocks
from bot.local.workspace.timeline.files import FILE_SIZE_LIMIT_BYTES
from bot.local.workspace.web_api.call import Call, Handler


def get_upload_url(call: Call) -> Json:
    name = call.arguments.needed("filename")
    length = call.arguments.needed("length")
    if not (length.isascii() and length.isdigit() and 0 < int(length[:12]) <= FILE_SIZE_LIMIT_BYTES):
        raise Refused("file_upload_size_restricted")
    file, ticket = call.timeline.announce_file(name, int(length), call.origin)
    return {"upload_url": f"{call.origin}/upload/v1/{ticket}", "file_id": file["id"]}


def complete_upload(call: Call) -> Json:
    wanted = call.arguments.items("files", fault="invalid_arguments")
    if not wanted:
        raise Refused("invalid_arguments", "[ERROR] missing required field: files")
    channels = _channels(call)
    blocks = call.arguments.items("blocks", fault="invalid_blocks")
    check_message_blocks(blocks or [])
    place = channels[0] if channels else None
    files = [call.timeline.complete_file(str(file.get("id")), file.get("title"), place) for file in wanted]
    for channel in channels:
        call.timeline.post(
            channel.id,
            call.identity.bot_user_id,
            call.arguments.text("initial_comment") or "",
            thread_ts=call.arguments.text("thread_ts") or None,
            blocks=blocks,
            as_app=True,
            subtype="file_share",
            files=files,
            upload=True,
            display_as_bot=False,
        )
    return {"files": files}


def _channels(call: Call) -> list[Channel]:
    """Where the files are to be shared, if anywhere."""
    channel_id = call.arguments.text("channel_id")
    channel_ids = [channel_id] if channel_id else call.arguments.words("channels")
    channels = [call.timeline.channel(channel_id) for channel_id in channel_ids]
    found = [channel for channel in channels if channel is not None and call.sees(channel)]
    if len(found) != len(channel_ids):
        raise Refused("channel_not_found")
    if any(call.identity.bot_user_id not in channel.members for channel in found):
        raise Refused("not_in_channel")
    return found


def info(call: Call) -> Json:
    file = call.timeline.file(call.arguments.needed("file"))
    if file is None or not call.sees_file(file):
        raise Refused("file_not_found")
    return {"file": file, "comments": []}


METHODS: dict[str, Handler] = {
    "files.getUploadURLExternal": get_upload_url,
    "files.completeUploadExternal": complete_upload,
    "files.info": info,
}
