"""Slack's limits on the interactive elements of blocks. Pure.

Source: docs.slack.dev/reference/block-kit/block-elements and /composition-objects.
"""

from collections.abc import Iterator
from typing import Any

from bot.local.workspace.records import Json

IN_CONTEXT_ACTIONS = frozenset(("feedback_buttons", "icon_button"))
ICONS = ("trash",)
"""The only icon that there is."""

INPUT_TEXT_LIMIT = 3000
"""Of a plain_text_input, what stands in it at first included."""

_STRING_LIMIT = {"action_id": 255, "value": 2000, "url": 3000}
_BUTTON_TEXT_LIMIT = 75
_PLACEHOLDER_LIMIT = 150
_OPTION_TEXT_LIMIT, _OPTION_VALUE_LIMIT = 75, 150
_CONFIRM_LIMIT = {"title": 100, "text": 300, "confirm": 30, "deny": 30}
_OPTIONS_LIMIT = {
    "checkboxes": 10,
    "radio_buttons": 10,
    "overflow": 5,
    "static_select": 100,
    "multi_static_select": 100,
}
Faults = Iterator[tuple[str, str]]
"""(what is wrong, where: the end of a JSON pointer) each."""


def faults_of_element(element: Json, block_type: str) -> Faults:
    """What Slack would not take of an element that stands in a block of this type."""
    kind = element.get("type")
    if not isinstance(kind, str):
        yield "missing required field: type", ""
        return
    if (kind in IN_CONTEXT_ACTIONS) != (block_type == "context_actions"):
        yield f"unsupported type: {kind}", "/type"
    yield from faults_of_strings(element, _STRING_LIMIT)
    if element.get("confirm") is not None:
        yield from _faults_of_confirm(element["confirm"])
    if element.get("placeholder") is not None:
        yield from faults_of_text(element["placeholder"], _PLACEHOLDER_LIMIT, "/placeholder")
    if kind in ("button", "icon_button"):
        yield from _faults_of_label(element, "/text")
    if kind == "icon_button" and element.get("icon") not in ICONS:
        yield f"must be a valid enum value: {', '.join(ICONS)}", "/icon"
    if kind == "feedback_buttons":
        for name in ("positive_button", "negative_button"):
            yield from _faults_of_feedback_button(element.get(name), f"/{name}")
    if kind == "plain_text_input":
        yield from faults_of_strings(element, {"initial_value": INPUT_TEXT_LIMIT})
        most = element.get("max_length", INPUT_TEXT_LIMIT)
        if not isinstance(most, int) or not 0 < most <= INPUT_TEXT_LIMIT:
            yield f"must be less than {INPUT_TEXT_LIMIT + 1}", "/max_length"
    if kind in _OPTIONS_LIMIT and not element.get("option_groups"):
        yield from _faults_of_options(element.get("options"), _OPTIONS_LIMIT[kind])


def _faults_of_label(button: Json, where: str) -> Faults:
    if button.get("text") is None:
        yield "missing required field: text", where.removesuffix("/text")
    else:
        yield from faults_of_text(button["text"], _BUTTON_TEXT_LIMIT, where)


def _faults_of_feedback_button(button: Any, where: str) -> Faults:
    if not isinstance(button, dict):
        yield f"missing required field: {where[1:]}", ""
        return
    yield from _faults_of_label(button, f"{where}/text")
    if not button.get("value"):
        yield "missing required field: value", where


def _faults_of_options(options: Any, limit: int) -> Faults:
    if not isinstance(options, list) or not 0 < len(options) <= limit:
        yield f"must provide 1 to {limit} items", "/options"
        return
    for index, option in enumerate(options):
        where = f"/options/{index}"
        if not isinstance(option, dict) or not isinstance(option.get("value"), str):
            yield "must provide a text and a value", where
            continue
        yield from faults_of_text(option.get("text"), _OPTION_TEXT_LIMIT, f"{where}/text")
        yield from faults_of_strings(option, {"value": _OPTION_VALUE_LIMIT}, where)


def _faults_of_confirm(confirm: Any) -> Faults:
    if not isinstance(confirm, dict):
        yield "must provide an object", "/confirm"
        return
    for name, limit in _CONFIRM_LIMIT.items():
        if confirm.get(name) is not None:
            yield from faults_of_text(confirm[name], limit, f"/confirm/{name}")


def faults_of_text(text: Any, limit: int, where: str) -> Faults:
    """Of a text object ({"type": "plain_text" | "mrkdwn", "text"})."""
    if not isinstance(text, dict) or text.get("type") not in ("plain_text", "mrkdwn"):
        yield "must provide an object with type plain_text or mrkdwn", where
    elif not text.get("text"):
        yield "must be more than 0 characters", f"{where}/text"
    else:
        yield from faults_of_strings(text, {"text": limit}, where)


def faults_of_strings(record: Json, limits: dict[str, int], where: str = "") -> Faults:
    """Of the texts that `record` has under these names, none longer than its limit."""
    for name, limit in limits.items():
        value = record.get(name)
        if value is None:
            continue
        if not isinstance(value, str):
            yield "must provide a string", f"{where}/{name}"
        elif len(value) > limit:
            yield f"must be less than {limit + 1} characters", f"{where}/{name}"
