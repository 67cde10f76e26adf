"""`/dolly admin retrain | cancel | models | promote | rollback`: what admins ask of the trainer of Dolly's models."""

import re
from typing import Any

from bot.audit import AuditLog
from bot.engines import InService
from bot.learning import LearningLoop, Models, Queued, UnderWay
from bot.slack.admin.commands import AdminVerb
from bot.slack.admin.job_message import channels, far, outcome
from bot.slack.in_service import trained_on
from bot.slack.mrkdwn import date_token, escape
from bot.store.retraining import Job
from bot.store.served_models import ServedModel
from bot.words import Words

REVISION = re.compile(r"[\w.-]{1,80}", re.ASCII)
RECIPE = re.compile(r"[\w./-]{1,120}", re.ASCII)
CHANNEL = re.compile(r"<#(?P<linked>[CG][A-Z0-9]{2,})(?:\|[^>]*)?>|(?P<id>[CG][A-Z0-9]{2,})", re.ASCII)
YES = "yes"
CANDIDATE_STATES = {
    "wanted": "models_state_wanted",
    "starting": "models_state_starting",
    "holding": "models_state_holding",
    "ready": "models_state_ready",
    "failed": "models_state_failed",
    "refused": "models_state_refused",
}
"""One that was promoted is no candidate any more."""


class AdminLearning:
    """The verbs. What takes time is told in a direct message (following.py)."""

    def __init__(self, loop: LearningLoop, audit: AuditLog) -> None:
        self._loop = loop
        self._audit = audit

    @property
    def verbs(self) -> dict[str, AdminVerb]:
        """By the word that an admin writes."""
        return {
            "retrain": self._retrain,
            "cancel": self._cancel,
            "models": self._models,
            "promote": self._promote,
            "rollback": self._rollback,
        }

    async def _retrain(self, user_id: str, arguments: str, words: Words) -> dict[str, Any]:
        if arguments == YES:
            revision = await self._loop.allow(user_id)
            self._audit.acted(user_id, "admin_retrain_yes", revision)
            return {"text": words.say("retrain_yes_noted", revision=escape(revision))}
        if arguments and not RECIPE.fullmatch(arguments):
            return {"text": words.say("retrain_how")}
        match await self._loop.retrain(user_id, arguments):
            case Queued(job_id, corrections, liked):
                self._audit.acted(user_id, "admin_retrain", job_id)
                counts = {
                    "corrections": words.say("retrain_corrections", count=corrections),
                    "liked": words.say("retrain_liked", count=liked),
                }
                return {"text": words.say("retrain_is_queued", **counts)}
            case UnderWay() as under_way:
                return {"text": words.say("retrain_runs", how_far=_far(under_way, words))}

    async def _cancel(self, user_id: str, arguments: str, words: Words) -> dict[str, Any]:
        under_way = await self._loop.cancel()
        if under_way is None:
            return {"text": words.say("retrain_cancel_nothing")}
        self._audit.acted(user_id, "admin_cancel", under_way.job.id)
        return {"text": words.say("retrain_cancel_asked", how_far=_far(under_way, words))}

    async def _models(self, user_id: str, arguments: str, words: Words) -> dict[str, Any]:
        models = await self._loop.models()
        self._audit.acted(user_id, "admin_models")
        return {"text": _listed(models, words)}

    async def _promote(self, user_id: str, arguments: str, words: Words) -> dict[str, Any]:
        revision, _, rest = arguments.partition(" ")
        found = [CHANNEL.fullmatch(word) for word in rest.split()]
        if not REVISION.fullmatch(revision) or not all(found):
            return {"text": words.say("promote_which")}
        canary = tuple(match["linked"] or match["id"] for match in found if match)
        missing = await self._loop.promote(user_id, revision, canary)
        self._audit.acted(user_id, "admin_promote", " ".join((revision, *canary)))
        if missing:
            return {"text": words.say("promote_approved", count=missing, what=arguments)}
        if canary:
            return {"text": words.say("promote_asked_canary", revision=escape(revision), channels=channels(canary))}
        return {"text": words.say("promote_asked", revision=escape(revision))}

    async def _rollback(self, user_id: str, arguments: str, words: Words) -> dict[str, Any]:
        if arguments and not REVISION.fullmatch(arguments):
            return {"text": words.say("rollback_how")}
        await self._loop.rollback(user_id, arguments)
        self._audit.acted(user_id, "admin_rollback", arguments)
        return {"text": words.say("rollback_asked")}


def _far(under_way: UnderWay, words: Words) -> str:
    return far(words, under_way.job, under_way.progress)


def _listed(models: Models, words: Words) -> str:
    """What answers, could answer, and was trained, a line each."""
    lines = [words.say("models_title")]
    if models.current is None:
        lines.append(words.say("models_none"))
    else:
        since = date_token(models.current.since)
        lines.append(words.say("models_current", model=_name(models.current), since=since))
        learned = trained_on(InService(models.current.name, trained_on=models.current.trained_on), words)
        lines += [learned] if learned else []
    if models.previous is not None:
        lines.append(words.say("models_previous", model=_name(models.previous)))
    if models.canary is not None:
        where = channels(tuple(sorted(models.canary.channels)))
        lines.append(words.say("models_canary", model=_name(models.canary.model), channels=where))
    if models.candidate is not None and models.candidate.state in CANDIDATE_STATES:
        state = words.say(CANDIDATE_STATES[models.candidate.state])
        line = words.say("models_candidate", model=_name(models.candidate.model), state=state)
        lines.append(f"{line} {escape(models.candidate.reason)}".strip())
    retrains = [words.say("models_retrains"), *(_retrain(job, words) for job in models.retrains)]
    return "\n• ".join(lines) + ("\n" + "\n• ".join(retrains) if models.retrains else "")


def _retrain(job: Job, words: Words) -> str:
    revision = f" · `{escape(job.result)}`" if job.result else ""
    return f"{date_token(job.asked_at)} · <@{job.request.asked_by}> · {outcome(words, job)}{revision}"


def _name(model: ServedModel) -> str:
    revision = f"`{escape(model.revision)}`"
    return f"{revision} ({escape(model.name)})" if model.name and model.name != model.revision else revision
