"""What a conversation remembers: a list of committed exchanges, written only by the mailbox's commit.

An entry's head is in plain sight, for the scripts that trim and forget; its texts are sealed:

    <tokens>|<question's ts>|<user,user…>|<answer's ts,ts…>|<sealed JSON of the texts>
"""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import structlog

from bot.attachments import Attached
from bot.conversation import ConversationId, Exchange, Line, Turn
from bot.errors import SealBroken
from bot.store.connection import Client, load_script, run_script, store_errors
from bot.store.layout import Layout
from bot.store.quotations import Quotations
from bot.store.sealing import Sealing
from bot.store.tombstones import Tombstones

log = structlog.get_logger(__name__)

REWRITE_TRIES = 10
TOLD_SECONDS = 365 * 86_400


def dump(exchange: Exchange, conversation: str, sealing: Sealing) -> str:
    """An exchange as it is stored."""
    texts = {
        "question": exchange.question,
        "answer": exchange.answer,
        "earlier": [[line.ts, line.user_id, line.text] for line in exchange.earlier],
        "attached": [[file.id, file.name, file.text, file.characters, file.pages] for file in exchange.attached],
        "model": exchange.model,
        "prompt_hash": exchange.prompt_hash,
        "is_about": exchange.is_about,
        "asker_team_id": exchange.asker_team_id,
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
        attached=tuple(Attached(*file) for file in texts.get("attached", ())),
        model=texts.get("model", ""),
        prompt_hash=texts.get("prompt_hash", ""),
        is_about=texts.get("is_about", False),
        asker_team_id=texts.get("asker_team_id", ""),
    )


class Memory:
    """Reads what conversations remember. Methods raise StoreUnavailable when the store does not answer."""

    def __init__(self, client: Client, layout: Layout, sealing: Sealing) -> None:
        self._client = client
        self._layout = layout
        self._sealing = sealing
        self._tombstones = Tombstones(client, layout, sealing)
        self._quotations = Quotations(client, layout, sealing)
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

    async def unforgotten(self, conversation: ConversationId, lines: Sequence[Line]) -> list[Line]:
        """Those of `lines`, read in Slack's thread, that are not to stay forgotten."""
        return await self._tombstones.unforgotten(conversation, lines) if lines else []

    async def asked_about(self, turn: Turn) -> dict[str, str] | None:
        """The message that the turn's question is about, as Slack showed it; None where it is gone."""
        quotation = await self._quotations.of(turn.asked_about)
        return quotation.message if quotation else None

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
            for entry in stored:
                rewriting += self._rewritten(entry, conversation, texts)
            if not rewriting:
                return False
            async with store_errors():
                if await run_script(self._client, self._rewrite, [key], rewriting) == len(rewriting) // 2:
                    return True
        return True  # rewritten by somebody else each time: they read the same changes

    def _rewritten(self, entry: str, conversation: ConversationId, texts: Mapping[str, str]) -> list[str]:
        """An entry and what is to stand in its place; empty where it stays as it is.

        One that does not open goes with its question or answer, and stays as it is otherwise.
        """
        for _, exchange in self._opened([entry], conversation):
            changed = _changed(exchange, texts)
            if changed == exchange:
                return []
            return [entry, dump(changed, str(conversation), self._sealing) if changed else ""]
        _, ts, _, answer_ts, *_ = [*entry.split("|"), "", "", ""]
        return [entry, ""] if any(texts.get(said) == "" for said in (ts, *answer_ts.split(","))) else []

    async def apply_changes(self, conversation: ConversationId) -> None:
        """Do what was asked for while an answer was under way (`changes:` in bot/store/mailbox.py)."""
        key = f"{self._layout.prefix_of(conversation)}changes:{conversation}"
        async with store_errors():
            changes: Any = await self._client.hgetall(key)
        await self.change(conversation, {ts: self._text(conversation, sealed) for ts, sealed in changes.items()})
        if changes:
            async with store_errors():
                await self._client.hdel(key, *changes)

    def _text(self, conversation: ConversationId, sealed: str) -> str:
        """What a message says now. Where that does not open, what it said before is not to be kept either: ""."""
        try:
            return self._sealing.open(str(conversation), sealed)
        except SealBroken as error:
            log.error("change_unreadable", conversation=str(conversation), error=type(error).__name__)
            return ""

    async def is_known(self, conversation: ConversationId) -> bool:
        """Whether Dolly was asked in `conversation`, within the time for which it remembers."""
        async with store_errors():
            return (
                await self._client.zscore(self._layout.prefix_of(conversation) + "threads", str(conversation))
                is not None
            )

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
        """True the first time that `topic` is asked about, and for no one else within the year after."""
        async with store_errors():
            return bool(await self._client.set(f"{self._layout.prefix}told:{topic}", "1", nx=True, ex=TOLD_SECONDS))


def _changed(exchange: Exchange, texts: Mapping[str, str]) -> Exchange | None:
    """`exchange` after the changes; None where nothing is left of it."""
    question = texts.get(exchange.ts, exchange.question)
    if question == "" or any(texts.get(ts) == "" for ts in exchange.answer_ts):
        return None
    earlier = tuple(_said(line, texts) for line in exchange.earlier if texts.get(line.ts) != "")
    attached = tuple(file for file in exchange.attached if texts.get(file.id) != "")
    changed = replace(exchange, question=question, earlier=earlier, attached=attached)
    longer_bytes = len(changed.messages[0].content.encode()) - len(exchange.messages[0].content.encode())
    return replace(changed, tokens=exchange.tokens + max(longer_bytes, 0))  # an upper bound still


def _said(line: Line, texts: Mapping[str, str]) -> Line:
    """A line with the text that it has now, under the same name."""
    if line.ts not in texts:
        return line
    name, _, _ = line.text.partition(": ")
    return replace(line, text=f"{name}: {texts[line.ts]}")
