"""Feedback on its way out of the store: only what people agreed to, redacted, a line for each piece.

A line is a JSON object, as trainer/readers.py reads it under the name `feedback`. It names no person: neither who asked
nor who rated; mentions in texts are redacted (redaction/). The thread is named, so that nothing of one is learned from
and examined at once. Each question stands after Dolly's own system prompt, without a channel's or a person's own words.
"""

import asyncio
import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from bot.errors import NothingToLearn
from bot.feedback import KeptFeedback, record_id
from bot.preferences import ChannelRules, Preferences
from bot.preferences import system_prompt as base_prompt
from bot.redaction import Redaction
from bot.store.feedback import FeedbackStore
from bot.store.preferences import PreferenceStore
from bot.store.retraining import Request, Retraining

Learned = Literal["approved", "reviewable", "everything"]


@dataclass(slots=True)
class Export:
    """What is written, and how much of what was left out."""

    lines: dict[str, str] = field(default_factory=dict)
    """A JSON object each, by the feedback's name."""
    versions: dict[str, str] = field(default_factory=dict)
    """Of the feedback that the lines were made from."""
    corrections: int = 0
    approved: int = 0
    """Of the corrections."""
    liked: int = 0
    disliked: int = 0
    """Without a correction: nothing is learned from one."""
    rejected: int = 0
    without_consent: int = 0
    corrected_by_others: int = 0
    """Liked answers that somebody else has corrected."""
    redactions: Counter[str] = field(default_factory=Counter)
    """By kind."""


class Exports:
    """Gathers feedback to learn from. Every method raises StoreUnavailable."""

    def __init__(
        self, feedback: FeedbackStore, preferences: PreferenceStore, redaction: Redaction, system_prompt: str
    ) -> None:
        self._feedback = feedback
        self._preferences = preferences
        self._redaction = redaction
        self._system_prompt = base_prompt(system_prompt, ChannelRules(), Preferences())

    async def consenting(self) -> list[KeptFeedback]:
        """What may be learned from: its channel agreed when it was given, and agrees now. The newest first."""
        return await self._consenting(await self._feedback.all())

    async def collect(self, learned: Learned = "reviewable") -> Export:
        """The lines to write, the oldest feedback first, and how much was left out.

        `approved` has approved corrections and liked answers that nobody rejected; `reviewable` has corrections that
        wait for a review, too; `everything` what is rejected, or disliked without a correction, as well.
        """
        everything = await self._feedback.all()
        consenting = await self._consenting(everything)
        export = Export(without_consent=len(everything) - len(consenting))
        questions = {kept.name: kept.feedback.question for kept in consenting}
        corrected = {_answer(kept) for kept in consenting if kept.feedback.correction and not _is_rejected(kept)}
        for kept in reversed(consenting):
            if _count(export, kept, corrected, learned):
                line = await asyncio.to_thread(self._line, kept, questions, export.redactions)
                # Half a character, which a person's text may hold, is none that a trainer could read.
                export.lines[kept.name] = json.dumps(line, ensure_ascii=False).encode(errors="replace").decode()
                export.versions[kept.name] = kept.version
        return export

    async def retrain(self, retraining: Retraining, request: Request) -> tuple[str, Export]:
        """Queue a retrain with what is approved; the job's id, and what it was given.

        Raises NothingToLearn where no correction is approved, and RetrainKeyMissing with what to set.
        """
        export = await self.collect("approved")
        if not export.approved:
            raise NothingToLearn("No correction is approved and agreed to, so a retrain would learn nothing new.")
        job_id = await retraining.prepare(request, export.lines)
        gone = await self.gone_since(export)
        await retraining.exported.take_out(lambda name: name in gone)
        await retraining.queue(job_id)
        return job_id, export

    async def gone_since(self, export: Export) -> frozenset[str]:
        """The names of what was withdrawn, changed or no longer agreed to since it was collected.

        To be asked once it is noted as exported: who took it back before looked for an export that was not there yet.
        """
        now = {kept.name: kept.version for kept in await self.consenting()}
        return frozenset(name for name, version in export.versions.items() if now.get(name) != version)

    async def _consenting(self, everything: Sequence[KeptFeedback]) -> list[KeptFeedback]:
        given = [kept for kept in everything if kept.feedback.consent]
        channels = {kept.conversation.channel_id for kept in given}
        rules = {channel_id: await self._preferences.of_channel(channel_id) for channel_id in channels}
        return [kept for kept in given if rules[kept.conversation.channel_id].training_consent]

    def _line(self, kept: KeptFeedback, questions: Mapping[str, str], redactions: Counter[str]) -> dict[str, Any]:
        feedback, conversation = kept.feedback, kept.conversation
        found: Counter[str] = Counter()

        def redacted(text: str) -> str:
            clean = self._redaction.redact(text)
            found.update(clean.counts)
            return clean.text

        others = [questions[name] for name in feedback.neighbour_names if name in questions]
        line = {
            "id": record_id(kept.name),
            "conversation": str(conversation),
            "ts": feedback.ts,
            "channel": conversation.channel_id,
            "messages": [
                {"role": "system", "content": self._system_prompt},
                {"role": "user", "content": redacted(feedback.question)},
            ],
            "answer": redacted(feedback.answer),
            "rating": feedback.rating,
            "correction": redacted(feedback.lesson),
            "correction_is_cut": bool(feedback.correction) and feedback.is_cut,
            "comment": redacted(feedback.comment),
            "model": feedback.model,
            "prompt_hash": feedback.prompt_hash,
            "consent": True,
            "at": feedback.at,
            "review": {
                "state": feedback.review or "waiting",
                "neighbours": [redacted(question) for question in (*feedback.neighbours, *others)],
                "paraphrases": [redacted(question) for question in feedback.paraphrases],
            },
        }
        redactions.update(found)
        return {**line, "redacted": dict(found)}


def _count(export: Export, kept: KeptFeedback, corrected: Collection[object], learned: Learned) -> bool:
    """Count a piece of feedback; whether it is written."""
    feedback = kept.feedback
    if _is_rejected(kept):
        export.rejected += 1
        return learned == "everything"
    if feedback.correction:
        export.corrections += 1
        export.approved += feedback.review == "approved"
        return learned != "approved" or feedback.review == "approved"
    if feedback.rating == "down":
        export.disliked += 1
        return learned == "everything"
    if _answer(kept) in corrected:
        export.corrected_by_others += 1
        return learned == "everything"
    export.liked += 1
    return True


def _is_rejected(kept: KeptFeedback) -> bool:
    return kept.feedback.review == "rejected"


def _answer(kept: KeptFeedback) -> object:
    return kept.conversation, kept.feedback.ts, kept.feedback.answer
