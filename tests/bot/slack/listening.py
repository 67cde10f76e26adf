"""A Dolly that hears and stores, and answers nothing: its real listeners on a real store and workspace."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from slack_sdk.web.async_client import AsyncWebClient

from bot.attachments import Attached
from bot.conversation import ConversationId, Exchange, Line, Turn
from bot.local.workspace import Workspace
from bot.slack.asking.edits import Edits
from bot.slack.asking.follow_ups import FollowUps
from bot.slack.asking.questions import Questions
from bot.slack.client import Identity
from bot.slack.hearing.catch_up import CatchUp
from bot.slack.hearing.history import History
from bot.store.connection import Client
from bot.store.corrections import Corrections
from bot.store.cursors import Cursors
from bot.store.feedback import FeedbackStore
from bot.store.layout import Layout
from bot.store.mailbox import Mailbox
from bot.store.marks import Marks
from bot.store.memory import Memory
from bot.store.preferences import PreferenceStore
from bot.store.repeats import Repeats
from bot.store.sealing import Sealing
from tests.bot.local.workspace.bare_app import eventually

MAX_AGE_SECONDS = 6 * 3600.0


@dataclass
class Listener:
    """Dolly's ears, on the workspace's own clock."""

    workspace: Workspace
    client: AsyncWebClient
    redis: Client
    identity: Identity
    told: list[tuple[str, str]] = field(default_factory=list)
    """Refusals that were taken out of the mailbox: of which message, and the key of the sentence."""
    is_hearing: bool = True
    waiting_per_user: int = 20
    partitions: int = 1

    def __post_init__(self) -> None:
        layout = Layout(f"{self.identity.home_id}/{self.identity.bot_id}", self.partitions)
        self.layout, sealing = layout, Sealing(())
        self.mailbox = Mailbox(self.redis, layout, sealing, waiting_per_user=self.waiting_per_user)
        self.memory = Memory(self.redis, layout, sealing)
        self.cursors = Cursors(self.redis, layout)
        marks, now = Marks(self.redis, layout), self.workspace._clock.now
        self.preferences = PreferenceStore(self.redis, layout, sealing)
        follow_ups = FollowUps(self.preferences, self.memory)
        self.questions = Questions(self.mailbox, follow_ups, self.identity, question_characters=200)
        self.edits = Edits(
            self.questions,
            Corrections(self.redis, layout, sealing),
            marks,
            FeedbackStore(self.redis, layout, sealing),
            Repeats(self.redis, layout, sealing, self.mailbox),
            max_age_seconds=MAX_AGE_SECONDS,
            clock=now,
        )
        self.history = History(self.client)
        self.catch_up = self.new_catch_up()

    def new_catch_up(self) -> CatchUp:
        return CatchUp(
            self.history,
            self.questions,
            self.edits,
            self.mailbox,
            self.memory,
            self.cursors,
            self.identity,
            lambda: self.is_hearing,
            max_age_seconds=MAX_AGE_SECONDS,
            clock=self.workspace._clock.now,
        )

    @property
    def now(self) -> float:
        return self.workspace._clock.now()

    @asynccontextmanager
    async def catching_up(self) -> AsyncIterator[CatchUp]:
        """A start: what was missed is read before the body, the watch goes on in it."""
        catch_up = self.new_catch_up()
        running = asyncio.create_task(catch_up.run())
        try:
            await eventually(lambda: catch_up.is_done or running.done())
            yield catch_up
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    async def waiting(self) -> list[Turn]:
        """Takes all that waits out of the mailbox."""
        turns = []
        while claim := await self.mailbox.claim():
            if claim.verdict:
                self.told.append((claim.turn.ts, claim.verdict))
            else:
                turns.append(claim.turn)
            await self.mailbox.commit(claim, None)
        return turns

    async def texts(self) -> list[str]:
        return sorted(turn.text for turn in await self.waiting())

    async def remember(
        self, message: dict[str, Any], channel_id: str, answer: str, *earlier: Line, attached: tuple[Attached, ...] = ()
    ) -> str:
        """Have a question answered in Slack and committed. The answer's ts."""
        turn = await self.questions.question({**message, "channel": channel_id}, direct=False)
        assert turn is not None
        await self.mailbox.enqueue(turn)
        claim = await self.mailbox.claim()
        assert claim is not None
        posted = self.workspace.timeline.post(
            channel_id, self.identity.bot_user_id, answer, thread_ts=turn.conversation.root_ts, as_app=True
        )
        await self.mailbox.note_post(claim, posted["ts"])
        exchange = Exchange(turn.ts, turn.user_id, turn.text, answer, 10, tuple(earlier), (posted["ts"],), attached)
        await self.mailbox.commit(claim, exchange)
        return str(posted["ts"])

    async def remembered(self, message: dict[str, Any], channel_id: str) -> list[tuple[str, str]]:
        root_ts = message.get("thread_ts", message["ts"])
        exchanges = await self.memory.read(ConversationId(self.identity.home_id, channel_id, root_ts))
        return [(exchange.question, exchange.answer) for exchange in exchanges]
