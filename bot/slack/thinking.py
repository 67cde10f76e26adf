"""The line "Dolly is thinking…": Slack's own line under a question, while its answer is prepared."""

import structlog
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.conversation import ConversationId
from bot.slack.client import UNREACHABLE
from bot.slack.people import ReaderWords

log = structlog.get_logger(__name__)


class Thinking:
    """The line of one thread. An answer without it is still an answer: no method fails."""

    def __init__(self, client: AsyncWebClient, conversation: ConversationId, words: ReaderWords) -> None:
        self._client = client
        self._conversation = conversation
        self._words = words
        self._is_shown = False

    async def show(self) -> None:
        """Show it; Slack takes it away with the first message that follows."""
        words = await self._words()
        self._is_shown = await self._set(words.say("thinking"), words.choices("thinking_steps"))

    async def clear(self) -> None:
        """Tell Slack that nothing is being prepared any more, where no ended stream has told it."""
        if self._is_shown:
            self._is_shown = False
            await self._set("", None)

    def ended(self) -> None:
        """A stream was ended: Slack knows."""
        self._is_shown = False

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
