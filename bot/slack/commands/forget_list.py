"""The list that `/dolly forget` shows: a person's newest conversations, each with a button to forget it."""

from dataclasses import dataclass
from typing import Any

from bot.conversation import ConversationId
from bot.slack import blocks
from bot.slack.asking.attachments import as_said
from bot.slack.client import Identity
from bot.slack.mrkdwn import date_token, one_line
from bot.slack.payloads import TIMESTAMP
from bot.slack.permalinks import permalink
from bot.store.connection import store_errors
from bot.store.forgetting import Forgetting
from bot.store.memory import Memory
from bot.words import Words

STORE_SECONDS = 1.2
"""Of the three that Slack waits."""
LISTED = 10
LOOKED_AT = 50
"""Some hold nothing any more."""
QUOTED_CHARACTERS = 80

FORGET_CONVERSATION, FORGET_ME = "forget_conversation", "forget_me"
"""Ids of the buttons' actions."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A conversation as the list shows it."""

    conversation: ConversationId
    question: str
    """How the person's own first question in it begins."""


class ForgetList:
    """Draws the list. Nobody but its person sees it."""

    def __init__(self, forgetting: Forgetting, memory: Memory, identity: Identity) -> None:
        self._forgetting = forgetting
        self._memory = memory
        self._identity = identity

    async def message(self, user_id: str, words: Words, sentence: str = "") -> dict[str, Any]:
        """Text and blocks of an ephemeral message with a person's newest conversations, under `sentence`."""
        listed = await self.drawn(user_id, words)
        if not listed:
            return {"text": sentence or words.say("forget_nothing")}
        text = sentence or words.say("forget_list")
        return {"text": text, "blocks": [*([blocks.section(sentence)] if sentence else []), *listed]}

    async def drawn(self, user_id: str, words: Words) -> list[blocks.Block]:
        """The list itself; empty for somebody who has no conversation."""
        async with store_errors(STORE_SECONDS):
            listed = await self._newest(user_id)
        if not listed:
            return []
        everything = blocks.button(
            words.say("forget_all_button"),
            FORGET_ME,
            confirm=_confirmation(words, words.say("forget_all_confirm")),
        )
        head = blocks.section(words.say("forget_list"))
        return [head, *(self._entry(entry, words) for entry in listed), blocks.actions([everything])]

    async def _newest(self, user_id: str) -> list[Listed]:
        """A person's conversations that hold something of theirs."""
        listed: list[Listed] = []
        for conversation in (await self._forgetting.conversations_of(user_id))[:LOOKED_AT]:
            exchanges = await self._memory.read(conversation)
            own = next((exchange.question for exchange in exchanges if exchange.user_id == user_id), "")
            if own or user_id in await self._forgetting.people(conversation):
                listed.append(Listed(conversation, own))
            if len(listed) == LISTED:
                break
        return listed

    def _entry(self, listed: Listed, words: Words) -> blocks.Block:
        channel_id, root_ts = listed.conversation.channel_id, listed.conversation.root_ts
        where = words.say("forget_direct") if channel_id.startswith("D") else f"<#{channel_id}>"
        if TIMESTAMP.fullmatch(root_ts):
            when, link = date_token(float(root_ts)), permalink(self._identity.url, channel_id, root_ts)
            line = words.say("forget_entry", where=where, when=when, link=link)
        else:  # a trigger id: there is no thread, and no date
            line = words.say("forget_entry_private", where=where)
        quoted = one_line(as_said(listed.question, words), QUOTED_CHARACTERS)
        button = blocks.button(
            words.say("forget_button"),
            FORGET_CONVERSATION,
            value=str(listed.conversation),
            confirm=_confirmation(words, words.say("forget_confirm")),
        )
        return blocks.section(f"{line}\n> {quoted}" if quoted else line, accessory=button)


def _confirmation(words: Words, sentence: str) -> blocks.Block:
    return blocks.confirmation(
        title=words.say("forget_confirm_title"),
        text=sentence,
        confirm=words.say("forget_button"),
        deny=words.say("forget_keep"),
    )
