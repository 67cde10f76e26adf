"""The direct message as Slack's agent view: what Dolly suggests to ask there; and the older assistant pane.

In the agent view people write under Messages, and each message of theirs begins a thread. Apps that are older have a
pane in which Slack begins the thread, and tells so: Dolly greets there. Either way what people write comes as messages.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any

import structlog
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.conversation import ConversationId
from bot.slack.afterwards import Afterwards
from bot.slack.answering.own_messages import metadata
from bot.slack.client import UNREACHABLE, Identity, failure
from bot.slack.payloads import identifier, timestamp
from bot.slack.people import WordsOf
from bot.store.connection import store_errors
from bot.store.marks import Marks
from bot.words import Words

log = structlog.get_logger(__name__)

STORE_SECONDS = 1.5
SUGGESTED_SECONDS = 24 * 3600.0
"""Slack keeps what was suggested; it is said again once a day, in case that it does not."""
PEOPLE_KEPT = 5_000
GREETING = "greeting"
"""In place of a question's ts in the mark of a message that answers none: nobody takes it for an answer's."""
PROMPTS = 4
"""As many as Slack shows."""


class AgentView:
    """Listeners. Suggestions are worth no redelivery, so they go out after the acknowledgement."""

    def __init__(
        self,
        client: AsyncWebClient,
        marks: Marks,
        identity: Identity,
        words_of: WordsOf,
        afterwards: Afterwards,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._marks = marks
        self._identity = identity
        self._words_of = words_of
        self._afterwards = afterwards
        self._clock = clock
        self._suggested: dict[str, tuple[str, float]] = {}
        """By person: in which language prompts were suggested, and when; the longest ago first."""

    async def opened(self, event: dict[str, Any]) -> None:
        """Listener of `app_home_opened`, where the tab Messages was opened."""
        self._afterwards.do(self._suggest_on_top(identifier(event, "user"), identifier(event, "channel")))

    async def pane_opened(self, event: dict[str, Any]) -> None:
        """Listener of `assistant_thread_started`: the older pane was opened, in a new thread."""
        found = event.get("assistant_thread")
        thread: Mapping[str, Any] = found if isinstance(found, Mapping) else {}
        user_id, channel_id = identifier(thread, "user_id"), identifier(thread, "channel_id")
        conversation = ConversationId(self._identity.home_id, channel_id, timestamp(thread, "thread_ts"))
        async with store_errors(STORE_SECONDS):
            is_first = await self._marks.is_first("greeted", conversation)
        if is_first:
            self._afterwards.do(self._greet(user_id, conversation))

    async def looked_elsewhere(self) -> None:
        """Listener of `app_context_changed` and `assistant_thread_context_changed`.

        Which channel somebody looks at beside the conversation is told to nobody: it is theirs, and no question.
        """

    async def _suggest_on_top(self, user_id: str, channel_id: str) -> None:
        words = await self._words_of(user_id)
        language, at = self._suggested.get(user_id, ("", 0.0))
        if language == words.language and self._clock() - at < SUGGESTED_SECONDS:
            return
        self._suggested.pop(user_id, None)
        if len(self._suggested) >= PEOPLE_KEPT:
            self._suggested.pop(next(iter(self._suggested)))
        self._suggested[user_id] = (words.language, self._clock())
        if not await self._suggest(words, channel_id, None):
            self._suggested.pop(user_id, None)

    async def _greet(self, user_id: str, conversation: ConversationId) -> None:
        words = await self._words_of(user_id)
        channel_id, root_ts = conversation.channel_id, conversation.root_ts
        try:
            await self._client.chat_postMessage(
                channel=channel_id,
                thread_ts=root_ts,
                text=words.say("greeting"),
                metadata=metadata(f"{conversation}/{GREETING}"),
            )
        except (SlackApiError, *UNREACHABLE) as error:
            log.warning("not_greeted", reason=str(failure("chat.postMessage", error)))
        await self._suggest(words, channel_id, root_ts)

    async def _suggest(self, words: Words, channel_id: str, thread_ts: str | None) -> bool:
        """Show what may be asked: at the top of the direct message, or in one thread of it. Whether Slack took it."""
        titles, messages = words.choices("prompt_titles"), words.choices("prompt_messages")
        prompts: list[dict[str, str]] = [
            {"title": title, "message": message} for title, message in zip(titles, messages, strict=True)
        ]
        try:
            await self._client.assistant_threads_setSuggestedPrompts(
                channel_id=channel_id, thread_ts=thread_ts, prompts=prompts[:PROMPTS]
            )
        except (SlackApiError, *UNREACHABLE) as error:
            log.info("nothing_suggested", reason=str(failure("assistant.threads.setSuggestedPrompts", error)))
            return False
        return True
