"""Block Kit, as far as Dolly draws with it. Pure."""

from typing import Any

Block = dict[str, Any]


def section(mrkdwn: str) -> Block:
    """A paragraph."""
    return {"type": "section", "text": {"type": "mrkdwn", "text": mrkdwn}}


def header(text: str) -> Block:
    """A headline in plain text, at most 150 characters."""
    return {"type": "header", "text": {"type": "plain_text", "text": text}}


def context(mrkdwn: str) -> Block:
    """A small grey line."""
    return {"type": "context", "elements": [{"type": "mrkdwn", "text": mrkdwn}]}


def home(blocks: list[Block]) -> dict[str, Any]:
    """The view of the App Home's first tab."""
    return {"type": "home", "blocks": blocks}
