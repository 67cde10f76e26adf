"""`dolly serve` as a chaos run starts it: `python -m tests.chaos.launch none serve`.

Slack's rate limits would stretch 10,000 answers over hours. The workspace's are off, and so Dolly's own pace is
faster here; it streams some of its answers and places the others, as in a busy workspace.

With the name of a bug for `none`, Dolly is broken on purpose, in this process alone: the judge must see it.
"""

import asyncio
import sys
from collections.abc import Callable
from contextlib import suppress

from bot.__main__ import main
from bot.conversation import ConversationId, Exchange, Turn
from bot.errors import StoreUnavailable
from bot.slack import pacing
from bot.store import mailbox
from bot.store.connection import Script, load_script
from bot.store.mailbox import DEDUPE_SECONDS, Mailbox
from bot.store.memory import Memory

STREAMS_PER_MINUTE = 100
FASTER = 100
BETWEEN_SECONDS = 0.15
"""Between the two steps of a bug: long enough for a kill to fall there."""


def ack_before_enqueue() -> None:
    """Slack is told "received", and only then is it stored."""
    enqueue = Mailbox.enqueue
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


def speed_up() -> None:
    """More calls a minute than Slack would take. The number of streams is such that it is often used up."""
    pacing.STREAMS_PER_MINUTE = STREAMS_PER_MINUTE
    for name in ("UPDATES_PER_MINUTE", "APPENDS_PER_MINUTE", "POSTS_PER_MINUTE"):
        setattr(pacing, name, getattr(pacing, name) * FASTER)


if __name__ == "__main__":
    speed_up()
    bug = sys.argv.pop(1)
    if bug != "none":
        BUGS[bug]()
    main()
