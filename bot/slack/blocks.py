"""Block Kit, as far as Dolly draws with it. Pure."""

from collections.abc import Collection
from typing import Any

Block = dict[str, Any]
Message = dict[str, Any]
"""Text and blocks, as Slack's methods take them."""


def section(mrkdwn: str, accessory: Block | None = None) -> Block:
    """A paragraph, with an element beside it."""
    paragraph: Block = {"type": "section", "text": {"type": "mrkdwn", "text": mrkdwn}}
    return paragraph | {"accessory": accessory} if accessory else paragraph


def header(text: str) -> Block:
    """A headline in plain text, at most 150 characters."""
    return {"type": "header", "text": plain_text(text)}


def context(mrkdwn: str) -> Block:
    """A small grey line."""
    return {"type": "context", "elements": [{"type": "mrkdwn", "text": mrkdwn}]}


def divider() -> Block:
    """A thin line."""
    return {"type": "divider"}


def actions(elements: list[Block]) -> Block:
    """A row of buttons."""
    return {"type": "actions", "elements": elements}


def markdown(text: str) -> Block:
    """Text in Markdown; all such blocks of a message have at most 12,000 characters together."""
    return {"type": "markdown", "text": text}


def context_actions(elements: list[Block], block_id: str) -> Block:
    """A small row under a message, for feedback buttons."""
    return {"type": "context_actions", "block_id": block_id, "elements": elements}


def feedback_buttons(action_id: str, *, up: str, down: str) -> Block:
    """A thumb up and one down, worth "up" and "down", with what is read out of each."""

    def thumb(text: str, value: str) -> Block:
        return {"text": plain_text(text), "value": value, "accessibility_label": text}

    return {
        "type": "feedback_buttons",
        "action_id": action_id,
        "positive_button": thumb(up, "up"),
        "negative_button": thumb(down, "down"),
    }


def button(text: str, action_id: str, *, value: str = "", confirm: Block | None = None) -> Block:
    """A button; with `confirm`, Slack asks before it tells of the click."""
    element: Block = {"type": "button", "action_id": action_id, "text": plain_text(text)}
    return element | ({"value": value} if value else {}) | ({"confirm": confirm} if confirm else {})


def confirmation(*, title: str, text: str, confirm: str, deny: str) -> Block:
    """What Slack asks before it tells of a click that cannot be undone."""
    words = {"title": title, "text": text, "confirm": confirm, "deny": deny}
    return {name: plain_text(value) for name, value in words.items()} | {"style": "danger"}


def field(label: str, block_id: str, element: Block, *, hint: str = "", is_optional: bool = True) -> Block:
    """A labelled control of a form; what is chosen is found under `block_id` and the element's action id."""
    block: Block = {"type": "input", "block_id": block_id, "label": plain_text(label), "element": element}
    return block | {"optional": is_optional} | ({"hint": plain_text(hint)} if hint else {})


def text_input(action_id: str, value: str = "", *, most_characters: int) -> Block:
    """A box for several lines of text."""
    element: Block = {"type": "plain_text_input", "action_id": action_id, "multiline": True}
    element |= {"max_length": most_characters}
    return element | ({"initial_value": value} if value else {})


def option(text: str, value: str, description: str = "") -> Block:
    """Something to choose; text and description have at most 75 characters each."""
    described = {"description": plain_text(description)} if description else {}
    return {"text": plain_text(text), "value": value} | described


def choice(kind: str, action_id: str, options: list[Block], chosen: str) -> Block:
    """One of several: `kind` is Slack's `radio_buttons` or `static_select`; `chosen` is an option's value."""
    initial = next(each for each in options if each["value"] == chosen)
    return {"type": kind, "action_id": action_id, "options": options, "initial_option": initial}


def checkboxes(action_id: str, options: list[Block], chosen: Collection[str]) -> Block:
    """Any of several; `chosen` are options' values."""
    initial = [each for each in options if each["value"] in chosen]
    element: Block = {"type": "checkboxes", "action_id": action_id, "options": options}
    return element | ({"initial_options": initial} if initial else {})


def modal(callback_id: str, blocks: list[Block], *, title: str, submit: str, close: str, metadata: str = "") -> Block:
    """A form over Slack's window: `title`, `submit` and `close` have at most 24 characters each."""
    return {
        "type": "modal",
        "callback_id": callback_id,
        "title": plain_text(title),
        "submit": plain_text(submit),
        "close": plain_text(close),
        "private_metadata": metadata,
        "blocks": blocks,
    }


def home(blocks: list[Block]) -> dict[str, Any]:
    """The view of the App Home's first tab."""
    return {"type": "home", "blocks": blocks}


def plain_text(text: str) -> Block:
    """Text in which nothing is a mention, a link or an emphasis."""
    return {"type": "plain_text", "text": text}
