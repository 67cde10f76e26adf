"""Slack's mrkdwn as HTML: `*bold*`, `_italic_`, `~struck~`, `code`, quotes, references, emoji.

Parts that are taken literally (code, references, bare links) are set aside first and put back last, so no
format character inside them is read as one. Every pattern stops at its own marker, which keeps the work
linear in the length of the text, whatever the text is.
"""

import re
from html import escape

from bot.local.workspace.page.rendering import emoji, references
from bot.local.workspace.page.rendering.names import Names
from bot.local.workspace.page.rendering.references import unescape

_BLOCK_CODE = re.compile(r"\n?```\n?(.+?)\n?```\n?", re.DOTALL)
_LITERAL = re.compile(
    r"`(?P<code>[^`\n]+)`"
    rf"|{references.REFERENCE.pattern}"
    r"|(?<![\w/])(?P<url>https?://[^\s<>\"|`\0]*[^\s<>\"|`\0.,;:!?)*_~'\]])",
    re.IGNORECASE,
)
_FORMAT = re.compile(
    r"(?<![\w*])\*(?=[^\s*])(?P<strong>[^*\n]+)(?<!\s)\*(?![\w*])"
    r"|(?<![\w_])_(?=[^\s_])(?P<em>[^_\n]+)(?<!\s)_(?![\w_])"
    r"|(?<![\w~])~(?=[^\s~])(?P<s>[^~\n]+)(?<!\s)~(?![\w~])"
)
_SET_ASIDE = re.compile("\0([0-9]+)\0")


def to_html(text: str, names: Names) -> str:
    """`text` as Slack stores it, with & < > escaped; raw ones are harmless and shown as they are."""
    set_aside: list[str] = []

    def keep(html: str) -> str:
        set_aside.append(html)
        return f"\0{len(set_aside) - 1}\0"

    def keep_literal(match: re.Match[str]) -> str:
        if match["code"]:
            return keep(f"<code>{escape(unescape(match['code']))}</code>")
        if match["url"]:
            url = unescape(match["url"])
            return keep(references.link(url, escape(url)))
        return keep(references.to_html(match[2], names))

    text = text.replace("\0", "")
    text = _BLOCK_CODE.sub(lambda match: keep(f"<pre><code>{escape(unescape(match[1]))}</code></pre>"), text)
    text = _LITERAL.sub(keep_literal, text)
    html = _FORMAT.sub(_formatted, emoji.replace(escape(unescape(text))))
    html = _quotes(html).replace("\n", "<br>")
    return _SET_ASIDE.sub(lambda match: set_aside[int(match[1])], html)


def _formatted(match: re.Match[str]) -> str:
    tag = match.lastgroup or ""
    return f"<{tag}>{_FORMAT.sub(_formatted, match[tag])}</{tag}>"


def _quotes(escaped: str) -> str:
    """Consecutive lines that begin with > become one quote; >>> quotes all that follows."""
    parts: list[str] = []
    quote: list[str] = []
    lines = escaped.split("\n")
    for number, line in enumerate(lines):
        if line.startswith("&gt;&gt;&gt;"):
            quote += [line.removeprefix("&gt;&gt;&gt;").lstrip(), *lines[number + 1 :]]
            break
        if line.startswith("&gt;"):
            quote.append(line.removeprefix("&gt;").removeprefix(" "))
            continue
        if quote:
            parts.append(_quote(quote))
            quote = []
        parts.append(line)
    if quote:
        parts.append(_quote(quote))
    return "\n".join(parts).replace("</blockquote>\n", "</blockquote>").replace("\n<blockquote>", "<blockquote>")


def _quote(lines: list[str]) -> str:
    return "<blockquote>" + "\n".join(lines) + "</blockquote>"
