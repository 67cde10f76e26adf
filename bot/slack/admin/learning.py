"""`/dolly admin review | retrain | models | promote | rollback`: what admins ask of whatever trains Dolly's models."""

import re
from collections.abc import Awaitable
from typing import Any

from bot.audit import AuditLog
from bot.learning import LearningLoop, Told
from bot.slack.admin.commands import AdminVerb
from bot.words import Words

REVISION = re.compile(r"[\w.-]{1,80}", re.ASCII)


class AdminLearning:
    """The verbs."""

    def __init__(self, loop: LearningLoop, audit: AuditLog) -> None:
        self._loop = loop
        self._audit = audit

    @property
    def verbs(self) -> dict[str, AdminVerb]:
        """By the word that an admin writes."""
        return {
            "review": self._review,
            "retrain": self._retrain,
            "models": self._models,
            "promote": self._promote,
            "rollback": self._rollback,
        }

    async def _review(self, user_id: str, arguments: str, words: Words) -> dict[str, Any]:
        return await self._done(self._loop.review(user_id), user_id, "admin_review", words)

    async def _retrain(self, user_id: str, arguments: str, words: Words) -> dict[str, Any]:
        return await self._done(self._loop.retrain(user_id), user_id, "admin_retrain", words)

    async def _models(self, user_id: str, arguments: str, words: Words) -> dict[str, Any]:
        return await self._done(self._loop.models(user_id), user_id, "admin_models", words)

    async def _promote(self, user_id: str, arguments: str, words: Words) -> dict[str, Any]:
        if not REVISION.fullmatch(arguments):
            return {"text": words.say("admin_promote_which")}
        return await self._done(self._loop.promote(user_id, arguments), user_id, "admin_promote", words, arguments)

    async def _rollback(self, user_id: str, arguments: str, words: Words) -> dict[str, Any]:
        return await self._done(self._loop.rollback(user_id), user_id, "admin_rollback", words)

    async def _done(
        self, asked: Awaitable[Told], user_id: str, act: str, words: Words, target: str = ""
    ) -> dict[str, Any]:
        told = await asked
        self._audit.acted(user_id, act, target)
        return {"text": words.say(told.words_key, **told.values)}
