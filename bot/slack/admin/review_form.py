"""The form in which an admin walks through corrections: one at a time, then what became of them. Pure.

Slack keeps what stands in a box whose ids stay the same, also where another text is to stand there. So the boxes'
block ids carry the correction that they are about.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from bot.errors import NotUnderstood
from bot.feedback import CORRECTION_CHARACTERS, record_id
from bot.reviewing import Seen, Waiting
from bot.slack import blocks
from bot.slack.asking.attachments import as_said
from bot.slack.mrkdwn import date_token
from bot.slack.payloads import text
from bot.words import Words

REVIEW = "review"
"""Id of the form."""
CORRECTION, NEIGHBOURS, SUGGESTED, PARAPHRASES, DECISION = (
    *("correction", "neighbours", "suggested", "paraphrases", "decision"),
)
Decision = Literal["approve", "reject", "skip"]

SHOWN_CHARACTERS = 2_900
"""Of question and answer each; Slack takes 3,000 in a paragraph."""
BOX_CHARACTERS = 3_000
OPTION_CHARACTERS = 75
"""What Slack takes of a question beside a box to tick."""


@dataclass(frozen=True, slots=True)
class Walk:
    """How far an admin is: it travels in the form."""

    is_oldest_first: bool = False
    number: int = 1
    """Of the correction that is shown, in this walk."""
    approved: int = 0
    rejected: int = 0
    skipped: int = 0


@dataclass(frozen=True, slots=True)
class Decided:
    """What an admin filled in about one correction."""

    seen: Seen
    walk: Walk
    decision: Decision
    correction: str
    neighbours: str
    """One question a line."""
    suggested: tuple[str, ...]
    """The engine's questions that were ticked."""
    paraphrases: str
    """One question a line."""


def form(
    words: Words,
    walk: Walk,
    waiting: Waiting,
    external_id: str,
    *,
    suggested: Sequence[str] = (),
    sentence: str = "",
) -> blocks.Block:
    """One correction, with `sentence` about the one before on top.

    `suggested` are the engine's questions, which come later: what was typed meanwhile stays.
    """
    feedback, key = waiting.kept.feedback, record_id(waiting.kept.name)
    total = walk.number + waiting.further
    where = f"<#{waiting.kept.conversation.channel_id}>"
    head = words.say("review_place", number=walk.number, total=total, where=where, when=date_token(feedback.at))
    comment = [blocks.context(words.say("review_comment")), _plain(feedback.comment)] if feedback.comment else []
    shown: list[blocks.Block] = [
        *([blocks.section(sentence)] if sentence else []),
        blocks.context(head),
        blocks.section(words.say("review_question")),
        _plain(as_said(feedback.question, words)),
        blocks.section(words.say("review_answer")),
        _plain(feedback.answer),
        *comment,
        blocks.field(
            words.say("review_correction"),
            f"{CORRECTION}/{key}",
            blocks.text_input(CORRECTION, feedback.correction, most_characters=CORRECTION_CHARACTERS),
            is_optional=False,
        ),
        blocks.field(
            words.say("review_neighbours"),
            f"{NEIGHBOURS}/{key}",
            blocks.text_input(NEIGHBOURS, _one_a_line(waiting.neighbours), most_characters=BOX_CHARACTERS),
            hint=words.say("review_neighbours_hint"),
        ),
    ]
    if suggested:
        options = [blocks.option(question, question) for question in suggested]
        ticks = blocks.checkboxes(SUGGESTED, options, ())  # a model may have asked the same in other words
        shown.append(blocks.field(words.say("review_suggested"), f"{SUGGESTED}/{key}", ticks))
    shown.append(
        blocks.field(
            words.say("review_paraphrases"),
            f"{PARAPHRASES}/{key}",
            blocks.text_input(PARAPHRASES, most_characters=BOX_CHARACTERS),
            hint=words.say("review_paraphrases_hint"),
        )
    )
    decisions = [
        blocks.option(words.say("review_approve"), "approve"),
        blocks.option(words.say("review_reject"), "reject"),
        blocks.option(words.say("review_skip"), "skip"),
    ]
    shown.append(
        blocks.field(
            words.say("review_decision"),
            f"{DECISION}/{key}",
            blocks.choice("radio_buttons", DECISION, decisions, "approve"),
            is_optional=False,
        )
    )
    view = blocks.modal(
        REVIEW,
        shown,
        title=words.say("review_title"),
        submit=words.say("review_next"),
        close=words.say("review_close"),
        metadata=json.dumps({"seen": asdict(waiting.seen), "walk": asdict(walk)}),
    )
    return view | {"external_id": external_id}


def summary(words: Words, walk: Walk, sentence: str = "") -> blocks.Block:
    """What became of the corrections, and what to do next."""
    counts = {"approved": walk.approved, "rejected": walk.rejected, "skipped": walk.skipped}
    told = [sentence] if sentence else []
    told.append(words.say("review_summary", **counts))
    return {
        "type": "modal",
        "title": blocks.plain_text(words.say("review_title")),
        "close": blocks.plain_text(words.say("review_done")),
        "blocks": [blocks.section("\n".join(told))],
    }


def decided(view: Mapping[str, Any]) -> Decided:
    """What was filled in. Raises NotUnderstood."""
    try:
        metadata = json.loads(text(view, "private_metadata"))
        seen, far = metadata["seen"], metadata["walk"]
        place = Seen(str(seen["name"]), str(seen["version"]), float(seen["at"]))
        counts = (int(far[name]) for name in ("number", "approved", "rejected", "skipped"))
        walk = Walk(bool(far["is_oldest_first"]), *counts)
    except (ValueError, TypeError, LookupError):
        raise NotUnderstood("private_metadata") from None
    key = record_id(place.name)
    decision = text(_held(view, DECISION, key).get("selected_option") or {}, "value")
    if decision not in get_args(Decision):
        raise NotUnderstood(DECISION)
    ticked = _held(view, SUGGESTED, key).get("selected_options")
    return Decided(
        place,
        walk,
        decision,  # type: ignore[arg-type]
        _typed(view, CORRECTION, key),
        _typed(view, NEIGHBOURS, key),
        tuple(text(option, "value") for option in ticked) if isinstance(ticked, list) else (),
        _typed(view, PARAPHRASES, key),
    )


def _typed(view: Mapping[str, Any], name: str, key: str) -> str:
    return text(_held(view, name, key), "value").replace("\r\n", "\n").strip()


def _held(view: Mapping[str, Any], name: str, key: str) -> Mapping[str, Any]:
    """The state of one control; empty where the form does not have it."""
    found: Any = view
    for step in ("state", "values", f"{name}/{key}", name):
        found = found.get(step) if isinstance(found, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def _plain(content: str) -> blocks.Block:
    """A paragraph in which nothing is a mention, a link or an emphasis: people's and models' words as they are."""
    cut = content if len(content) <= SHOWN_CHARACTERS else content[: SHOWN_CHARACTERS - 1] + "…"
    return {"type": "section", "text": blocks.plain_text(cut)}


def _one_a_line(questions: Sequence[str]) -> str:
    """As many as a box takes."""
    taken: list[str] = []
    for question in questions:
        if sum(map(len, taken)) + len(taken) + len(question) <= BOX_CHARACTERS:
            taken.append(question)
    return "\n".join(taken)
