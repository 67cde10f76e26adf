"""Whatever asks Dolly something (mention, direct message, follow-up, slash question) becomes one turn: one path."""

import time
from typing import Any

import structlog

from bot.conversation import ConversationId, Turn
from bot.slack.client import Identity
from bot.slack.mrkdwn import mentions, to_plain
from bot.slack.payloads import address, identifier, text, timestamp
from bot.store.connection import store_errors
from bot.store.mailbox import Mailbox

log = structlog.get_logger(__name__)

STORE_SECONDS = 1.5
"""Slack waits three seconds for an acknowledgement; half of it is the store's."""

ASKING_SUBTYPES = frozenset({"", "file_share", "thread_broadcast"})
"""Message subtypes (none at all, too) that are somebody saying something; the others tell of edits, joins, …"""


class Questions:
    """Puts what was asked into the mailbox. Returning means that it is stored, and Slack may be told so.

    Every listener raises StoreUnavailable, so that Slack delivers the event again, and NotUnderstood where
    that would help nobody.
    """

    def __init__(self, mailbox: Mailbox, identity: Identity) -> None:
        self._mailbox = mailbox
        self._identity = identity

    async def mentioned(self, event: dict[str, Any]) -> None:
        """Listener of `app_mention`."""
        if _from_a_person(event):
            await self._store(self._turn(event))

    async def said(self, event: dict[str, Any]) -> None:
        """Listener of `message`: direct messages, and mentions again.

        One mention comes as two events; both are stored under one key, so whichever comes counts.
        """
        direct = event.get("channel_type") == "im"
        asked = direct or mentions(text(event, "text"), self._identity.bot_user_id)
        if asked and text(event, "subtype") in ASKING_SUBTYPES and _from_a_person(event):
            await self._store(self._turn(event, is_direct=direct))

    async def commanded(self, command: dict[str, Any], question: str) -> None:
        """A slash command's question; its trigger id stands for the message that a command does not have."""
        channel_id, trigger_id = identifier(command, "channel_id"), identifier(command, "trigger_id")
        await self._store(
            Turn(
                ConversationId(self._identity.home_id, channel_id, trigger_id),
                ts=f"{time.time():.6f}",
                user_id=identifier(command, "user_id"),
                text=question,
                response_url=address(command, "response_url"),
            )
        )

    async def stop(self, event: dict[str, Any]) -> None:
        """Listener of `agent_session_stopped`: whoever answers in that thread stops."""
        if event.get("thread_ts"):
            channel_id, root_ts = identifier(event, "channel"), timestamp(event, "thread_ts")
            async with store_errors(STORE_SECONDS):
                await self._mailbox.request_stop(ConversationId(self._identity.home_id, channel_id, root_ts))

    def _turn(self, event: dict[str, Any], *, is_direct: bool = False) -> Turn:
        channel_id, ts = identifier(event, "channel"), timestamp(event, "ts")
        root_ts = timestamp(event, "thread_ts") if event.get("thread_ts") else ts
        return Turn(
            ConversationId(self._identity.home_id, channel_id, root_ts),
            ts=ts,
            user_id=identifier(event, "user"),
            text=to_plain(text(event, "text"), self._identity.bot_user_id),
            is_direct=is_direct or channel_id.startswith("D"),
        )

    async def _store(self, turn: Turn) -> None:
        async with store_errors(STORE_SECONDS):
            new = await self._mailbox.enqueue(turn)
        log.info("stored" if new else "duplicate", conversation=str(turn.conversation), ts=turn.ts)


def _from_a_person(event: dict[str, Any]) -> bool:
    """Bots are not answered: two of them could talk for ever."""
    return bool(event.get("user")) and not event.get("bot_id")
