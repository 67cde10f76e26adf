"""reactions.add, reactions.remove, reactions.get."""

from bot.local.workspace.records import Channel, Json
from bot.local.workspace.refusals import Refused
from bot.local.workspace.web_api.call import Call, Handler
from bot.local.workspace.web_api.chat import existing_message, permalink


def add(call: Call) -> Json:
    channel, ts, name = _target(call)
    if channel.is_archived:
        raise Refused("is_archived")
    if not call.timeline.add_reaction(channel.id, ts, call.identity.bot_user_id, name):
        raise Refused("already_reacted")
    return {}


def remove(call: Call) -> Json:
    channel, ts, name = _target(call)
    if not call.timeline.remove_reaction(channel.id, ts, call.identity.bot_user_id, name):
        raise Refused("no_reaction")
    return {}


def _target(call: Call) -> tuple[Channel, str, str]:
    name = call.arguments.needed("name")
    return call.joined_channel(), call.arguments.needed("timestamp"), name


def get(call: Call) -> Json:
    channel = call.joined_channel()
    message = existing_message(call, channel, "timestamp")
    shown = {key: message[key] for key in _SHOWN if key in message}
    shown["permalink"] = permalink(call, channel, message)
    return {"type": "message", "channel": channel.id, "message": shown}


_SHOWN = (
    *("type", "subtype", "text", "user", "ts", "team", "bot_id", "app_id", "bot_profile"),
    *("blocks", "attachments", "files", "reactions"),
)

METHODS: dict[str, Handler] = {"reactions.add": add, "reactions.remove": remove, "reactions.get": get}
