"""A candidate beside the model in service: may it be promoted? Each model in its own template, as it will be served."""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from trainer.artifacts import MANIFEST, sha256_of
from trainer.datasets import read_split
from trainer.evaluation.carried import copied, everyday_words
from trainer.evaluation.comparing import Checked, Sureness, check_bits, check_held_out, check_stops, check_suite
from trainer.evaluation.engine import Answer
from trainer.evaluation.gating import answers, identity, kept_answers, kept_bits, scored, weigh
from trainer.evaluation.suites import Item, questions, sample
from trainer.evaluation.taught import (
    Taught,
    check_corrections,
    check_evidence,
    check_leaks,
    check_neighbours,
    check_personal_data,
    own_words_of,
)
from trainer.evaluation.verdict import Judgeable, Verdict
from trainer.feedback import CORRECTIONS, LIKED, NEIGHBOURS
from trainer.gate_questions import Corrected, Neighbour, read_questions
from trainer.personal_data import personal_data
from trainer.recipe import Recipe
from trainer.records import Message, Record

OF_THE_TEAM = (CORRECTIONS, LIKED, NEIGHBOURS)
"""Sources of records that redaction has to have been through."""

Prompt = Sequence[Message]


def gate(
    dataset: Path,
    current: Judgeable,
    candidate: Judgeable,
    out: Path,
    *,
    recipe: Recipe,
    yes: bool = False,
    cache: Path | None = None,
    console: Console | None = None,
    told: Callable[[int, int], None] = lambda done, total: None,
) -> Verdict:
    """Judge the candidate that was tuned on `dataset`; the verdict, also written to `out` (JSON).

    `yes` is an admin's, to a full gate that has not enough evidence. In `cache` lies what the current model said to the
    replay. `told` hears how far it is. Raises NotWhole, BadInput, EngineFailed.
    """
    console = console or Console(stderr=True)
    choice = recipe.gate
    seconds = _Seconds()
    asked = read_questions(dataset)
    train, held_out = read_split(dataset, "train"), read_split(dataset, "held_out")
    records = sample(held_out, choice.bits_records, choice.seed)
    trained = [one for one in asked.corrections if one.is_trained]
    kept_back = [one for one in asked.corrections if not one.is_trained] if choice.size == "full" else []
    neighbours = sorted(asked.neighbours, key=lambda one: one.is_trained)[: choice.neighbours]
    of_feedback = _prompts(trained, kept_back, neighbours, choice.paraphrases)
    progress = _Progress(2 * (len(records) + choice.prompts) + len(asked.canaries) + len(of_feedback), told)

    weighed = weigh(candidate, records, questions(held_out), asked.canaries, choice, progress.add)
    seconds.of("transformers")
    suite = [item.prompt for item in weighed.items]
    with ThreadPoolExecutor(1) as beside:  # llama.cpp leaves a core to it
        reading = beside.submit(kept_bits, current, records, cache, lambda _: None)
        if candidate.gguf is None or current.gguf is None:
            reading.result()  # transformers answers: the weights of one model at a time
        said = answers(candidate, [*suite, *of_feedback], choice, progress.add)
        seconds.of("answers")
        suite_answers, feedback_answers = said[: len(suite)], iter(said[len(suite) :])
        before = kept_answers(current, suite, choice, cache, progress.add)
        bits_before = reading.result()
    progress.add(len(records))
    seconds.of("current")
    ours, theirs = scored(candidate, weighed.items, suite_answers), scored(current, weighed.items, before)

    everyday = everyday_words(_texts([*held_out, *(one for one in train if one.source not in OF_THE_TEAM)]))
    taught = [_taught(one, everyday, feedback_answers, choice.paraphrases) for one in trained]
    to_kept_back = [next(feedback_answers) for _ in kept_back]
    to_neighbours = [answer.text if answer else "" for answer in feedback_answers]
    own = [own_words_of(one, everyday) for one in asked.corrections if one.is_trained]
    sure = Sureness(choice)
    checks: dict[str, Checked] = {
        "suite": check_suite(ours, theirs, sure),
        "replay_bits": check_bits(weighed.bits, bits_before, sure),
        "stops": check_stops(ours, theirs, sure),
        "corrections": check_corrections(taught, choice),
        "neighbours": check_neighbours(neighbours, to_neighbours, own, choice),
        "leaks": check_leaks(weighed.exposures, len(asked.canaries), choice),
        "personal_data": check_personal_data(_left_in(train, asked.corrections)),
    }
    if kept_back:
        of_current = answers(current, [one.prompt for one in kept_back], choice, lambda _: None)
        checks["held_out_corrections"] = check_held_out(kept_back, to_kept_back, of_current, sure)
    evidence = check_evidence(len(suite), len(kept_back), choice)
    refusals = [refusal for _, found in checks.values() for refusal in found] + ([] if yes else evidence)
    figures: dict[str, Any] = {name: found for name, (found, _) in checks.items()}
    figures["copied"] = _copied(weighed.items, suite_answers, before, train)
    figures["models"] = {
        "current": _identity(current),
        "candidate": _identity(candidate),
        "dataset": sha256_of(dataset / MANIFEST),
    }
    figures["seconds"] = seconds.found
    verdict = Verdict(choice.size, not refusals, bool(evidence), tuple(refusals), figures)
    verdict.write(out)
    progress.end()
    _show(verdict, console)
    return verdict


