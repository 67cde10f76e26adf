"""What people think of answers, in the store: sealed, beside the conversation that it belongs to.

    feedback:<conv>    hash: <question's ts>/<asker>/<rater> → what they said, and what a reviewer made of it, sealed
    rated:<user>       sorted set: <conv>/<question's ts> of what a person has rated, by when

One person has one opinion of an answer: a new one replaces it, and nobody has reviewed that. It stays until it is
withdrawn or forgotten (forgetting.py): what is learnt of it outlives a conversation's memory. What goes here goes from
what a trainer has not read yet, too (exported.py).
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

import structlog

from bot.conversation import ConversationId
from bot.errors import SealBroken
from bot.feedback import Feedback, KeptFeedback, name_of
from bot.store.connection import Client, load_script, run_script, store_errors
from bot.store.exported import Exported
from bot.store.layout import Layout
from bot.store.sealing import Sealing

log = structlog.get_logger(__name__)

SCAN_COUNT = 1_000
SCAN_SECONDS = 120.0
BATCH = 200
"""Conversations that are read at once."""
VERSION_CHARACTERS = 16


class FeedbackStore:
    """Reads and writes it. Every method raises StoreUnavailable."""

    def __init__(self, client: Client, layout: Layout, sealing: Sealing) -> None:
        self._client = client
        self._layout = layout
        self._sealing = sealing
        self._exported = Exported(client)
        self._replace = load_script("replace")

    async def put(self, conversation: ConversationId, feedback: Feedback) -> None:
        """Keep it, in the place of what the same person said of the same answer before, in exports too."""
        prefix, name = self._layout.prefix_of(conversation), name_of(conversation, feedback)
        async with store_errors(), self._client.pipeline(transaction=False) as pipe:
            pipe.hset(f"{prefix}feedback:{conversation}", _field(feedback), self._sealed(conversation, feedback))
            pipe.zadd(f"{prefix}rated:{feedback.rater_id}", {f"{conversation}/{feedback.ts}": feedback.at})
            await pipe.execute()
        await self._exported.take_out(lambda exported: exported == name)

    async def withdraw(self, conversation: ConversationId, ts: str, rater_id: str) -> bool:
        """Drop what the person said of the answer to `ts`, from exports too; whether there was anything."""
        prefix, key = self._layout.prefix_of(conversation), f"feedback:{conversation}"
        async with store_errors():
            fields_: Any = await self._client.hkeys(prefix + key)
        mine = [field for field in fields_ if field.startswith(f"{ts}/") and field.endswith(f"/{rater_id}")]
        names = {f"{conversation}/{field}" for field in mine}
        await self._exported.note_withdrawn(names)
        async with store_errors(), self._client.pipeline(transaction=False) as pipe:
            pipe.zrem(f"{prefix}rated:{rater_id}", f"{conversation}/{ts}")
            for field in mine:
                pipe.hdel(prefix + key, field)
            await pipe.execute()
        if names:
            await self._exported.take_out(lambda name: name in names)
        return bool(mine)

    async def drop(self, conversation: ConversationId, ts: str) -> None:
        """Drop what everybody said of an answer: the message `ts`, its question or a part of it, was deleted."""
        for feedback in await self.of_conversation(conversation):
            if ts in (feedback.ts, *feedback.answer_ts):
                await self.withdraw(conversation, feedback.ts, feedback.rater_id)

    async def review(self, seen: KeptFeedback, reviewed: Feedback) -> bool:
        """Replace `seen` by what a reviewer made of it (`Feedback.reviewed`); a job that has it as it was loses it.

        False, and nothing is written, where it is another one by now: rated anew, reviewed by somebody else, withdrawn.
        """
        prefix, field = self._layout.prefix_of(seen.conversation), _field(seen.feedback)
        key = f"{prefix}feedback:{seen.conversation}"
        async with store_errors():
            sealed: Any = await self._client.hget(key, field)
            if sealed is None or _version(sealed) != seen.version:
                return False
            arguments = [field, sealed, self._sealed(seen.conversation, reviewed)]
            is_done = bool(await run_script(self._client, self._replace, [key], arguments))
        if is_done:
            await self._exported.take_out(lambda name: name == seen.name)
        return is_done

    async def all(self) -> list[KeptFeedback]:
        """All that there is in the team, the newest first; what does not open is left out."""
        found = []
        async with store_errors(SCAN_SECONDS):
            match = f"dolly:{{{self._layout.owner}/*}}:feedback:*"
            keys = sorted({key async for key in self._client.scan_iter(match=match, count=SCAN_COUNT)})
        for start in range(0, len(keys), BATCH):
            batch = keys[start : start + BATCH]
            async with store_errors(), self._client.pipeline(transaction=False) as pipe:
                for key in batch:
                    pipe.hgetall(key)
                stored = await pipe.execute()
            for key, fields_ in zip(batch, stored, strict=True):
                found += self._read(ConversationId.parse(key.partition("}:feedback:")[2]), fields_)
        return sorted(found, key=lambda kept: (-kept.feedback.at, kept.name))

    async def by_name(self, name: str) -> KeptFeedback | None:
        """The piece of feedback that is called so (bot/feedback.py, `name_of`), as it is now; None where it is gone."""
        conversation = ConversationId.parse("/".join(name.split("/")[:3]))
        return next((kept for kept in await self._kept(conversation) if kept.name == name), None)

    async def of_conversation(self, conversation: ConversationId) -> list[Feedback]:
        """All that was said of the answers in a conversation, by the questions' order; what does not open is left
        out."""
        return [kept.feedback for kept in await self._kept(conversation)]

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

    async def _kept(self, conversation: ConversationId) -> list[KeptFeedback]:
        async with store_errors():
            stored: Any = await self._client.hgetall(f"{self._layout.prefix_of(conversation)}feedback:{conversation}")
        return self._read(conversation, stored)

    def _read(self, conversation: ConversationId, stored: Mapping[str, str]) -> list[KeptFeedback]:
        found = [(self._opened(conversation, sealed), sealed) for _, sealed in sorted(stored.items())]
        return [KeptFeedback(conversation, feedback, _version(sealed)) for feedback, sealed in found if feedback]

    def _sealed(self, conversation: ConversationId, feedback: Feedback) -> str:
        return self._sealing.seal(str(conversation), json.dumps(asdict(feedback), ensure_ascii=False))

    def _opened(self, conversation: ConversationId, sealed: str) -> Feedback | None:
        """The fields that are stored; an earlier Dolly's value lacks some, a later one's has more."""
        try:
            found = json.loads(self._sealing.open(str(conversation), sealed))
            known = {field.name: found[field.name] for field in fields(Feedback) if field.name in found}
            lists = {name: tuple(value) for name, value in known.items() if isinstance(value, list)}
            return Feedback(**known | lists)
        except (SealBroken, ValueError, TypeError) as error:
            log.error("feedback_unreadable", conversation=str(conversation), error=type(error).__name__)
            return None


def _field(feedback: Feedback) -> str:
    return f"{feedback.ts}/{feedback.asker_id}/{feedback.rater_id}"


def _version(sealed: str) -> str:
    """Which stored value it is: each that was sealed is unlike any other."""
    return hashlib.sha256(sealed.encode(errors="surrogatepass")).hexdigest()[:VERSION_CHARACTERS]
