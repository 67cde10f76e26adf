"""What people think of answers, in the store: sealed, beside the conversation that it belongs to.

    feedback:<conv>    hash: <question's ts>/<asker>/<rater> → what they said, sealed
    rated:<user>       sorted set: <conv>/<question's ts> of what a person has rated, by when

One person has one opinion of an answer: a new one replaces it. It stays until it is withdrawn or forgotten
(forgetting.py): what is learnt of it outlives a conversation's memory.
"""

import json
from dataclasses import asdict, fields
from typing import Any

import structlog

from bot.conversation import ConversationId
from bot.errors import SealBroken
from bot.feedback import Feedback
from bot.store.connection import Client, store_errors
from bot.store.layout import Layout
from bot.store.sealing import Sealing

log = structlog.get_logger(__name__)


class FeedbackStore:
    """Reads and writes it. Every method raises StoreUnavailable."""

    def __init__(self, client: Client, layout: Layout, sealing: Sealing) -> None:
        self._client = client
        self._layout = layout
        self._sealing = sealing

    async def put(self, conversation: ConversationId, feedback: Feedback) -> None:
        """Keep it, in the place of what the same person said of the same answer before."""
        prefix = self._layout.prefix_of(conversation)
        sealed = self._sealing.seal(str(conversation), json.dumps(asdict(feedback), ensure_ascii=False))
        async with store_errors(), self._client.pipeline(transaction=False) as pipe:
            pipe.hset(f"{prefix}feedback:{conversation}", _name(feedback), sealed)
            pipe.zadd(f"{prefix}rated:{feedback.rater_id}", {f"{conversation}/{feedback.ts}": feedback.at})
            await pipe.execute()

    async def withdraw(self, conversation: ConversationId, ts: str, rater_id: str) -> bool:
        """Drop what the person said of the answer to `ts`; whether there was anything."""
        prefix, key = self._layout.prefix_of(conversation), f"feedback:{conversation}"
        async with store_errors():
            names: Any = await self._client.hkeys(prefix + key)
        mine = [name for name in names if name.startswith(f"{ts}/") and name.endswith(f"/{rater_id}")]
        async with store_errors(), self._client.pipeline(transaction=False) as pipe:
            pipe.zrem(f"{prefix}rated:{rater_id}", f"{conversation}/{ts}")
            for name in mine:
                pipe.hdel(prefix + key, name)
            await pipe.execute()
        return bool(mine)

    async def drop(self, conversation: ConversationId, ts: str) -> None:
        """Drop what everybody said of an answer: the message `ts`, its question or a part of it, was deleted."""
        for feedback in await self.of_conversation(conversation):
            if ts in (feedback.ts, *feedback.answer_ts):
                await self.withdraw(conversation, feedback.ts, feedback.rater_id)

    async def of_conversation(self, conversation: ConversationId) -> list[Feedback]:
        """All that was said of the answers in a conversation, by the questions' order; what does not open is left
        out."""
        async with store_errors():
            stored: Any = await self._client.hgetall(f"{self._layout.prefix_of(conversation)}feedback:{conversation}")
        found = [self._opened(conversation, sealed) for _, sealed in sorted(stored.items())]
        return [feedback for feedback in found if feedback is not None]

    async def of(self, conversation: ConversationId, ts: str, rater_id: str) -> Feedback | None:
        """What the person said of the answer: `ts` is that of its question, or of a message that it stands in."""
        everybody = await self.of_conversation(conversation)
        own = (each for each in everybody if each.rater_id == rater_id)
        return next((each for each in own if ts in (each.ts, *each.answer_ts)), None)

    async def newest(self, rater_id: str, most: int) -> list[tuple[ConversationId, Feedback]]:
        """The answers that a person has rated, the newest first."""
        found: list[tuple[str, float]] = []
        for prefix in self._layout.prefixes:
            async with store_errors():
                of_partition: Any = await self._client.zrange(f"{prefix}rated:{rater_id}", -most, -1, withscores=True)
            found += of_partition
        newest = sorted(found, key=lambda entry: -entry[1])[:most]
        listed = []
        for name, _ in newest:
            where, _, ts = name.rpartition("/")
            conversation = ConversationId.parse(where)
            if feedback := await self.of(conversation, ts, rater_id):
                listed.append((conversation, feedback))
        return listed

    def _opened(self, conversation: ConversationId, sealed: str) -> Feedback | None:
        try:
            found = json.loads(self._sealing.open(str(conversation), sealed))
            known = {field.name: found[field.name] for field in fields(Feedback) if field.name in found}
            return Feedback(**known | {"answer_ts": tuple(known.get("answer_ts", ()))})
        except (SealBroken, ValueError, TypeError) as error:
            log.error("feedback_unreadable", conversation=str(conversation), error=type(error).__name__)
            return None


def _name(feedback: Feedback) -> str:
    return f"{feedback.ts}/{feedback.asker_id}/{feedback.rater_id}"
