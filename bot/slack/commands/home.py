"""Dolly's App Home: who it is, how to ask, a person's settings and conversations, what is kept and for how long."""

from collections.abc import Awaitable, Callable
from typing import Any

import structlog
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.engines import InService
from bot.errors import StoreUnavailable
from bot.preferences import Preferences
from bot.slack import blocks
from bot.slack.afterwards import Afterwards
from bot.slack.client import UNREACHABLE, failure
from bot.slack.commands.forget_list import ForgetList
from bot.slack.commands.settings import SETTINGS, length_words, own_name
from bot.slack.in_service import model_line
from bot.slack.mrkdwn import one_line
from bot.slack.payloads import identifier
from bot.slack.people import WordsOf
from bot.store.connection import store_errors
from bot.store.preferences import PreferenceStore
from bot.words import Words

log = structlog.get_logger(__name__)

STORE_SECONDS = 5.0
"""Nobody waits for an acknowledgement any more."""
SHOWN_CHARACTERS = 2_000
"""Of one's own instructions, as sent; the paragraph that they stand in may have 3,000."""


class Home:
    """Draws the home tab when somebody opens it, and anew when something on it has changed."""

    def __init__(
        self,
        client: AsyncWebClient,
        words_of: WordsOf,
        forget_list: ForgetList,
        preferences: PreferenceStore,
        in_service: Callable[[], Awaitable[InService]],
        afterwards: Afterwards,
        *,
        memory_days: float,
    ) -> None:
        self._client = client
        self._words_of = words_of
        self._forget_list = forget_list
        self._preferences = preferences
        self._in_service = in_service
        self._memory_days = memory_days
        self._afterwards = afterwards

    async def opened(self, event: dict[str, Any]) -> None:
        """Listener of `app_home_opened`. Drawing is not worth a redelivery, so it goes on after the acknowledgement."""
        if event.get("tab") == "home":
            self.draw_soon(identifier(event, "user"))

    def draw_soon(self, user_id: str, sentence: str = "") -> None:
        """Draw it in the background."""
        self._afterwards.do(self.draw(user_id, sentence))

    async def draw(self, user_id: str, sentence: str = "") -> None:
        """Draw it, with `sentence` about what has just been done on top."""
        words = await self._words_of(user_id)
        view = blocks.home([*([blocks.section(sentence)] if sentence else []), *await self._blocks(user_id, words)])
        try:
            await self._client.views_publish(user_id=user_id, view=view)
        except (SlackApiError, *UNREACHABLE) as error:
            log.warning("home_not_drawn", reason=str(failure("views.publish", error)))

    async def _blocks(self, user_id: str, words: Words) -> list[blocks.Block]:
        head = [blocks.header(words.say("home_title")), blocks.section(words.say("home_text"))]
        try:
            async with store_errors(STORE_SECONDS):
                preferences = await self._preferences.of_person(user_id)
                conversations = await self._forget_list.drawn(user_id, words)
        except StoreUnavailable as error:
            log.warning("home_without_store", reason=str(error))
            own = [blocks.section(words.say("home_no_store"))]
        else:
            own = [*_settings(preferences, words), *conversations]
        return [*head, blocks.divider(), *own, blocks.divider(), *await self._about(words)]

    async def _about(self, words: Words) -> list[blocks.Block]:
        """What writes the answers, what is stored, and for how long."""
        days, service = self._memory_days, await self._in_service()
        kept = words.say("home_kept", count=days) if days else words.say("home_kept_always")
        lines = [model_line(service, words)] if service.model else []
        return [blocks.header(words.say("home_about")), blocks.section("\n".join([*lines, kept]))]


def _settings(preferences: Preferences, words: Words) -> list[blocks.Block]:
    """How the person is answered now, and a button to change it."""
    language = own_name(preferences.language) if preferences.language else words.say("settings_language_of_question")
    said = words.say("home_settings", length=length_words(preferences.answer_length, words), language=language)
    if preferences.instructions:
        said += "\n> " + one_line(preferences.instructions, SHOWN_CHARACTERS)
    button = blocks.button(words.say("home_change"), SETTINGS)
    return [blocks.header(words.say("settings_title")), blocks.section(said, accessory=button)]
