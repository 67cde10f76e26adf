"""What Slack sends and Bolt itself would stumble over: acknowledged, for it would be the same at every delivery."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import structlog
from slack_bolt.middleware.async_middleware import AsyncMiddleware
from slack_bolt.request.async_request import AsyncBoltRequest
from slack_bolt.response import BoltResponse
from yarl import URL

from bot.slack.hosts import SlackHosts
from bot.slack.payloads import ADDRESS

log = structlog.get_logger(__name__)

INTERACTIONS = frozenset(
    {"block_actions", "block_suggestion", "message_action", "shortcut", "view_closed", "view_submission"}
)
PARTS = ("channel", "container", "message", "state", "view")
"""Of an interaction: each may be missing, and else is an object."""


class IgnoreUnreadable(AsyncMiddleware):
    """Stands before all listeners. What it lets through has what a listener is chosen and answered by, and is answered
    at Slack."""

    def __init__(self, hosts: SlackHosts) -> None:
        self._hosts = hosts

    async def async_process(
        self, *, req: AsyncBoltRequest, resp: BoltResponse, next: Callable[[], Awaitable[BoltResponse]]
    ) -> BoltResponse | None:
        fault = fault_of(req.body) or self._elsewhere(req.body)
        if fault is None:
            return await next()
        log.warning("not_understood", reason=fault)
        return BoltResponse(status=200)

    def _elsewhere(self, body: Mapping[str, Any]) -> str | None:
        """Slack names no other host. Who could sign as Slack does could have answers sent anywhere, and anything asked
        inside the network."""
        url = body.get("response_url")
        try:
            is_slacks = url is None or self._hosts.are_called(URL(url))
        except ValueError:
            is_slacks = False
        return None if is_slacks else "The address for answers is not at Slack."


def fault_of(body: Mapping[str, Any]) -> str | None:
    """A sentence about a request whose kind, or whose address for answers, cannot be read. Pure."""
    kind, event, url = body.get("type"), body.get("event"), body.get("response_url")
    if not isinstance(kind, str | None):
        return "It is of no kind."
    if ("event" in body or kind == "event_callback") and not _has(event, "type"):
        return "An event has no type."
    if "command" in body and not _has(body, "command"):
        return "A command has no name."
    if kind == "block_actions":
        actions = body.get("actions")
        if not isinstance(actions, list) or not actions or not _has(actions[0], "action_id"):
            return "A click has no action."
    asked = ("callback_id", "type") if kind == "view_submission" else ("callback_id",)
    if kind in ("view_submission", "view_closed") and not _has(body.get("view"), *asked):
        return "A form has no name, or is of no kind."
    if kind in ("shortcut", "message_action") and not _has(body, "callback_id"):
        return "A shortcut has no name."
    if kind == "block_suggestion" and not _has(body, "action_id"):
        return "A menu has no name."
    if kind in INTERACTIONS and not _has(body.get("user"), "id"):
        return "An interaction has no user."
    if kind in INTERACTIONS and not all(isinstance(body.get(name) or {}, Mapping) for name in PARTS):
        return "A part of an interaction is no object."
    if url is not None and not (isinstance(url, str) and ADDRESS.fullmatch(url)):
        return "The address for answers is none."
    return None


def _has(part: object, *names: str) -> bool:
    return isinstance(part, Mapping) and all(isinstance(part.get(name), str) for name in names)
