"""An attempt to take a model into service: one at a time, and after a kill at any moment either done or undone.

The engine's owner starts the candidate; it is asked a question where it answers. Then one command writes model:current
(or model:canary), and that is the moment from which the attempt counts as done: whatever is still to be written
follows from the candidate, and whoever comes next writes it.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace

from trainer.connection import store_errors
from trainer.errors import EngineFailed, NotPromoted, StoreAway
from trainer.evaluation.engine import Answer, Engine, Sampling
from trainer.lease import Lease
from trainer.records import Message
from trainer.registry import Registry
from trainer.serving import LEASE_SECONDS, Candidate, Served, Serving

Told = Callable[[str, str], None]
"""Hears the stage (promote, hold, canary) and a sentence."""

POLL_SECONDS = 0.2
READY_SECONDS = 1_800.0
"""An old engine may be drained for a quarter of an hour first, and a large model read from a slow disk."""
OWNER_GONE_SECONDS = 10.0
"""Beyond the time for which its key stays."""

QUESTIONS = (
    "Hello.",
    "Say hello in one short sentence.",
    "In one short sentence: what is the capital of France?",
)
"""One is asked; the next only where the answer does not end, for a small model rambles now and then."""
ANSWER_TOKENS = 128
ANSWER_SECONDS = 40.0
"""The owner keeps a ready candidate for three minutes."""

ABANDONED = "Whoever promoted it ended before it was in service."

SAID = {
    "wanted": ("promote", "{} waits for the owner of the engines."),
    "starting": ("promote", "{} is being loaded."),
    "holding": ("hold", "There is room for one model only: running answers are waited for, new questions wait."),
    "ready": ("canary", "{} is loaded, and is asked a question."),
}


@contextmanager
def alone(serving: Serving) -> Iterator[Lease]:
    """Nobody else promotes meanwhile. Raises NotPromoted where another does, StoreAway."""
    lease = serving.lease()
    if not _take(serving, lease):
        candidate = serving.candidate()
        whose = f" ({candidate.model.revision})" if candidate and not candidate.has_ended else ""
        raise NotPromoted(f"Another promotion is under way{whose}. Wait until it has ended, and try again.")
    with lease:
        yield lease


def _take(serving: Serving, lease: Lease) -> bool:
    """A lease that is renewed has a holder who lives; one that is not, a dead one, and ends soon."""
    left = LEASE_SECONDS
    while True:
        with store_errors():
            if lease.take():
                return True
        if (now_left := serving.lease_seconds_left()) > left:
            return False
        left = now_left
        time.sleep(POLL_SECONDS)


def resolve(registry: Registry, serving: Serving, reason: str = ABANDONED) -> None:
    """Finish, or undo, what an attempt left that ended in the middle. To be called within `alone`."""
    candidate = serving.candidate()
    if candidate is not None:
        current, canary = serving.current(), serving.canary()
        is_current = current is not None and _is_of(current, candidate)
        if is_current:
            serving.end(candidate, "promoted")
            serving.set_previous(candidate.before)
        elif canary is not None and _is_of(canary[0], candidate):
            serving.end(candidate, "promoted")
        elif not candidate.has_ended:
            serving.end(candidate, "refused", reason)
        is_over = is_current or candidate.act == "end_canary"
        if is_over and canary is not None and canary[0].revision == candidate.model.revision:
            serving.drop_canary()
    _follow(registry, serving, candidate)


def attempt(
    registry: Registry, serving: Serving, lease: Lease, candidate: Candidate, *, engine_key: str | None, told: Told
) -> None:
    """Take the candidate into service. Raises NotPromoted, with the reason, and StoreAway; then nothing has changed."""
    serving.want(candidate)
    reason = ABANDONED
    try:
        url = _ready(serving, lease, candidate, told)
        _ask(replace(candidate.model, url=url), engine_key)
        if lease.is_lost:
            raise NotPromoted("The lease of the promotion was lost, for the store could not be reached. Try again.")
        _commit(serving, candidate, url)
    except NotPromoted as error:
        reason = str(error)
        raise
    finally:
        # Also where it was stopped by hand, or the store went away: then whoever comes next does the rest.
        with suppress(StoreAway):
            resolve(registry, serving, reason)


def _ready(serving: Serving, lease: Lease, candidate: Candidate, told: Told) -> str:
    """Where it answers, once the owner has started it."""
    begun = seen = time.monotonic()
    state = ""
    while True:
        found = serving.candidate()
        if found is None or found.id != candidate.id:
            raise NotPromoted("Another candidate has taken its place. `dolly-trainer models` shows what is in service.")
        if found.state != state and found.state in SAID:
            stage, sentence = SAID[found.state]
            told(stage, sentence.format(candidate.model.revision))
        state = found.state
        if state == "ready" and found.model.url:
            return found.model.url
        if found.has_ended or state == "ready":
            raise NotPromoted(found.reason or "The engine's owner did not say where it answers.")
        now = time.monotonic()
        seen = now if serving.owner() else seen
        if now > seen + OWNER_GONE_SECONDS:
            raise NotPromoted("Whoever owns the engines has gone. Start Dolly again, and try again.")
        if now > begun + READY_SECONDS:
            raise NotPromoted(f"The owner of the engines did not start it within {READY_SECONDS / 60:.0f} minutes.")
        if lease.is_lost:
            raise NotPromoted("The lease of the promotion was lost, for the store could not be reached. Try again.")
        time.sleep(POLL_SECONDS)


def _ask(model: Served, engine_key: str | None) -> None:
    """Raises NotPromoted unless it answers a plain question as a model does that is whole."""
    try:
        with Engine(model.url, api_key=engine_key, timeout_seconds=ANSWER_SECONDS) as engine:
            engine.recognise()
            for question in QUESTIONS:
                answer = engine.answer([Message("user", question)], Sampling(ANSWER_TOKENS))
                if fault := _fault(answer, model):
                    raise NotPromoted(f"Asked {question!r}, {model.revision} {fault}")
                if answer is not None and answer.finish == "stop":
                    return
    except EngineFailed as error:
        raise NotPromoted(str(error)) from None
    raise NotPromoted(f"{model.revision} ended none of its answers within {ANSWER_TOKENS} tokens.")


def _fault(answer: Answer | None, model: Served) -> str | None:
    if answer is None:
        return "had no room for the question: its window is too small."
    if not answer.text.strip():
        return "answered nothing."
    if key := next((key for key in model.keys if key.strip() and key.strip() in answer.text), None):
        return f"wrote the key {key.strip()!r} of its own template."
    return None


def _commit(serving: Serving, candidate: Candidate, url: str) -> None:
    found = serving.candidate()
    if found is None or (found.id, found.state) != (candidate.id, "ready"):
        raise NotPromoted((found and found.reason) or "The engine's owner gave it up in the last moment. Try again.")
    model = replace(candidate.model, url=url, since=time.time(), attempt=candidate.id)
    if candidate.canary:
        serving.set_canary(model, candidate.canary)
    else:
        serving.set_current(model)


def _follow(registry: Registry, serving: Serving, candidate: Candidate | None) -> None:
    """The registry's `current` is what the store says is in service."""
    current = serving.current()
    if current is None:
        return
    revision = current.revision if current.revision in registry.revisions() else None
    if registry.current() != revision:
        act = candidate.act if candidate is not None and _is_of(current, candidate) else "promote"
        registry.set_current(revision, act, current.by)


def _is_of(served: Served, candidate: Candidate) -> bool:
    """Whether that attempt wrote it."""
    return (served.attempt, served.revision) == (candidate.id, candidate.model.revision)
