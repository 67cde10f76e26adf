"""Conversations that were held before: a store that has been in use for a while."""

import asyncio
import time

from bot.conversation import ConversationId, Exchange, Turn
from bot.local.workspace.records import AppIdentity
from bot.store.connection import Client
from bot.store.layout import Layout
from bot.store.mailbox import Mailbox
from bot.store.sealing import Sealing

QUESTION = "How long does a river take from its spring to the sea, and what slows it down on its way? " * 2
ANSWER = "That hangs on its length and its fall; most take between a few days and some weeks. " * 8
WORKERS = 32
PEOPLE = 100
CHANNEL_ID = "C0EARLIER01"
DAYS_AGO = 10
"""Threads of the last seven days are read again when Dolly starts; these are not."""


async def store_conversations(client: Client, identity: AppIdentity, key: bytes, count: int) -> None:
    """Store `count` conversations of one exchange each, through the mailbox, as Dolly would have."""
    layout = Layout(f"{identity.team_id}/{identity.bot_id}")
    sealing = Sealing([key])
    await client.config_set("appendfsync", "no")
    begun = time.time() - DAYS_AGO * 86_400

    async def answer(first: int) -> None:
        mailbox = Mailbox(client, layout, sealing, waiting_per_user=WORKERS)  # each claims for itself
        for number in range(first, count, WORKERS):
            ts = f"{begun + number:.6f}"
            turn = Turn(
                ConversationId(identity.team_id, CHANNEL_ID, ts), ts, f"U0EARLIER{number % PEOPLE:02}", QUESTION
            )
            await mailbox.enqueue(turn)
            claim = await mailbox.claim()
            assert claim is not None
            asked = claim.turn
            await mailbox.commit(claim, Exchange(asked.ts, asked.user_id, QUESTION, ANSWER, tokens=240))

    await asyncio.gather(*(answer(first) for first in range(WORKERS)))
    for prefix in layout.prefixes:
        threads = await client.zrange(prefix + "threads", 0, -1)
        if threads:
            await client.zadd(prefix + "threads", {str(thread): round(begun * 1000) for thread in threads})
    await client.config_set("appendfsync", "always")
