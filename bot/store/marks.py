"""What is kept in mind of single messages, so that what comes again, or late, has no second effect.

    edited:<conv>     sorted set: message's ts → ts of its newest edit, in microseconds

They are dropped after 26 hours, as the mailbox's dedupe marks are, and hold no text.
"""

from bot.conversation import ConversationId
from bot.store.connection import Client, store_errors
from bot.store.layout import Layout
from bot.store.mailbox import DEDUPE_SECONDS


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
