"""Slack's history, read page by page: whoever is being answered comes first."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import structlog
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.errors import SlackError
from bot.slack.client import UNREACHABLE, at_priority, failure
from bot.slack.pacing import Priority

log = structlog.get_logger(__name__)

Json = dict[str, Any]

PAGE_MESSAGES = 200
KINDS = ("im", "mpim", "private_channel", "public_channel")
"""Conversations by Slack's names for their kinds, in the order in which they are read."""


@dataclass(frozen=True, slots=True)
class Channel:
    """A place that Dolly is a member of."""

    id: str
    is_direct: bool


@dataclass(frozen=True, slots=True)
class Listing:
    """The places that Dolly is a member of, as far as Slack lists them."""

    channels: list[Channel]
    refusals: tuple[SlackError, ...] = ()
    """Of kinds that could not be listed (to the end): which places of those there are is not known."""


class History:
    """Reads what was said. Methods raise SlackError where Slack refuses, SlackUnreachable where it may work later."""

    def __init__(self, client: AsyncWebClient) -> None:
        self._client = at_priority(client, Priority.CATCH_UP)

    async def channels(self) -> Listing:
        """Where Dolly is a member. A kind that Slack refuses to list does not keep the others from being listed."""
        found, refusals = [], []
        for kind in KINDS:
            try:
                async for page in self._pages("users.conversations", types=kind, exclude_archived=True):
                    found += [Channel(each["id"], bool(each.get("is_im"))) for each in page["channels"]]
            except SlackError as error:
                log.error("channels_not_listed", kind=kind, reason=str(error))
                refusals.append(error)
        return Listing(found, tuple(refusals))

    async def pages(self, channel_id: str) -> AsyncIterator[list[Json]]:
        """What stands in a channel itself, newest first, to the end; a page is a call. Roots tell of their threads."""
        async for page in self._pages("conversations.history", channel=channel_id):
            yield page["messages"]

    async def thread(self, channel_id: str, root_ts: str, since: float) -> list[Json]:
        """A thread's root and its replies since then, oldest first; empty for a thread that is gone."""
        found: list[Json] = []
        arguments = {"channel": channel_id, "ts": root_ts, "oldest": f"{since:.6f}", "include_all_metadata": True}
        try:
            async for page in self._pages("conversations.replies", **arguments):
                found += page["messages"]
        except SlackError as error:
            if error.reason != "thread_not_found":
                raise
        return found

    async def _pages(self, method: str, **arguments: Any) -> AsyncIterator[Any]:
        cursor = ""
        while True:
            params = {**arguments, "limit": PAGE_MESSAGES, **({"cursor": cursor} if cursor else {})}
            try:
                page = await self._client.api_call(method, http_verb="GET", params=_on_the_wire(params))
            except (SlackApiError, *UNREACHABLE) as error:
                raise failure(method, error) from None
            yield page
            cursor = (page.get("response_metadata") or {}).get("next_cursor") or ""
            if not cursor:
                return


def _on_the_wire(arguments: Json) -> dict[str, str]:
    return {name: str(int(value)) if isinstance(value, bool) else str(value) for name, value in arguments.items()}
