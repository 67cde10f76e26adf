"""The mailbox: turns wait here from the moment Slack is told "received" until their answer is committed.

Each conversation has its own queue, ordered by Slack's ts, and at most one worker at a time. Each change is one
Lua script, so it happens whole or not at all; times come from the server's clock. Texts are sealed (sealing.py).
The keys of a conversation carry its partition's prefix, with one hash tag (layout.py):

    seen:<job>        dedupe mark, kept 26 hours: Slack may deliver a message again for a day; refused:<job> of one that
                      was too long: edited, it may still be stored
    job:<job>         hash: the turn (sealed), its user, when it was stored, attempts that count, claims; how far its
                      answer is: shape, posts (ts of its messages in Slack), uses (posts at its response_url), kept
                      (an answer that Slack did not take, sealed), verdict (the apology or refusal that is due),
                      admitted (the quotas have let it pass), stop (no answer is wanted any more), anew (edited, or
                      asked again after it was given up: what stands there is no answer to it). <job>~ is that of a
                      question answered once more
    mailbox:<conv>    sorted set: job ids by Slack ts in microseconds
    waiting           sorted set: job ids by the time at which they were stored; queue:<user> those of one person
    ready             sorted set: conversation → time in ms from which it may be claimed
    lease             sorted set: conversation → time in ms at which its worker counts as dead
    claim:<conv>      hash: fence (grows with each claim), job claimed, by which request, stop flag, fence that ended
    claimed:<worker>  hash: its last request and what it got, for a reply that is lost
    memory:<conv>     list: committed exchanges (memory.py)
    changes:<conv>    hash: edits and deletions that came while an answer was under way, sealed
    posted:<conv>     hash: ts of a message of Dolly's own → its job, so that no other is taken for a leftover; or "":
                      it is being taken back. Of the newest messages
    settle            sorted set: jobs whose thread is to be read again, by when; settling:<job> hash: where, what
                      counts there, what is gone with its question
    dead              sorted set: dead letters by time; letter:<job> hash: why, whose, the turn (sealed)
    threads           sorted set: conversation → last active; person:<user> those that a person took part in
"""

import asyncio
import secrets
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any
from weakref import WeakValueDictionary

import structlog

from bot import metrics
from bot.conversation import ConversationId, Exchange, Line, Shape, Shown, Turn
from bot.errors import LeaseLost, TooManyWaiting
from bot.store import claims, memory, settlings
from bot.store.claims import Claim, QueueReport
from bot.store.connection import Client, load_script, run_script, store_errors
from bot.store.layout import Layout
from bot.store.partitions import Partitions
from bot.store.sealing import Sealing

log = structlog.get_logger(__name__)

DEDUPE_SECONDS = 26 * 3600
FENCE_SECONDS = 7 * 24 * 3600
POSTED_SECONDS = 7 * 24 * 3600
POSTED_KEPT = 1_000
"""Of more messages in a conversation, the newer half stays written down: whoever looks, looks after a question."""
SETTLE_SECONDS = 20.0
"""How long after the lease of a possibly living worker its thread is read again: Slack's timeout, and 10 s."""
DEAD_LETTERS_KEPT = 1_000
COUNT_SECONDS = 0.5
"""How long the count of what a person has waiting elsewhere may hold up an acknowledgement."""
DISOWNED = ""
"""In place of the job of a message of Dolly's own that is being taken back."""
WRITTEN = 1
"""What note.lua says of what it has written."""
NOTHING: Mapping[str, Shown] = MappingProxyType({})


