"""What a conversation remembers: a list of committed exchanges, written only by the mailbox's commit.

An entry's head is in plain sight, for the scripts that trim and forget; its texts are sealed:

    <tokens>|<question's ts>|<user,user…>|<answer's ts,ts…>|<sealed JSON of the texts>
"""

import json
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import structlog

from bot.conversation import ConversationId, Exchange, Line
from bot.errors import SealBroken
from bot.store.connection import Client, load_script, run_script, store_errors
from bot.store.layout import Layout
from bot.store.sealing import Sealing

log = structlog.get_logger(__name__)

REWRITE_TRIES = 10


def dump(exchange: Exchange, conversation: str, sealing: Sealing) -> str:
    """An exchange as it is stored."""
    texts = {
        "question": exchange.question,
        "answer": exchange.answer,
        "earlier": [[line.ts, line.user_id, line.text] for line in exchange.earlier],
    }
    sealed = sealing.seal(conversation, json.dumps(texts, ensure_ascii=False))
    # The asker stands first, so that `load` finds them again.
    people = ",".join([exchange.user_id, *sorted(exchange.people - {exchange.user_id})])
    return f"{exchange.tokens}|{exchange.ts}|{people}|{','.join(exchange.answer_ts)}|{sealed}"


def load(stored: str, conversation: str, sealing: Sealing) -> Exchange:
    """The inverse of `dump`. Raises SealBroken."""
    tokens, ts, people, answer_ts, sealed = stored.split("|", 4)
    texts = json.loads(sealing.open(conversation, sealed))
    return Exchange(
        ts=ts,
        user_id=people.partition(",")[0],
        question=texts["question"],
        answer=texts["answer"],
        tokens=int(tokens),
        earlier=tuple(Line(*line) for line in texts["earlier"]),
        answer_ts=tuple(answer_ts.split(",")) if answer_ts else (),
    )


class Memory:
    """Reads what conversations remember. Methods raise StoreUnavailable when the store does not answer."""

    def __init__(self, client: Client, layout: Layout, sealing: Sealing) -> None:
        self._client = client
        self._layout = layout
        self._sealing = sealing
        self._rewrite = load_script("rewrite")

    async def read(self, conversation: ConversationId) -> list[Exchange]:
        """The exchanges of `conversation`, oldest first; empty for one that Dolly has not seen.

        What does not open (its key is missing, or it belongs elsewhere) is left out, and said in the log.
        """
        prefix = self._layout.prefix_of(conversation)
        async with store_errors(), self._client.pipeline(transaction=False) as pipe:
            pipe.lrange(f"{prefix}memory:{conversation}", 0, -1)
            pipe.exists(f"{prefix}changes:{conversation}")
            stored, has_changes = await pipe.execute()
        if has_changes:
            await self.apply_changes(conversation)
            async with store_errors():
                stored = await self._client.lrange(f"{prefix}memory:{conversation}", 0, -1)
        return [exchange for _, exchange in self._opened(stored, conversation)]

    def _opened(self, stored: list[str], conversation: ConversationId) -> list[tuple[str, Exchange]]:
        opened = []
        for entry in stored:
            try:
                opened.append((entry, load(entry, str(conversation), self._sealing)))
            except (SealBroken, ValueError, TypeError, KeyError) as error:
                log.error("memory_unreadable", conversation=str(conversation), error=type(error).__name__)
        return opened

    async def change(self, conversation: ConversationId, texts: Mapping[str, str]) -> bool:
        """Rewrite what is remembered of Slack's messages: by `ts`, their new text, "" for a deleted one.

        A deleted question goes with its answer, and a deleted answer with its question: alone, neither can
        stand in a prompt. Returns whether anything of them was remembered.
        """
        prefix = self._layout.prefix_of(conversation)
        key = f"{prefix}memory:{conversation}"
        for _ in range(REWRITE_TRIES):
            async with store_errors():
                stored: Any = await self._client.lrange(key, 0, -1)
            rewriting: list[str] = []
            for entry, exchange in self._opened(stored, conversation):
                changed = _changed(exchange, texts)
                if changed != exchange:
                    rewriting += [entry, dump(changed, str(conversation), self._sealing) if changed else ""]
            if not rewriting:
                return False
            async with store_errors():
                if await run_script(self._client, self._rewrite, [key], rewriting) == len(rewriting) // 2:
                    return True
        return True  # rewritten by somebody else each time: they read the same changes

    async def apply_changes(self, conversation: ConversationId) -> None:
        """Do what was asked for while an answer was under way (`changes:` in bot/store/mailbox.py)."""
        key = f"{self._layout.prefix_of(conversation)}changes:{conversation}"
        async with store_errors():
            changes: Any = await self._client.hgetall(key)
        texts = {ts: self._sealing.open(str(conversation), sealed) for ts, sealed in changes.items()}
        await self.change(conversation, texts)
        if changes:
            async with store_errors():
                await self._client.hdel(key, *changes)

    async def threads(self, active_within_seconds: float) -> list[ConversationId]:
        """The conversations in which a question was stored or answered lately."""
        found: list[str] = []
        for prefix in self._layout.prefixes:
            async with store_errors():
                since_ms = (time.time() - active_within_seconds) * 1000
                active: Any = await self._client.zrangebyscore(f"{prefix}threads", since_ms, "+inf")
            found += active
        return [ConversationId.parse(conversation) for conversation in found]

    async def first_time(self, topic: str) -> bool:
        """True the first time that `topic` is asked about, and for no one else afterwards."""
        async with store_errors():
            return bool(await self._client.set(f"{self._layout.prefix}told:{topic}", "1", nx=True))


def _changed(exchange: Exchange, texts: Mapping[str, str]) -> Exchange | None:
    """`exchange` after the changes; None where nothing is left of it."""
    question = texts.get(exchange.ts, exchange.question)
    if question == "" or any(texts.get(ts) == "" for ts in exchange.answer_ts):
        return None
    earlier = tuple(_said(line, texts) for line in exchange.earlier if texts.get(line.ts) != "")
    changed = replace(exchange, question=question, earlier=earlier)
    longer_bytes = len(changed.messages[0].content.encode()) - len(exchange.messages[0].content.encode())
    return replace(changed, tokens=exchange.tokens + max(longer_bytes, 0))  # an upper bound still


def _said(line: Line, texts: Mapping[str, str]) -> Line:
    """A line with the text that it has now, under the same name."""
    if line.ts not in texts:
        return line
    name, _, _ = line.text.partition(": ")
    return replace(line, text=f"{name}: {texts[line.ts]}")
