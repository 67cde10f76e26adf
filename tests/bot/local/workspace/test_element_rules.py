"""What Slack does not take of buttons, menus and fields."""

from typing import Any

import pytest

from bot.local.workspace.records import Json
from bot.local.workspace.refusals import Refused
from bot.local.workspace.timeline.block_rules import check_message_blocks, check_view

PLAIN = {"type": "plain_text", "text": "Words"}
OPTION = {"text": PLAIN, "value": "words"}
BUTTON = {"type": "button", "text": PLAIN}
TRASH = {"type": "icon_button", "icon": "trash", "text": PLAIN}
FEEDBACK = {
    "type": "feedback_buttons",
    "positive_button": {"text": PLAIN, "value": "good"},
    "negative_button": {"text": PLAIN, "value": "bad"},
}
INPUT = {"type": "plain_text_input"}


def plain(length: int) -> Json:
    return {"type": "plain_text", "text": "x" * length}


def in_block(element: Json, block_type: str) -> Json:
    if block_type == "input":
        return {"type": "input", "label": PLAIN, "element": element}
    return {"type": block_type, "elements": [element]}


def check(element: Json, block_type: str) -> None:
    if block_type == "input":
        check_view({"type": "modal", "title": PLAIN, "submit": PLAIN, "blocks": [in_block(element, "input")]}, "modal")
    else:
        check_message_blocks([in_block(element, block_type)])


@pytest.mark.parametrize(
    ("element", "block_type"),
    [
        (BUTTON, "actions"),
        ({**BUTTON, "confirm": {"title": PLAIN, "text": PLAIN, "confirm": PLAIN, "deny": PLAIN}}, "actions"),
        (TRASH, "context_actions"),
        (FEEDBACK, "context_actions"),
        ({"type": "overflow", "options": [OPTION]}, "actions"),
        ({"type": "static_select", "option_groups": [{"label": PLAIN, "options": [OPTION]}]}, "actions"),
        ({"type": "users_select", "placeholder": PLAIN}, "actions"),
        ({**INPUT, "initial_value": "x" * 3000, "max_length": 3000}, "input"),
    ],
)
def test_what_slack_takes(element: Json, block_type: str) -> None:
    check(element, block_type)


@pytest.mark.parametrize(
    ("element", "block_type", "fault"),
    [
        ({**TRASH, "icon": "refresh"}, "context_actions", "/icon"),
        ({"type": "icon_button", "icon": "trash"}, "context_actions", "missing required field: text"),
        (BUTTON, "context_actions", "unsupported type: button"),
        (FEEDBACK, "actions", "unsupported type: feedback_buttons"),
        (TRASH, "actions", "unsupported type: icon_button"),
        ({**FEEDBACK, "negative_button": None}, "context_actions", "missing required field: negative_button"),
        ({**FEEDBACK, "negative_button": {"text": PLAIN}}, "context_actions", "/negative_button"),
        (
            {**FEEDBACK, "negative_button": {"text": plain(76), "value": "x"}},
            "context_actions",
            "/negative_button/text",
        ),
        ({**BUTTON, "text": plain(76)}, "actions", "must be less than 76 characters"),
        ({**BUTTON, "confirm": {"title": plain(101)}}, "actions", "/confirm/title/text"),
        ({**BUTTON, "confirm": "sure?"}, "actions", "/confirm"),
        ({"type": "overflow", "options": [OPTION] * 6}, "actions", "must provide 1 to 5 items"),
        ({"type": "static_select", "options": []}, "actions", "must provide 1 to 100 items"),
        ({"type": "radio_buttons", "options": [OPTION] * 11}, "actions", "must provide 1 to 10 items"),
        ({"type": "checkboxes", "options": [{**OPTION, "text": plain(76)}]}, "actions", "/options/0/text/text"),
        ({"type": "checkboxes", "options": [{**OPTION, "value": "x" * 151}]}, "actions", "/options/0/value"),
        ({"type": "checkboxes", "options": ["one"]}, "actions", "/options/0"),
        ({"type": "users_select", "placeholder": plain(151)}, "actions", "/placeholder/text"),
        ({**INPUT, "initial_value": "x" * 3001}, "input", "/initial_value"),
        ({**INPUT, "max_length": 3001}, "input", "/max_length"),
        ({**INPUT, "max_length": "many"}, "input", "/max_length"),
        ({"type": ["button"]}, "actions", "missing required field: type"),
    ],
)
def test_what_slack_refuses(element: Any, block_type: str, fault: str) -> None:
    with pytest.raises(Refused) as refused:
        check(element, block_type)
    assert any(fault in message for message in refused.value.messages)
