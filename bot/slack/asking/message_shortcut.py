"""The message shortcut "Ask Dolly about this": a form with the message and a question, answered to its asker or to all.

Slack shows Dolly a message in a channel where it is no member in this payload only. So the message is kept in the
store (bot/store/quotations.py) before the form opens, and the form holds no more than the place where.
"""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import structlog
from slack_bolt.context.ack.async_ack import AsyncAck
from slack_bolt.context.respond.async_respond import AsyncRespond
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.conversation import ConversationId, Turn
from bot.errors import QuestionTooLong, StoreUnavailable, TooManyWaiting
from bot.slack import blocks
from bot.slack.afterwards import Afterwards
from bot.slack.answering.slash_reply import RESPONSE_SECONDS
from bot.slack.asking.attachments import attachments_of
from bot.slack.asking.questions import COMMAND_TS, Questions
from bot.slack.client import UNREACHABLE, Identity, failure
from bot.slack.mrkdwn import PLAIN_MENTION, excerpt, one_line, to_plain
from bot.slack.payloads import address, identifier, selected, team, text, timestamp, typed
from bot.slack.people import WordsOf
from bot.store.connection import store_errors
from bot.store.quotations import Quotation, Quotations
from bot.words import Words

log = structlog.get_logger(__name__)

ASK_ABOUT = "ask_about"
"""Id of the shortcut, and of its form."""
QUESTION, PLACE = "question", "place"
PRIVATE, THREAD = "private", "thread"
STORE_SECONDS = 0.8
MEMBER_SECONDS = 0.8
"""How long Slack may take to say whether Dolly is in the channel; a trigger opens a form for three seconds."""
QUOTED_CHARACTERS = 500
QUESTION_CHARACTERS = 3_000
"""What Slack takes in a box."""


class MessageShortcut:
    """Listeners: the shortcut, and the form when it is submitted."""

    def __init__(
        self,
        client: AsyncWebClient,
        questions: Questions,
        quotations: Quotations,
        identity: Identity,
        words_of: WordsOf,
        afterwards: Afterwards,
    ) -> None:
        self._client = client
        self._questions = questions
        self._quotations = quotations
        self._identity = identity
        self._words_of = words_of
        self._afterwards = afterwards

    async def chosen(self, ack: AsyncAck, respond: AsyncRespond, body: dict[str, Any]) -> None:
        """Listener of the shortcut: keep the message, and open the form."""
        quotation, conversation = self._quoted(body)
        words, is_member = await asyncio.gather(
            self._words_of(quotation.asker_id), self._is_member(quotation.channel_id)
        )
        if not quotation.message["text"]:
            sentence = words.say("about_empty")
        else:
            sentence = await self._open(body, quotation, conversation, words, is_member=is_member)
        await ack()
        if sentence:
            self._afterwards.tell(respond, sentence)

    async def submitted(self, ack: AsyncAck, body: dict[str, Any], view: dict[str, Any]) -> None:
        """Listener of the form: the question is stored before Slack is told "received"."""
        user = body.get("user")
        user_id = identifier(user if isinstance(user, dict) else {}, "id")
        channel_id, _, trigger_id = text(view, "private_metadata").partition("/")
        conversation = ConversationId(self._identity.home_id, channel_id, trigger_id)
        question = typed(view, QUESTION)
        try:
            async with store_errors(STORE_SECONDS):
                quotation = await self._quotations.of(conversation)
            if quotation is None or quotation.asker_id != user_id:
                sentence = (await self._words_of(user_id)).say("about_gone")
            else:
                is_private = not _wants_thread(view)
                async with store_errors(STORE_SECONDS):
                    await self._quotations.keep(conversation, is_private=is_private)
                turn = _turn(conversation, quotation, question, is_private=is_private)
                await self._questions.take(replace(turn, asker_team_id=team(user, "team_id")))
                sentence = ""
        except (StoreUnavailable, TooManyWaiting, QuestionTooLong) as error:
            log.warning("not_asked", reason=str(error))
            sentence = (await self._words_of(user_id)).say(error.words_key)
        if sentence:
            await ack(response_action="errors", errors={QUESTION: sentence})
        else:
            await ack()

    # --- the message ------------------------------------------------------------------------------------------------

    def _quoted(self, body: Mapping[str, Any]) -> tuple[Quotation, ConversationId]:
        """The message of a shortcut's payload, and where it is kept. Raises NotUnderstood."""
        message, channel, user = (_mapping(body, name) for name in ("message", "channel", "user"))
        channel_id, ts = identifier(channel, "id"), timestamp(message, "ts")
        files = attachments_of(message)
        said = {name: text(message, name) for name in ("user", "bot_id", "username")}
        quotation = Quotation(
            asker_id=identifier(user, "id"),
            author_id=said["user"] or said["bot_id"],
            channel_id=channel_id,
            root_ts=timestamp(message, "thread_ts") if message.get("thread_ts") else ts,
            asked_ts=timestamp(body, "action_ts"),
            response_url=address(body, "response_url"),
            response_until=time.time() + RESPONSE_SECONDS,
            message=said | {"ts": ts, "text": text(message, "text") or ", ".join(file.name for file in files)},
            files=files,
        )
        return quotation, ConversationId(self._identity.home_id, channel_id, identifier(body, "trigger_id"))

    async def _is_member(self, channel_id: str) -> bool:
        """Whether Dolly may write where the message stands; where Slack does not say now, it may not."""
        try:
            async with asyncio.timeout(MEMBER_SECONDS):
                channel: Any = (await self._client.conversations_info(channel=channel_id)).get("channel")
        except (SlackApiError, *UNREACHABLE) as error:
            log.info("channel_unknown", reason=str(failure("conversations.info", error)))
            return False
        return isinstance(channel, dict) and bool(channel.get("is_member") or channel.get("is_im"))

    # --- the form ---------------------------------------------------------------------------------------------------

    async def _open(
        self,
        body: dict[str, Any],
        quotation: Quotation,
        conversation: ConversationId,
        words: Words,
        *,
        is_member: bool,
    ) -> str:
        """Show the form; the sentence that says why it could not be shown, or nothing."""
        try:
            async with store_errors(STORE_SECONDS):
                await self._quotations.put(conversation, quotation)
            view = _form(quotation, f"{conversation.channel_id}/{conversation.root_ts}", words, is_member=is_member)
            await self._client.views_open(trigger_id=identifier(body, "trigger_id"), view=view)
        except StoreUnavailable as error:
            return words.say(error.words_key)
        except (SlackApiError, *UNREACHABLE) as error:
            log.warning("form_not_opened", reason=str(failure("views.open", error)))
            return words.say("form_not_opened")
        return ""


