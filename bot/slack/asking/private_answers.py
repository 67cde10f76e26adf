"""The buttons under an answer that only its asker sees: share it in the channel, and have the question answered again.

Slack's click on such a message carries nothing of what it says. So the exchange is read from the store, where it is
remembered under the command's trigger id, like any conversation: forgotten with the others, and after as long.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import structlog
from slack_bolt.context.ack.async_ack import AsyncAck
from slack_bolt.context.respond.async_respond import AsyncRespond
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.attachments import Attachment
from bot.conversation import ConversationId, Exchange, Turn
from bot.errors import DollyError, NotUnderstood, QuestionTooLong, SlackError, StoreUnavailable, TooManyWaiting
from bot.slack.afterwards import Afterwards, said
from bot.slack.answering.markdown import pieces
from bot.slack.answering.output_filter import OutputFilter
from bot.slack.answering.own_messages import metadata
from bot.slack.answering.slash_reply import RESPONSE_SECONDS
from bot.slack.asking.questions import COMMAND_TS, Questions
from bot.slack.client import UNREACHABLE, Identity, failure, is_undone
from bot.slack.payloads import address, identifier
from bot.slack.people import WordsOf
from bot.slack.permalinks import permalink
from bot.store.connection import store_errors
from bot.store.marks import Marks
from bot.store.memory import Memory
from bot.store.quotations import Quotations
from bot.words import Words

log = structlog.get_logger(__name__)

STORE_SECONDS = 1.0
COMMIT_SECONDS = 5.0
"""How long after an answer is shown it may take until it is remembered; acknowledging a click cannot wait so long."""
CLICK_SECONDS = 0.8
LOOK_SECONDS = 0.2
QUOTED_CHARACTERS = 1_000
NOT_THERE = frozenset({"not_in_channel", "channel_not_found"})
"""Slack's names for a channel that Dolly was not invited to."""


