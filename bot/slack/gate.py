"""Who may have an answer now: the quotas, and how a refusal is told."""

from bot import metrics
from bot.conversation import Turn
from bot.quotas import Quotas
from bot.slack.mrkdwn import time_token
from bot.slack.threads import Threads


class Gate:
    """Stands before the engine. Admins pass.

    A verdict is the key of a sentence; of a quota's, the second at which it opens again stands after it. It is written
    down before it is told, so that it says the same whoever tells it, and whenever.
    """

    def __init__(self, quotas: Quotas, threads: Threads) -> None:
        self._quotas = quotas
        self._threads = threads

    async def refused(self, turn: Turn) -> str | None:
        """The verdict over a turn for which a quota is used up; None where it may pass, and is counted."""
        refusal = await self._quotas.admit(turn.user_id)
        if refusal is None or await self._threads.is_admin(turn.user_id):
            return None
        metrics.quota_refusals.labels(refusal.quota).inc()
        return f"{'quota_questions' if refusal.quota == 'questions' else 'quota_tokens'} {refusal.opens_at}"

    async def tell(self, turn: Turn, verdict: str) -> None:
        """Say to the turn's author, for their eyes only, why they get no answer. Raises as Threads.tell_privately."""
        words_key, _, opens_at = verdict.partition(" ")
        values = {"time": time_token(int(opens_at))} if opens_at else {}
        await self._threads.tell_privately(turn, (await self._threads.words(turn)).say(words_key, **values))

    async def spend(self, tokens: int) -> None:
        """So many tokens were read and written."""
        await self._quotas.spend(tokens)
