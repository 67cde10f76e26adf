"""What Slack shows around an answer that is prepared: the line "Dolly is thinking…", and a direct message's title."""

import asyncio

import structlog
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.conversation import Turn
from bot.slack.client import UNREACHABLE
from bot.slack.people import ReaderWords

log = structlog.get_logger(__name__)

TITLE_CHARACTERS = 60
"""Slack would take 200; its list of conversations shows about so many."""


class Thinking:
    """The line of one thread. An answer without it is still an answer: no method fails."""

    def __init__(self, client: AsyncWebClient, turn: Turn, words: ReaderWords) -> None:
        self._client = client
        self._turn = turn
        self._conversation = turn.conversation
        self._words = words
        self._is_shown = False

    async def show(self) -> None:
        """Show it; Slack takes it away with the first message that follows."""
        words = await self._words()
        self._is_shown, _ = await asyncio.gather(
            self._set(words.say("thinking"), words.choices("thinking_steps")), self._entitle()
        )

    async def clear(self) -> None:
        """Tell Slack that nothing is being prepared any more, where no ended stream has told it."""
        if self._is_shown:
            self._is_shown = False
            await self._set("", None)

    def ended(self) -> None:
        """A stream was ended: Slack knows."""
        self._is_shown = False

    async def _entitle(self) -> None:
        """Name a direct message's new thread after its question: Slack lists the conversations by their titles."""
        turn, said = self._turn, " ".join(self._turn.text.split())
        if not turn.is_direct or turn.ts != turn.conversation.root_ts or not said:
            return
        title = said if len(said) <= TITLE_CHARACTERS else said[: TITLE_CHARACTERS - 1].rstrip() + "…"
        try:
            await self._client.assistant_threads_setTitle(
                channel_id=self._conversation.channel_id, thread_ts=self._conversation.root_ts, title=title
            )
        except (SlackApiError, *UNREACHABLE) as error:
            log.info("title_not_set", error=type(error).__name__)

    async def _set(self, status: str, steps: list[str] | None) -> bool:
        try:
            await self._client.assistant_threads_setStatus(
                channel_id=self._conversation.channel_id,
                thread_ts=self._conversation.root_ts,
                status=status,
                loading_messages=steps,
            )
        except (SlackApiError, *UNREACHABLE) as error:
            log.info("status_not_shown", error=type(error).__name__)
            return False
        return True
