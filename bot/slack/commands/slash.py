"""/dolly: a verb, or a question whose answer only its asker sees."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from slack_bolt.context.ack.async_ack import AsyncAck
from slack_bolt.context.respond.async_respond import AsyncRespond

from bot.conversation import ConversationId
from bot.errors import QuestionTooLong, StoreUnavailable, TooManyWaiting
from bot.slack.asking.questions import Questions
from bot.slack.client import Identity
from bot.slack.mrkdwn import escape, to_plain
from bot.slack.payloads import identifier, text
from bot.slack.people import WordsOf
from bot.store.marks import Marks

QUOTED_CHARACTERS = 500

Verb = Callable[[AsyncAck, AsyncRespond, dict[str, Any], str], Awaitable[bool]]
"""What a command's first word does, given the rest of it. False where that is none of the verb's forms: `/dolly status
of the harvest?` is a question."""


class Commands:
    """Listeners of slash commands. Slack never repeats a command, so each ends with a sentence at once."""

    def __init__(
        self, questions: Questions, verbs: Mapping[str, Verb], marks: Marks, identity: Identity, words_of: WordsOf
    ) -> None:
        self._questions = questions
        self._verbs = verbs
        self._marks = marks
        self._identity = identity
        self._words_of = words_of

    async def dolly(self, ack: AsyncAck, respond: AsyncRespond, command: dict[str, Any]) -> None:
        """`/dolly`, `/dolly help`, `/dolly <verb> …`, `/dolly <question>`, `/dolly ask <question>`."""
        said = to_plain(text(command, "text"), self._identity.bot_user_id)
        word, _, rest = said.partition(" ")
        verb = self._verbs.get(word)
        if verb is not None and await self._is_repeated(command):
            await ack()
            return
        if verb is not None and await verb(ack, respond, command, rest.strip()):
            return
        words = await self._words_of(identifier(command, "user_id"))
        question = rest.strip() if word == "ask" else said
        if question in ("", "help"):
            await ack(words.say("command_help", mention=f"<@{self._identity.bot_user_id}>"))
            return
        try:
            await self._questions.commanded(command, question)
        except (StoreUnavailable, TooManyWaiting, QuestionTooLong) as error:
            await ack(words.say(error.words_key))
        else:
            # Slack shows a command to nobody, not even to who typed it.
            quoted = escape(question[:QUOTED_CHARACTERS]).replace("\n", "\n> ")
            await ack(words.say("command_taken", question=quoted))

    async def _is_repeated(self, command: dict[str, Any]) -> bool:
        """Whether its trigger was here before: Slack repeats none, so somebody recorded it and sent it again.

        A store that is away cannot say; the verb says what it cannot do then.
        """
        trigger = ConversationId(
            self._identity.home_id, identifier(command, "channel_id"), identifier(command, "trigger_id")
        )
        try:
            return not await self._marks.is_first("commanded", trigger)
        except StoreUnavailable:
            return False

    async def unknown(self, ack: AsyncAck, command: dict[str, Any]) -> None:
        """A command that Slack sends here and that Dolly does not have."""
        words = await self._words_of(identifier(command, "user_id"))
        await ack(words.say("command_unknown"))
