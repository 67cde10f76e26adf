"""`/dolly feedback`: what a person has said of answers, the newest first, each with a button to withdraw it."""

from typing import Any

from slack_bolt.context.ack.async_ack import AsyncAck
from slack_bolt.context.respond.async_respond import AsyncRespond

from bot.conversation import ConversationId
from bot.errors import StoreUnavailable
from bot.feedback import Feedback
from bot.ratings import Ratings
from bot.slack import blocks
from bot.slack.afterwards import Afterwards
from bot.slack.answering.answer_blocks import place, placed
from bot.slack.asking.attachments import as_said
from bot.slack.client import Identity
from bot.slack.feedback.actions import replace, thread_of
from bot.slack.mrkdwn import date_token, one_line
from bot.slack.payloads import clicked, identifier, text
from bot.slack.people import WordsOf
from bot.slack.permalinks import permalink
from bot.store.connection import store_errors
from bot.words import Words

LISTED = 10
QUOTED_CHARACTERS = 300
STORE_SECONDS = 1.2

WITHDRAW_LISTED = "feedback_withdraw_listed"
"""Id of the button beside each."""


class FeedbackList:
    """Listeners: the command's verb and the list's buttons. Nobody but its person sees it."""

    def __init__(self, ratings: Ratings, identity: Identity, words_of: WordsOf, afterwards: Afterwards) -> None:
        self._ratings = ratings
        self._identity = identity
        self._words_of = words_of
        self._afterwards = afterwards

    async def command(self, ack: AsyncAck, respond: AsyncRespond, command: dict[str, Any], rest: str) -> bool:
        """`/dolly feedback`; with more words behind it, it is a question."""
        if rest:
            return False
        user_id = identifier(command, "user_id")
        words = await self._words_of(user_id)
        try:
            await ack(**await self._drawn(user_id, words))
        except StoreUnavailable as error:
            await ack(words.say(error.words_key))
        return True

    async def withdraw(self, ack: AsyncAck, respond: AsyncRespond, body: dict[str, Any]) -> None:
        """Listener of the button beside each; the list is then drawn anew."""
        user_id, action = clicked(body)
        conversation, ts = placed(text(action, "value"))
        words = await self._words_of(user_id)
        try:
            async with store_errors(STORE_SECONDS):
                await self._ratings.withdraw(conversation, ts, user_id)
            drawn = await self._drawn(user_id, words)
        except StoreUnavailable:
            self._afterwards.tell(respond, words.say("feedback_no_store"))
        else:
            self._afterwards.do(replace(respond, drawn))
        await ack()

    async def _drawn(self, user_id: str, words: Words) -> blocks.Message:
        async with store_errors(STORE_SECONDS):
            listed = await self._ratings.newest(user_id, LISTED)
        if not listed:
            return {"text": words.say("feedback_none")}
        entries = [self._entry(conversation, feedback, words) for conversation, feedback in listed]
        title = words.say("feedback_list")
        return {"text": title, "blocks": [blocks.section(title), *entries, blocks.context(words.say("feedback_kept"))]}

    def _entry(self, conversation: ConversationId, feedback: Feedback, words: Words) -> blocks.Block:
        where = (
            words.say("forget_direct") if conversation.channel_id.startswith("D") else f"<#{conversation.channel_id}>"
        )
        lines = [f"{words.say('feedback_up') if feedback.rating == 'up' else words.say('feedback_down')} · {where}"]
        lines[0] += f", {date_token(feedback.at)}"
        if root_ts := thread_of(conversation):
            link = permalink(self._identity.url, conversation.channel_id, root_ts)
            lines[0] += f" · <{link}|{words.say('feedback_open')}>"
        lines.append(f"> {one_line(as_said(feedback.question, words), QUOTED_CHARACTERS)}")
        if feedback.correction:
            lines.append(words.say("feedback_corrected", text=one_line(feedback.correction, QUOTED_CHARACTERS)))
        if feedback.comment:
            lines.append(words.say("feedback_commented", text=one_line(feedback.comment, QUOTED_CHARACTERS)))
        if feedback.consent:
            lines.append(words.say("feedback_trains"))
        value = place(conversation, feedback.ts)
        return blocks.section(
            "\n".join(lines), accessory=blocks.button(words.say("feedback_withdraw"), WITHDRAW_LISTED, value=value)
        )
