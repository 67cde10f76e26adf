"""Finds what was asked while Dolly did not hear, and has it answered as if it had.

Dolly is deaf before it starts, while no socket is open, and while the store takes nothing: Slack's retries end after
six minutes. So the time up to which all was heard is written down (bot/store/cursors.py), and after a deaf time
everything since is read in Slack's history. What is read too often is stored once, as each delivery is.
What cannot be found this way stands in docs/reliability.md.
"""

import asyncio
import contextlib
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import structlog

from bot import metrics
from bot.background import for_ever
from bot.conversation import AGAIN
from bot.errors import DollyError, NotUnderstood, SlackError, SlackUnreachable, StoreUnavailable
from bot.slack.answering.own_messages import marks_of
from bot.slack.asking.edits import Edits
from bot.slack.asking.questions import Questions
from bot.slack.client import Identity
from bot.slack.hearing.history import Channel, History
from bot.slack.payloads import TIMESTAMP
from bot.store.connection import losses
from bot.store.cursors import Cursors, Heard
from bot.store.mailbox import Mailbox
from bot.store.memory import Memory

log = structlog.get_logger(__name__)

Json = dict[str, Any]

WATCH_SECONDS = 0.5
DEAF_SECONDS = 2.0
"""A shorter absence of the store is bridged by Slack's first retry."""
ADVANCE_SECONDS = 10
"""In such steps the cursor moves on: each is a write to disk."""
OVERLAP_SECONDS = 600.0
"""So much is read again. Slack tries to deliver for six minutes; the rest is for clocks that differ."""
FURTHEST_SECONDS = 7 * 86_400.0
"""Nothing older is looked for, in channels or in threads."""
CALLS_SPARED = 2
"""Pages older than what is looked for are read as long as each spares so many calls for threads."""
FIRST_RETRY_SECONDS = 30.0
LONGEST_RETRY_SECONDS = 1_800.0
NOT_ALLOWED = "missing_scope"
"""Slack's name for what Dolly was not given the right to: nothing is read there, until it is."""


