"""Who may have an answer now: the rules, the quotas, and how a refusal is told."""

from bot import metrics
from bot.conversation import Turn
from bot.quotas import Quotas
from bot.slack.asking.admission import Admission
from bot.slack.asking.threads import Threads
from bot.slack.authority import Authority
from bot.slack.mrkdwn import time_token
from bot.store.usage import Usage


class Gate:
    """Stands before the engine. Quotas hold back nobody who administers Dolly.

    A verdict is the key of a sentence; of a quota's, the second at which it opens again stands after it. It is written
    down before it is told, so that it says the same whoever tells it, and whenever.
    """

    def __init__(
        self, admission: Admission, quotas: Quotas, usage: Usage, threads: Threads, authority: Authority
    ) -> None:
        self._admission = admission
        self._quotas = quotas
        self._usage = usage
        self._threads = threads
        self._authority = authority

    async def refused(self, turn: Turn) -> str | None:
        """The verdict over a turn that may have no answer, or not now; None where it may pass, and is counted.

        Raises StoreUnavailable, or SlackUnreachable where Slack does not say who is asking.
        """
        if verdict := await self._admission.refused(turn):
            metrics.access_refusals.labels(verdict).inc()
            return verdict
        refusal = await self._quotas.admit(turn.user_id)
        if refusal is None or await self._authority.is_admin(turn.user_id):
            return None
        metrics.quota_refusals.labels(refusal.quota).inc()
        return f"{'quota_questions' if refusal.quota == 'questions' else 'quota_tokens'} {refusal.opens_at}"

    async def tell(self, turn: Turn, verdict: str) -> None:
        """Say to the turn's author, for their eyes only, why they get no answer. Raises as Threads.tell_privately."""
        words_key, _, opens_at = verdict.partition(" ")
        values = {"time": time_token(int(opens_at))} if opens_at else {}
        await self._threads.tell_privately(turn, (await self._threads.words(turn)).say(words_key, **values))

    async def spend(self, user_id: str, tokens: int) -> None:
        """A question of `user_id` has ended, for which so many tokens were read and written."""
        await self._quotas.spend(tokens)
        await self._usage.count(user_id, tokens)
