"""Blocks as Slack keeps them: with an id on each, and on each of their interactive elements. Pure."""

import secrets
from copy import deepcopy
from typing import Any

from bot.local.workspace.records import Json

_INTERACTIVE_BLOCKS = frozenset(("section", "actions", "input", "context_actions"))
"""Where elements stand that a person can use. Images can stand in a section too."""


def new_block_id() -> str:
    return secrets.token_urlsafe(4)[:5]


def with_ids(blocks: list[Json]) -> list[Json]:
    """The blocks with a block_id where the app gave none, and an action_id on interactive elements."""
    blocks = deepcopy(blocks)
    for block in blocks:
        block.setdefault("block_id", new_block_id())
        if block.get("type") in _INTERACTIVE_BLOCKS:
            for element in elements_of(block):
                if element.get("type") != "image":
                    element.setdefault("action_id", new_block_id())
    return blocks


def elements_of(block: Json) -> list[Json]:
    """The elements that stand directly in a block."""
    inside: list[Any] = [block.get("accessory"), block.get("element")]
    elements = block.get("elements")
    inside += elements if isinstance(elements, list) else []
    return [element for element in inside if isinstance(element, dict)]
