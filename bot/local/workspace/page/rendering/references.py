"""What stands between angle brackets in Slack's text: people, channels, broadcasts, dates and links.

Both dialects, mrkdwn and Markdown, carry these, so both renderers share this one reading of them.
"""

import re
from html import escape
from urllib.parse import urlsplit

from bot.local.workspace.page.rendering.names import Names

REFERENCE = re.compile(r"<([@#!][^<>\n]{1,300}|(?:https?://|mailto:)[^<>\n]{1,4000})>", re.IGNORECASE)
"""One whole reference; group 1 is what stands between the brackets."""

_BROADCASTS = ("here", "channel", "everyone")
_ESCAPES = {"&lt;": "<", "&gt;": ">", "&amp;": "&"}
_ESCAPE = re.compile("|".join(_ESCAPES))


def unescape(text: str) -> str:
    """Undo Slack's three escapes, and no others, each once."""
    return _ESCAPE.sub(lambda match: _ESCAPES[match[0]], text)


def is_safe_url(url: str) -> bool:
    """Whether a link may lead there: the web or a mail address, never `javascript:` or `data:`."""
    try:
        parts = urlsplit(url.strip())
    except ValueError:
        return False
    if any(ord(character) <= 0x20 for character in url):
        return False
    return (parts.scheme in ("http", "https") and bool(parts.netloc)) or parts.scheme == "mailto"


def link(url: str, label_html: str) -> str:
    """A link that opens apart and tells the other side nothing about this page; without `url`, only its label."""
    href = f' href="{escape(url)}"' if url else ""  # an empty href would lead to this page
    return f'<a{href} target="_blank" rel="noopener noreferrer">{label_html}</a>'


def to_html(reference: str, names: Names) -> str:
    """One reference, given without its brackets (`@U1`, `#C1|general`, `!here`, `https://…|label`)."""
    target, _, label = reference.partition("|")
    label = unescape(label)
    if target.startswith("@"):
        return _mention(target[1:], label, names)
    if target.startswith("#"):
        name = names.channels.get(target[1:]) or label or target[1:]
        channel_id = escape(target[1:])
        return f'<button type="button" class="mention" data-open-channel="{channel_id}">#{escape(name)}</button>'
    if target.startswith("!"):
        return _special(target[1:], label)
    url = unescape(target)
    if is_safe_url(url):
        return link(url, escape(label or url.removeprefix("mailto:")))
    return escape(f"<{unescape(reference)}>")


def _mention(user_id: str, label: str, names: Names) -> str:
    name = names.users.get(user_id) or label or user_id
    mine = " mention-me" if user_id == names.viewer_id else ""
    return f'<span class="mention{mine}">@{escape(name.removeprefix("@"))}</span>'


def _special(command: str, label: str) -> str:
    kind = command.split("^")[0]
    if kind in _BROADCASTS:
        return f'<span class="mention mention-me">@{kind}</span>'
    if kind == "subteam":
        return f'<span class="mention">@{escape((label or "group").removeprefix("@"))}</span>'
    if kind == "date":
        return f"<time>{escape(label or command)}</time>"
    return escape(label or f"<!{command}>")
