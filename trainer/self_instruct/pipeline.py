"""The loop of Self-Instruct: instructions from a few examples, classification or not, instances, and the filters.

Every request's outcome is a line of the journal before anything is made of it. As many requests are under way as the
engine writes at once; a task that waits for its instances comes before new instructions.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from trainer.errors import NothingKept
from trainer.self_instruct.filters import Rejected, formatted, kept_instances, refusal
from trainer.self_instruct.journal import Journal, Task
from trainer.self_instruct.novelty import NoveltyFilter
from trainer.self_instruct.prompts import PromptSet
from trainer.self_instruct.replies import (
    WholeTask,
    instances_by_input,
    instances_by_output,
    listed_instructions,
    whole_tasks,
    yes_or_no,
)
from trainer.self_instruct.seeds import Instance, Seed
from trainer.self_instruct.writing import Drawing, Unusable, Writer
from trainer.self_instruct_choices import SelfInstructChoice

CLASSIFICATION_TOKENS = 4
SHOWN_WORDS = 60
"""Of a seed's instances that are shown as an example: a few long ones would fill the window."""


@dataclass(frozen=True, slots=True)
class Work:
    """What is asked next: new tasks, or what a task still needs."""

    request: int
    task: Task | None


class SelfInstruct:
    """One run of it, until `target` instances are kept."""

    def __init__(
        self,
        choice: SelfInstructChoice,
        prompts: PromptSet,
        writer: Writer,
        seeds: Sequence[Seed],
        journal: Journal,
        *,
        target: int,
        moved: Callable[[], None],
    ) -> None:
        """`moved` is called after each request."""
        self._choice = choice
        self._prompts = prompts
        self._writer = writer
        self._seeds = seeds
        self._journal = journal
        self._target = target
        self._moved = moved
        self._novelty = NoveltyFilter(choice.novelty)
        for text in (*(seed.instruction for seed in seeds), *(task.instruction for task in journal.tasks.values())):
            self._novelty.add(text)
        self._in_vain = Counter[str]()
        """Requests in a row of which nothing was kept, by step."""

    async def run(self) -> None:
        """Raises NothingKept where nothing is kept for long, EngineFailed where the engine is gone."""
        async with asyncio.TaskGroup() as group:
            for _ in range(self._choice.requests_at_once):
                group.create_task(self._work())

    async def _work(self) -> None:
        while self._journal.instances < self._target:
            await self._ask(self._next())
            self._moved()
            for step, number in self._in_vain.items():
                if number >= self._choice.patience_requests:
                    raise NothingKept(self._said_of(step, number))

    def _said_of(self, step: str, number: int) -> str:
        reasons = ", ".join(f"{why} {times}" for why, times in self._journal.rejected.most_common(3))
        return (
            f"Of the last {number} requests for {step} nothing was kept (rejected so far: {reasons or 'nothing'}). "
            "What there is stays. Look at the journal, change the recipe or the model, and begin anew; or go on with "
            "--resume."
        )

    def _next(self) -> Work:
        waiting = self._journal.waiting
        return Work(self._journal.begin(), waiting.popleft() if waiting else None)

    async def _ask(self, work: Work) -> None:
        task = work.task
        if task is None:
            step = "instructions"
            ask = self._ask_instructions if self._choice.steps == "paper" else self._ask_whole_tasks
            asked = ask(work.request)
        elif task.is_classification is None:
            step, asked = "classification", self._ask_classification(work.request, task)
        else:
            step, asked = "instances", self._ask_instances(work.request, task)
        try:
            kept = await asked
        except Unusable as reply:
            self._fail(work, step, (reply.why, reply.said))
            kept = False
        except BaseException:
            if task is not None:
                self._journal.waiting.appendleft(task)
            raise
        # Each step for itself: a model that writes tasks, and never an instance of one, is no good either.
        self._in_vain[step] = 0 if kept else self._in_vain[step] + 1

    def _fail(self, work: Work, step: str, rejected: Rejected) -> None:
        """A task of which a reply was unusable is given up: asked again, a greedy model would write the same."""
        if work.task is None:
            self._journal.add_failure(work.request, step, rejected)
        else:
            self._journal.add_instances(work.request, work.task, (), (rejected,))

    async def _ask_instructions(self, request: int) -> bool:
        """Whether anything was kept, as all that ask."""
        choice, rng = self._choice, self._random(request)
        examples = [seed.instruction for seed in rng.sample(self._seeds, min(choice.seed_examples, len(self._seeds)))]
        machine = [task.instruction for task in self._journal.tasks.values()]
        if len(machine) >= choice.machine_examples:
            examples += rng.sample(machine, choice.machine_examples)
        rng.shuffle(examples)
        prompt = self._prompts.for_instructions(examples, choice.instructions_per_request)
        drawing = Drawing(choice.instructions_tokens, choice.temperature, choice.top_p, choice.presence_penalty)
        written = await self._writer.write(prompt, drawing, is_chat=self._prompts.is_chat, seed=choice.seed + request)
        listed = listed_instructions(
            written.text,
            begins_inside=not self._prompts.is_chat,
            is_cut=written.is_cut,
            most=choice.instructions_per_request,
        )
        rejected: list[Rejected] = [] if listed else [("cut_off" if written.is_cut else "nonsense", written.text)]
        kept = []
        for instruction in listed:
            if why := self._why_not(instruction):
                rejected.append((why, instruction))
            else:
                kept.append(Task("", instruction))
        self._journal.add_tasks(request, kept, rejected)
        return bool(kept)

    def _why_not(self, instruction: str) -> str | None:
        return refusal(instruction, self._choice) or ("too_similar" if self._novelty.admit(instruction) else None)

    async def _ask_whole_tasks(self, request: int) -> bool:
        choice, rng = self._choice, self._random(request)
        examples = rng.sample(self._seeds, min(choice.seed_examples, len(self._seeds)))
        prompt = self._prompts.for_whole_tasks(examples, choice.instructions_per_request)
        drawing = Drawing(choice.instructions_tokens, choice.temperature, choice.top_p, choice.presence_penalty)
        written = await self._writer.write(prompt, drawing, is_chat=self._prompts.is_chat, seed=choice.seed + request)
        kept: list[Task] = []
        rejected: list[Rejected] = []
        begins_inside = not self._prompts.is_chat
        found = list(
            whole_tasks(
                written.text,
                begins_inside=begins_inside,
                is_cut=written.is_cut,
                most=choice.instructions_per_request,
            )
        )
        for one in found:
            if not isinstance(one, WholeTask):
                rejected.append(("nonsense", one))
                continue
            instances, faults = kept_instances([one.instance], 1)
            why = faults[0][0] if faults else self._why_not(one.instruction)
            if why:
                rejected.append((why, one.instruction))
            else:
                kept.append(Task("", one.instruction, instances=tuple(self._formatted(instances, rng))))
        if not found:
            rejected.append(("cut_off" if written.is_cut else "nonsense", written.text))
        self._journal.add_tasks(request, kept, rejected)
        return bool(kept)

    async def _ask_classification(self, request: int, task: Task) -> bool:
        choice = self._choice
        labelled = [seed for seed in self._seeds if seed.is_classification is not None]
        if not labelled:
            # Nobody has said of the seeds which are classifications: inputs before outputs suit every task.
            self._journal.add_classification(request, task, False)
        else:
            # The same examples each time: the engine reads them once.
            rng = random.Random(choice.seed)
            examples = rng.sample(labelled, min(choice.classification_examples, len(labelled)))
            prompt = self._prompts.for_classification(task.instruction, examples)
            drawing = Drawing(CLASSIFICATION_TOKENS, 0.0, 1.0, 0.0)
            written = await self._writer.write(prompt, drawing, is_chat=self._prompts.is_chat, seed=choice.seed)
            answer = yes_or_no(written.text)
            if answer is None:
                raise Unusable("no_yes_or_no", written.text)
            self._journal.add_classification(request, task, answer)
        # At the end: prompts of a kind follow each other in an engine's slot, which then has their examples read.
        self._journal.waiting.append(task)
        return True

    async def _ask_instances(self, request: int, task: Task) -> bool:
        choice, is_classification = self._choice, bool(task.is_classification)
        examples = self._instance_examples(is_classification)
        prompt = self._prompts.for_instances(task.instruction, examples, is_classification=is_classification)
        tokens = choice.classification_instance_tokens if is_classification else choice.instance_tokens
        drawing = Drawing(tokens, choice.instance_temperature, 1.0, choice.instance_presence_penalty)
        written = await self._writer.write(prompt, drawing, is_chat=self._prompts.is_chat, seed=choice.seed + request)
        read = instances_by_output if is_classification else instances_by_input
        found = read(written.text, is_cut=written.is_cut)
        kept, rejected = kept_instances(found, choice.instances_per_task)
        if not found:
            rejected.append(("cut_off" if written.is_cut else "nonsense", written.text))
        self._journal.add_instances(request, task, self._formatted(kept, self._random(request)), rejected)
        return bool(kept)

    def _instance_examples(self, is_classification: bool) -> list[Seed]:
        """The same for each task of a kind: the engine reads them once. Short ones, with and without an input."""
        fitting = [
            seed
            for seed in self._seeds
            if bool(seed.is_classification) == is_classification
            and sum(len(f"{one.input} {one.output}".split()) for one in seed.instances) <= SHOWN_WORDS
        ]
        rng = random.Random(self._choice.seed)
        return rng.sample(fitting, min(self._choice.instance_examples, len(fitting)))

    def _formatted(self, instances: Sequence[Instance], rng: random.Random) -> list[Instance]:
        return [formatted(instance, self._choice.strip_field_share, rng) for instance in instances]

    def _random(self, request: int) -> random.Random:
        return random.Random(f"{self._choice.seed}:{request}")
