"""`dolly serve`, broken on purpose: `python -m tests.chaos.planted_bugs BUG serve`. The judge must see each of these.

Nothing of this is in Dolly: its methods are replaced in this process before it starts.
"""

import asyncio
import sys
from collections.abc import Callable
from contextlib import suppress

from bot.__main__ import main
from bot.conversation import ConversationId, Exchange, Turn
from bot.errors import StoreUnavailable
from bot.slack.hearing.catch_up import CatchUp
from bot.store import mailbox
from bot.store.connection import Script, load_script
from bot.store.mailbox import DEDUPE_SECONDS, Mailbox
from bot.store.memory import Memory

BETWEEN_SECONDS = 0.15
"""Between the two steps of a bug: long enough for a kill to fall there."""


def ack_before_enqueue() -> None:
    """Slack is told "received", and only then is it stored. Nor is Slack's history read again, which would find it."""
    enqueue = Mailbox.enqueue

    async def idle(_: CatchUp) -> None:
        await asyncio.Event().wait()

    CatchUp.run = idle  # type: ignore[assignment, method-assign]
    storing: set[asyncio.Task[None]] = set()

    async def later(own: Mailbox, turn: Turn) -> None:
        await asyncio.sleep(BETWEEN_SECONDS)
        with suppress(StoreUnavailable):
            await enqueue(own, turn)

    async def told_first(own: Mailbox, turn: Turn) -> bool:
        task = asyncio.create_task(later(own, turn))
        storing.add(task)
        task.add_done_callback(storing.discard)
        return True

    Mailbox.enqueue = told_first  # type: ignore[assignment, method-assign]


def commit_without_fence() -> None:
    """Whoever finishes an answer commits it, be it another's by now."""

    def unfenced(name: str) -> Script:
        script = load_script(name)
        if name not in ("commit", "note", "renew"):
            return script
        text = script.text.replace("held[1] ~= ARGV[1]", "false").replace("held[2] ~= ARGV[2]", "false")
        text = text.replace("not redis.call('ZSCORE', ", "false and not redis.call('ZSCORE', ")
        assert text != script.text, f"{name}.lua checks its fence in another way now"
        return Script(text, "0" * 40)

    mailbox.load_script = unfenced  # type: ignore[attr-defined]


def setnx_then_enqueue() -> None:
    """The dedupe mark is set in a step of its own, before the turn is stored."""
    enqueue = Mailbox.enqueue

    async def in_two_steps(own: Mailbox, turn: Turn) -> bool:
        mark = own._key(turn.conversation, f"apart:{turn.job_id}")
        if not await own._client.set(mark, "1", nx=True, ex=DEDUPE_SECONDS):
            return False
        await asyncio.sleep(BETWEEN_SECONDS)
        return await enqueue(own, turn)

    Mailbox.enqueue = in_two_steps  # type: ignore[assignment, method-assign]


def prompt_from_another_thread() -> None:
    """Now and then, a prompt is made of what another conversation remembers."""
    read = Memory.read
    seen: list[ConversationId] = []

    async def mixed_up(own: Memory, conversation: ConversationId) -> list[Exchange]:
        seen.append(conversation)
        return await read(own, seen[-2] if len(seen) % 5 == 0 else conversation)

    Memory.read = mixed_up  # type: ignore[assignment, method-assign]


BUGS: dict[str, Callable[[], None]] = {
    bug.__name__: bug
    for bug in (ack_before_enqueue, commit_without_fence, setnx_then_enqueue, prompt_from_another_thread)
}


if __name__ == "__main__":
    BUGS[sys.argv.pop(1)]()
    main()
