"""Judges a run by what can be seen from outside Dolly. Pure: evidence in, findings out.

Evidence is of three kinds: when Slack was told that a question was received, what a person sees in the
workspace at the end, and what the engine was asked.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field

from tests.chaos.context import Order, Prompt, judge_contexts
from tests.chaos.markers import answers_in, whole_answers_in

GOALS = ("lost", "duplicated", "reordered", "crossed", "unanswered", "double_visible", "apologised", "stale")
STALE_SECONDS = 30.0
"""How long what was deleted or forgotten may still turn up: a worker may be paused, or killed and started again."""
REPORTED = ("late_arrivals", "ephemeral_unknown", "unacked")


@dataclass(frozen=True)
class Asked:
    """A question, as the workspace knows it. Times are seconds since 1970."""

    number: int
    conversation: str
    """`channel/root_ts`; of a slash command, a name of its own."""
    ts: str
    is_poison: bool = False
    is_command: bool = False
    sent: float | None = None
    """When Dolly was first told of it."""
    acked: float | None = None
    """When Slack was first told that Dolly has it."""


@dataclass(frozen=True)
class Shown:
    """A message of Dolly's that stands in a conversation at the end."""

    conversation: str
    ts: str
    text: str
    is_streaming: bool = False
    job_ts: str | None = None
    """`ts` of the question that it answers, where the message says so in its metadata."""


@dataclass(frozen=True)
class Evidence:
    asked: Sequence[Asked]
    shown: Sequence[Shown]
    prompts: Sequence[Prompt]
    whole_at: dict[int, float]
    """When the whole answer to a question stood there for the first time."""
    taken_back: Mapping[int, float | None] = field(default_factory=dict)
    """Questions that were deleted, or whose thread is to be forgotten; when that was acked, None if it never was."""


@dataclass
class Verdict:
    """What was found, a sentence each by the figure that it counts for; and the questions that it is about."""

    findings: dict[str, list[tuple[int, str]]] = field(default_factory=lambda: defaultdict(list))

    def add(self, figure: str, number: int, sentence: str) -> None:
        """Once per figure and question."""
        if number not in (found for found, _ in self.findings[figure]):
            self.findings[figure].append((number, sentence))

    def count(self, figure: str) -> int:
        return len(self.findings[figure])

    @property
    def is_good(self) -> bool:
        return not any(self.count(figure) for figure in GOALS)


def judge(evidence: Evidence) -> Verdict:
    verdict = Verdict()
    conversations: dict[str, list[Asked]] = defaultdict(list)
    for asked in evidence.asked:
        conversations[asked.conversation].append(asked)
        if asked.acked is None:
            verdict.add("unacked", asked.number, "Slack was never told that it was received")
    shown: dict[str, list[Shown]] = defaultdict(list)
    for message in evidence.shown:
        shown[message.conversation].append(message)
    first_asked = {p.number: p.at for p in sorted(evidence.prompts, key=lambda p: -p.at) if p.number is not None}

    for conversation, questions in conversations.items():
        _judge_answers(verdict, questions, shown[conversation], first_asked.keys(), evidence.taken_back.keys())
    _judge_forgetting(verdict, evidence)
    orders = judge_contexts(
        evidence.prompts,
        {asked.number: asked.conversation for asked in evidence.asked},
        evidence.taken_back.keys(),
        verdict.add,
    )
    for conversation, questions in conversations.items():
        if not questions[0].is_command:
            kept = [question for question in questions if question.number not in evidence.taken_back]
            _judge_memory(verdict, kept, orders.get(conversation))
            # What was taken back while it was answered may become whole late: when Slack itself ends its stream.
            by_number, whole_at = {q.number: q for q in kept}, evidence.whole_at
            visible = sorted(by_number.keys() & whole_at.keys(), key=lambda number: whole_at[number])
            _judge_order(verdict, by_number, visible, whole_at, first_asked)
            if conversation in orders:
                _judge_order(verdict, by_number, orders[conversation].turns, whole_at, {})
    return verdict


