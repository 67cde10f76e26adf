"""Reactions: a thumb counts like the one under an answer, a stop sign like the button that stops it.

Slack tells of a reaction by its message alone, so the thread is asked for, after the acknowledgement.
"""

import asyncio
from typing import Any
from weakref import WeakValueDictionary

import structlog
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.conversation import ConversationId
from bot.errors import SlackUnreachable, StoreUnavailable
from bot.feedback import Rating
from bot.ratings import Ratings
from bot.slack import blocks
from bot.slack.afterwards import Afterwards
from bot.slack.answering.answer_blocks import FEEDBACK
from bot.slack.asking.stopping import Stopping
from bot.slack.client import UNREACHABLE, Identity, at_priority, failure
from bot.slack.feedback.form import note
from bot.slack.pacing import Priority
from bot.slack.payloads import identifier, text, timestamp
from bot.slack.people import WordsOf

log = structlog.get_logger(__name__)

RATINGS: dict[str, Rating] = {"+1": "up", "thumbsup": "up", "-1": "down", "thumbsdown": "down"}
"""By Slack's names of emojis; a skin tone may follow behind a colon."""
RETRY_SECONDS = (0.5, 1, 2, 4, 8, 16)
"""Pauses between tries while the store, or Slack, is away."""


class Reactions:
    """Listeners of `reaction_added` and `reaction_removed`."""

    def __init__(
        self,
        client: AsyncWebClient,
        ratings: Ratings,
        stopping: Stopping,
        identity: Identity,
        words_of: WordsOf,
        afterwards: Afterwards,
    ) -> None:
        self._stopping = stopping
        self._client = at_priority(client, Priority.SEARCH)
        self._ratings = ratings
        self._identity = identity
        self._words_of = words_of
        self._afterwards = afterwards
        self._in_turn: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()

    async def added(self, event: dict[str, Any]) -> None:
        """A thumb under an answer is their rating of it, in place of what they said before; 🛑 stops an answer."""
        self._stopping.reacted(event)
        await self._heard(event, is_added=True)

    async def removed(self, event: dict[str, Any]) -> None:
        """Somebody took their thumb back: the rating is withdrawn, unless it has become another since."""
        await self._heard(event, is_added=False)

    async def _heard(self, event: dict[str, Any], *, is_added: bool) -> None:
        rating = _meaning(text(event, "reaction"))
        item, me = event.get("item"), self._identity.bot_user_id
        if rating is None or event.get("item_user") != me or event.get("user") == me or not isinstance(item, dict):
            return
        user_id, channel_id, ts = identifier(event, "user"), identifier(item, "channel"), timestamp(item, "ts")
        self._afterwards.do(self._rate(user_id, channel_id, ts, rating, is_added=is_added))

    async def _rate(self, user_id: str, channel_id: str, ts: str, rating: Rating, *, is_added: bool) -> None:
        lock = self._in_turn.setdefault((user_id, ts), asyncio.Lock())  # one on and off again ends as off
        async with lock:
            for pause in (*RETRY_SECONDS, None):
                try:
                    await self._rate_now(user_id, channel_id, ts, rating, is_added=is_added)
                    return
                except (StoreUnavailable, SlackUnreachable) as error:
                    log.warning("reaction_not_heard_yet", reason=str(error))
                    if pause is not None:
                        await asyncio.sleep(pause)
            await self._tell(channel_id, user_id, {"text": (await self._words_of(user_id)).say("feedback_no_store")})

    async def _rate_now(self, user_id: str, channel_id: str, ts: str, rating: Rating, *, is_added: bool) -> None:
        message = await self._message(channel_id, ts)
        if not message.get("thread_ts") or _is_there(message, user_id, rating) is not is_added:
            return
        conversation = ConversationId(self._identity.home_id, channel_id, timestamp(message, "thread_ts"))
        words = await self._words_of(user_id)
        said: blocks.Message | None = None
        if not is_added:
            if await self._ratings.withdraw(conversation, ts, user_id, rating):
                said = {"text": words.say("feedback_withdrawn")}
        elif feedback := await self._ratings.rate(conversation, ts, user_id, rating):
            said = note(words, conversation, feedback)
        elif _is_answer(message):  # a thumb for an apology needs no word
            said = {"text": words.say("feedback_unknown")}
        if said is not None:
            await self._tell(channel_id, user_id, said, conversation.root_ts)

    async def _message(self, channel_id: str, ts: str) -> dict[str, Any]:
        """The message itself: asked for by its own ts, Slack gives a reply alone, with its thread's root in it."""
        try:
            answer = await self._client.conversations_replies(channel=channel_id, ts=ts, limit=1)
        except (SlackApiError, *UNREACHABLE) as error:
            raise failure("conversations.replies", error) from None
        return next((message for message in answer["messages"] if message.get("ts") == ts), {})

    async def _tell(self, channel_id: str, user_id: str, said: blocks.Message, root_ts: str | None = None) -> None:
        try:
            await self._client.chat_postEphemeral(channel=channel_id, user=user_id, thread_ts=root_ts, **said)
        except (SlackApiError, *UNREACHABLE) as error:
            log.warning("feedback_not_told", reason=str(failure("chat.postEphemeral", error)))


def _is_there(message: dict[str, Any], user_id: str, rating: Rating) -> bool:
    """Whether such a thumb of this person is among the reactions to a message."""
    thumbs = [each for each in message.get("reactions") or [] if _meaning(str(each.get("name"))) == rating]
    return any(user_id in (each.get("users") or []) for each in thumbs)


def _meaning(reaction: str) -> Rating | None:
    return RATINGS.get(reaction.partition("::")[0])


def _is_answer(message: dict[str, Any]) -> bool:
    """Whether thumbs stand under a message."""
    elements = [element for block in message.get("blocks") or [] for element in block.get("elements") or []]
    return any(element.get("action_id") == FEEDBACK for element in elements)
