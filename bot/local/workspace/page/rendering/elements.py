"""Block Kit's interactive elements as form controls. The page's script reads their data attributes:

data-action (the element's type), data-action-id, data-block-id, data-value, and, on what can be chosen,
data-option: Slack's own option object, which is sent back as it came.
"""

import json
from collections.abc import Callable
from html import escape
from typing import Any

from bot.local.workspace.page.rendering import emoji, mrkdwn
from bot.local.workspace.page.rendering.names import Names
from bot.local.workspace.page.rendering.references import is_safe_url
from bot.local.workspace.page.rendering.wire import Json, items, objects

_ICONS = {"trash": "🗑️"}
_FIELDS = {
    "plain_text_input": "text",
    "email_text_input": "email",
    "url_text_input": "url",
    "number_input": "number",
    "datepicker": "date",
    "timepicker": "time",
    "datetimepicker": "datetime-local",
}
_INITIAL = {
    "datepicker": "initial_date",
    "timepicker": "initial_time",
    "datetimepicker": "initial_date_time",
}


def to_html(element: Json, block_id: str, names: Names, *, label: str = "") -> str:
    """One element. `label` is what a screen reader calls it where the element has no words of its own."""
    kind = str(element.get("type") or "")
    draw = _DRAW.get(kind)
    if draw is None:
        return f'<span class="unknown">[{escape(kind)}]</span>'
    return draw(element, block_id, names, label)


def text(value: Any, names: Names) -> str:
    """A text object: plain_text (only emoji are read) or mrkdwn."""
    if not isinstance(value, dict):
        return ""
    content = str(value.get("text") or "")
    if value.get("type") == "mrkdwn":
        return mrkdwn.to_html(content, names)
    return emoji.replace(escape(content)).replace("\n", "<br>")


def plain(value: Any) -> str:
    """A text object without any markup, for attributes and options; not yet escaped."""
    return emoji.replace(str(value.get("text") or "")) if isinstance(value, dict) else ""


def attributes(element: Json, block_id: str, **more: str) -> str:
    """The data attributes that tell the page's script what this control is."""
    values = {
        "data-action": str(element.get("type") or ""),
        "data-action-id": str(element.get("action_id") or ""),
        "data-block-id": block_id,
    }
    values |= {name.replace("_", "-"): value for name, value in more.items()}
    confirm = element.get("confirm")
    if isinstance(confirm, dict):
        values["data-confirm"] = json.dumps(
            {name: plain(confirm.get(name)) for name in ("title", "text", "confirm", "deny")}
            | {"style": str(confirm.get("style") or "")}
        )
    return " ".join(f'{name}="{escape(value)}"' for name, value in values.items())


def _button(element: Json, block_id: str, names: Names, label: str) -> str:
    style = str(element.get("style") or "")
    style = f" {style}" if style in ("primary", "danger") else ""
    more = {"data_value": str(element.get("value") or "")}
    if element.get("accessibility_label"):
        more["aria_label"] = str(element["accessibility_label"])
    if is_safe_url(str(element.get("url") or "")):
        more["data_url"] = str(element["url"])
    return (
        f'<button type="button" class="button{style}" {attributes(element, block_id, **more)}>'
        f"{text(element.get('text'), names)}</button>"
    )


def _icon_button(element: Json, block_id: str, names: Names, label: str) -> str:
    visible_to = items(element.get("visible_to_user_ids"))
    if visible_to and names.viewer_id not in visible_to:
        return ""
    words = str(element.get("accessibility_label") or plain(element.get("text")))
    more = {"data_value": str(element.get("value") or ""), "aria_label": words, "title": words}
    icon = _ICONS.get(str(element.get("icon")), "⋯")
    return f'<button type="button" class="icon-button" {attributes(element, block_id, **more)}>{icon}</button>'


def _feedback_buttons(element: Json, block_id: str, names: Names, label: str) -> str:
    html = ""
    for key, icon in (("positive_button", "👍"), ("negative_button", "👎")):
        choice = element.get(key)
        if not isinstance(choice, dict):
            continue
        words = str(choice.get("accessibility_label") or plain(choice.get("text")))
        more = {"data_value": str(choice.get("value") or ""), "aria_label": words, "title": words}
        html += (
            f'<button type="button" class="icon-button feedback" {attributes(element, block_id, **more)}>'
            f"{icon}</button>"
        )
    return f'<span class="feedback-buttons" role="group" aria-label="Feedback">{html}</span>'


def _field(element: Json, block_id: str, names: Names, label: str) -> str:
    kind = str(element["type"])
    initial = escape(str(element.get(_INITIAL.get(kind, "initial_value")) or ""))
    placeholder = escape(plain(element.get("placeholder")))
    limits = "".join(
        f' {name}="{escape(str(element[key]))}"'
        for name, key in (("maxlength", "max_length"), ("min", "min_value"), ("max", "max_value"))
        if element.get(key) is not None
    )
    shared = f'{attributes(element, block_id, aria_label=label)} placeholder="{placeholder}"{limits}'
    if element.get("multiline"):
        return f'<textarea class="field" rows="4" {shared}>{initial}</textarea>'
    if kind == "number_input" and element.get("is_decimal_allowed"):
        shared += ' step="any"'
    return f'<input class="field" type="{_FIELDS[kind]}" value="{initial}" autocomplete="off" {shared}>'


