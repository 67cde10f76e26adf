"""Threads read again: what a worker taken for dead wrote there, or an answer without a question, is taken back."""

import time
from collections.abc import Awaitable, Callable

import structlog
from slack_sdk.web.async_client import AsyncWebClient

from bot import metrics
from bot.conversation import ConversationId
from bot.errors import SlackError, SlackUnreachable
from bot.slack.answering.own_messages import OwnMessage, OwnMessages
from bot.slack.client import TIMEOUT_SECONDS, Identity, at_priority
from bot.slack.pacing import Priority
from bot.store.settlings import Settling

log = structlog.get_logger(__name__)


class Settler:
    """Leaves, of an answer that more than one worker may have written, the one that counts.

    `recorded` gives every message of Dolly's own in a conversation that some job has written down; `disown` has no job
    write one down from then on, and says False where one has. A message that
    no job knows may be an answer's first, not yet written down: it is left alone for as long as its worker may
    hold a lease and wait for Slack.
    """

    def __init__(
        self,
        client: AsyncWebClient,
        identity: Identity,
        recorded: Callable[[ConversationId], Awaitable[frozenset[str]]],
        disown: Callable[[ConversationId, str], Awaitable[bool]],
        *,
        lease_seconds: float,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._own = OwnMessages(at_priority(client, Priority.SEARCH), identity)
        self._recorded = recorded
        self._disown = disown
        self._young_seconds = lease_seconds + TIMEOUT_SECONDS
        self._now = now

    async def settle(self, settling: Settling) -> bool:
        """Take back what is double. False where the thread is to be read once more, later."""
        try:
            outcome = await self._settle(settling)
        except SlackUnreachable as error:
            log.info("not_settled", job=settling.job_id, reason=str(error))
            outcome = "unreachable"
        except SlackError as error:  # nobody reads the thread any more, or Dolly may not
            log.warning("not_settled", job=settling.job_id, reason=str(error))
            outcome = "refused"
        metrics.settled.labels(outcome).inc()
        return outcome not in ("unreachable", "early")

    async def _settle(self, settling: Settling) -> str:
        own = await self._own.after(settling.conversation, settling.turn_ts)
        known = await self._recorded(settling.conversation) | set(settling.kept)
        unknown = [message for message in own if message.ts not in known]
        double = [message for message in unknown if self._is_double(message, settling)]
        for message in double:
            if await self._disown(settling.conversation, message.ts):  # or another job's worker goes on with it by now
                await self._own.take_back(settling.conversation.channel_id, message.ts, settling.job_id)
                log.info("took_back", job=settling.job_id, ts=message.ts)
        there = {message.ts for message in own}
        for ts, shown in settling.shown.items():
            if ts in there:  # shown once more: a late call of a paused worker may have put older text there
                await self._own.show(settling.conversation.channel_id, ts, shown, settling.job_id)
        if any(message.job_id is None for message in unknown if message not in double):
            return "early"
        return "double" if double else "single"

    def _is_double(self, message: OwnMessage, settling: Settling) -> bool:
        if message.ts in settling.gone:
            return True
        if message.job_id is not None:
            return message.job_id == settling.job_id
        return self._now() - float(message.ts) >= self._young_seconds