class CatchUp:
    """Watches whether all is heard, and catches up whenever it was not."""

    def __init__(
        self,
        history: History,
        questions: Questions,
        edits: Edits,
        mailbox: Mailbox,
        memory: Memory,
        cursors: Cursors,
        identity: Identity,
        hears: Callable[[], bool],
        *,
        max_age_seconds: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`hears` says whether Slack's events can reach this process just now."""
        self._history = history
        self._questions = questions
        self._edits = edits
        self._mailbox = mailbox
        self._memory = memory
        self._cursors = cursors
        self._identity = identity
        self._hears = hears
        self._max_age_seconds = max_age_seconds
        self._clock = clock
        self._since: float | None = None
        """From here on all channels have still to be read; None when they were."""
        self._behind: dict[str, float] = {}
        """Channels that could not be read, each from where on."""
        self._is_reading = True  # until it is known what is to be read
        self._heard_at = clock()
        """When all was heard for the last time, as far as is known."""
        self._was_deaf = False
        self._servers = frozenset[str]()
        """The store's, as they were last seen, and when a connection had been lost then."""
        self._lost_at: float | None = None
        self._due = asyncio.Event()

    @property
    def is_done(self) -> bool:
        """Whether everything was read that could be."""
        return self._since is None and not self._is_reading

    async def run(self) -> None:
        """Watch and catch up, first of all with what was asked before the start, until cancelled."""
        heard, self._heard_at = await self._heard_before(), self._clock()
        self._behind = heard.behind
        self.missed(heard.until)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(for_ever(self._watch, "watching"))
            tasks.create_task(self._read_when_due())

    async def _heard_before(self) -> Heard:
        start = self._clock()
        while True:
            try:
                return await self._cursors.read(start)
            except StoreUnavailable:
                await asyncio.sleep(WATCH_SECONDS)

    def missed(self, since: float) -> None:
        """What was said from `since` on (seconds since 1970) may not have been heard: read it soon."""
        self._put_back(since)
        self._due.set()

    async def _watch(self) -> None:
        """Look whether all is heard: notice the end of a deaf time, and move the cursor on where there was none."""
        await asyncio.sleep(WATCH_SECONDS)
        if not self._hears():
            self._was_deaf = True
            return
        now = self._clock()
        try:
            # A full store refuses a probe, as it would a question.
            await self._cursors.probe(DEAF_SECONDS)
            is_another = await self._is_another_store()
            if self.is_done:
                await self._cursors.advance((now - OVERLAP_SECONDS) // ADVANCE_SECONDS * ADVANCE_SECONDS)
        except StoreUnavailable:
            return
        if self._was_deaf or is_another or now - self._heard_at > DEAF_SECONDS:
            log.warning(
                "was_deaf", seconds=round(now - self._heard_at, 1), socket=self._was_deaf, another_store=is_another
            )
            self.missed(self._heard_at - OVERLAP_SECONDS)
        self._heard_at, self._was_deaf = now, False

    async def _is_another_store(self) -> bool:
        """Whether another server has taken the store's place, or it began anew: it may lack what was stored last."""
        lost_at = losses.last
        if lost_at == self._lost_at:
            return False
        servers, known = await self._cursors.servers(), self._servers
        self._servers, self._lost_at = servers, lost_at
        return bool(known) and not servers <= known

    async def _read_when_due(self) -> None:
        retry_seconds = 0.0
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(retry_seconds or None):
                    await self._due.wait()
            self._due.clear()
            since, self._since, self._is_reading = self._since, None, True
            try:
                await self._read(since)
            except DollyError as error:
                log.warning("catch_up_later", reason=str(error))
                self._put_back(since)
            except Exception as error:  # of our own making; what is to be read is not given up for it
                log.exception("catch_up_failed", error=type(error).__name__)
                self._put_back(since)
            finally:
                self._is_reading = False
            is_all_read = self._since is None and not self._behind
            retry_seconds = (
                0.0 if is_all_read else min(max(retry_seconds * 2, FIRST_RETRY_SECONDS), LONGEST_RETRY_SECONDS)
            )

    def _put_back(self, since: float | None) -> None:
        if since is not None:
            self._since = min(since, self._since or since)

    async def _read(self, since: float | None) -> None:
        """Read all channels from `since` on, and those that are behind from where they are.

        Raises SlackError where some could not even be listed; the others have been read then.
        """
        furthest = self._clock() - FURTHEST_SECONDS
        listing = await self._history.channels()
        threads: dict[str, list[str]] = defaultdict(list)
        for conversation in reversed(await self._memory.threads(FURTHEST_SECONDS)):
            if TIMESTAMP.fullmatch(conversation.root_ts):  # a slash command has no thread
                threads[conversation.channel_id].append(conversation.root_ts)
        newest_first = {channel_id: place for place, channel_id in enumerate(threads)}
        for channel in sorted(listing.channels, key=lambda channel: newest_first.get(channel.id, len(newest_first))):
            starts = [start for start in (since, self._behind.get(channel.id)) if start is not None]
            if starts:
                await self._read_or_hold(channel, max(min(starts), furthest), threads[channel.id])
        log.info("caught_up", channels=len(listing.channels), behind=len(self._behind))
        for refusal in listing.refusals:
            if refusal.reason != NOT_ALLOWED:
                raise refusal
        if not listing.refusals:  # only a whole list tells where Dolly is a member no more
            for gone in self._behind.keys() - {channel.id for channel in listing.channels}:
                await self._release(gone)

    async def _read_or_hold(self, channel: Channel, since: float, threads: list[str]) -> None:
        """Read one channel; where Slack does not give it now, keep its place, and let the others be read."""
        try:
            await self._read_channel(channel, since, threads)
        except (SlackError, SlackUnreachable, KeyError, TypeError, ValueError) as error:
            reason = (
                str(error)
                if isinstance(error, DollyError)
                else f"Slack's answer is unreadable ({type(error).__name__})."
            )
            log.warning("channel_not_read", channel=channel.id, reason=reason)
            metrics.caught_up.labels("channel_failed").inc()
            self._behind[channel.id] = min(since, self._behind.get(channel.id, since))
            await self._cursors.hold(channel.id, since)
        else:
            await self._release(channel.id)

    async def _release(self, channel_id: str) -> None:
        if channel_id in self._behind:
            await self._cursors.release(channel_id)
            del self._behind[channel_id]

    async def _read_channel(self, channel: Channel, since: float, known_threads: Iterable[str]) -> None:
        """What stands in the channel itself, then the threads that go on.

        A known thread whose root says that it does not go on needs no call of its own, so further pages are read while
        they tell that of several.
        """
        threads = dict.fromkeys(known_threads)
        alone = []
        async for page in self._history.pages(channel.id):
            spared = 0
            for message in page:
                ts, root_ts = message["ts"], message.get("thread_ts") or message["ts"]
                if float(message.get("latest_reply") or 0) >= since or (ts != root_ts and float(ts) >= since):
                    threads[root_ts] = None
                elif ts == root_ts:
                    spared += ts in threads
                    threads.pop(ts, None)
                    if max(float(ts), float((message.get("edited") or {}).get("ts") or 0)) >= since:
                        alone.append(message)
            if page and float(page[-1]["ts"]) < since and spared < CALLS_SPARED:
                break
        for message in reversed(alone):
            await self._found(channel, message, since, answers=())
        for root_ts in threads:
            said = await self._history.thread(channel.id, root_ts, since)
            own = await self._own(channel, root_ts, said)
            for message in said:
                await self._found(channel, message, since, answers=own)

    async def _own(self, channel: Channel, root_ts: str, said: list[Json]) -> list[tuple[str, str]]:
        """Dolly's own messages in a thread: the ts of each, and the job that it answers; "" where nobody knows.

        One that broke off answers nothing: its question is stored once more, if no store has it, and whoever is to
        answer it finds what stands there.
        """
        mine = [message for message in said if message.get("user") == self._identity.bot_user_id]
        if not mine:
            return []
        conversation = self._questions.conversation({"channel": channel.id, "ts": root_ts})
        posted = await self._mailbox.posted(conversation)
        return [(message["ts"], _job_of(message) or posted.get(message["ts"], "")) for message in mine]

    async def _found(self, channel: Channel, message: Json, since: float, answers: Sequence[tuple[str, str]]) -> None:
        """A message of the history takes the way of an event, unless it has its answer."""
        message = {**message, "channel": channel.id}
        try:
            is_new = float(message["ts"]) >= since
            is_late = self._clock() - float(message["ts"]) > self._max_age_seconds
            turn = await self._questions.question(message, direct=channel.is_direct, is_late=is_late)
            own = () if turn is None else (turn.job_id, turn.job_id + AGAIN)
            is_answered = turn is not None and any(ts > turn.ts and job in own for ts, job in answers)
            if float((message.get("edited") or {}).get("ts") or 0) >= since:
                # Of an older message only its thread, read from `since` on, could tell whether it has its answer.
                settled = is_answered or (not is_new and "reply_count" in message)
                await self._edits.edited(message, direct=channel.is_direct, is_answered=settled)
            if turn is None or not is_new:
                return
            outcome: str = "answered_before" if is_answered else await self._questions.ask(turn)
        except NotUnderstood as error:
            log.warning("not_understood", reason=str(error))
            return
        if outcome == "stored":
            outcome = "late" if is_late else "stored"
            log.info("found_in_history", conversation=str(turn.conversation), ts=turn.ts, outcome=outcome)
        metrics.caught_up.labels(outcome).inc()


def _job_of(message: Json) -> str:
    """The job that an answer says of itself that it answers."""
    marks = marks_of(message)
    return "" if marks.get("is_part") else str(marks.get("job_id") or "")
