"""`/dolly admin dead-letters`: questions that were given up, each with a button to ask it again, and one to drop it.

What was asked is not shown: an admin may run Dolly without reading what others tell it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import structlog
from slack_bolt.context.ack.async_ack import AsyncAck
from slack_bolt.context.respond.async_respond import AsyncRespond

from bot import metrics
from bot.audit import AuditLog, hashed
from bot.errors import NotUnderstood, StoreUnavailable
from bot.slack import blocks
from bot.slack.afterwards import Afterwards, show
from bot.slack.authority import Authority
from bot.slack.client import Identity
from bot.slack.mrkdwn import date_token
from bot.slack.payloads import TIMESTAMP, identifier
from bot.slack.people import WordsOf
from bot.slack.permalinks import permalink
from bot.store.dead_letters import DeadLetter, DeadLetters
from bot.words import Words

log = structlog.get_logger(__name__)

LISTED = 10
ASK_AGAIN, DROP = "letter_ask_again", "letter_drop"
"""Ids of the buttons' actions."""


class AdminLetters:
    """The verb, and listeners of its buttons. To click twice is to click once."""

    def __init__(
        self,
        letters: DeadLetters,
        authority: Authority,
        audit: AuditLog,
        identity: Identity,
        words_of: WordsOf,
        afterwards: Afterwards,
    ) -> None:
        self._letters = letters
        self._authority = authority
        self._audit = audit
        self._identity = identity
        self._words_of = words_of
        self._afterwards = afterwards

    async def command(self, user_id: str, arguments: str, words: Words) -> dict[str, Any]:
        """The newest, with why, when, whose and where."""
        message = await self._message(words)
        self._audit.acted(user_id, "admin_dead_letters")
        return message

    async def ask_again(self, ack: AsyncAck, respond: AsyncRespond, body: dict[str, Any]) -> None:
        """Listener of the button that has a question answered after all."""
        await self._clicked(ack, respond, body, "ask_again", self._letters.ask_again, "admin_letter_asked")

    async def drop(self, ack: AsyncAck, respond: AsyncRespond, body: dict[str, Any]) -> None:
        """Listener of the button that drops a question."""
        await self._clicked(ack, respond, body, "drop", self._letters.drop, "admin_letter_dropped")

    async def _clicked(
        self,
        ack: AsyncAck,
        respond: AsyncRespond,
        body: dict[str, Any],
        act: str,
        do: Callable[[str], Awaitable[bool]],
        done_key: str,
    ) -> None:
        user_id, job_id = identifier(body.get("user") or {}, "id"), _job_of(body)
        is_admin, words = await asyncio.gather(self._authority.is_admin(user_id), self._words_of(user_id))
        sentence = words.say("admin_refused")
        if is_admin:
            try:
                was_there = await do(job_id)
                sentence = words.say(done_key) if was_there else words.say("admin_letter_gone")
                if was_there:
                    self._audit.acted(user_id, f"admin_letter_{act}", hashed(job_id.rpartition("/")[0]))
                    metrics.letters_handled.labels(act).inc()
            except StoreUnavailable as error:
                log.warning("letter_not_handled", act=act, reason=str(error))
                sentence = words.say(error.words_key)
        self._afterwards.do(self._tell(respond, sentence, words, is_admin=is_admin))
        await ack()

    async def _tell(self, respond: AsyncRespond, sentence: str, words: Words, *, is_admin: bool) -> None:
        """The list anew, under what became of the click; for nobody else, and below the old one without a store."""
        message: dict[str, Any] = {"text": sentence}
        if is_admin:
            try:
                message = await self._message(words, sentence)
            except StoreUnavailable as error:
                is_admin = False
                log.warning("letters_not_listed", reason=str(error))
        await show(respond, in_place=is_admin, **message)

    async def _message(self, words: Words, sentence: str = "") -> dict[str, Any]:
        letters = await self._letters.newest(LISTED)
        said = [sentence] if sentence else []
        if not letters:
            return {"text": "\n".join([*said, words.say("admin_letters_none")])}
        said.append(words.say("admin_letters_title"))
        drawn = [block for letter in letters for block in self._entry(letter, words)]
        return {"text": said[0], "blocks": [*(blocks.section(each) for each in said), *drawn]}

    def _entry(self, letter: DeadLetter, words: Words) -> list[blocks.Block]:
        parts = (f"`{letter.reason}`", date_token(letter.buried_at), f"<@{letter.user_id}>", self._where(letter, words))
        line = " · ".join(parts)
        again = blocks.button(words.say("admin_letter_ask_again"), ASK_AGAIN, value=letter.job_id)
        drop = blocks.button(words.say("admin_letter_drop"), DROP, value=letter.job_id)
        return [blocks.section(line), blocks.actions([again, drop] if letter.can_be_asked else [drop])]

    def _where(self, letter: DeadLetter, words: Words) -> str:
        channel_id = letter.conversation.channel_id
        if not TIMESTAMP.fullmatch(letter.conversation.root_ts):
            return words.say("admin_letter_command")
        if channel_id.startswith("D"):
            return words.say("forget_direct")
        return f"<#{channel_id}> · {permalink(self._identity.url, channel_id, letter.ts)}"


def _job_of(body: dict[str, Any]) -> str:
    """The job in a button's value. Raises NotUnderstood without one."""
    try:
        job_id = str(body["actions"][0]["value"])
    except (LookupError, TypeError):
        raise NotUnderstood("value") from None
    if len(job_id.split("/")) != 4:
        raise NotUnderstood("value")
    return job_id
