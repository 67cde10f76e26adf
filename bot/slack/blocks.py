"""Block Kit, as far as Dolly draws with it. Pure."""

from typing import Any

Block = dict[str, Any]


def section(mrkdwn: str, accessory: Block | None = None) -> Block:
    """A paragraph, with an element beside it."""
    paragraph: Block = {"type": "section", "text": {"type": "mrkdwn", "text": mrkdwn}}
    return paragraph | {"accessory": accessory} if accessory else paragraph


def header(text: str) -> Block:
    """A headline in plain text, at most 150 characters."""
    return {"type": "header", "text": {"type": "plain_text", "text": text}}


def context(mrkdwn: str) -> Block:
    """A small grey line."""
    return {"type": "context", "elements": [{"type": "mrkdwn", "text": mrkdwn}]}


def actions(elements: list[Block]) -> Block:
    """A row of buttons."""
    return {"type": "actions", "elements": elements}


def button(text: str, action_id: str, *, value: str = "", confirm: Block | None = None) -> Block:
    """A button; with `confirm`, Slack asks before it tells of the click."""
    element: Block = {"type": "button", "action_id": action_id, "text": {"type": "plain_text", "text": text}}
    return element | ({"value": value} if value else {}) | ({"confirm": confirm} if confirm else {})


def confirmation(*, title: str, text: str, confirm: str, deny: str) -> Block:
    """What Slack asks before it tells of a click that cannot be undone."""
    words = {"title": title, "text": text, "confirm": confirm, "deny": deny}
    return {name: {"type": "plain_text", "text": value} for name, value in words.items()} | {"style": "danger"}


def home(blocks: list[Block]) -> dict[str, Any]:
    """The view of the App Home's first tab."""
    return {"type": "home", "blocks": blocks}
