"""Stop: Slack's own button, the one under an answer that is being written, and a 🛑 on the question or on the answer.

Anybody who can read a thread may have an answer in it stop, as Slack's own button is there for everybody.
"""

import asyncio
from collections.abc import Mapping
from typing import Any

import structlog
from slack_bolt.context.ack.async_ack import AsyncAck
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.conversation import ConversationId
from bot.errors import NotUnderstood, StoreUnavailable
from bot.slack.afterwards import Afterwards
from bot.slack.answering.answer_blocks import placed
from bot.slack.asking.questions import STORE_SECONDS
from bot.slack.client import UNREACHABLE, Identity, failure
from bot.slack.payloads import TIMESTAMP, clicked, identifier, text, timestamp
from bot.store.connection import store_errors
from bot.store.mailbox import Mailbox

log = structlog.get_logger(__name__)

STOP_REACTIONS = frozenset({"octagonal_sign", "stop_sign", "black_square_for_stop", "stop_button"})
"""🛑 and ⏹ by Slack's names of emojis."""
RETRY_SECONDS = (0.25, 0.5, 1.0)
"""Pauses between tries; an answer that nobody could stop by then has come far."""


class Stopping:
    """Listeners of whatever has an answer stop. One that is finished, or stops already, is left alone."""

    def __init__(self, client: AsyncWebClient, mailbox: Mailbox, identity: Identity, afterwards: Afterwards) -> None:
        self._client = client
        self._mailbox = mailbox
        self._identity = identity
        self._afterwards = afterwards

    async def natively(self, event: dict[str, Any]) -> None:
        """Listener of `agent_session_stopped`: the answer that was under way in that thread stops.

        Raises StoreUnavailable, so that Slack delivers it again.
        """
        if event.get("thread_ts"):
            channel_id, root_ts = identifier(event, "channel"), timestamp(event, "thread_ts")
            streams = event.get("streaming_message_ts")
            known = [ts for ts in streams if TIMESTAMP.fullmatch(str(ts))] if isinstance(streams, list) else []
            conversation = ConversationId(self._identity.home_id, channel_id, root_ts)
            async with store_errors(STORE_SECONDS):
                await self._mailbox.request_stop(conversation, timestamp(event, "event_ts"), known)

    async def clicked(self, ack: AsyncAck, body: dict[str, Any]) -> None:
        """Listener of the button under an answer that is being written."""
        _, action = clicked(body)
        conversation, ts = placed(text(action, "value"))
        if conversation.team_id != self._identity.home_id:
            raise NotUnderstood("team")
        await ack()
        self._afterwards.do(self._stop(conversation, timestamp(action, "action_ts"), question_ts=ts))

    def reacted(self, event: Mapping[str, Any]) -> None:
        """A reaction was added. Slack tells of its message alone, so the thread is asked for."""
        item = event.get("item")
        if text(event, "reaction") in STOP_REACTIONS and isinstance(item, dict) and "ts" in item:
            channel_id, ts, at = identifier(item, "channel"), timestamp(item, "ts"), timestamp(event, "event_ts")
            self._afterwards.do(self._stop_at(channel_id, ts, at))

    async def _stop_at(self, channel_id: str, ts: str, at: str) -> None:
        try:
            answer = await self._client.conversations_replies(channel=channel_id, ts=ts, limit=1)
        except (SlackApiError, *UNREACHABLE) as error:
            log.warning("not_stopped", reason=str(failure("conversations.replies", error)))
            return
        message = next((message for message in answer["messages"] if message.get("ts") == ts), None)
        if message is None:
            return
        conversation = ConversationId(self._identity.home_id, channel_id, str(message.get("thread_ts") or ts))
        is_own = message.get("user") == self._identity.bot_user_id
        await (self._stop(conversation, at, ts) if is_own else self._stop(conversation, at, question_ts=ts))

    async def _stop(self, conversation: ConversationId, at: str, *written: str, question_ts: str = "") -> None:
        for pause in (*RETRY_SECONDS, None):
            try:
                await self._mailbox.request_stop(conversation, at, written, question_ts=question_ts)
                return
            except StoreUnavailable as error:
                if pause is None:
                    log.warning("not_stopped", reason=str(error))
                    return
                await asyncio.sleep(pause)
