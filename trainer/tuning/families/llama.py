"""Llama."""

from typing import Any


def prepare(model: Any) -> None:
    pass