def _select(element: Json, block_id: str, names: Names, label: str) -> str:
    kind = str(element["type"])
    several = kind.startswith("multi_")
    initial = _initial_values(element)
    if "users" in kind:
        options = [(user_id, f"@{name}") for user_id, name in names.users.items()]
    elif "channels" in kind or "conversations" in kind:
        options = [(channel_id, f"#{name}") for channel_id, name in names.channels.items()]
    else:
        return _option_select(element, block_id, names, label, initial, several)
    rows = "".join(_option_row(value, words, value in initial) for value, words in options)
    return _select_box(element, block_id, label, rows, several)


def _option_select(element: Json, block_id: str, names: Names, label: str, initial: set[str], several: bool) -> str:
    def rows(options: Any) -> str:
        return "".join(
            _option_row(
                str(option.get("value")), plain(option.get("text")), str(option.get("value")) in initial, option
            )
            for option in objects(options)
        )

    html = rows(element.get("options") or [element.get("initial_option")])
    for group in objects(element.get("option_groups")):
        html += f'<optgroup label="{escape(plain(group.get("label")))}">{rows(group.get("options"))}</optgroup>'
    box = _select_box(element, block_id, label, html, several)
    if "external" not in str(element["type"]):
        return box
    name = f'aria-label="Search: {escape(label)}" placeholder="Type to search"'
    query = f'<input class="field query" type="search" data-query {name}>'
    return f'<span class="external">{query}{box}</span>'


def _select_box(element: Json, block_id: str, label: str, rows: str, several: bool) -> str:
    words = escape(plain(element.get("placeholder")) or "Choose…")
    first = "" if several else f'<option value="">{words}</option>'
    multiple = " multiple size=4" if several else ""
    name = attributes(element, block_id, aria_label=label or plain(element.get("placeholder")) or "Choose")
    return f'<select class="field"{multiple} {name}>{first}{rows}</select>'


def _option_row(value: str, words: str, selected: bool, option: Json | None = None) -> str:
    data = f' data-option="{escape(json.dumps(option))}"' if option else ""
    return f'<option value="{escape(value)}"{data}{" selected" if selected else ""}>{escape(words)}</option>'


def _initial_values(element: Json) -> set[str]:
    names = ("initial_user", "initial_channel", "initial_conversation")
    values = {str(element[name]) for name in names if element.get(name)}
    for name in names:
        values |= {str(value) for value in items(element.get(f"{name}s"))}
    chosen = [element.get("initial_option"), *items(element.get("initial_options"))]
    return values | {str(option.get("value")) for option in objects(chosen)}


def _overflow(element: Json, block_id: str, names: Names, label: str) -> str:
    rows = "".join(
        f'<button type="button" role="menuitem" data-option="{escape(json.dumps(option))}" '
        f"{attributes(element, block_id)}>{escape(plain(option.get('text')))}</button>"
        for option in objects(element.get("options"))
    )
    return (
        '<details class="overflow"><summary class="icon-button" aria-label="More options">⋯</summary>'
        f'<div class="menu" role="menu">{rows}</div></details>'
    )


def _choices(element: Json, block_id: str, names: Names, label: str) -> str:
    kind = "checkbox" if element["type"] == "checkboxes" else "radio"
    initial = _initial_values(element)
    name = escape(f"{block_id}/{element.get('action_id')}")
    html = ""
    for option in objects(element.get("options")):
        checked = " checked" if str(option.get("value")) in initial else ""
        description = text(option.get("description"), names)
        note = f'<span class="hint">{description}</span>' if description else ""
        html += (
            f'<label class="choice"><input type="{kind}" name="{name}"{checked} '
            f'data-option="{escape(json.dumps(option))}"><span>{text(option.get("text"), names)}{note}</span></label>'
        )
    role = "radiogroup" if kind == "radio" else "group"
    return f'<div class="choices" role="{role}" {attributes(element, block_id, aria_label=label)}>{html}</div>'


def _image(element: Json, block_id: str, names: Names, label: str) -> str:
    words = str(element.get("alt_text") or "image")
    return f'<span class="image-chip" role="img" aria-label="{escape(words)}" title="{escape(words)}">🖼️</span>'


_SELECTS = ("static_select", "external_select", "users_select", "conversations_select", "channels_select")
_DRAW: dict[str, Callable[[Json, str, Names, str], str]] = {
    "button": _button,
    "icon_button": _icon_button,
    "feedback_buttons": _feedback_buttons,
    "overflow": _overflow,
    "checkboxes": _choices,
    "radio_buttons": _choices,
    "image": _image,
    **dict.fromkeys(_FIELDS, _field),
    **dict.fromkeys(_SELECTS, _select),
    **dict.fromkeys([f"multi_{kind}" for kind in _SELECTS], _select),
}
