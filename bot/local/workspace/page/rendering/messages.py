"""One message as the page shows it: who, when, what, reactions, the way into its thread, what can be done."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from urllib.parse import urlencode

from bot.local.workspace.page.rendering import blocks, emoji, markdown, mrkdwn
from bot.local.workspace.page.rendering.names import Names
from bot.local.workspace.page.rendering.wire import objects
from bot.local.workspace.records import Json, User

_ENDINGS = {
    "stopped_by_user": "Stopped.",
    "expired": "This answer was cut off: Slack ends a stream after five minutes.",
}
_SYSTEM = (
    "tombstone",
    "channel_join",
    "channel_leave",
    "channel_topic",
    "channel_purpose",
    "channel_name",
    "group_join",
)


@dataclass(frozen=True, slots=True)
class Told:
    """What the page knows of a message beside Slack's own dict."""

    text_format: str = "mrkdwn"
    stream_state: str | None = None
    """None for what was never a stream, else "streaming", "stopped", "stopped_by_user" or "expired"."""

    ephemeral: bool = False
    thread_status: str = ""
    """What Dolly is doing in the thread of this root message, for example "is thinking…"."""


def to_html(message: Json, told: Told, users: Mapping[str, User], names: Names) -> str:
    """The whole `<article>` of one message, for the reader `names.viewer_id`."""
    user_id = str(message.get("user") or "")
    user = users.get(user_id)
    author = str(message.get("username") or (user.real_name if user else "") or user_id or "Someone")
    author = "Deleted" if message.get("subtype") == "tombstone" else author
    ts = str(message["ts"])
    css = "message"
    css += " streaming" if told.stream_state == "streaming" else ""
    css += " ephemeral" if told.ephemeral else ""
    css += " system" if message.get("subtype") in _SYSTEM else ""
    badge = '<span class="badge">APP</span>' if message.get("bot_id") else ""
    return (
        f'<article class="{css}" data-ts="{escape(ts)}" data-user="{escape(user_id)}" '
        f'data-author="{escape(author)}" tabindex="-1" aria-label="{escape(author)}">'
        f"{avatar(user)}"
        f'<div class="message-head"><span class="author">{escape(author)}</span>{badge}{_time(ts)}</div>'
        f'<div class="message-body">{_body(message, told, names)}</div>'
        f'<div class="message-foot">{_reactions(message, names)}{_thread(message, told, users)}</div>'
        f"{_toolbar(message, told, names)}</article>"
    )


def avatar(user: User | None) -> str:
    """The app's own picture, or a person's initial on their colour; drawn here, never loaded from elsewhere."""
    if user is not None and user.is_bot:
        return '<img class="avatar" src="/static/dolly.svg" alt="" width="36" height="36">'
    initial = escape((user.real_name if user else "?")[:1].upper())
    color = escape(user.color if user else "616061")
    return (
        f'<svg class="avatar" viewBox="0 0 36 36" width="36" height="36" aria-hidden="true">'
        f'<rect width="36" height="36" rx="8" fill="#{color}"/>'
        f'<text x="18" y="24.5" text-anchor="middle" fill="#fff" font-size="18" font-weight="700">{initial}</text>'
        "</svg>"
    )


def _time(ts: str) -> str:
    moment = datetime.fromtimestamp(float(ts), UTC).isoformat(timespec="seconds")
    return f'<time class="time" datetime="{moment}"></time>'


def _body(message: Json, told: Told, names: Names) -> str:
    parts = []
    if told.ephemeral:
        parts.append('<div class="only-you">Only visible to you</div>')
    if message.get("subtype") == "thread_broadcast":
        parts.append('<div class="only-you">replied to a thread</div>')
    parts.append(_content(message, told, names))
    if message.get("edited"):
        parts.append('<span class="edited">(edited)</span>')
    parts += [_file(file, names) for file in objects(message.get("files"))]
    if told.stream_state in _ENDINGS:
        parts.append(f'<div class="ending">{_ENDINGS[told.stream_state]}</div>')
    return "".join(parts)


