"""What Slack shows around an answer that is prepared: the line "Dolly is thinking…", and a direct message's title."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

import structlog
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.conversation import Turn
from bot.slack.client import UNREACHABLE
from bot.slack.people import ReaderWords

log = structlog.get_logger(__name__)

TITLE_CHARACTERS = 60
"""Slack would take 200; its list of conversations shows about so many."""

RENEWED_SECONDS = 90.0
"""Slack takes the line away when no message has followed it for two minutes."""


class Thinking:
    """The line of one thread. An answer without it is still an answer: no method fails."""

    def __init__(
        self,
        client: AsyncWebClient,
        turn: Turn,
        words: ReaderWords,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._client = client
        self._turn = turn
        self._conversation = turn.conversation
        self._words = words
        self._sleep = sleep
        self._is_shown = False
        self._renewing: asyncio.Task[None] | None = None

    async def show(self) -> None:
        """Show it, however long it takes; Slack takes it away with the first message that follows (`rest`)."""
        words = await self._words()
        show = partial(self._set, words.say("thinking"), words.choices("thinking_steps"))
        self._is_shown, _ = await asyncio.gather(show(), self._entitle())
        if self._is_shown:
            self._renewing = asyncio.create_task(self._renew(show))

    async def wait(self) -> None:
        """Show in its place that a new model is being loaded; what shows the line next takes that away."""
        await self._set((await self._words()).say("model_loading"), None)

    async def _renew(self, show: Callable[[], Awaitable[bool]]) -> None:
        while True:
            await self._sleep(RENEWED_SECONDS)
            await show()

    def rest(self) -> None:
        """Some of the answer is there to be read, or nobody waits for it here any more: renew the line no longer."""
        if self._renewing is not None:
            self._renewing.cancel()

    async def clear(self) -> None:
        """Tell Slack that nothing is being prepared any more, where no ended stream has told it."""
        self.rest()
        if self._is_shown:
            self._is_shown = False
            await self._set("", None)

    def ended(self) -> None:
        """A stream was ended: Slack knows."""
        self.rest()
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
