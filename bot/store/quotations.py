"""Messages that people ask about: what a shortcut brought of one, kept until its answer is forgotten.

    asking:<conv>     hash: the author's id and the asker's in plain sight, for forgetting; the rest sealed

A conversation here is the channel and the shortcut's trigger id. While its form is open the message is kept for half
an hour; once the question is stored, as long as a private answer is remembered, or for a day where the answer goes to
the message's thread. What a conversation remembers holds the message as well, but a question that waits, or was given
up, has it here only: whoever is forgotten leaves nothing in other people's jobs.
"""

import json
from dataclasses import asdict, dataclass
from typing import Any

import structlog

from bot.attachments import Attachment
from bot.conversation import ConversationId
from bot.errors import SealBroken
from bot.store.connection import Client, store_errors
from bot.store.layout import Layout
from bot.store.sealing import Sealing

log = structlog.get_logger(__name__)

DEDUPE_SECONDS = 26 * 3600
"""As long as a question may wait, and its dedupe mark is kept (mailbox.py)."""
FORM_SECONDS = 30 * 60
"""How long Slack takes answers at the shortcut's response_url."""


@dataclass(frozen=True, slots=True)
class Quotation:
    """A message, and what an answer about it needs."""

    asker_id: str
    author_id: str
    channel_id: str
    root_ts: str
    """Of the message's thread."""
    asked_ts: str
    """When it was asked about: Slack's ts of the shortcut, later than all that stands in the thread."""
    response_url: str
    response_until: float
    """Until when Slack takes posts there, in seconds since 1970."""
    message: dict[str, str]
    """Slack's `ts`, `user`, `bot_id`, `username` and `text` of it."""
    files: tuple[Attachment, ...] = ()


class Quotations:
    """Keeps them. Every method raises StoreUnavailable."""

    def __init__(
        self, client: Client, layout: Layout, sealing: Sealing, *, memory_seconds: float = 30 * 86_400
    ) -> None:
        self._client = client
        self._layout = layout
        self._sealing = sealing
        self._memory_seconds = round(memory_seconds)

    async def put(self, conversation: ConversationId, quotation: Quotation) -> None:
        """Keep it while its form is open."""
        key = self._key(conversation)
        sealed = self._sealing.seal(str(conversation), json.dumps(asdict(quotation), ensure_ascii=False))
        record: Any = {"author": quotation.author_id, "asker": quotation.asker_id, "sealed": sealed}
        async with store_errors(), self._client.pipeline(transaction=False) as pipe:
            pipe.hset(key, mapping=record)
            pipe.expire(key, FORM_SECONDS)
            await pipe.execute()

    async def keep(self, conversation: ConversationId, *, is_private: bool) -> None:
        """Keep it as long as the answer to it may be asked for."""
        key, seconds = self._key(conversation), self._memory_seconds if is_private else DEDUPE_SECONDS
        async with store_errors():
            await (self._client.expire(key, seconds) if seconds else self._client.persist(key))

    async def forget(self, conversation: ConversationId | str, user_id: str = "") -> None:
        """Drop it; of one person, where they asked, or wrote the message."""
        key = self._key(conversation)
        async with store_errors():
            if not user_id or user_id in await self._client.hmget(key, "author", "asker"):
                await self._client.delete(key)

    async def of(self, conversation: ConversationId) -> Quotation | None:
        """The message that was asked about; None where it was forgotten, or its time is over."""
        async with store_errors():
            sealed: Any = await self._client.hget(self._key(conversation), "sealed")
        if not sealed:
            return None
        try:
            found = json.loads(self._sealing.open(str(conversation), sealed))
            files = tuple(Attachment(**file) for file in found.pop("files"))
            return Quotation(**found, files=files)
        except (SealBroken, ValueError, TypeError, KeyError) as error:
            log.error("quotation_unreadable", conversation=str(conversation), error=type(error).__name__)
            return None

    async def copy(self, conversation: ConversationId, to: ConversationId) -> bool:
        """Keep the message for another answer about it, too; whether there is one."""
        quotation = await self.of(conversation)
        if quotation is not None:
            await self.put(to, quotation)
            await self.keep(to, is_private=True)
        return quotation is not None

    def _key(self, conversation: ConversationId | str) -> str:
        return f"{self._layout.prefix_of(conversation)}asking:{conversation}"
