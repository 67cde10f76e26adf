"""What Slack sends, read field by field: a field is as it must be, or the whole is not understood. Pure."""

import re
from collections.abc import Mapping
from typing import Any

from bot.errors import NotUnderstood

ID = re.compile(r"[\w.:-]{1,255}", re.ASCII)
"""Ids of users, channels and triggers. They become parts of the store's keys, in which "/" separates."""

ADDRESS = re.compile(r"https?://[!-~]{1,2000}", re.ASCII)
TEAM_ID = re.compile(r"T\w{1,254}", re.ASCII)
"""Of a workspace; an organisation's begins with E."""
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
    value = payload.get(name) if isinstance(payload, Mapping) else NotUnderstood
    if not isinstance(value, str | None):
        raise NotUnderstood(name)
    return LONE_SURROGATES.sub("\ufffd", value or "")


def team(payload: object, *names: str) -> str:
    """The first team's id under one of `names`, where there may be an organisation's or none; "" where no team's is."""
    values = [payload.get(name) for name in names] if isinstance(payload, Mapping) else []
    return next((value for value in values if isinstance(value, str) and TEAM_ID.fullmatch(value)), "")


def clicked(body: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """Who clicked, and on what. Raises NotUnderstood."""
    actions, user = body.get("actions"), body.get("user")
    if not isinstance(actions, list) or not actions or not isinstance(actions[0], dict) or not isinstance(user, dict):
        raise NotUnderstood("actions")
    return identifier(user, "id"), actions[0]


def selected(view: Mapping[str, Any], name: str) -> str:
    """What was chosen in the control `name`, in the block of the same name, of a submitted form."""
    option = _control(view, name).get("selected_option")
    return text(option, "value") if isinstance(option, Mapping) else ""


def checked(view: Mapping[str, Any], name: str) -> frozenset[str]:
    """What is ticked in the boxes `name`, in the block of the same name, of a submitted form."""
    options = _control(view, name).get("selected_options")
    if not isinstance(options, list) or not all(isinstance(option, Mapping) for option in options):
        raise NotUnderstood(name)
    return frozenset(text(option, "value") for option in options)


def typed(view: Mapping[str, Any], name: str) -> str:
    """What was written into the box `name`, in the block of the same name, of a submitted form."""
    return text(_control(view, name), "value").strip()


def _control(view: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found: Any = view
    for step in ("state", "values", name, name):
        found = found.get(step) if isinstance(found, Mapping) else None
    if not isinstance(found, Mapping):
        raise NotUnderstood(name)
    return found


def _matching(pattern: re.Pattern[str], payload: Mapping[str, Any], name: str) -> str:
    value = payload.get(name) if isinstance(payload, Mapping) else None
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise NotUnderstood(name)
    return value
