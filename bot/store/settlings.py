"""Threads that are to be read again: a worker taken for dead may have written there, or an answer lost its question."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from bot.conversation import ConversationId, Shown
from bot.errors import SealBroken
from bot.store.connection import Client, load_script, run_script, store_errors
from bot.store.layout import Layout
from bot.store.partitions import Partitions
from bot.store.sealing import Sealing

PAUSE_MS = 30_000
"""After which a thread is handed out again, unless it is done by then."""


@dataclass(frozen=True, slots=True)
class Settling:
    """A thread to be read again: more than one worker may have written there, or what one wrote is wanted no more."""

    conversation: ConversationId
    job_id: str
    turn_ts: str
    kept: tuple[str, ...]
    """The messages that are the answer."""
    shown: Mapping[str, Shown]
    """By ts, what those show that were written as a whole: a worker taken for dead may have written over them."""
    gone: tuple[str, ...] = ()
    """Messages of an answer that nobody wants any more, because its question was deleted."""


def dump(shown: Mapping[str, Shown]) -> str:
    """What messages show, by ts, as it is stored."""
    return json.dumps({ts: asdict(each) for ts, each in shown.items()}, ensure_ascii=False)


def load(stored: str) -> dict[str, Shown]:
    """The inverse of `dump`. Raises ValueError, AttributeError or TypeError on what another version has stored."""
    return {
        ts: Shown(each["markdown"], tuple(each["below"]), each.get("model", ""), each.get("prompt_hash", ""))
        for ts, each in json.loads(stored).items()
    }


class Settlings:
    """What a commit, or a question's deletion, has put down to be settled. Methods raise StoreUnavailable."""

    def __init__(self, client: Client, layout: Layout, sealing: Sealing) -> None:
        self._client = client
        self._layout = layout
        self._sealing = sealing
        self._partitions = Partitions(client, layout.prefixes)
        self._script = load_script("settle")

    async def next(self) -> Settling | None:
        """A thread that is due to be read again; it comes back until `done`."""
        found = await self._partitions.first(self._next_in)
        if found is None:
            return None
        job_id, conversation, ts, posts, shown, gone = found
        kept, said = tuple((posts or "").split()), self._opened(conversation, shown) if shown else {}
        return Settling(ConversationId.parse(conversation), job_id, ts, kept, said, tuple((gone or "").split()))

    async def _next_in(self, prefix: str) -> list[Any] | None:
        found: list[Any] | None = await run_script(self._client, self._script, [prefix + "settle"], [prefix, PAUSE_MS])
        return found

    def _opened(self, conversation: str, sealed: str) -> dict[str, Shown]:
        try:
            return load(self._sealing.open(conversation, sealed))
        except (SealBroken, ValueError, AttributeError, TypeError):
            return {}  # of another version, or its key is gone: what stands there stays

    async def done(self, settling: Settling) -> None:
        """The thread was read again, and what was double is gone."""
        prefix = self._layout.prefix_of(settling.conversation)
        async with store_errors(), self._client.pipeline(transaction=False) as pipe:
            pipe.zrem(prefix + "settle", settling.job_id)
            pipe.delete(f"{prefix}settling:{settling.job_id}")
            await pipe.execute()
