"""What is kept in mind of single messages, so that what comes again, or late, has no second effect.

    edited:<conv>     sorted set: message's ts → ts of its newest edit, in microseconds
    shared:<conv>     string: the answer that only its asker saw was posted for all
    greeted:<conv>    string: Dolly has said hello in the thread
    commanded:<conv>  string: the command of this trigger was done

They are dropped after 26 hours, as the mailbox's dedupe marks are, and hold no text.
"""

from typing import Literal

from bot.conversation import ConversationId
from bot.store.connection import Client, store_errors
from bot.store.layout import Layout
from bot.store.mailbox import DEDUPE_SECONDS

Mark = Literal["shared", "greeted", "commanded"]


class Marks:
    """Marks on messages. Every method raises StoreUnavailable."""

    def __init__(self, client: Client, layout: Layout) -> None:
        self._client = client
        self._layout = layout

    async def is_newest_edit(self, conversation: ConversationId, ts: str, edited_ts: str) -> bool:
        """Whether no later edit of the message `ts` was heard of. True again for the same edit: it may be repeated."""
        key = f"{self._layout.prefix_of(conversation)}edited:{conversation}"
        edited = round(float(edited_ts) * 1_000_000)
        async with store_errors(), self._client.pipeline(transaction=False) as pipe:
            pipe.zadd(key, {ts: edited}, gt=True)
            pipe.zscore(key, ts)
            pipe.expire(key, DEDUPE_SECONDS)
            _, newest, _ = await pipe.execute()
        return bool(newest <= edited)

    async def is_first(self, mark: Mark, conversation: ConversationId) -> bool:
        """True once for each conversation, or until `undo`: it may be done now."""
        async with store_errors():
            return bool(await self._client.set(self._key(mark, conversation), "1", nx=True, ex=DEDUPE_SECONDS))

    async def undo(self, mark: Mark, conversation: ConversationId) -> None:
        """It was certainly not done: it may be tried again."""
        async with store_errors():
            await self._client.delete(self._key(mark, conversation))

    def _key(self, mark: Mark, conversation: ConversationId) -> str:
        return f"{self._layout.prefix_of(conversation)}{mark}:{conversation}"