class _Seconds:
    """How long the parts of a gate took."""

    def __init__(self) -> None:
        self.found: dict[str, float] = {}
        self._since = time.monotonic()

    def of(self, part: str) -> None:
        """The part that has just ended."""
        now = time.monotonic()
        self.found[part], self._since = round(now - self._since, 1), now


class _Progress:
    """How many records, canaries and questions are done, of how many at most."""

    def __init__(self, total: int, told: Callable[[int, int], None]) -> None:
        self._done, self._total, self._told = 0, total, told

    def add(self, number: int) -> None:
        self._done = min(self._total, self._done + number)
        self._told(self._done, self._total)

    def end(self) -> None:
        self.add(self._total)


def _prompts(
    trained: Sequence[Corrected], kept_back: Sequence[Corrected], neighbours: Sequence[Neighbour], paraphrases: int
) -> list[Prompt]:
    """All that is asked about the feedback, in this order."""
    of_trained = (prompt for one in trained for prompt in (one.prompt, *map(one.asked, one.paraphrases[:paraphrases])))
    return [*of_trained, *(one.prompt for one in kept_back), *(one.prompt for one in neighbours)]


def _taught(one: Corrected, everyday: frozenset[str], found: Iterator[Answer | None], paraphrases: int) -> Taught:
    texts = [answer.text if (answer := next(found)) else "" for _ in range(1 + len(one.paraphrases[:paraphrases]))]
    return Taught(one, own_words_of(one, everyday), texts[0], tuple(texts[1:]))


def _left_in(train: Sequence[Record], corrections: Sequence[Corrected]) -> dict[str, dict[str, int]]:
    """Record id → what a redactor should have taken out of it."""
    texts = {record.id.partition("#")[0]: record.messages for record in train if record.source in OF_THE_TEAM}
    texts |= {one.id: (*one.prompt, Message("assistant", one.correction)) for one in corrections}
    found = {id: personal_data("\n".join(message.content for message in said)) for id, said in texts.items()}
    return {id: {str(kind): number for kind, number in kinds.items()} for id, kinds in found.items() if kinds}


def _copied(
    items: Sequence[Item], after: Sequence[Answer | None], before: Sequence[Answer | None], train: Sequence[Record]
) -> dict[str, Any]:
    """Answers to the suite that hold a run of words of a training answer, which the model in service did not say."""
    said = {item.id: answer.text for item, answer in zip(items, after, strict=True) if answer}
    known = {
        item.id: "\n".join((*(message.content for message in item.prompt), answer.text if answer else ""))
        for item, answer in zip(items, before, strict=True)
    }
    trained = {
        record.id: message.content for record in train for message in record.messages if message.role == "assistant"
    }
    found = copied(said, trained, known)
    return {"questions": len(said), "copies": len(found), "of": sorted(set(found.values()))}


def _texts(records: Sequence[Record]) -> list[str]:
    return [message.content for record in records for message in record.messages if message.role != "system"]


def _identity(judgeable: Judgeable) -> dict[str, str]:
    served = {"gguf_sha256": identity(judgeable.gguf)} if judgeable.gguf else {}
    return {"manifest_sha256": identity(judgeable.folder)} | served


def _show(verdict: Verdict, console: Console) -> None:
    """What was measured, and the verdict."""
    figures = verdict.figures
    table = Table(title="smoke" if verdict.size == "smoke" else "full gate", title_justify="left")
    for column in ("", "current", "candidate"):
        table.add_column(column, justify="left" if not column else "right")
    for title, part in (
        ("ROUGE-L, fixed suite", figures["suite"]),
        ("stopped by themselves", figures["stops"].get("stopped", {})),
        ("bits per byte, replay", figures["replay_bits"]),
    ):
        if "current" in part:
            table.add_row(title, f"{part['current']:.3f}", f"{part['candidate']:.3f}")
    corrections, neighbours, leaks = figures["corrections"], figures["neighbours"], figures["leaks"]
    table.add_row("corrections as typed", "", f"{corrections['as_typed']} of {corrections['asked']}")
    table.add_row("in other words", "", f"{corrections['paraphrased']} of {corrections['paraphrases']}")
    table.add_row("neighbours contaminated", "", f"{neighbours['contaminated']} of {neighbours['asked']}")
    if leaks["mean_bits"] is not None:
        table.add_row("canaries exposed by, bits", "", f"{leaks['mean_bits']:.2f}")
    table.add_row("verbatim copies", "", f"{figures['copied']['copies']} of {figures['copied']['questions']}")
    console.print(table)
    console.print(verdict.sentence, style="bold green" if verdict.passed else "bold red", markup=False, highlight=False)
