"""Block Kit's layout blocks as HTML."""

from collections.abc import Callable
from html import escape
from typing import Any

from bot.local.workspace.page.rendering import elements, markdown, references, rich_text
from bot.local.workspace.page.rendering.names import Names
from bot.local.workspace.page.rendering.wire import Json, items, objects


def to_html(blocks: Any, names: Names, *, partial: bool = False) -> str:
    """Every block of a message or a view, in order. A block of a kind that is not known says its kind.

    `partial` says that the last block, where it is Markdown, is still being written.
    """
    found = objects(blocks)
    return "".join(_block(block, names, partial=partial and block is found[-1]) for block in found)


def _block(block: Json, names: Names, *, partial: bool) -> str:
    kind = str(block.get("type") or "")
    draw = _partial_markdown if partial and kind == "markdown" else _DRAW.get(kind)
    inner = draw(block, names) if draw else f'<span class="unknown">[{escape(kind)}]</span>'
    css = escape(kind.replace("_", "-"))
    return f'<div class="block block-{css}" data-block="{escape(_id(block))}">{inner}</div>'


def _id(block: Json) -> str:
    return str(block.get("block_id") or "")


def _section(block: Json, names: Names) -> str:
    html = f'<div class="section-text">{elements.text(block.get("text"), names)}</div>'
    fields = "".join(f"<div>{elements.text(field, names)}</div>" for field in objects(block.get("fields")))
    if fields:
        html += f'<div class="fields">{fields}</div>'
    accessory = block.get("accessory")
    if isinstance(accessory, dict):
        label = elements.plain(block.get("text"))[:80]
        html += f'<div class="accessory">{elements.to_html(accessory, _id(block), names, label=label)}</div>'
    return html


def _header(block: Json, names: Names) -> str:
    return f'<p class="heading" role="heading" aria-level="3">{elements.text(block.get("text"), names)}</p>'


def _divider(block: Json, names: Names) -> str:
    return "<hr>"


def _context(block: Json, names: Names) -> str:
    def item(element: Json) -> str:
        if element.get("type") == "image":
            return elements.to_html(element, _id(block), names)
        return f"<span>{elements.text(element, names)}</span>"

    return "".join(item(element) for element in objects(block.get("elements")))


def _actions(block: Json, names: Names) -> str:
    return "".join(elements.to_html(part, _id(block), names) for part in objects(block.get("elements")))


def _input(block: Json, names: Names) -> str:
    element = block.get("element")
    label = elements.plain(block.get("label"))
    optional = ' <span class="hint">(optional)</span>' if block.get("optional") else ""
    control = elements.to_html(element, _id(block), names, label=label) if isinstance(element, dict) else ""
    hint = elements.text(block.get("hint"), names)
    dispatch = " data-dispatch" if block.get("dispatch_action") else ""
    return (
        f'<div class="input"{dispatch}><div class="label" aria-hidden="true">{escape(label)}{optional}</div>{control}'
        f"{f'<div class=hint>{hint}</div>' if hint else ''}"
        f'<div class="fault" role="alert" data-fault="{escape(_id(block))}"></div></div>'
    )


def _image(block: Json, names: Names) -> str:
    url = str(block.get("image_url") or "")
    words = escape(str(block.get("alt_text") or elements.plain(block.get("title")) or "image"))
    shown = references.link(url, words) if references.is_safe_url(url) else words
    return f'<span class="image-chip" aria-hidden="true">🖼️</span> {shown}'


def _markdown(block: Json, names: Names) -> str:
    return f'<div class="text">{markdown.to_html(str(block.get("text") or ""), names)}</div>'


def _partial_markdown(block: Json, names: Names) -> str:
    return f'<div class="text">{markdown.to_html(str(block.get("text") or ""), names, partial=True)}</div>'


def _task_card(block: Json, names: Names) -> str:
    status = str(block.get("status") or "pending")
    icon = {"complete": "✓", "error": "!", "in_progress": "…"}.get(status, "○")
    details = "".join(
        f'<div class="task-details">{_rich_or_plain(block.get(key), names)}</div>'
        for key in ("details", "output")
        if block.get(key)
    )
    sources = "".join(f"<li>{_source(source)}</li>" for source in objects(block.get("sources")) if source.get("url"))
    return (
        f'<div class="task task-{escape(status).replace("_", "-")}">'
        f'<span class="task-icon" role="img" aria-label="{escape(status.replace("_", " "))}">{icon}</span>'
        f'<div><div class="task-title">{escape(str(block.get("title") or ""))}</div>{details}'
        f"{f'<ul class=sources>{sources}</ul>' if sources else ''}</div></div>"
    )


def _source(source: Json) -> str:
    url, words = str(source["url"]), escape(str(source.get("text") or source["url"]))
    return references.link(url, words) if references.is_safe_url(url) else words


def _plan(block: Json, names: Names) -> str:
    tasks = "".join(_task_card(task, names) for task in objects(block.get("tasks")))
    return f'<div class="plan-title">{escape(str(block.get("title") or "Plan"))}</div>{tasks}'


def _table(block: Json, names: Names) -> str:
    settings = items(block.get("column_settings"))

    def cell(cell: Any, column: int, tag: str) -> str:
        setting = settings[column] if column < len(settings) and isinstance(settings[column], dict) else {}
        align = str(setting.get("align") or "left")
        css = f' class="align-{align}"' if align in ("center", "right") else ""
        return f"<{tag}{css}>{_rich_or_plain(cell, names)}</{tag}>"

    html = ""
    for number, row in enumerate(row for row in items(block.get("rows")) if isinstance(row, list)):
        tag = "td" if number else "th"
        html += "<tr>" + "".join(cell(value, column, tag) for column, value in enumerate(row)) + "</tr>"
    return f'<div class="table" tabindex="0" role="region" aria-label="Table"><table>{html}</table></div>'


def _rich_or_plain(value: Any, names: Names) -> str:
    if isinstance(value, dict) and value.get("type") == "rich_text":
        return rich_text.to_html(value, names)
    content = value.get("text") if isinstance(value, dict) else value
    return escape(str(content or ""))


_DRAW: dict[str, Callable[[Json, Names], str]] = {
    "section": _section,
    "header": _header,
    "divider": _divider,
    "context": _context,
    "actions": _actions,
    "context_actions": _actions,
    "input": _input,
    "image": _image,
    "markdown": _markdown,
    "rich_text": rich_text.to_html,
    "task_card": _task_card,
    "plan": _plan,
    "table": _table,
}
