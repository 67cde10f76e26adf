"""What Dolly is put through while it is watched: what a team does with it, by its own commands and on its own page."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from playwright.async_api import ViewportSize, async_playwright

from tests.browser.chromium import launch
from tests.demo.desk import Desk
from tests.demo.facts import FACTS
from tests.demo.machine import dolly_local, import_base, run, worker
from tests.pdfs import pdf

VIEWPORT = ViewportSize(width=1280, height=800)
FOLLOW_UP = "Say that in one short sentence."
READ_THIS = "What does the file say about badges?"
BADGES = "Spare badges are kept in the third drawer."

WORKSPACE_PORT, ENGINE_PORT, TRAINER_PORT = 8765, 8771, 8781
"""In a network of its own, nobody else has them."""

SMALL = (
    *("dataset.held_out_records=2", "evaluate.held_out_records=2", 'export.gguf=["q8_0"]'),
    *("retrain.corrections_repeat=2", "retrain.wordings=0", "retrain.replay_records=4", "retrain.canaries=0"),
    *("retrain.neighbour_answer_tokens=16", "gate.bits_records=2", "gate.prompts=2", "gate.answer_tokens=8"),
    *("gate.references=15", "gate.paraphrases=0", "gate.neighbours=1", "gate.neighbours_contaminated=9"),
    *("gate.bits_rise=9.0", "gate.suite_margin=1.0", "gate.stop_margin=1.0", "gate.exposure_bits=20.0"),
    *("gate.corrections_learned=0.0", "gate.paraphrases_learned=0.0"),
)
"""Of the recipe: a retrain that goes through every stage and learns nothing."""

Traced = Callable[[str], Sequence[str]]
"""What stands in front of a command to have it watched, by the command's name."""


@dataclass
class Course:
    """It goes on as long as all goes well; `done` says what was gone through."""

    data: Path
    traced: Traced
    whole: bool
    """With a retrain that learns, which takes minutes."""
    done: list[str] = field(default_factory=list)

    async def go(self) -> None:
        await import_base(self.data, through=self.traced("dolly-trainer import-base"))
        self.done.append("The base model was imported (`dolly-trainer import-base`).")
        dolly, trainer = self.traced("dolly local"), self.traced("dolly-trainer worker")
        overrides = () if self.whole else SMALL
        async with (
            dolly_local(self.data, port=WORKSPACE_PORT, through=dolly, DOLLY_ENGINE_PORT=str(ENGINE_PORT)) as url,
            worker(self.data, overrides=overrides, through=trainer, DOLLY_TRAINER_PORT=str(TRAINER_PORT)),
            async_playwright() as playwright,
            await launch(playwright) as browser,
        ):
            self.done.append("`dolly local` and `dolly-trainer worker` were started; somebody opened the page.")
            desk = Desk(await browser.new_page(viewport=VIEWPORT), url, self.data.parent)
            await desk.open()
            await self._teach(desk)
            await self._learn(desk)
            await self._leave()
        self.done.append("Both were stopped.")

    async def _teach(self, desk: Desk) -> None:
        await desk.consent()
        facts = FACTS if self.whole else FACTS[:1]
        for fact in facts:
            await desk.ask(fact.question)
            await desk.correct(fact)
        self.done.append(f"{len(facts)} of #general's questions were answered, and the answers corrected.")
        await desk.ask(facts[0].question)
        await desk.follow_up(FOLLOW_UP)
        self.done.append("A thread went on: the model was given what had been said in it before.")
        file = self.data.parent / "badges.pdf"
        file.write_bytes(pdf(BADGES))
        await desk.ask(READ_THIS, about=file)
        self.done.append("A PDF was attached to a question, and read.")
        await desk.review(facts)
        self.done.append("An admin reviewed and approved the corrections.")

    async def _learn(self, desk: Desk) -> None:
        revision = await desk.retrain()
        self.done.append("A model was tuned, exported, evaluated in its engine, and let through by the gate.")
        await desk.promote(revision)
        await desk.ask(FACTS[0].question)
        self.done.append("It was promoted, by a second engine beside the first, and answered.")
        await desk.roll_back()
        await desk.ask(FACTS[0].question)
        self.done.append("It was rolled back, and the model before it answered.")

    async def _leave(self) -> None:
        for words in (("export-feedback", "--out", "feedback.jsonl"), ("forget", "--everyone", "--yes")):
            await run("dolly", *words, data=self.data, through=self.traced(f"dolly {words[0]}"))
        self.done.append("The feedback was exported, and everything was forgotten (`dolly forget --everyone`).")
