"""Whatever asks Dolly something (mention, direct message, follow-up, slash question) becomes one turn: one path."""

import time
from typing import Any

import structlog

from bot.conversation import ConversationId, Turn
from bot.slack.client import Identity
from bot.slack.mrkdwn import mentions, to_plain
from bot.store.connection import store_errors
from bot.store.mailbox import Mailbox

log = structlog.get_logger(__name__)

STORE_SECONDS = 1.5
"""Slack waits three seconds for an acknowledgement; half of it is the store's."""

ASKING_SUBTYPES = frozenset({None, "file_share", "thread_broadcast"})
"""Message subtypes that are somebody saying something; the others tell of edits, joins and the like."""


class Questions:
    """Puts what was asked into the mailbox. Returning means that it is stored, and Slack may be told so."""

    def __init__(self, mailbox: Mailbox, identity: Identity) -> None:
        self._mailbox = mailbox
        self._identity = identity

    async def mentioned(self, event: dict[str, Any]) -> None:
        """Listener of `app_mention`. Raises StoreUnavailable, so that Slack delivers the event again."""
        if _from_a_person(event):
            await self._store(self._turn(event))

    async def said(self, event: dict[str, Any]) -> None:
        """Listener of `message`: direct messages, and mentions again.

        One mention comes as two events; both are stored under one key, so whichever comes counts. Raises
        StoreUnavailable, so that Slack delivers the event again.
        """
        direct = event.get("channel_type") == "im"
        asked = direct or mentions(event.get("text") or "", self._identity.bot_user_id)
        if asked and event.get("subtype") in ASKING_SUBTYPES and _from_a_person(event):
            await self._store(self._turn(event, is_direct=direct))

    async def commanded(self, command: dict[str, Any], question: str) -> None:
        """A slash command's question; its trigger id stands for the message that a command does not have."""
        conversation = ConversationId(self._identity.home_id, command["channel_id"], command["trigger_id"])
        await self._store(
            Turn(
                conversation,
                ts=f"{time.time():.6f}",
                user_id=command["user_id"],
                text=question,
                response_url=command["response_url"],
            )
        )

    async def stop(self, event: dict[str, Any]) -> None:
        """Listener of `agent_session_stopped`: whoever answers in that thread stops."""
        root_ts = event.get("thread_ts")
        if root_ts:
            async with store_errors(STORE_SECONDS):
                await self._mailbox.request_stop(ConversationId(self._identity.home_id, event["channel"], root_ts))

    def _turn(self, event: dict[str, Any], *, is_direct: bool = False) -> Turn:
        root_ts = event.get("thread_ts") or event["ts"]
        return Turn(
            ConversationId(self._identity.home_id, event["channel"], root_ts),
            ts=event["ts"],
            user_id=event["user"],
            text=to_plain(event.get("text") or "", self._identity.bot_user_id),
            is_direct=is_direct or event["channel"].startswith("D"),
        )

    async def _store(self, turn: Turn) -> None:
        async with store_errors(STORE_SECONDS):
            new = await self._mailbox.enqueue(turn)
        log.info("stored" if new else "duplicate", conversation=str(turn.conversation), ts=turn.ts)


def _from_a_person(event: dict[str, Any]) -> bool:
    """Bots are not answered: two of them could talk for ever."""
    return bool(event.get("user")) and not event.get("bot_id")
