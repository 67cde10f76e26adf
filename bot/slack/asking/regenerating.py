"""Regenerate: the button under an answer that has its question answered once more, in the same place."""

import asyncio
from typing import Any

import structlog
from slack_bolt.context.ack.async_ack import AsyncAck
from slack_bolt.context.respond.async_respond import AsyncRespond

from bot.conversation import Turn
from bot.errors import NotUnderstood, StoreUnavailable, TooManyWaiting
from bot.slack.afterwards import Afterwards
from bot.slack.answering.answer_blocks import placed
from bot.slack.asking.questions import STORE_SECONDS
from bot.slack.authority import Authority
from bot.slack.client import Identity
from bot.slack.payloads import clicked, identifier, text
from bot.slack.people import WordsOf
from bot.store.connection import store_errors
from bot.store.repeats import Repeats

log = structlog.get_logger(__name__)

COMMIT_SECONDS = (0.1, 0.2, 0.4)
"""Pauses in which an answer is waited for that stands in Slack, button and all, and is about to be remembered."""


class Regenerating:
    """Listener of the button. Who asked may press it, and who administers Dolly: the old answer goes for everybody."""

    def __init__(
        self, repeats: Repeats, authority: Authority, identity: Identity, words_of: WordsOf, afterwards: Afterwards
    ) -> None:
        self._repeats = repeats
        self._authority = authority
        self._identity = identity
        self._words_of = words_of
        self._afterwards = afterwards

    async def clicked(self, ack: AsyncAck, respond: AsyncRespond, body: dict[str, Any]) -> None:
        """The new answer is stored as due before Slack is told "received"; who cannot have one is told why."""
        user_id, action = clicked(body)
        try:
            async with store_errors(STORE_SECONDS):
                refusal = await self._ask(user_id, text(action, "value"), identifier(body, "trigger_id"))
        except (StoreUnavailable, TooManyWaiting) as error:
            log.warning("not_answered_again", reason=str(error))
            refusal = error.words_key
        await ack()
        if refusal is not None:
            self._afterwards.tell(respond, (await self._words_of(user_id)).say(refusal))

    async def _ask(self, user_id: str, value: str, trigger_id: str) -> str | None:
        """None where the question is going to be answered; else the key of what is said instead."""
        conversation, ts = placed(value)
        if conversation.team_id != self._identity.home_id:
            raise NotUnderstood("team")
        exchange = await self._repeats.remembered(conversation, ts)
        for pause_seconds in COMMIT_SECONDS:
            if exchange is not None:
                break
            await asyncio.sleep(pause_seconds)
            exchange = await self._repeats.remembered(conversation, ts)
        if exchange is None:
            return "again_unknown"
        if user_id != exchange.user_id and not await self._authority.is_admin(user_id):
            return "again_not_yours"
        turn = Turn(
            conversation,
            ts,
            exchange.user_id,
            exchange.question,
            is_direct=conversation.channel_id.startswith("D"),
            again=trigger_id,
            asker_team_id=exchange.asker_team_id,
        )
        outcome = await self._repeats.ask(turn)
        log.info("again", conversation=str(conversation), ts=ts, outcome=outcome)
        return "again_unknown" if outcome == "unknown" else None
