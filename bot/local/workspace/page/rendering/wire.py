"""Reading what an app sent, of which nothing is certain but that it was JSON."""

from typing import Any

Json = dict[str, Any]


def items(value: Any) -> list[Any]:
    """A list as it is; nothing for anything else."""
    return value if isinstance(value, list) else []


def objects(value: Any) -> list[Json]:
    """The objects of a list; nothing for anything else."""
    return [item for item in items(value) if isinstance(item, dict)]
