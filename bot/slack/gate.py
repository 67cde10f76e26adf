"""Who may have an answer now: the quotas, and how a refusal is told."""

from bot import metrics
from bot.conversation import Turn
from bot.quotas import Quotas
from bot.slack.mrkdwn import time_token
from bot.slack.threads import Threads
from bot.words import Words


class Gate:
    """Stands before the engine. Admins pass."""

    def __init__(self, quotas: Quotas, threads: Threads, words: Words) -> None:
        self._quotas = quotas
        self._threads = threads
        self._words = words

    async def refused(self, turn: Turn) -> str | None:
        """The quota that is used up; the person has then been told, for their eyes only, when it opens again."""
        refusal = await self._quotas.admit(turn.user_id, is_admin=False)
        if refusal is None or await self._threads.is_admin(turn.user_id):
            return None
        metrics.quota_refusals.labels(refusal.quota).inc()
        opens_at = time_token(refusal.opens_at)
        if refusal.quota == "questions":
            sentence = self._words.say("quota_questions", time=opens_at)
        else:
            sentence = self._words.say("quota_tokens", time=opens_at)
        await self._threads.tell_privately(turn, sentence)
        return refusal.quota

    async def spend(self, tokens: int) -> None:
        """So many tokens were read and written."""
        await self._quotas.spend(tokens)
