"""What streamed chunks do to a message. Pure.

Kinds of chunk: `markdown_text` {text}, `task_update` {id, title, status, details?, output?, sources?},
`plan_update` {title}, `blocks` {blocks}.
"""

from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any

from bot.local.workspace.records import Json
from bot.local.workspace.refusals import StreamError
from bot.local.workspace.timeline.blocks import new_block_id, with_ids

CHUNK_TEXT_LIMIT = 12_000
"""Characters of Markdown in one call or chunk."""

CHUNK_BLOCKS_LIMIT = 50
TASK_STATUSES = ("pending", "in_progress", "complete", "error")


def apply_chunks(message: Json, chunks: Sequence[Json], display_mode: str) -> Json:
    """The message with the chunks added. Raises StreamError (invalid_chunks, msg_too_long, …)."""
    message = deepcopy(message)
    blocks: list[Json] = message.get("blocks", [])
    for chunk in chunks:
        apply = _KINDS.get(str(chunk.get("type"))) if isinstance(chunk, dict) else None
        if apply is None:
            raise StreamError("invalid_chunks", f"unsupported chunk: {_kind(chunk)}")
        apply(message, blocks, chunk, display_mode)
    if blocks:
        message["blocks"] = blocks
    return message


def _kind(chunk: Any) -> str:
    return str(chunk.get("type")) if isinstance(chunk, dict) else type(chunk).__name__


def _add_text(message: Json, blocks: list[Json], chunk: Json, display_mode: str) -> None:
    text = _string(chunk, "text")
    if len(text) > CHUNK_TEXT_LIMIT:
        raise StreamError("msg_too_long")
    message["text"] += text
    if not blocks or blocks[-1]["type"] != "markdown":
        blocks.append({"type": "markdown", "block_id": new_block_id(), "text": ""})
    blocks[-1]["text"] += text


def _update_task(message: Json, blocks: list[Json], chunk: Json, display_mode: str) -> None:
    """Details and output are added to, the rest takes the place of what was there."""
    task_id, title = _string(chunk, "id"), _string(chunk, "title")
    if chunk.get("status") not in TASK_STATUSES:
        raise StreamError("invalid_chunks", f"task status must be one of {', '.join(TASK_STATUSES)}")
    tasks = _plan(blocks)["tasks"] if display_mode == "plan" else blocks
    task = next((card for card in tasks if card.get("task_id") == task_id), None)
    if task is None:
        task = {"type": "task_card", "block_id": new_block_id(), "task_id": task_id}
        tasks.append(task)
    task |= {"title": title, "status": chunk["status"]}
    for name in ("details", "output"):
        if chunk.get(name) is not None:
            _lengthen(task, name, _string(chunk, name))
    if isinstance(chunk.get("sources"), list):
        task["sources"] = chunk["sources"]


def _lengthen(task: Json, name: str, text: str) -> None:
    """Add text to a rich_text passage of a task."""
    empty = {"type": "rich_text", "elements": [{"type": "rich_text_section", "elements": []}]}
    passage = task.setdefault(name, empty)["elements"][0]["elements"]
    passage.append({"type": "text", "text": text})


def _update_plan(message: Json, blocks: list[Json], chunk: Json, display_mode: str) -> None:
    _plan(blocks)["title"] = _string(chunk, "title")


def _plan(blocks: list[Json]) -> Json:
    """The message's plan, begun here if there is none."""
    for block in blocks:
        if block["type"] == "plan":
            return block
    blocks.append({"type": "plan", "block_id": new_block_id(), "title": "", "tasks": []})
    return blocks[-1]


def _add_blocks(message: Json, blocks: list[Json], chunk: Json, display_mode: str) -> None:
    added = chunk.get("blocks")
    if not isinstance(added, list):
        raise StreamError("invalid_chunks", "missing required field: blocks")
    if not all(isinstance(block, dict) and isinstance(block.get("type"), str) for block in added):
        raise StreamError("invalid_blocks", "each block must be an object with a type")
    blocks += with_ids(added)
    if sum(block["type"] not in ("markdown", "task_card", "plan") for block in blocks) > CHUNK_BLOCKS_LIMIT:
        raise StreamError("msg_blocks_too_many")


def _string(chunk: Json, name: str) -> str:
    value = chunk.get(name)
    if not isinstance(value, str):
        raise StreamError("invalid_chunks", f"missing required field: {name}")
    return value


_KINDS: dict[str, Callable[[Json, list[Json], Json, str], None]] = {
    "markdown_text": _add_text,
    "task_update": _update_task,
    "plan_update": _update_plan,
    "blocks": _add_blocks,
}