class Mailbox:
    """The queue of turns, in Redis. Every method raises StoreUnavailable when the store does not answer."""

    def __init__(
        self,
        client: Client,
        layout: Layout,
        sealing: Sealing,
        *,
        lease_seconds: float = 15,
        memory_seconds: float = 30 * 86_400,
        memory_tokens: int = 8_000,
        memory_bytes: int = 65_536,
        waiting_per_user: int = 20,
        wait_replicas: int = 0,
    ) -> None:
        self.lease_seconds = lease_seconds
        self._memory_limits = (round(memory_seconds), memory_tokens, memory_bytes)
        self._waiting_per_user = waiting_per_user
        self._wait_replicas = wait_replicas
        self._client = client
        self._layout = layout
        self._sealing = sealing
        self._memory = memory.Memory(client, layout, sealing)
        self._scripts = {
            name: load_script(name)
            for name in ("enqueue", "claim", "renew", "note", "commit", "fail", "report", "stop")
        }
        self._partitions = Partitions(client, layout.prefixes)
        self._worker = secrets.token_hex(8)
        self._requests: Counter[str] = Counter()
        self._arrived = asyncio.Event()
        self._stops: WeakValueDictionary[str, asyncio.Event] = WeakValueDictionary()

    # --- what comes from Slack ------------------------------------------------------------------------------------

    async def enqueue(self, turn: Turn) -> bool:
        """Store `turn`; when this returns, it will be answered. False when it was stored before, or forgotten.

        Raises TooManyWaiting when its user has as many unanswered questions as one may have; nothing is stored then.
        """
        stored = await self._enqueue(turn, "seen")
        if stored < 0:
            metrics.quota_refusals.labels("waiting").inc()
            raise TooManyWaiting(f"A person has {self._waiting_per_user} unanswered questions; one more is refused.")
        return bool(stored)

    async def refuse(self, turn: Turn, words_key: str, *, is_final: bool) -> bool:
        """Store, in place of `turn`, that its user is to read this sentence. False when it was stored before, or
        forgotten.

        Unless `is_final`, the message may still be stored, when it is edited. Of somebody with too many waiting, one
        refusal is kept at a time: whoever is refused again before that is told has only this counted.
        """
        stored = await self._enqueue(replace(turn, text="", files=()), "seen" if is_final else "refused", words_key)
        if stored < 0:
            metrics.quota_refusals.labels("waiting_not_told").inc()
        return stored != 0

    async def _enqueue(self, turn: Turn, mark: str, verdict: str = "") -> int:
        if not turn.response_url and await self._is_forgotten(turn):
            return 0
        conversation, job_id = str(turn.conversation), turn.job_id
        may_wait = self._waiting_per_user - await self.waiting_elsewhere(turn)
        stored: int = await self._run(
            "enqueue",
            turn.conversation,
            keys=[
                *(f"{mark}:{job_id}", "job:" + job_id, "mailbox:" + conversation, "ready", "lease", "waiting"),
                *("queue:" + turn.user_id, "person:" + turn.user_id, "threads"),
            ],
            args=[
                *(job_id, self._sealed(turn), DEDUPE_SECONDS, conversation, microseconds(turn.ts)),
                *(turn.user_id, may_wait, self._memory_limits[0], verdict),
            ],
            wait_replicas=self._wait_replicas,
        )
        self._arrived.set()
        return stored

    async def _is_forgotten(self, turn: Turn) -> bool:
        """Whether what the turn says was to be forgotten since: Slack delivers it again, or still shows it."""
        said = [Line(turn.ts, turn.user_id, "")]
        forgotten = not await self._memory.unforgotten(turn.conversation, said)
        if forgotten:
            log.info("forgotten_before", conversation=str(turn.conversation), ts=turn.ts)
        return forgotten

    async def waiting_elsewhere(self, turn: Turn) -> int:
        """The unanswered turns of its user in the other partitions that answer; two at once may count the same."""
        own = self._layout.prefix_of(turn.conversation)
        if self._layout.prefixes == (own,):
            return 0

        async def count(prefix: str) -> int:
            return 0 if prefix == own else int(await self._client.zcard(f"{prefix}queue:{turn.user_id}"))

        counts, _ = await self._partitions.each(count, seconds=COUNT_SECONDS)
        return sum(counts)

    def notice_arrival(self) -> None:
        """A turn was stored by this process: whoever waits for one need not wait any longer."""
        self._arrived.set()

    async def known(self, turn: Turn) -> bool:
        """Whether `turn` was stored within the last day."""
        async with store_errors():
            return bool(await self._client.exists(self._key(turn.conversation, "seen:" + turn.job_id)))

    async def request_stop(
        self, conversation: ConversationId, ts: str, written: Sequence[str] = (), *, question_ts: str = ""
    ) -> bool:
        """Have an answer in `conversation` stop that was under way at `ts`; also one that waits for its next attempt.

        Which one: that to the message `question_ts`, or that which the messages `written` belong to, as far as these
        are known. Whether there is such an answer.
        """
        prefix = self._layout.prefix_of(conversation)
        keys = [f"claim:{conversation}", f"posted:{conversation}", f"mailbox:{conversation}"]
        stopped = await self._run("stop", conversation, keys, [str(conversation), prefix, ts, question_ts, *written])
        if stop := self._stops.get(str(stopped)):
            stop.set()
        return stopped is not None

    def stop_of(self, claim: Claim) -> asyncio.Event:
        """What is set as soon as this process hears that the answer is to stop; of other processes, `renew` tells."""
        stop = self._stops[claim.job_id] = asyncio.Event()
        if claim.is_stopped:
            stop.set()
        return stop

    # --- what workers do ------------------------------------------------------------------------------------------

    async def claim(self) -> Claim | None:
        """The earliest turn of some conversation that is free, with a lease on it; None when there is none."""
        claimed = await self._partitions.first(self._claim_in)
        return claims.handed_out(claimed, self._sealing) if claimed else None

    async def _claim_in(self, prefix: str) -> list[Any] | None:
        # The number stays the same until an answer comes: what a lost reply held is given out again.
        request = f"{self._worker}/{self._requests[prefix]}"
        keys = [prefix + name for name in ("ready", "lease", f"claimed:{self._worker}")]
        args = [self._lease_ms, prefix, FENCE_SECONDS, request]
        claimed: list[Any] | None = await run_script(self._client, self._scripts["claim"], keys, args)
        if claimed is not None:
            self._requests[prefix] += 1
        return claimed

    async def wait(self, seconds: float) -> None:
        """Return when a turn was stored by this process, or after `seconds`."""
        try:
            async with asyncio.timeout(seconds):
                await self._arrived.wait()
        except TimeoutError:
            pass
        self._arrived.clear()

    async def renew(self, claim: Claim) -> bool:
        """Extend the lease; True when the answer shall stop. Raises LeaseLost when another worker has the turn."""
        held = await self._fenced("renew", claim, keys=["lease"], args=[self._lease_ms])
        return bool(held == 2)

    async def note_shape(self, claim: Claim, shape: Shape | None) -> None:
        """Write down how the answer is about to be brought to Slack, or (None) that it certainly was not.

        Raises LeaseLost, as all of these do.
        """
        await self._note(claim, "shape", shape or "")

    async def note_uses(self, claim: Claim, uses: int) -> None:
        """Write down that so many posts at the turn's response_url may have been made."""
        await self._note(claim, "uses", str(uses))

    async def note_post(self, claim: Claim, ts: str) -> bool:
        """Write down that a message of the answer stands at `ts`. False where it is no part of it: it was disowned."""
        return await self._note(claim, "post", ts) == WRITTEN

    async def note_taken_back(self, claim: Claim, ts: str) -> None:
        """Write down that the answer's message at `ts` is part of it no more, and is going to be deleted."""
        await self._note(claim, "gone", ts)

    async def disown(self, conversation: ConversationId, ts: str) -> bool:
        """No job may take Dolly's message `ts` for a part of its answer any more. False where one has."""
        key = self._key(conversation, f"posted:{conversation}")
        async with store_errors(), self._client.pipeline(transaction=False) as pipe:
            pipe.hsetnx(key, ts, DISOWNED)
            pipe.expire(key, POSTED_SECONDS)
            pipe.hget(key, ts)
            *_, owner = await pipe.execute()
        return bool(owner == DISOWNED)

    async def note_kept(self, claim: Claim, exchange: Exchange) -> None:
        """Keep a finished answer that Slack does not take now."""
        await self._note(claim, "kept", memory.dump(exchange, str(claim.turn.conversation), self._sealing))

    async def note_verdict(self, claim: Claim, words_key: str) -> None:
        """Write down that the turn is to end with this sentence, whoever comes to say it."""
        await self._note(claim, "verdict", words_key)

    async def note_admitted(self, claim: Claim) -> None:
        """Write down that the quotas have let the turn pass: whoever takes it over does not count it again."""
        await self._note(claim, "admitted", "1")

    async def recorded(self, conversation: ConversationId) -> frozenset[str]:
        """The ts of all messages of Dolly's own in `conversation` that belong to some job."""
        return frozenset(ts for ts, job_id in (await self.posted(conversation)).items() if job_id != DISOWNED)

    async def posted(self, conversation: ConversationId) -> dict[str, str]:
        """By their ts, the jobs that Dolly's messages in `conversation` belong to, of the last days; or DISOWNED."""
        async with store_errors():
            found: Any = await self._client.hgetall(self._key(conversation, f"posted:{conversation}"))
        return dict(found)

    async def place(self, claim: Claim) -> int:
        """The turn's place among all that wait, from 1; what lies on a node that is away is not counted."""
        async with store_errors():
            stored_ms = await self._client.zscore(self._key(claim.turn.conversation, "waiting"), claim.job_id)
        if stored_ms is None:
            return 1
        before, _ = await self._partitions.each(
            lambda prefix: self._client.zcount(prefix + "waiting", "-inf", f"({stored_ms}")
        )
        return 1 + sum(before)

    async def commit(
        self,
        claim: Claim,
        exchange: Exchange | None,
        *,
        buried: str = "",
        shown: Mapping[str, Shown] = NOTHING,
        is_settled: bool = True,
    ) -> None:
        """Finish the turn and remember `exchange`; with a reason in `buried`, put it to the dead letters.

        `shown` is what its messages show, by ts, for whoever reads the thread again: after a takeover, and where it
        is not `is_settled`, because a worker that the store has lost may still be writing there.

        Raises LeaseLost when another worker has the turn.
        """
        conversation, turn = str(claim.turn.conversation), claim.turn
        entry = memory.dump(exchange, conversation, self._sealing) if exchange else ""
        people: Sequence[str] = sorted(exchange.people) if exchange else ()
        prefix = self._layout.prefix_of(conversation)
        committed = await self._run(
            "commit",
            turn.conversation,
            keys=[
                *(f"claim:{conversation}", f"mailbox:{conversation}", f"job:{claim.job_id}", "ready", "lease"),
                *(f"memory:{conversation}", f"changes:{conversation}", "waiting", f"queue:{turn.user_id}", "threads"),
                *("settle", f"settling:{claim.job_id}", "dead", *(f"person:{user_id}" for user_id in people)),
            ],
            args=[
                *(claim.fence, claim.job_id, conversation, entry, *self._memory_limits),
                *(self._lease_ms + round(SETTLE_SECONDS * 1000), turn.ts, buried, DEAD_LETTERS_KEPT, prefix),
                *(self._sealing.seal(conversation, settlings.dump(shown)), int(is_settled)),
            ],
        )
        if not committed:
            metrics.stale_commits.inc()
            raise LeaseLost(f"{claim.job_id} was taken over by another worker")
        if committed == 2:
            await self._memory.apply_changes(turn.conversation)
        self._arrived.set()

    async def fail(self, claim: Claim, *, delay_seconds: float, counted: bool = True) -> None:
        """Hand the turn back, to be claimed again after `delay_seconds`. Raises LeaseLost as commit does."""
        args = [round(delay_seconds * 1000), int(counted)]
        await self._fenced("fail", claim, keys=["ready", "lease", f"job:{claim.job_id}"], args=args)
        self._arrived.set()

    # --- what is looked at from outside ----------------------------------------------------------------------------

    async def report(self) -> QueueReport:
        """What waits now, in all partitions that answer; raises StoreUnavailable where none does."""
        counts, errors = await self._partitions.each(self._counts_in)
        if not counts:
            raise errors[0]
        waiting, leased, dead, ages_ms = zip(*counts, strict=True)
        return QueueReport(sum(waiting), sum(leased), sum(dead), max(ages_ms) / 1000, partitions_away=len(errors))

    async def _counts_in(self, prefix: str) -> list[int]:
        keys = [prefix + name for name in ("waiting", "lease", "dead")]
        counts: list[int] = await run_script(self._client, self._scripts["report"], keys, [])
        return counts

    # --- the scripts ------------------------------------------------------------------------------------------------

    @property
    def _lease_ms(self) -> int:
        return round(self.lease_seconds * 1000)

    def _key(self, conversation: ConversationId, name: str) -> str:
        return self._layout.prefix_of(conversation) + name

    async def _run(
        self, name: str, conversation: ConversationId, keys: list[str], args: list[Any], *, wait_replicas: int = 0
    ) -> Any:
        prefix = self._layout.prefix_of(conversation)
        async with store_errors():
            return await run_script(
                self._client, self._scripts[name], [prefix + key for key in keys], args, wait_replicas=wait_replicas
            )

    async def _fenced(self, name: str, claim: Claim, keys: list[str], args: list[Any]) -> int:
        """Run a script that does something only while `claim` holds. Raises LeaseLost."""
        conversation = claim.turn.conversation
        held = await self._run(
            name,
            conversation,
            keys=[f"claim:{conversation}", *keys],
            args=[claim.fence, claim.job_id, str(conversation), *args],
        )
        if not held:
            raise LeaseLost(f"{claim.job_id} was taken over by another worker")
        return int(held)

    async def _note(self, claim: Claim, field: str, value: str) -> int:
        keys = ["lease", f"job:{claim.job_id}", f"posted:{claim.turn.conversation}"]
        return await self._fenced("note", claim, keys, args=[field, value, POSTED_SECONDS, POSTED_KEPT])

    def _sealed(self, turn: Turn) -> str:
        return claims.dump(turn, self._sealing)


def microseconds(ts: str) -> int:
    """Slack's ts as a whole number, exact in a sorted set's score (< 2^53)."""
    seconds, _, fraction = ts.partition(".")
    return int(seconds) * 1_000_000 + int(fraction.ljust(6, "0")[:6] or 0)
