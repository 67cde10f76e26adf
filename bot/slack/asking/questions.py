"""Whatever asks Dolly something (mention, direct message, follow-up, slash question) becomes one turn: one path."""

import time
from collections.abc import Collection, Mapping
from typing import Any, Literal

import structlog

from bot import metrics
from bot.attachments import SUMMARISE
from bot.conversation import ConversationId, Turn
from bot.errors import QuestionTooLong, TooManyWaiting
from bot.slack.answering.slash_reply import RESPONSE_SECONDS
from bot.slack.asking.attachments import attachments_of
from bot.slack.asking.follow_ups import FollowUps
from bot.slack.client import Identity
from bot.slack.mrkdwn import mentions, to_plain
from bot.slack.payloads import address, identifier, team, text, timestamp
from bot.store.connection import store_errors
from bot.store.mailbox import Mailbox

log = structlog.get_logger(__name__)

STORE_SECONDS = 1.5
"""Slack waits three seconds for an acknowledgement; half of it is the store's."""

ASKING_SUBTYPES = frozenset({"", "file_share", "thread_broadcast"})
"""Message subtypes (none at all, too) that are somebody saying something; the others tell of edits, joins, …"""

COMMAND_TS = "0.000000"
"""In place of the message's ts that a command does not have: one that comes twice must be the same turn."""

Outcome = Literal["stored", "duplicate", "refused"]


class Questions:
    """Puts what was asked into the mailbox. Returning means that it is stored, and Slack may be told so.

    Every listener raises StoreUnavailable, so that Slack delivers the event again, and NotUnderstood where
    that would help nobody. Of a message that is not taken (too long, too many at once), the refusal is stored, for a
    worker to tell.
    """

    def __init__(
        self,
        mailbox: Mailbox,
        follow_ups: FollowUps,
        identity: Identity,
        *,
        question_characters: int = 20_000,
        bots: Collection[str] = (),
    ) -> None:
        """`bots` are users of other apps that may ask, too, by a mention."""
        self._mailbox = mailbox
        self._follow_ups = follow_ups
        self._identity = identity
        self._bots = frozenset(bots)
        self._question_characters = question_characters

    async def mentioned(self, event: dict[str, Any]) -> None:
        """Listener of `app_mention`."""
        if self.is_heard(event):
            await self.ask(self._turn(event))

    async def said(self, event: dict[str, Any]) -> None:
        """Listener of `message`: direct messages, and mentions again.

        One mention comes as two events; both are stored under one key, so whichever comes counts. All that is
        said in Dolly's channels comes here too, and goes no further.
        """
        turn = await self.question(event, direct=event.get("channel_type") == "im")
        if turn is not None:
            await self.ask(turn)

    async def commanded(self, command: dict[str, Any], question: str) -> None:
        """A slash command's question; its trigger id stands for the message that a command does not have.

        Raises QuestionTooLong and TooManyWaiting as well: who gave a command is told so in its acknowledgement.
        """
        channel_id, trigger_id = identifier(command, "channel_id"), identifier(command, "trigger_id")
        await self._store(
            Turn(
                ConversationId(self._identity.home_id, channel_id, trigger_id),
                ts=COMMAND_TS,
                user_id=identifier(command, "user_id"),
                text=question,
                response_url=address(command, "response_url"),
                response_until=time.time() + RESPONSE_SECONDS,
            )
        )

    async def question(self, message: Mapping[str, Any], *, direct: bool, is_late: bool = False) -> Turn | None:
        """The turn that a message with its `channel` makes; None where it asks Dolly nothing.

        In a direct message everything is a question; elsewhere a mention is, and a follow-up where the channel says so.
        Raises StoreUnavailable.
        """
        if text(message, "subtype") not in ASKING_SUBTYPES or not self.is_heard(message):
            return None
        is_person = not message.get("bot_id")
        asked = (direct and is_person) or mentions(text(message, "text"), self._identity.bot_user_id)
        if not asked and is_person:
            async with store_errors(STORE_SECONDS):
                asked = await self._follow_ups.is_one(message, self.conversation(message))
        return self._turn(message, is_direct=direct, is_late=is_late) if asked else None

    def is_heard(self, message: Mapping[str, Any]) -> bool:
        """Whether its author may ask at all: people, and apps that are named. Two apps could talk for ever."""
        user_id = text(message, "user")
        return bool(user_id) and (not message.get("bot_id") or user_id in self._bots)

    def conversation(self, message: Mapping[str, Any]) -> ConversationId:
        """Where a message with its `channel` stands."""
        root = "thread_ts" if message.get("thread_ts") else "ts"
        return ConversationId(self._identity.home_id, identifier(message, "channel"), timestamp(message, root))

    def plain(self, message: Mapping[str, Any]) -> str:
        """What a message says, as Dolly keeps it. A file without a word is a question too."""
        said = to_plain(text(message, "text"), self._identity.bot_user_id)
        return said or (SUMMARISE if attachments_of(message) else "")

    def _turn(self, message: Mapping[str, Any], *, is_direct: bool = False, is_late: bool = False) -> Turn:
        conversation = self.conversation(message)
        return Turn(
            conversation,
            ts=timestamp(message, "ts"),
            user_id=identifier(message, "user"),
            text=self.plain(message),
            is_direct=is_direct or conversation.channel_id.startswith("D"),
            is_late=is_late,
            files=attachments_of(message),
            asker_team_id=team(message, "user_team", "team"),
        )

    async def ask(self, turn: Turn) -> Outcome:
        """Store `turn`; where it is not taken, that its author is to be told so. Once, though it may come again."""
        try:
            return "stored" if await self._store(turn) else "duplicate"
        except (QuestionTooLong, TooManyWaiting) as error:
            is_final = isinstance(error, TooManyWaiting)  # what is too long may be made shorter
            async with store_errors(STORE_SECONDS):
                new = await self._mailbox.refuse(turn, error.words_key, is_final=is_final)
            log.info("refused", conversation=str(turn.conversation), ts=turn.ts, reason=error.words_key, new=new)
        return "refused" if new else "duplicate"

    async def take(self, turn: Turn) -> bool:
        """Store `turn`; False when it was stored before.

        Raises QuestionTooLong and TooManyWaiting as well, for who can tell its author at once.
        """
        return await self._store(turn)

    def too_long(self, turn_text: str) -> bool:
        """Whether a text is longer than what Dolly stores."""
        return len(turn_text) > self._question_characters

    async def _store(self, turn: Turn) -> bool:
        if self.too_long(turn.text):
            raise QuestionTooLong(f"A question has more than {self._question_characters} characters; it is not taken.")
        async with store_errors(STORE_SECONDS):
            new = await self._mailbox.enqueue(turn)
        (metrics.stored if new else metrics.duplicates).inc()
        log.info("stored" if new else "duplicate", conversation=str(turn.conversation), ts=turn.ts)
        return new
