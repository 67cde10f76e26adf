"""Slack's limits on blocks. Pure.

`check_message_blocks` and `check_view` raise Refused (invalid_blocks, msg_blocks_too_long, invalid_arguments …)
with messages that point at the fault, as Slack does. Sources: docs.slack.dev/reference/block-kit, and for the
total size what clients have seen.
"""

import json
from collections.abc import Iterator
from typing import Any

from bot.local.workspace.records import Json
from bot.local.workspace.refusals import Refused
from bot.local.workspace.timeline.blocks import elements_of
from bot.local.workspace.timeline.element_rules import Faults, faults_of_element, faults_of_strings, faults_of_text

MESSAGE_BLOCKS_LIMIT, VIEW_BLOCKS_LIMIT = 50, 100
MESSAGE_TEXT_LIMIT = 13_200
"""Characters of text in all blocks of a message together."""

MARKDOWN_LIMIT = 12_000
VIEW_SIZE_LIMIT_BYTES = 250_000

BLOCK_TYPES = frozenset(
    [
        *("actions", "alert", "call", "card", "carousel", "container", "context", "context_actions"),
        *("divider", "file", "header", "image", "input", "markdown", "plan", "rich_text", "section"),
        *("table", "task_card", "video"),
    ]
)

_REQUIRED = {
    "actions": "elements",
    "context": "elements",
    "context_actions": "elements",
    "header": "text",
    "image": "alt_text",
    "input": "element",
    "markdown": "text",
    "rich_text": "elements",
}
_ELEMENTS_LIMIT = {"actions": 25, "context": 10, "context_actions": 5}
_BLOCK_TEXT_LIMIT = {"section": 3000, "header": 150, "markdown": MARKDOWN_LIMIT}
_VIEW_STRING_LIMIT = {"private_metadata": 3000, "callback_id": 255, "external_id": 255}
_VIEW_TITLE_LIMIT = 24


def check_message_blocks(blocks: list[Json]) -> None:
    """Raises Refused unless a message may have these blocks."""
    faults = list(_faults_of_blocks(blocks, MESSAGE_BLOCKS_LIMIT))
    if faults:
        raise Refused("invalid_blocks", *faults)
    markdown = sum(len(block["text"]) for block in blocks if block["type"] == "markdown")
    if markdown > MARKDOWN_LIMIT or sum(map(_text_length, blocks)) > MESSAGE_TEXT_LIMIT:
        raise Refused("msg_blocks_too_long")


def check_view(view: Json, *types: str) -> None:
    """Raises Refused unless the view is of one of these types (modal, home) and Slack would show it."""
    faults = list(_faults_of_view(view, types))
    if faults:
        raise Refused("invalid_arguments", *faults)
    if len(json.dumps(view).encode()) > VIEW_SIZE_LIMIT_BYTES:
        raise Refused("view_too_large")


def _faults_of_view(view: Json, types: tuple[str, ...]) -> Iterator[str]:
    if view.get("type") not in types:
        yield _fault(f"must be a valid enum value: {', '.join(types)}", "/view/type")
    yield from _placed(faults_of_strings(view, _VIEW_STRING_LIMIT, "/view"))
    for name in ("title", "submit", "close"):
        if view.get(name) is not None:
            yield from _placed(faults_of_text(view[name], _VIEW_TITLE_LIMIT, f"/view/{name}"))
    blocks = view.get("blocks")
    if not isinstance(blocks, list):
        yield _missing("blocks", "/view")
        return
    yield from _faults_of_blocks(blocks, VIEW_BLOCKS_LIMIT, "/view/blocks")
    if view.get("type") == "modal":
        if view.get("title") is None:
            yield _missing("title", "/view")
        has_inputs = any(isinstance(block, dict) and block.get("type") == "input" for block in blocks)
        if has_inputs and view.get("submit") is None:
            yield _missing("submit", "/view")


def _faults_of_blocks(blocks: list[Any], limit: int, place: str = "/blocks") -> Iterator[str]:
    if len(blocks) > limit:
        yield _fault(f"no more than {limit} items allowed", place)
    seen: set[str] = set()
    for index, block in enumerate(blocks):
        where = f"{place}/{index}"
        kind = block.get("type") if isinstance(block, dict) else None
        if not isinstance(kind, str) or kind not in BLOCK_TYPES:
            yield _fault(f"unsupported type: {kind}", f"{where}/type")
            continue
        yield from _faults_of_block(block, where)
        block_id = block.get("block_id")
        if isinstance(block_id, str) and block_id in seen:
            yield _fault(f"block_id {block_id} already exists", where)
        seen.add(str(block_id))


def _faults_of_block(block: Json, where: str) -> Iterator[str]:
    kind = block["type"]
    required = _REQUIRED.get(kind)
    if required is not None and not block.get(required):
        yield _missing(required, where)
        return
    if kind == "section" and not block.get("text") and not block.get("fields"):
        yield _missing("text or fields", where)
    yield from _placed(faults_of_strings(block, {"block_id": 255}, where))
    if kind == "markdown":
        yield from _placed(faults_of_strings(block, {"text": MARKDOWN_LIMIT}, where))
    elif block.get("text") is not None and kind in _BLOCK_TEXT_LIMIT:
        yield from _placed(faults_of_text(block["text"], _BLOCK_TEXT_LIMIT[kind], f"{where}/text"))
    if kind in _ELEMENTS_LIMIT:
        if not isinstance(block["elements"], list):
            yield _fault("must provide an array", f"{where}/elements")
        elif len(block["elements"]) > _ELEMENTS_LIMIT[kind]:
            yield _fault(f"no more than {_ELEMENTS_LIMIT[kind]} items allowed", f"{where}/elements")
    for index, element in enumerate(elements_of(block)):
        yield from _placed(faults_of_element(element, kind), f"{where}/elements/{index}")


def _placed(faults: Faults, where: str = "") -> Iterator[str]:
    return (_fault(message, f"{where}{place}") for message, place in faults)


def _text_length(value: Any) -> int:
    """Characters under every key `text`, however deep."""
    if isinstance(value, dict):
        return sum(
            len(inside) if name == "text" and isinstance(inside, str) else _text_length(inside)
            for name, inside in value.items()
        )
    return sum(map(_text_length, value)) if isinstance(value, list) else 0


def _missing(name: str, where: str) -> str:
    return _fault(f"missing required field: {name}", where)


def _fault(message: str, where: str) -> str:
    return f"[ERROR] {message} [json-pointer:{where}]"
