"""Who administers Dolly, and who may set what holds in a channel."""

import asyncio
from collections.abc import Collection
from typing import Any

import structlog
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.slack.client import UNREACHABLE, failure
from bot.slack.people import People

log = structlog.get_logger(__name__)

ANSWER_SECONDS = 0.8
"""How long Slack is waited for: an acknowledgement hangs on the answer. Who cannot be looked up in time may nothing."""


class Authority:
    """Asks Slack. Where `admins` are named, they and nobody else administer Dolly; else the workspace's admins do."""

    def __init__(self, client: AsyncWebClient, people: People, admins: Collection[str] = ()) -> None:
        self._client = client
        self._people = people
        self._admins = frozenset(admins)

    async def is_admin(self, user_id: str) -> bool:
        """Whether they administer Dolly."""
        if self._admins:
            return user_id in self._admins
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await self._people.is_admin(user_id)
        except TimeoutError:
            return False

    async def may_set(self, user_id: str, channel_id: str) -> bool:
        """Whether they may set what holds in the channel: an admin, or who made it.

        Slack tells a bot of no channel managers but on Enterprise plans.
        """
        return await self.is_admin(user_id) or await self._creator(channel_id) == user_id

    async def _creator(self, channel_id: str) -> str:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                answer = await self._client.conversations_info(channel=channel_id)
        except (SlackApiError, *UNREACHABLE) as error:
            log.info("channel_unknown", reason=str(failure("conversations.info", error)))
            return ""
        channel: Any = answer.get("channel")
        return str(channel.get("creator") or "") if isinstance(channel, dict) else ""
