"""conversations.*: channels, their members, their history. users.conversations too."""

from collections.abc import Iterable

from bot.local.workspace.records import Channel, Json
from bot.local.workspace.refusals import Refused
from bot.local.workspace.web_api.call import Call, Handler, page

PAGE_LIMIT = 1000
OPEN_LIMIT = 8
"""People in one direct message."""

_KINDS = {"public_channel": "channel", "private_channel": "group", "mpim": "mpim", "im": "im"}


def shape(call: Call, channel: Channel, *, locale: bool = False, count: bool = False) -> Json:
    """The channel as Slack's answers describe it."""
    common: Json = {
        "id": channel.id,
        "created": channel.created,
        "is_archived": channel.is_archived,
        "is_im": channel.kind == "im",
        "is_org_shared": False,
        "context_team_id": call.identity.team_id,
        "updated": channel.created * 1000,
    }
    if channel.kind == "im":
        other = next(member for member in channel.members if member != call.identity.bot_user_id)
        partner = call.timeline.user(other)
        is_shared = partner is not None and partner.is_external
        return common | {"user": other, "priority": 0} | ({"is_ext_shared": True} if is_shared else {})
    is_shared = call.timeline.is_shared(channel)
    wording = {"creator": channel.creator, "last_set": channel.created}
    named = common | {
        "name": channel.name,
        "name_normalized": channel.name,
        "is_channel": channel.kind == "channel",
        "is_group": channel.kind == "group",
        "is_mpim": channel.kind == "mpim",
        "is_private": channel.kind != "channel",
        "is_general": channel.name == "general",
        "unlinked": 0,
        "is_shared": is_shared,
        "is_ext_shared": is_shared,
        "is_pending_ext_shared": False,
        "pending_shared": [],
        "pending_connected_team_ids": [],
        "shared_team_ids": [call.identity.team_id],
        "creator": channel.creator,
        "is_member": call.identity.bot_user_id in channel.members,
        "topic": {"value": channel.topic, **wording},
        "purpose": {"value": channel.purpose, **wording},
        "previous_names": [],
    }
    named |= {"conversation_host_id": call.identity.team_id} if is_shared else {}
    named |= {"locale": "en-US"} if locale else {}
    return named | ({"num_members": len(channel.members)} if count else {})


def info(call: Call) -> Json:
    flag = call.arguments.flag
    channel = shape(call, call.channel(), locale=flag("include_locale"), count=flag("include_num_members"))
    return {"channel": channel}


def list_all(call: Call) -> Json:
    channels, more = page(_listed(call, filter(call.sees, call.timeline.channels())), call.arguments)
    return {"channels": [shape(call, channel, count=channel.kind != "im") for channel in channels], **more}


def list_of_user(call: Call) -> Json:
    """users.conversations: where a person is, as far as the app may know."""
    user_id = call.arguments.text("user") or call.identity.bot_user_id
    seen = [channel for channel in call.timeline.channels() if call.sees(channel)]
    channels, more = page(_listed(call, [channel for channel in seen if user_id in channel.members]), call.arguments)
    shapes = [shape(call, channel) for channel in channels]
    return {"channels": [{k: v for k, v in each.items() if k != "is_member"} for each in shapes], **more}


def _listed(call: Call, channels: Iterable[Channel]) -> list[Channel]:
    """Those of the kinds, and archived or not, that the arguments ask for."""
    types = call.arguments.words("types") or ["public_channel"]
    if not all(kind in _KINDS for kind in types):
        raise Refused("invalid_types")
    kinds = {_KINDS[kind] for kind in types}
    is_live_only = call.arguments.flag("exclude_archived")
    return [channel for channel in channels if channel.kind in kinds and not (is_live_only and channel.is_archived)]


def members(call: Call) -> Json:
    user_ids, more = page(call.channel().members, call.arguments)
    return {"members": list(user_ids), **more}


def join(call: Call) -> Json:
    channel = call.channel()
    if channel.kind != "channel":
        raise Refused("method_not_supported_for_channel_type")
    if channel.is_archived:
        raise Refused("is_archived")
    was_in = call.identity.bot_user_id in channel.members
    answer: Json = {"channel": shape(call, call.timeline.join(channel.id, call.identity.bot_user_id))}
    if was_in:
        warning = "already_in_channel"
        answer |= {"warning": warning, "response_metadata": {"warnings": [warning]}}
    return answer


def open_direct(call: Call) -> Json:
    """conversations.open: the direct message with one person, or with several together."""
    before = {channel.id for channel in call.timeline.channels()}
    channel = _direct_channel(call)
    if not call.arguments.flag("return_im"):
        answer: Json = {"channel": {"id": channel.id}}
    else:
        answer = {"channel": shape(call, channel)}
    return answer | ({"no_op": True, "already_open": True} if channel.id in before else {})


def _direct_channel(call: Call) -> Channel:
    if call.arguments.text("channel"):
        channel = call.channel()
        if channel.kind not in ("im", "mpim"):
            raise Refused("method_not_supported_for_channel_type")
        return channel
    user_ids = [user for user in call.arguments.words("users") if user != call.identity.bot_user_id]
    if not user_ids:
        raise Refused("users_list_not_supplied")
    if len(user_ids) > OPEN_LIMIT:
        raise Refused("too_many_users")
    if len(user_ids) == 1:
        return call.timeline.direct_channel(user_ids[0])
    return call.timeline.group_channel(user_ids)


def history(call: Call) -> Json:
    channel = call.joined_channel()
    messages, cursor = call.timeline.history(
        channel.id,
        oldest=call.arguments.text("oldest") or None,
        latest=call.arguments.text("latest") or None,
        inclusive=call.arguments.flag("inclusive"),
        limit=call.arguments.limit(100, PAGE_LIMIT),
        cursor=call.arguments.text("cursor") or None,
    )
    pins = {"pin_count": 0, "channel_actions_ts": None, "channel_actions_count": 0}
    return _page_of_messages(call, messages, cursor) | pins


def replies(call: Call) -> Json:
    channel = call.joined_channel()
    messages, cursor = call.timeline.replies(
        channel.id,
        call.arguments.needed("ts"),
        oldest=call.arguments.text("oldest") or None,
        latest=call.arguments.text("latest") or None,
        inclusive=call.arguments.flag("inclusive"),
        limit=call.arguments.limit(PAGE_LIMIT, PAGE_LIMIT),
        cursor=call.arguments.text("cursor") or None,
    )
    return _page_of_messages(call, messages, cursor)


def _page_of_messages(call: Call, messages: list[Json], cursor: str | None) -> Json:
    if not call.arguments.flag("include_all_metadata"):
        messages = [{k: v for k, v in message.items() if k != "metadata"} for message in messages]
    answer: Json = {"messages": messages, "has_more": cursor is not None}
    return answer | ({"response_metadata": {"next_cursor": cursor}} if cursor else {})


METHODS: dict[str, Handler] = {
    "conversations.history": history,
    "conversations.info": info,
    "conversations.join": join,
    "conversations.list": list_all,
    "conversations.members": members,
    "conversations.open": open_direct,
    "conversations.replies": replies,
    "users.conversations": list_of_user,
}
