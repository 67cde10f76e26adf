"""The rich_text block that Slack adds to what a person writes. Pure.

Its source is Slack's mrkdwn as it is on the wire: `&amp; &lt; &gt;` escaped, mentions and links in `<…>`.
"""

import re
from html import unescape

from bot.local.workspace.records import Json

_INLINE = re.compile(
    r"<(?P<reference>[^<>\n]+)>"
    r"|`(?P<code>[^`\n]+)`"
    r"|(?<!\w):(?P<emoji>[a-z0-9_+'-]+(?:::skin-tone-[2-6])?):"
    r"|(?<![\w*])\*(?P<bold>[^\s*](?:[^*\n]*[^\s*])?)\*(?![\w*])"
    r"|(?<![\w_])_(?P<italic>[^\s_](?:[^_\n]*[^\s_])?)_(?![\w_])"
    r"|(?<![\w~])~(?P<strike>[^\s~](?:[^~\n]*[^\s~])?)~(?![\w~])"
)
_FENCE = re.compile(r"```\n?(.*?)\n?```", re.DOTALL)
_QUOTE = re.compile(r"((?:^&gt; ?.*(?:\n|$))+)", re.MULTILINE)


def rich_text_block(text: str, block_id: str) -> Json:
    """`text` as one rich_text block: sections, quotes and preformatted passages."""
    elements: list[Json] = []
    for index, part in enumerate(_FENCE.split(text)):
        if index % 2:
            elements.append({"type": "rich_text_preformatted", "elements": [_plain(part)], "border": 0})
        else:
            elements += _sections(part)
    return {"type": "rich_text", "block_id": block_id, "elements": elements}


def _sections(text: str) -> list[Json]:
    sections: list[Json] = []
    for index, part in enumerate(_QUOTE.split(text)):
        if index % 2:
            quoted = re.sub(r"^&gt; ?", "", part.rstrip("\n"), flags=re.MULTILINE)
            sections.append({"type": "rich_text_quote", "elements": _inline(quoted, {})})
        elif part.strip("\n"):
            sections.append({"type": "rich_text_section", "elements": _inline(part, {})})
    return sections


def _inline(text: str, style: dict[str, bool]) -> list[Json]:
    elements: list[Json] = []
    end = 0
    for match in _INLINE.finditer(text):
        if match.start() > end:
            elements.append(_plain(text[end : match.start()], style))
        end = match.end()
        kind, body = match.lastgroup, match.group(match.lastgroup or 0)
        if kind == "reference":
            elements.append(_reference(body, style))
        elif kind == "emoji":
            elements.append({"type": "emoji", "name": body.split("::")[0]})
        elif kind == "code":
            elements.append(_plain(body, {**style, "code": True}))
        else:
            elements += _inline(body, {**style, str(kind): True})
    if end < len(text):
        elements.append(_plain(text[end:], style))
    return elements


def _reference(body: str, style: dict[str, bool]) -> Json:
    target, _, label = body.partition("|")
    if target.startswith("@"):
        element: Json = {"type": "user", "user_id": target[1:]}
    elif target.startswith("#"):
        element = {"type": "channel", "channel_id": target[1:]}
    elif target.startswith("!subteam^"):
        element = {"type": "usergroup", "usergroup_id": target.removeprefix("!subteam^")}
    elif target.startswith("!"):
        element = {"type": "broadcast", "range": target[1:]}
    else:
        element = {"type": "link", "url": unescape(target)} | ({"text": unescape(label)} if label else {})
    return element | ({"style": style} if style else {})


def _plain(text: str, style: dict[str, bool] | None = None) -> Json:
    return {"type": "text", "text": unescape(text)} | ({"style": style} if style else {})