def _quoted(said: str) -> str:
    """A text as a quote, people's names in it; in a form, a mention calls nobody."""
    return PLAIN_MENTION.sub(r"<@\1>", excerpt(said, QUOTED_CHARACTERS)).replace("\n", "\n> ")


def _form(quotation: Quotation, metadata: str, words: Words, *, is_member: bool) -> blocks.Block:
    """Message, question, and where Dolly is in the channel, the choice of who reads the answer."""
    said = to_plain(quotation.message["text"], "")
    user_id, username = quotation.message["user"], quotation.message["username"]
    author = f"<@{user_id}>" if user_id else one_line(username, QUOTED_CHARACTERS)
    form = [
        blocks.section(f"*{author}*\n> " + _quoted(said)),
        blocks.field(
            words.say("about_question"),
            QUESTION,
            blocks.text_input(QUESTION, words.say("about_explain"), most_characters=QUESTION_CHARACTERS),
            is_optional=False,
        ),
    ]
    if is_member:
        places = [blocks.option(words.say("about_private"), PRIVATE), blocks.option(words.say("about_thread"), THREAD)]
        chooser = blocks.choice("radio_buttons", PLACE, places, PRIVATE)
        form.append(blocks.field(words.say("about_place"), PLACE, chooser, is_optional=False))
    else:
        form.append(blocks.context(words.say("about_only_private")))
    return blocks.modal(
        ASK_ABOUT,
        form,
        title=words.say("about_title"),
        submit=words.say("about_submit"),
        close=words.say("form_cancel"),
        metadata=metadata,
    )


def _turn(conversation: ConversationId, quotation: Quotation, question: str, *, is_private: bool) -> Turn:
    """The question as it is answered: to its asker alone, or in the message's thread."""
    channel_id = conversation.channel_id
    return Turn(
        conversation if is_private else ConversationId(conversation.team_id, channel_id, quotation.root_ts),
        ts=COMMAND_TS if is_private else quotation.asked_ts,
        user_id=quotation.asker_id,
        text=question,
        is_direct=not is_private and channel_id.startswith("D"),
        response_url=quotation.response_url if is_private else None,
        response_until=quotation.response_until if is_private else 0.0,
        files=quotation.files,
        about=conversation.root_ts,
    )


def _wants_thread(view: Mapping[str, Any]) -> bool:
    """Whether the answer is to be read by all; a form without that choice has it private."""
    state = view.get("state")
    values = state.get("values") if isinstance(state, Mapping) else None
    return isinstance(values, Mapping) and PLACE in values and selected(view, PLACE) == THREAD


def _mapping(body: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = body.get(name)
    return found if isinstance(found, Mapping) else {}
