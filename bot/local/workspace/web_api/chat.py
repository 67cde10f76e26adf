"""chat.*: posting, changing and deleting messages."""

from dataclasses import dataclass

from bot.local.workspace.records import Channel, Json
from bot.local.workspace.refusals import Refused
from bot.local.workspace.timeline.block_rules import MARKDOWN_LIMIT, check_message_blocks
from bot.local.workspace.web_api.call import Call, Handler

POSTED_TEXT_LIMIT = 40_000
"""A longer text is cut."""

UPDATED_TEXT_LIMIT = 4_000
"""A longer text is refused."""

ATTACHMENTS_LIMIT = 100

_IN_UPDATE_ANSWER = (
    *("type", "subtype", "text", "user", "team", "bot_id", "app_id", "bot_profile", "edited"),
    *("blocks", "attachments", "metadata", "files"),
)


@dataclass(frozen=True)
class Content:
    """What a call wants a message to say. None is what it does not mention."""

    text: str | None
    blocks: list[Json] | None
    attachments: list[Json] | None
    metadata: Json | None
    markdown: bool


def read_content(call: Call) -> Content:
    """Read and check the arguments that make up a message."""
    arguments = call.arguments
    text = arguments.text("text")
    blocks = arguments.items("blocks", fault="invalid_blocks_format")
    attachments = arguments.items("attachments", fault="invalid_attachments")
    if attachments and len(attachments) > ATTACHMENTS_LIMIT:
        raise Refused("too_many_attachments")
    markdown_text = arguments.text("markdown_text")
    if markdown_text:
        if text or blocks:
            raise Refused("markdown_text_conflict")
        if len(markdown_text) > MARKDOWN_LIMIT:
            raise Refused("msg_too_long")
        text, blocks = markdown_text, [{"type": "markdown", "text": markdown_text}]
    if blocks:
        check_message_blocks(blocks)
    return Content(text, blocks, attachments, read_metadata(call), bool(markdown_text))


def read_metadata(call: Call) -> Json | None:
    metadata = call.arguments.record("metadata", fault="invalid_metadata_format")
    if metadata and not isinstance(metadata.get("event_type"), str):
        raise Refused("invalid_metadata_schema")
    return metadata


def _has_something_to_say(content: Content) -> bool:
    return bool((content.text and content.text.strip()) or content.blocks or content.attachments)


def post_message(call: Call) -> Json:
    channel = _destination(call)
    content = read_content(call)
    if not _has_something_to_say(content):
        raise Refused("no_text")
    message = call.timeline.post(
        channel.id,
        call.identity.bot_user_id,
        (content.text or "")[:POSTED_TEXT_LIMIT],
        thread_ts=call.arguments.text("thread_ts") or None,
        blocks=content.blocks,
        metadata=content.metadata,
        as_app=True,
        reply_broadcast=call.arguments.flag("reply_broadcast"),
        markdown=content.markdown,
        attachments=content.attachments or None,
    )
    return {"channel": channel.id, "ts": message["ts"], "message": message}


def _destination(call: Call) -> Channel:
    """A channel by id or name, or by a person's id their direct message."""
    name = call.arguments.needed("channel")
    user = call.timeline.user(name)
    if user is not None and not user.is_bot:
        return call.timeline.direct_channel(user.id)
    for channel in call.timeline.channels():
        if channel.name and channel.name == name.removeprefix("#") and call.sees(channel):
            return channel
    return call.channel()


def post_ephemeral(call: Call) -> Json:
    channel = call.joined_channel()
    user_id = call.arguments.needed("user")
    content = read_content(call)
    if not _has_something_to_say(content):
        raise Refused("no_text")
    if channel.is_archived:
        raise Refused("is_archived")
    message = call.timeline.post_ephemeral(
        channel.id,
        user_id,
        (content.text or "")[:POSTED_TEXT_LIMIT],
        thread_ts=call.arguments.text("thread_ts") or None,
        blocks=content.blocks,
    )
    return {"message_ts": message["ts"]}


def update(call: Call) -> Json:
    channel = call.channel()
    ts = _own_message(call, channel, "ts", fault="cant_update_message")
    content = read_content(call)
    if content == Content(None, None, None, None, False) or (content.text == "" and not content.blocks):
        raise Refused("no_text")
    if len(content.text or "") > (MARKDOWN_LIMIT if content.markdown else UPDATED_TEXT_LIMIT):
        raise Refused("msg_too_long")
    if channel.is_archived:
        raise Refused("is_inactive")
    message = call.timeline.update(
        channel.id,
        ts,
        text=content.text,
        blocks=content.blocks,
        attachments=content.attachments,
        metadata=content.metadata,
        edited_by=call.identity.bot_user_id,
        markdown=content.markdown,
    )
    shown = {name: message[name] for name in _IN_UPDATE_ANSWER if name in message}
    return {"channel": channel.id, "ts": ts, "text": message["text"], "message": shown}


def delete(call: Call) -> Json:
    channel = call.channel()
    ts = _own_message(call, channel, "ts", fault="cant_delete_message")
    call.timeline.delete(channel.id, ts)
    return {"channel": channel.id, "ts": ts}


def _own_message(call: Call, channel: Channel, name: str, *, fault: str) -> str:
    """The ts of a message of the app's own; Refused(fault) if it is another's."""
    message = existing_message(call, channel, name)
    if message.get("bot_id") != call.identity.bot_id:
        raise Refused(fault)
    return str(message["ts"])


def existing_message(call: Call, channel: Channel, name: str) -> Json:
    """The message whose ts is the argument."""
    message = call.timeline.message(channel.id, call.arguments.needed(name))
    if message is None:
        raise Refused("message_not_found")
    return message


def get_permalink(call: Call) -> Json:
    channel = call.channel()
    message = existing_message(call, channel, "message_ts")
    return {"channel": channel.id, "permalink": permalink(call, channel, message)}


def permalink(call: Call, channel: Channel, message: Json) -> str:
    address = f"{call.origin}/archives/{channel.id}/p{message['ts'].replace('.', '')}"
    root_ts = message.get("thread_ts", message["ts"])
    return address if root_ts == message["ts"] else f"{address}?thread_ts={root_ts}&cid={channel.id}"


METHODS: dict[str, Handler] = {
    "chat.postMessage": post_message,
    "chat.postEphemeral": post_ephemeral,
    "chat.update": update,
    "chat.delete": delete,
    "chat.getPermalink": get_permalink,
}
