"""What Slack sends, read field by field: a field is as it must be, or the whole is not understood. Pure."""

import re
from collections.abc import Mapping
from typing import Any

from bot.errors import NotUnderstood

ID = re.compile(r"[\w.:-]{1,255}", re.ASCII)
"""Ids of users, channels and triggers. They become parts of the store's keys, in which "/" separates."""

ADDRESS = re.compile(r"https?://[!-~]{1,2000}", re.ASCII)
TIMESTAMP = re.compile(r"\d{1,10}\.\d{1,6}", re.ASCII)
LONE_SURROGATES = re.compile(r"[\ud800-\udfff]")


def identifier(payload: Mapping[str, Any], name: str) -> str:
    """The id under `name`. Raises NotUnderstood without one."""
    return _matching(ID, payload, name)


def timestamp(payload: Mapping[str, Any], name: str) -> str:
    """Slack's `ts` under `name`. Raises NotUnderstood without one."""
    return _matching(TIMESTAMP, payload, name)


def address(payload: Mapping[str, Any], name: str) -> str:
    """The URL under `name`. Raises NotUnderstood without one."""
    return _matching(ADDRESS, payload, name)


def text(payload: Mapping[str, Any], name: str) -> str:
    """The text under `name`, empty where it is null or missing. Raises NotUnderstood for anything else.

    JSON can carry halves of surrogate pairs, which no UTF-8 can: they become U+FFFD.
    """
    value = payload.get(name)
    if not isinstance(value, str | None):
        raise NotUnderstood(name)
    return LONE_SURROGATES.sub("\ufffd", value or "")


def _matching(pattern: re.Pattern[str], payload: Mapping[str, Any], name: str) -> str:
    value = payload.get(name)
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise NotUnderstood(name)
    return value