def _content(message: Json, told: Told, names: Names) -> str:
    """An app's blocks stand for its text, and hold a stream's; what people wrote is drawn from its text."""
    text, drawn = str(message.get("text") or ""), message.get("blocks")
    is_partial = told.stream_state == "streaming"
    if drawn and message.get("bot_id"):
        return blocks.to_html(drawn, names, partial=is_partial)
    if told.text_format == "markdown":
        return f'<div class="text">{markdown.to_html(text, names, partial=is_partial)}</div>'
    return f'<div class="text">{mrkdwn.to_html(text, names)}</div>'


def _file(file: Json, names: Names) -> str:
    name = escape(str(file.get("title") or file.get("name") or "file"))
    about = " ".join(str(word) for word in (file.get("pretty_type"), _size(file.get("size"))) if word)
    address = f"/page/file?{urlencode({'user_id': names.viewer_id, 'file_id': str(file.get('id') or '')})}"
    return f'<a class="file-chip" href="{escape(address)}" download>📄 <b>{name}</b> <span>{escape(about)}</span></a>'


def _size(size_bytes: object) -> str:
    if not isinstance(size_bytes, int):
        return ""
    if size_bytes < 1024:
        return f"{size_bytes} B"
    return f"{size_bytes / 1024:.0f} kB" if size_bytes < 2**20 else f"{size_bytes / 2**20:.1f} MB"


def _reactions(message: Json, names: Names) -> str:
    html = ""
    for reaction in message.get("reactions") or []:
        name, people = str(reaction["name"]), [str(user_id) for user_id in reaction.get("users") or []]
        mine = names.viewer_id in people
        who = ", ".join(names.users.get(user_id, user_id) for user_id in people)
        label = escape(f"{who} reacted with :{name}:")
        html += (
            f'<button type="button" class="reaction" data-reaction="{escape(name)}" aria-pressed="{str(mine).lower()}" '
            f'title="{label}" aria-label="{label}">{escape(emoji.character(name))} '
            f"<span>{int(reaction.get('count') or len(people))}</span></button>"
        )
    if not html:
        return ""
    add = (
        '<button type="button" class="reaction add" data-tool="react" aria-label="Add a reaction">'
        f"{icon('react')}</button>"
    )
    return f'<div class="reactions">{html}{add}</div>'


def _thread(message: Json, told: Told, users: Mapping[str, User]) -> str:
    """The line under a root message that opens its thread."""
    if message.get("thread_ts") not in (None, message["ts"]):
        return ""
    count = int(message.get("reply_count") or 0)
    if not count and not told.thread_status:
        return ""
    faces = "".join(avatar(users.get(str(user_id))) for user_id in (message.get("reply_users") or [])[:4])
    words = f"{count} {'reply' if count == 1 else 'replies'}" if count else "Open thread"
    status = f'<span class="thread-status">{escape(told.thread_status)}</span>' if told.thread_status else ""
    return f'<button type="button" class="thread-link" data-tool="thread">{faces}<b>{words}</b>{status}</button>'


def _toolbar(message: Json, told: Told, names: Names) -> str:
    if told.ephemeral:
        return ""
    tools = [("react", "Add a reaction"), ("thread", "Reply in thread")]
    if message.get("user") == names.viewer_id and not message.get("bot_id"):
        tools += [("edit", "Edit message"), ("delete", "Delete message")]
    tools.append(("more", "More actions"))
    buttons = "".join(
        f'<button type="button" tabindex="-1" data-tool="{tool}" aria-label="{words}" title="{words}">'
        f"{icon(tool)}</button>"
        for tool, words in tools
    )
    return f'<div class="toolbar" role="toolbar" aria-label="Message actions">{buttons}</div>'


def icon(name: str) -> str:
    """One of the icons that the page defines."""
    return f'<svg aria-hidden="true"><use href="#i-{name}"/></svg>'
