"""Thumbs under answers, and what follows a click: a note of what was kept, and "Fix this answer".

The rating is kept before Slack is told "received"; to click twice is to click once. Whoever cannot be heard is told so.
"""

from collections.abc import Mapping
from typing import Any, get_args

import structlog
from slack_bolt.context.ack.async_ack import AsyncAck
from slack_bolt.context.respond.async_respond import AsyncRespond
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.conversation import ConversationId
from bot.errors import NotUnderstood, StoreUnavailable
from bot.feedback import COMMENT_CHARACTERS, CORRECTION_CHARACTERS, Feedback, Rating
from bot.ratings import Ratings
from bot.slack import blocks
from bot.slack.afterwards import Afterwards, show
from bot.slack.answering.answer_blocks import placed
from bot.slack.client import UNREACHABLE, Identity, failure
from bot.slack.feedback.form import COMMENT, CORRECTION, form, note
from bot.slack.payloads import TIMESTAMP, clicked, identifier, text, typed
from bot.slack.people import WordsOf
from bot.store.connection import store_errors
from bot.words import Words

log = structlog.get_logger(__name__)

STORE_SECONDS = 1.5
"""Of Slack's three; a form is opened in what is left of them."""


class FeedbackActions:
    """Listeners of the thumbs, of the note's buttons, and of the form."""

    def __init__(
        self, client: AsyncWebClient, ratings: Ratings, identity: Identity, words_of: WordsOf, afterwards: Afterwards
    ) -> None:
        self._client = client
        self._ratings = ratings
        self._identity = identity
        self._words_of = words_of
        self._afterwards = afterwards

    async def rated(self, ack: AsyncAck, respond: AsyncRespond, body: dict[str, Any]) -> None:
        """Listener of the thumbs. The one that points down opens the form as well."""
        user_id, action = clicked(body)
        conversation, ts = self._place(text(action, "block_id"))
        rating = _rating(text(action, "value"))
        words = await self._words_of(user_id)
        feedback: Feedback | None = None
        try:
            async with store_errors(STORE_SECONDS):
                feedback = await self._ratings.rate(conversation, ts, user_id, rating)
        except StoreUnavailable as error:
            log.warning("feedback_not_kept", reason=str(error))
            said: blocks.Message = {"text": words.say("feedback_no_store")}
        else:
            said = note(words, conversation, feedback) if feedback else {"text": words.say("feedback_unknown")}
        await ack()
        self._afterwards.do(say(respond, said, thread_of(conversation)))
        if feedback is not None and rating == "down":
            self._afterwards.do(self._open(respond, body, words, conversation, feedback))

    async def fix(self, ack: AsyncAck, respond: AsyncRespond, body: dict[str, Any]) -> None:
        """Listener of the note's button "Fix this answer"."""
        user_id, action = clicked(body)
        conversation, ts = self._place(text(action, "value"))
        words = await self._words_of(user_id)
        try:
            async with store_errors(STORE_SECONDS):
                feedback = await self._ratings.of(conversation, ts, user_id)
        except StoreUnavailable as error:
            await ack()
            self._afterwards.do(say(respond, {"text": words.say(error.words_key)}, thread_of(conversation)))
            return
        await ack()
        if feedback is None:
            self._afterwards.do(replace(respond, {"text": words.say("feedback_gone")}))
            return
        self._afterwards.do(self._open(respond, body, words, conversation, feedback))

    async def withdraw(self, ack: AsyncAck, respond: AsyncRespond, body: dict[str, Any]) -> None:
        """Listener of the note's button "Withdraw"."""
        user_id, action = clicked(body)
        conversation, ts = self._place(text(action, "value"))
        words = await self._words_of(user_id)
        try:
            async with store_errors(STORE_SECONDS):
                was_there = await self._ratings.withdraw(conversation, ts, user_id)
        except StoreUnavailable:
            self._afterwards.do(say(respond, {"text": words.say("feedback_no_store")}, thread_of(conversation)))
        else:
            said = words.say("feedback_withdrawn") if was_there else words.say("feedback_gone")
            self._afterwards.do(replace(respond, {"text": said}))
        await ack()

    async def submitted(self, ack: AsyncAck, body: dict[str, Any], view: dict[str, Any]) -> None:
        """Listener of the form: what was written is kept, or the form stays open with the reason."""
        user_id = identifier(_part(body, "user"), "id")
        conversation, ts = self._place(text(view, "private_metadata"))
        correction = typed(view, CORRECTION).replace("\r\n", "\n")[:CORRECTION_CHARACTERS]
        comment = typed(view, COMMENT)[:COMMENT_CHARACTERS]
        try:
            async with store_errors(STORE_SECONDS):
                kept = await self._ratings.correct(conversation, ts, user_id, correction, comment)
        except StoreUnavailable as error:
            log.warning("feedback_not_kept", reason=str(error))
            fault = (await self._words_of(user_id)).say("feedback_no_store")
        else:
            fault = "" if kept else (await self._words_of(user_id)).say("feedback_unknown")
        await (ack(response_action="errors", errors={COMMENT: fault}) if fault else ack())

    def _place(self, where: str) -> tuple[ConversationId, str]:
        """Which answer a button or a form is about."""
        conversation, ts = placed(where)
        if conversation.team_id != self._identity.home_id:
            raise NotUnderstood("team")
        return conversation, ts

    async def _open(
        self, respond: AsyncRespond, body: dict[str, Any], words: Words, where: ConversationId, feedback: Feedback
    ) -> None:
        """Show the form, or say why there is none."""
        try:
            await self._client.views_open(trigger_id=identifier(body, "trigger_id"), view=form(words, where, feedback))
        except (SlackApiError, *UNREACHABLE) as error:
            log.warning("feedback_form_not_opened", reason=str(failure("views.open", error)))
            await say(respond, {"text": words.say("form_not_opened")}, thread_of(where))


def thread_of(conversation: ConversationId) -> str | None:
    """The thread that a conversation is, in Slack; an answer to a command has none."""
    return conversation.root_ts if TIMESTAMP.fullmatch(conversation.root_ts) else None


async def say(respond: AsyncRespond, said: blocks.Message, thread_ts: str | None) -> None:
    """Say something to who clicked, for their eyes only."""
    await show(respond, in_place=False, thread_ts=thread_ts, **said)


async def replace(respond: AsyncRespond, said: blocks.Message) -> None:
    """Show something in place of the message that was clicked on, which only one person sees."""
    await show(respond, in_place=True, **said)


def _rating(value: str) -> Rating:
    if value not in get_args(Rating):
        raise NotUnderstood("value")
    return value  # type: ignore[return-value]


def _part(body: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = body.get(name)
    return part if isinstance(part, dict) else {}