class PrivateAnswers:
    """Listeners of both buttons."""

    def __init__(
        self,
        client: AsyncWebClient,
        questions: Questions,
        memory: Memory,
        quotations: Quotations,
        marks: Marks,
        identity: Identity,
        words_of: WordsOf,
        afterwards: Afterwards,
        link_hosts: Sequence[str] = (),
    ) -> None:
        self._client = client
        self._questions = questions
        self._memory = memory
        self._quotations = quotations
        self._marks = marks
        self._identity = identity
        self._words_of = words_of
        self._link_hosts = link_hosts
        self._afterwards = afterwards

    # --- listeners --------------------------------------------------------------------------------------------------

    async def share(self, ack: AsyncAck, respond: AsyncRespond, body: dict[str, Any]) -> None:
        """Post question and answer in the channel, after the acknowledgement: nothing is lost that way but a click."""
        user_id, conversation = _clicked(body)
        await ack()
        self._afterwards.do(self._share(respond, user_id, conversation))

    async def again(self, ack: AsyncAck, respond: AsyncRespond, body: dict[str, Any]) -> None:
        """Store the question anew, under the click's trigger id; its answer comes where the old one stands."""
        user_id, conversation = _clicked(body)
        words = await self._words_of(user_id)
        try:
            exchange = await self._exchange(conversation, user_id, CLICK_SECONDS)
            if exchange is not None:
                await self._questions.take(await self._anew(exchange, conversation, body))
            sentence = "" if exchange else words.say("private_gone")
        except (StoreUnavailable, TooManyWaiting, QuestionTooLong) as error:
            sentence = words.say(error.words_key)
        await ack()
        if sentence:
            self._afterwards.tell(respond, sentence)

    # --- asked again ------------------------------------------------------------------------------------------------

    async def _anew(self, exchange: Exchange, before: ConversationId, body: dict[str, Any]) -> Turn:
        """The same question in a conversation of its own; its files are looked up by their ids."""
        conversation = replace(before, root_ts=identifier(body, "trigger_id"))
        async with store_errors(STORE_SECONDS):
            is_about = await self._quotations.copy(before, conversation)
        return Turn(
            conversation,
            ts=COMMAND_TS,
            user_id=exchange.user_id,
            text=exchange.question,
            response_url=address(body, "response_url"),
            response_until=time.time() + RESPONSE_SECONDS,
            files=tuple(Attachment(file.id, file.name, "", 0, "") for file in exchange.attached),
            about=conversation.root_ts if is_about else "",
            in_place=True,
        )

    # --- shared -----------------------------------------------------------------------------------------------------

    async def _share(self, respond: AsyncRespond, user_id: str, conversation: ConversationId) -> None:
        words = await self._words_of(user_id)
        try:
            exchange = await self._exchange(conversation, user_id, COMMIT_SECONDS)
            if exchange is None:
                await said(respond, words.say("private_gone"))
            elif not await self._marks.is_first("shared", conversation):
                await said(respond, words.say("share_before"))
            else:
                await self._post(respond, exchange, conversation, words)
        except StoreUnavailable as error:
            log.warning("not_shared", reason=str(error))
            await said(respond, words.say(error.words_key))

    async def _post(
        self, respond: AsyncRespond, exchange: Exchange, conversation: ConversationId, words: Words
    ) -> None:
        """Post it once: what may have been made is not tried again."""
        async with store_errors():
            quotation = await self._quotations.of(conversation)
        linked = permalink(self._identity.url, quotation.channel_id, quotation.message["ts"]) if quotation else ""
        parts = pieces(self._shared_text(exchange, linked, words))
        root_ts, job_id = None, f"{conversation}/{exchange.ts}"
        for part in parts:
            try:
                posted = await self._client.chat_postMessage(
                    channel=conversation.channel_id,
                    thread_ts=root_ts,
                    metadata=metadata(job_id, exchange.model, exchange.prompt_hash),
                    unfurl_links=False,
                    unfurl_media=False,
                    markdown_text=part,
                )
            except (SlackApiError, *UNREACHABLE) as error:
                refusal = failure("chat.postMessage", error)
                log.warning("not_shared", reason=str(refusal), is_begun=root_ts is not None)
                if root_ts is None and is_undone(error):
                    await self._marks.undo("shared", conversation)
                    await said(respond, words.say(_why(refusal)))
                else:
                    await said(respond, words.say("share_unsure"))
                return
            root_ts = root_ts or posted["ts"]
        log.info("shared", conversation=str(conversation), messages=len(parts))
        await said(respond, words.say("share_done"), in_place=True)

    def _shared_text(self, exchange: Exchange, linked: str, words: Words) -> str:
        """Who asked what, about the message at `linked` if there is one, and the answer as its asker saw it."""
        question = exchange.question
        if len(question) > QUOTED_CHARACTERS:
            question = question[:QUOTED_CHARACTERS] + "…"
        quoted = self._filtered(question, exchange.question).strip().replace("\n", "\n> ")
        user = f"<@{exchange.user_id}>"
        head = words.say("share_head_about", user=user, link=linked) if linked else words.say("share_head", user=user)
        return f"{head}\n> {quoted}\n\n{self._filtered(exchange.answer, exchange.said).strip()}"

    def _filtered(self, text: str, said: str) -> str:
        """What may be shown of `text` in Dolly's own name, to those who heard `said`."""
        output = OutputFilter(self._link_hosts)
        output.hear([said])
        output.write(text)
        return output.whole()

    async def _exchange(self, conversation: ConversationId, user_id: str, seconds: float) -> Exchange | None:
        """What the person was answered there; looked for that long, as it is shown before it is remembered."""
        for _ in range(round(seconds / LOOK_SECONDS)):
            async with store_errors(STORE_SECONDS):
                exchanges = await self._memory.read(conversation)
            if exchange := next((exchange for exchange in exchanges if exchange.user_id == user_id), None):
                return exchange
            await asyncio.sleep(LOOK_SECONDS)
        return None


def _why(refusal: DollyError) -> str:
    """The key of the sentence that says why an answer was not posted, and what to do."""
    if not isinstance(refusal, SlackError):
        return "share_later"
    return "share_not_there" if refusal.reason in NOT_THERE else "share_refused"


def _clicked(body: dict[str, Any]) -> tuple[str, ConversationId]:
    """Who clicked, and the conversation of the answer that the button stands under. Raises NotUnderstood."""
    user = body.get("user")
    user_id = identifier(user if isinstance(user, dict) else {}, "id")
    try:
        return user_id, ConversationId.parse(str(body["actions"][0]["value"]))
    except (LookupError, TypeError, ValueError):
        raise NotUnderstood("value") from None
