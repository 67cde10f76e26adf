"""The learning loop, as an admin goes through it: ask, correct, review, retrain, promote, ask again, go back.

Everything is real: `dolly local`, `dolly-trainer worker`, the model that ships, a browser. The figures:

    loop.seconds            from the first question to the first corrected answer, the base's import left out
    loop.corrected          corrections that the promoted model answers as they were typed, of 3
    loop.paraphrased        of 6 other wordings, those answered with the fact
    loop.contaminated       of 6 neighbour questions that nobody wrote in the review, those answered with a fact
    loop.replay_bpb_ratio   bits per byte of held-out chats, the candidate's over those of the model before
    loop.rolled_back        answers that are, after the way back, what they were before, of 3
"""

import json
import time
from dataclasses import dataclass
from pathlib import Path

from playwright.async_api import ViewportSize, async_playwright

from tests.browser.chromium import launch
from tests.demo.desk import Desk
from tests.demo.facts import FACTS, Fact, carries
from tests.demo.machine import dolly_local, import_base, worker

VIEWPORT = ViewportSize(width=1280, height=800)


@dataclass(frozen=True, slots=True)
class Went:
    """How it went."""

    seconds: float
    retrain_seconds: float
    before: tuple[str, ...]
    after: tuple[str, ...]
    back: tuple[str, ...]
    """Answers to the three questions, in turn."""
    paraphrased: tuple[str, ...]
    neighbours: tuple[str, ...]
    """Answers to the unseen ones."""
    replay_bits_ratio: float

    @property
    def corrected(self) -> int:
        return sum(_same(answer, fact.correction) for answer, fact in zip(self.after, FACTS, strict=True))

    @property
    def told_in_other_words(self) -> int:
        asked = [fact for fact in FACTS for _ in fact.paraphrases]
        return sum(carries(answer, fact) for answer, fact in zip(self.paraphrased, asked, strict=True))

    @property
    def contaminated(self) -> int:
        return sum(any(carries(answer, fact) for fact in FACTS) for answer in self.neighbours)

    @property
    def rolled_back(self) -> int:
        return sum(_same(answer, before) for answer, before in zip(self.back, self.before, strict=True))


async def go_through(data: Path, pictures: Path) -> Went:
    """Go through it on the data folder `data`, with pictures of the page in `pictures`."""
    await import_base(data)
    async with (
        dolly_local(data) as url,
        worker(data),
        async_playwright() as playwright,
        await launch(playwright) as browser,
    ):
        desk = Desk(await browser.new_page(viewport=VIEWPORT), url, pictures)
        await desk.open()
        await desk.consent()
        began = time.monotonic()
        before = [await _correct(desk, fact) for fact in FACTS]
        await desk.review(FACTS)
        asked = time.monotonic()
        revision = await desk.retrain()
        retrained = time.monotonic()
        await desk.promote(revision)
        after = [await desk.ask(FACTS[0].question)]
        seconds = time.monotonic() - began
        await desk.picture("corrected")
        after += [await desk.ask(fact.question) for fact in FACTS[1:]]
        paraphrased = [await desk.ask(question) for fact in FACTS for question in fact.paraphrases]
        neighbours = [await desk.ask(question) for fact in FACTS for question in fact.unseen]
        await desk.roll_back()
        back = [await desk.ask(fact.question) for fact in FACTS]
        await desk.picture("rolled_back")
    ratio = _replay_bits_ratio(data, revision)
    return Went(
        seconds,
        retrained - asked,
        tuple(before),
        tuple(after),
        tuple(back),
        tuple(paraphrased),
        tuple(neighbours),
        ratio,
    )


async def _correct(desk: Desk, fact: Fact) -> str:
    """Ask, and put the answer right; what it was."""
    answer = await desk.ask(fact.question)
    if fact is FACTS[0]:
        await desk.picture("asked")
    await desk.correct(fact)
    return answer


def _replay_bits_ratio(data: Path, revision: str) -> float:
    """As the gate has measured it."""
    manifest = json.loads((data / "models" / revision / "manifest.json").read_text(encoding="utf-8"))
    return float(manifest["registry"]["gate"]["figures"]["replay_bits"]["ratio"]["value"])


def _same(one: str, other: str) -> bool:
    return " ".join(one.split()) == " ".join(other.split())