def _judge_answers(
    verdict: Verdict, questions: list[Asked], shown: list[Shown], prompted: Set[int], taken_back: Set[int]
) -> None:
    """What a person sees of one conversation: one whole answer each, an apology for a poison, nothing else.

    Of what was taken back, anything may stand there: its answer, a part of it, or nothing.
    """
    by_answer: dict[int, list[Shown]] = defaultdict(list)
    others: list[Shown] = []
    for message in shown:
        numbers = answers_in(message.text)
        for number in numbers:
            by_answer[number].append(message)
        if not numbers:
            others.append(message)
    for number in by_answer.keys() - {q.number for q in questions}:
        verdict.add("crossed", number, f"its answer stands in another conversation, {shown[0].conversation}")
    apologies = _apologies(verdict, questions, others, by_answer)
    for question in questions:
        answers, is_apologised = by_answer[question.number], question.number in apologies
        if len(answers) + is_apologised > 1:
            stand = ", ".join(message.ts for message in answers)
            verdict.add("double_visible", question.number, f"answers at {stand}" + " and an apology" * is_apologised)
        if question.number in taken_back:
            continue
        if is_apologised and not question.is_poison:
            verdict.add("apologised", question.number, "Dolly apologised for a question that it can answer")
        if question.acked is None or is_apologised:
            continue
        if not any(question.number in whole_answers_in(m.text) and not m.is_streaming for m in answers):
            if question.is_command and question.number in prompted and not question.is_poison:
                verdict.add("ephemeral_unknown", question.number, "a slash answer was begun and never seen")
            else:
                half = f"; half an answer stands at {answers[0].ts}" if answers else ""
                verdict.add("unanswered", question.number, f"acked, and no answer stands there{half}")


def _apologies(
    verdict: Verdict, questions: list[Asked], others: list[Shown], by_answer: dict[int, list[Shown]]
) -> set[int]:
    """The questions that Dolly's messages without an answer belong to.

    By the metadata where there is one; the rest are taken to be for the poison, then for what has no answer.
    """
    by_ts = {q.ts: q.number for q in questions}
    known = [by_ts[m.job_ts] for m in others if m.job_ts in by_ts]
    for number, times in Counter(known).items():
        if times > 1:
            verdict.add("double_visible", number, f"{times} messages that are no answer")
    left = [q for q in questions if q.number not in known]
    candidates = [q.number for q in sorted(left, key=lambda q: (not q.is_poison, bool(by_answer.get(q.number))))]
    unknown = len(others) - len(known)
    if unknown > len(candidates):
        verdict.add("double_visible", questions[0].number, f"{len(others)} messages that are no answers in its thread")
    return {*known, *candidates[:unknown]}


def _judge_forgetting(verdict: Verdict, evidence: Evidence) -> None:
    """What Dolly was told to forget is in no prompt any more, once all that was under way then has ended."""
    for prompt in evidence.prompts:
        for number in (*prompt.history, prompt.number):
            acked = evidence.taken_back.get(number) if number is not None else None
            if number is not None and acked is not None and prompt.at > acked + STALE_SECONDS:
                late = prompt.at - acked
                verdict.add(
                    "stale", number, f"in the prompt of q{prompt.number:05d}, {late:.1f} s after it was forgotten"
                )


def _judge_memory(verdict: Verdict, questions: Iterable[Asked], order: "Order | None") -> None:
    """Every answered question is in the thread's memory, as some later prompt showed it."""
    remembered = set(order.turns) if order else set()
    spoilt = {number for figure in ("apologised", "unanswered") for number, _ in verdict.findings[figure]}
    newest = order.newest if order else None
    for question in questions:
        if question.acked is None or question.is_poison or question.number == newest:
            continue
        if question.number not in remembered and question.number not in {n for n, _ in verdict.findings["apologised"]}:
            also = " (nor answered)" if question.number in spoilt else ""
            verdict.add("lost", question.number, f"acked, and in no later prompt of its thread{also}")


def _judge_order(
    verdict: Verdict,
    questions: dict[int, Asked],
    order: list[int],
    whole_at: dict[int, float],
    first_asked: dict[int, float],
) -> None:
    """A later message may go first only if the earlier one was not there yet when it was claimed.

    A claim cannot be seen. It came after the question was sent to Dolly and after the answer before it stood
    there whole: what was acked by then was there. Whatever was acked later counts as a late arrival. What stands in
    the thread may be of an earlier claim, whose worker was paused or cut off: of one before `first_asked`, when the
    engine got the question. What is remembered is always of the last.
    """
    known = [number for number in order if number in questions]
    for index, number in enumerate(known):
        later = questions[number]
        before = whole_at.get(known[index - 1], 0.0) if index else 0.0
        claimed_after = min(max(before, later.sent or 0.0), first_asked.get(number, math.inf))
        for other in known[index + 1 :]:
            earlier = questions[other]
            if float(earlier.ts) > float(later.ts):
                continue
            if earlier.acked is not None and earlier.acked < claimed_after:
                late = claimed_after - earlier.acked
                verdict.add(
                    "reordered", other, f"acked {late:.2f} s before q{number:05d} could be claimed, and after it"
                )
            else:
                verdict.add("late_arrivals", other, f"came after q{number:05d} was under way")
