"""Dolly's App Home: who it is, how to ask, what happens to what is written."""

import asyncio
from typing import Any

import structlog
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.slack import blocks
from bot.slack.client import UNREACHABLE, failure
from bot.slack.payloads import identifier
from bot.slack.people import WordsOf
from bot.words import Words

log = structlog.get_logger(__name__)


class Home:
    """Draws the home tab when somebody opens it."""

    def __init__(self, client: AsyncWebClient, words_of: WordsOf, *, memory_days: float) -> None:
        self._client = client
        self._words_of = words_of
        self._memory_days = memory_days
        self._publishing: set[asyncio.Task[None]] = set()

    async def opened(self, event: dict[str, Any]) -> None:
        """Listener of `app_home_opened`. Drawing is not worth a redelivery, so it goes on after the acknowledgement."""
        if event.get("tab") == "home":
            task = asyncio.create_task(self._publish(identifier(event, "user")))
            self._publishing.add(task)
            task.add_done_callback(self._publishing.discard)

    async def _publish(self, user_id: str) -> None:
        view = self._view(await self._words_of(user_id))
        try:
            await self._client.views_publish(user_id=user_id, view=view)
        except (SlackApiError, *UNREACHABLE) as error:
            log.warning("home_not_drawn", reason=str(failure("views.publish", error)))

    def _view(self, words: Words) -> dict[str, Any]:
        days = self._memory_days
        return blocks.home(
            [
                blocks.header(words.say("home_title")),
                blocks.section(words.say("home_text")),
                blocks.context(words.say("home_footer", count=days) if days else words.say("home_footer_kept")),
            ]
        )
