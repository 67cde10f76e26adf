"""Slack's rich_text, the shape in which people's own messages arrive, as HTML."""

from collections.abc import Callable
from html import escape

from bot.local.workspace.page.rendering import emoji, references
from bot.local.workspace.page.rendering.names import Names
from bot.local.workspace.page.rendering.wire import Json, objects

_STYLES = (("code", "code"), ("bold", "strong"), ("italic", "em"), ("strike", "s"), ("underline", "u"))


def to_html(block: Json, names: Names) -> str:
    """A rich_text block, or one of its parts."""
    return "".join(_section(part, names) for part in objects(block.get("elements")))


def _section(part: Json, names: Names) -> str:
    content = _inline_all(part, names)
    match part.get("type"):
        case "rich_text_list":
            tag = "ol" if part.get("style") == "ordered" else "ul"
            indent = part["indent"] if part.get("indent") in range(9) else 0
            rows = "".join(f"<li>{_inline_all(item, names)}</li>" for item in objects(part.get("elements")))
            return f'<{tag} class="indent-{indent}">{rows}</{tag}>'
        case "rich_text_preformatted":
            return f"<pre><code>{content}</code></pre>"
        case "rich_text_quote":
            return f"<blockquote>{content}</blockquote>"
        case _:
            return f"<p>{content}</p>"


def _inline_all(part: Json, names: Names) -> str:
    return "".join(_inline(element, names) for element in objects(part.get("elements")))


def _inline(element: Json, names: Names) -> str:
    draw = _INLINE.get(str(element.get("type")))
    html = draw(element, names) if draw else escape(str(element.get("text") or element.get("fallback") or ""))
    style = element.get("style")
    for key, tag in _STYLES:
        if isinstance(style, dict) and style.get(key):
            html = f"<{tag}>{html}</{tag}>"
    return html


def _text(element: Json, names: Names) -> str:
    return escape(str(element.get("text") or "")).replace("\n", "<br>")


def _link(element: Json, names: Names) -> str:
    url = str(element.get("url") or "")
    label = escape(str(element.get("text") or url))
    return references.link(url, label) if references.is_safe_url(url) else label


def _emoji(element: Json, names: Names) -> str:
    return escape(emoji.character(str(element.get("name") or "")))


def _broadcast(element: Json, names: Names) -> str:
    return references.to_html(f"!{element.get('range')}", names)


_INLINE: dict[str, Callable[[Json, Names], str]] = {
    "text": _text,
    "link": _link,
    "emoji": _emoji,
    "broadcast": _broadcast,
    "user": lambda element, names: references.to_html(f"@{element.get('user_id')}", names),
    "channel": lambda element, names: references.to_html(f"#{element.get('channel_id')}", names),
    "usergroup": lambda element, names: references.to_html(f"!subteam^{element.get('usergroup_id')}", names),
}
