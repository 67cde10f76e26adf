"""Questions that are answered once more: Regenerate, and edits of what was answered (keys in mailbox.py).

The job of the new answer takes the messages of the one before over, so that a worker writes into them as into those
of a worker that died. It has the place of its question in the conversation's queue; a question has one such job at a
time.
"""

from typing import Any, Literal

from bot import metrics
from bot.conversation import ConversationId, Exchange, Turn
from bot.errors import TooManyWaiting
from bot.store import claims
from bot.store.connection import Client, load_script, run_script, store_errors
from bot.store.layout import Layout
from bot.store.mailbox import DEDUPE_SECONDS, POSTED_SECONDS, Mailbox, microseconds
from bot.store.memory import Memory
from bot.store.sealing import Sealing

Repeated = Literal["stored", "before", "waiting", "unknown"]
"""Whether a question is answered once more: now; it was asked for before; it waits already; it is not remembered."""

UNBOUNDED = 1_000_000_000
OUTCOMES: dict[int, Repeated] = {1: "stored", 0: "before", 2: "waiting", -2: "unknown"}


class Repeats:
    """Stores that a question is to be answered once more. Methods raise StoreUnavailable."""

    def __init__(
        self,
        client: Client,
        layout: Layout,
        sealing: Sealing,
        mailbox: Mailbox,
        *,
        memory_seconds: float = 30 * 86_400,
        waiting_per_user: int = 20,
        wait_replicas: int = 0,
    ) -> None:
        self._client = client
        self._layout = layout
        self._sealing = sealing
        self._mailbox = mailbox
        self._memory = Memory(client, layout, sealing)
        self._memory_seconds = round(memory_seconds)
        self._waiting_per_user = waiting_per_user
        self._wait_replicas = wait_replicas
        self._script = load_script("repeat")

    async def ask(self, turn: Turn, *, is_bounded: bool = True) -> Repeated:
        """Have the remembered question of `turn`, which says by what (`again`), answered once more in its place.

        Where `is_bounded`, raises TooManyWaiting as Mailbox.enqueue does.
        """
        conversation, job_id = str(turn.conversation), turn.job_id
        prefix = self._layout.prefix_of(turn.conversation)
        may_wait = UNBOUNDED
        if is_bounded:
            may_wait = self._waiting_per_user - await self._mailbox.waiting_elsewhere(turn)
        names = [
            *(f"seen:{turn.mark_id}", f"job:{job_id}", f"mailbox:{conversation}", "ready", "lease", "waiting"),
            *(f"queue:{turn.user_id}", f"person:{turn.user_id}", "threads", f"memory:{conversation}"),
            *(f"posted:{conversation}", f"settling:{turn.question_id}", f"settling:{job_id}"),
        ]
        args: list[Any] = [
            *(job_id, claims.dump(turn, self._sealing), DEDUPE_SECONDS, conversation, microseconds(turn.ts)),
            *(turn.user_id, may_wait, self._memory_seconds, turn.ts, POSTED_SECONDS),
        ]
        async with store_errors():
            keys = [prefix + name for name in names]
            outcome = await run_script(self._client, self._script, keys, args, wait_replicas=self._wait_replicas)
        if outcome == -1:
            metrics.quota_refusals.labels("waiting").inc()
            raise TooManyWaiting(f"A person has {self._waiting_per_user} unanswered questions; one more is refused.")
        self._mailbox.notice_arrival()
        return OUTCOMES[outcome]

    async def remembered(self, conversation: ConversationId, ts: str) -> Exchange | None:
        """The question at `ts` with its answer; None where it is not remembered (any more)."""
        exchanges = await self._memory.read(conversation)
        return next((exchange for exchange in exchanges if exchange.ts == ts), None)
