"""The values that the mailbox hands out, and how a turn is stored."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import structlog

from bot.attachments import Attachment
from bot.conversation import AGAIN, ConversationId, Exchange, Posting, Shape, Turn
from bot.errors import SealBroken
from bot.store import memory
from bot.store.sealing import Sealing

log = structlog.get_logger(__name__)

Revised = Literal["waiting", "remembered", "unknown"]


@dataclass(frozen=True, slots=True)
class Claim:
    """A turn that this worker holds, until its lease ends."""

    turn: Turn
    fence: int
    attempt: int
    """1 for the first; those that ended because an engine or Slack was away do not count."""
    claims: int
    """How often the turn was claimed at all: above 1, another worker may still be writing."""
    age_seconds: float
    """Since it was stored."""
    posting: Posting
    kept: Exchange | None
    """A finished answer that Slack did not take before."""
    verdict: str | None
    """The key of the sentence with which the turn is to end, without an answer; of a quota's, when it opens as well."""
    is_admitted: bool = False
    """Whether it has been counted by the quotas, and let pass."""
    is_stopped: bool = False
    """Whether somebody wants no answer any more."""
    is_anew: bool = False
    """Whether it is to be answered though something stands there: it was edited, or given up and asked again."""

    @property
    def job_id(self) -> str:
        return self.turn.job_id


@dataclass(frozen=True, slots=True)
class QueueReport:
    """What waits in the mailbox now, in the partitions that answer."""

    waiting: int
    leased: int
    dead: int
    oldest_seconds: float
    """Age of the oldest turn that has no answer yet; 0 without one."""
    partitions_away: int = 0
    """So many did not answer, and are not in these figures."""


def dump(turn: Turn, sealing: Sealing) -> str:
    """A turn as it is stored."""
    return sealing.seal(str(turn.conversation), json.dumps(asdict(turn), ensure_ascii=False))


def load(stored: str, conversation: str, sealing: Sealing) -> Turn:
    """The inverse of `dump`. Raises SealBroken, ValueError, KeyError or TypeError for what is none."""
    fields = json.loads(sealing.open(conversation, stored))
    files = tuple(Attachment(**file) for file in fields.pop("files", ()))
    return Turn(conversation=ConversationId(**fields.pop("conversation")), files=files, **fields)


def handed_out(reply: Sequence[Any], sealing: Sealing) -> Claim:
    """What claim.lua says, as a value. A turn that does not open is to end with an apology."""
    conversation, job_id, fence, age_ms, *fields = reply
    sealed, user_id, attempts, claimed, shape, posts, kept, verdict, admitted, stop, uses, anew = fields
    try:
        turn = load(sealed or "", conversation, sealing)
        answer = memory.load(kept, conversation, sealing) if kept else None
    except (SealBroken, TypeError, ValueError, KeyError) as error:
        # Of another version, or damaged: nobody will ever read it, and its user is told.
        log.error("job_unreadable", job=job_id, error=type(error).__name__)
        where, _, which = job_id.rpartition("/")
        ts, again, _ = which.partition(AGAIN)
        unread = Turn(ConversationId.parse(where), ts, user_id or "", "", again=again)
        turn, answer, verdict = unread, None, "apology"
    return Claim(
        turn=turn,
        fence=int(fence),
        attempt=int(attempts or 1),
        claims=int(claimed or 1),
        age_seconds=int(age_ms) / 1000,
        posting=Posting(_shape(shape), tuple((posts or "").split()), int(uses or 0)),
        kept=answer,
        verdict=verdict,
        is_admitted=bool(admitted),
        is_stopped=bool(stop),
        is_anew=bool(anew),
    )


def _shape(text: str | None) -> Shape | None:
    return text if text in ("stream", "placed", "ephemeral") else None  # type: ignore[return-value]
