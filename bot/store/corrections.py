"""Messages that were edited or deleted in Slack: what waits, or is remembered of them, follows (keys in mailbox.py)."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import structlog

from bot.conversation import AGAIN, ConversationId, Turn
from bot.errors import SealBroken
from bot.store import claims
from bot.store.claims import Revised
from bot.store.connection import Client, load_script, run_script, store_errors
from bot.store.layout import Layout
from bot.store.mailbox import DEDUPE_SECONDS, DISOWNED, POSTED_SECONDS
from bot.store.memory import Memory
from bot.store.sealing import Sealing

log = structlog.get_logger(__name__)

REVISED: dict[int, Revised] = {1: "waiting", 2: "unknown"}
"""What revise.lua has found."""
NOTICED_SECONDS = 2.0
"""After which the worker of a question that was deleted has learned so from its lease, and writes no more."""


class Corrections:
    """Changes what the mailbox and the memory hold. Every method raises StoreUnavailable."""

    def __init__(
        self, client: Client, layout: Layout, sealing: Sealing, *, memory_seconds: float = 30 * 86_400
    ) -> None:
        self._client = client
        self._layout = layout
        self._sealing = sealing
        self._memory = Memory(client, layout, sealing)
        self._changes_seconds = round(memory_seconds) or POSTED_SECONDS
        self._scripts = {name: load_script(name) for name in ("revise", "withdraw")}

    async def revise(self, conversation: ConversationId, ts: str, text: str) -> Revised:
        """The message `ts` was edited to `text`, wherever it is now: in a waiting turn, or in what is remembered.

        It is in both while it is answered once more. Where it was refused, and its author not told so yet, the refusal
        goes, and the message is as unknown as one that was never stored.
        """
        while (found := await self._waiting_turn(conversation, ts)) is not None:
            stored, turn = found
            if turn.again:
                await self._change(conversation, ts, text)
            if turn.text == text:
                return "waiting"
            revised = claims.dump(replace(turn, text=text), self._sealing)
            done = await self._run(
                "revise",
                conversation,
                keys=[
                    *(f"job:{turn.job_id}", f"claim:{conversation}", "lease", "ready", f"seen:{turn.mark_id}"),
                    *(f"mailbox:{conversation}", "waiting", f"queue:{turn.user_id}"),
                ],
                args=[turn.job_id, str(conversation), stored, revised, DEDUPE_SECONDS],
            )
            if done:
                return REVISED[done]
        return "remembered" if await self._change(conversation, ts, text) else "unknown"

    async def withdraw(self, conversation: ConversationId, ts: str) -> None:
        """The message `ts` was deleted: what waits or is remembered of it goes; so does an answer that is under way.

        Not of one that Dolly has taken back itself.
        """
        async with store_errors():
            if await self._client.hget(self._key(conversation, f"posted:{conversation}"), ts) == DISOWNED:
                return
        for job_id in _jobs(conversation, ts):
            async with store_errors():
                user_id: Any = await self._client.hget(self._key(conversation, f"job:{job_id}"), "user")
            if user_id:
                await self._run(
                    "withdraw",
                    conversation,
                    keys=[
                        *(f"job:{job_id}", f"claim:{conversation}", "lease", "ready", f"mailbox:{conversation}"),
                        *("waiting", f"queue:{user_id}", "settle", f"settling:{job_id}", f"posted:{conversation}"),
                    ],
                    args=[job_id, str(conversation), ts, round(NOTICED_SECONDS * 1000)],
                )
        await self._change(conversation, ts, "")

    async def forestall(self, turn: Turn) -> None:
        """`turn` is not to be stored any more, should what asks for it still come: it was deleted, or is answered."""
        async with store_errors():
            await self._client.set(self._key(turn.conversation, f"seen:{turn.mark_id}"), "1", ex=DEDUPE_SECONDS)

    async def _waiting_turn(self, conversation: ConversationId, ts: str) -> tuple[str, Turn] | None:
        """The turn of message `ts` that has no answer yet, as it is stored and as it is; not one that does not open."""
        for job_id in _jobs(conversation, ts):
            async with store_errors():
                stored: Any = await self._client.hget(self._key(conversation, f"job:{job_id}"), "turn")
            try:
                if stored:
                    return stored, claims.load(stored, str(conversation), self._sealing)
            except (SealBroken, TypeError, ValueError, KeyError) as error:
                log.error("job_unreadable", job=job_id, error=type(error).__name__)
        return None

    async def _change(self, conversation: ConversationId, ts: str, text: str) -> bool:
        """Change what is remembered; and what will be, where an answer that may quote it is under way.

        Also where changes from before are still to be made: the newest is the last.
        """
        key = self._key(conversation, f"changes:{conversation}")
        async with store_errors():
            is_answering = await self._client.hexists(self._key(conversation, f"claim:{conversation}"), "job")
            if is_answering or await self._client.exists(key):
                await self._client.hset(key, ts, self._sealing.seal(str(conversation), text))
                await self._client.expire(key, self._changes_seconds)
        return await self._memory.change(conversation, {ts: text})

    def _key(self, conversation: ConversationId, name: str) -> str:
        return self._layout.prefix_of(conversation) + name

    async def _run(self, name: str, conversation: ConversationId, keys: Sequence[str], args: Sequence[Any]) -> Any:
        async with store_errors():
            own = [self._key(conversation, key) for key in keys]
            return await run_script(self._client, self._scripts[name], own, args)


def _jobs(conversation: ConversationId, ts: str) -> tuple[str, str]:
    """The ids of the jobs that the message `ts` may have: to be answered, and to be answered once more."""
    return f"{conversation}/{ts}", f"{conversation}/{ts}{AGAIN}"
