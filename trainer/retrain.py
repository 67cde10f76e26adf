"""`dolly-trainer retrain`: from approved corrections to a candidate that the gate has judged, a stage after the other.

export_feedback → import_base → mix → tune → export → gate → register

Each stage leaves an artifact that is whole or not there; what is whole is kept, and tuning goes on from its last
checkpoint. So a retrain that was killed, and is asked for again, gives the same candidate, bit by bit. Nothing that
answers people is changed: the candidate lies in the registry, with the gate's verdict, until somebody promotes it.
"""

import json
import shutil
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from trainer.artifacts import MANIFEST, is_disk_full, read_manifest, sha256_of, write_private
from trainer.errors import DiskFull, NotWhole, OutOfMemory
from trainer.evaluation.verdict import Judgeable, Verdict
from trainer.following import Cancelled, Following
from trainer.jobs import Verdict as Word
from trainer.plot import plot
from trainer.progress import Moment
from trainer.recipe import Recipe, parse_recipe
from trainer.registry import Registry
from trainer.served import InService, OwnAnswers, in_service
from trainer.serving import Serving
from trainer.stages.export import export
from trainer.stages.gate import gate
from trainer.stages.import_base import import_base, imported
from trainer.stages.mix import mix
from trainer.stages.tune import tune
from trainer.tuning.checkpoint import checkpoints, last_checkpoint
from trainer.tuning.memory import is_out_of_memory
from trainer.workplace import PLOT, Workplace


@dataclass(frozen=True)
class Order:
    """What a retrain is asked for."""

    id: str
    """Of the job, or made of what is asked: the same again goes on with it."""
    recipe: Recipe
    lines: Callable[[], Iterable[str]]
    """The feedback, a line each; asked once."""
    withdrawn: Callable[[Collection[str]], Collection[str]]
    """Those of these records that nothing may learn any more."""
    serving: Serving | None = None
    """What answers people now, where there is a store that says so."""
    by: str = "terminal"
    """Who asked for it."""
    replay: Sequence[str] | None = None
    """Sources of records that keep up what the model knows; None = those that ship."""
    base: str | None = None
    """What the base is imported from, where that is not the recipe's model on the hub."""
    yes: bool = False
    """Somebody said yes to too little evidence."""
    most_tries: int | None = None
    """So often one place may be come to, before it is given up."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of it."""

    revision: str
    verdict: Word
    sentence: str
    """For people; a line a reason."""


def retrain(
    order: Order, *, work: Path, registry: Registry, following: Following, console: Console
) -> tuple[Outcome, bytes | None]:
    """Do what is left to do of it: its outcome, and the picture of it.

    Raises BadInput, NotWhole, OutOfMemory, DiskFull, Diverged, EngineFailed, Cancelled, LeaseLost; KeyboardInterrupt
    where a signal ended it in tuning, too. All but Cancelled leave what is needed to go on.
    """
    with _said_clearly(work), Workplace(work, order.id) as place:
        if "ended" not in place.state:
            try:
                outcome = _Stages(order, place, registry, following, console).run()
            except Cancelled:
                place.end({"verdict": "cancelled"})
                raise
            place.end(asdict(outcome))
        ended = place.state["ended"]
        if ended["verdict"] == "cancelled":
            raise Cancelled("This retrain was cancelled. Ask for another.")
        picture = place.folder / PLOT
        return Outcome(**ended), picture.read_bytes() if picture.is_file() else None


class _Stages:
    """The stages of one retrain, in its folder."""

    def __init__(
        self, order: Order, place: Workplace, registry: Registry, following: Following, console: Console
    ) -> None:
        self._order, self._place, self._registry = order, place, registry
        self._following, self._console = following, console
        self._folder = place.folder
        # As it was begun: a recipe's file that has changed since would not give the same candidate.
        told = place.remember("recipe", lambda: json.loads(json.dumps(asdict(order.recipe))))
        self._recipe = parse_recipe(told, "The recipe that this retrain began with")

    def run(self) -> Outcome:
        self._begin("export_feedback")
        self._read_feedback()
        self._begin("import_base")
        base = imported(self._recipe.base, self._folder.parent / "base", self._order.base)
        current = self._current(base)
        start, parent = self._start(base, current)
        self._begin("mix")
        self._mix(current)
        self._begin("tune")
        self._tune(start)
        self._begin("export")
        self._export()
        self._begin("gate")
        verdict = self._gate(current)
        self._begin("register")
        return self._register(verdict, parent)

    def _begin(self, stage: str) -> None:
        self._following.begin(stage)
        reached = [folder.name for folder in checkpoints(self._folder / "run")] if stage == "tune" else []
        self._place.tried(" ".join([stage, *reached[-1:]]), self._order.most_tries)

    def _read_feedback(self) -> None:
        if not self._place.is_whole("dataset") and not (self._folder / "feedback.jsonl").exists():
            write_private(self._folder / "feedback.jsonl", self._order.lines())

    def _current(self, base: Path) -> InService:
        """What answered when this began: whatever is promoted meanwhile, the candidate stays the same."""
        precision = self._recipe.evaluate.gguf
        made = self._folder.parent / "base" / f"{sha256_of(base / MANIFEST)[:12]}-{precision}.gguf"
        made.parent.mkdir(exist_ok=True)

        def now() -> dict[str, Any]:
            served = self._order.serving.current() if self._order.serving else None
            return asdict(in_service(served, self._registry, base, made, precision))

        return InService(**self._place.remember("current", now))

    def _start(self, base: Path, current: InService) -> tuple[Path, str | None]:
        """What is tuned, and the revision that it is."""
        if self._recipe.retrain.start == "base" or current.revision is None:
            return base, None
        start = self._folder / "start"
        if not self._place.is_whole("start"):
            import_base(current.folder, start)
        return start, current.revision

    def _mix(self, current: InService) -> None:
        if self._place.is_whole("dataset"):
            return
        feedback = self._folder / "feedback.jsonl"
        choice = self._recipe.retrain
        with OwnAnswers(
            current,
            longest_tokens=choice.neighbour_answer_tokens,
            context_tokens=self._recipe.evaluate.context_tokens,
            told=self._told,
        ) as answers:
            mix(
                feedback,
                self._order.replay,
                self._folder / "dataset",
                recipe=self._recipe,
                answer=answers,
                withdrawn=self._order.withdrawn(_ids(feedback)),
                console=self._console,
            )

    def _tune(self, start: Path) -> None:
        run = self._folder / "run"
        if self._place.is_whole("run"):
            return
        resume = _can_go_on(run)
        if not resume and run.exists():
            shutil.rmtree(run)
        dataset = self._folder / "dataset"
        tune(self._recipe, start, dataset, run, resume=resume, console=self._console, follower=self._following)
        if not self._place.is_whole("run"):
            self._following.check()
            raise KeyboardInterrupt  # a signal, which tuning took to save what it had

    def _export(self) -> None:
        if not self._place.is_whole("export"):
            export(self._folder / "run", self._folder / "export", console=self._console)

    def _gate(self, current: InService) -> Verdict:
        told = self._folder / "gate.json"
        if told.is_file():
            return Verdict.read(told)
        candidate = self._folder / "export"
        files = read_manifest(candidate, "export").get("gguf") or {}
        served = files.get(self._recipe.evaluate.gguf) or next(iter(files.values()), None)
        return gate(
            self._folder / "dataset",
            Judgeable(Path(current.folder), Path(current.gguf) if current.gguf else None),
            Judgeable(candidate, candidate / served if served else None),
            told,
            recipe=self._recipe,
            yes=self._order.yes,
            console=self._console,
            told=self._told,
            cache=self._folder.parent / "cache",
        )

    def _told(self, done: int, total: int) -> None:
        self._following.check()
        self._following.told(Moment(done, total))

    def _register(self, verdict: Verdict, parent: str | None) -> Outcome:
        dataset = read_manifest(self._folder / "dataset", "dataset")
        learned = dataset["feedback"]
        facts: dict[str, Any] = {
            "job": self._order.id,
            "by": self._order.by,
            "parent": parent,
            "dataset": {
                "sha256": sha256_of(self._folder / "dataset" / MANIFEST),
                "counts": dataset["counts"],
                "feedback": learned,
                "withdrawn_since": sorted(self._order.withdrawn(learned)),
            },
            "recipe": json.loads(json.dumps(asdict(self._recipe))),
            "evaluation": verdict.figures,
            "gate": json.loads((self._folder / "gate.json").read_text(encoding="utf-8")),
        }
        (self._folder / PLOT).write_bytes(plot(self._folder / "run" / "log.jsonl", verdict))
        added = self._registry.of_job(self._order.id)  # killed between that and its own note of it
        revision = added or self._registry.add(self._folder / "export", facts)
        return Outcome(revision, _word(verdict), f"Revision {revision}: {verdict.sentence}")


def _can_go_on(run: Path) -> bool:
    """Whether a killed run has a whole checkpoint; one that was killed before its first begins anew."""
    try:
        last_checkpoint(run, lambda line: None)
    except NotWhole:
        return False
    return True


def _ids(feedback: Path) -> list[str]:
    """The record ids of a file of feedback; lines that are none are seen to when they are mixed."""
    found = []
    for line in feedback.read_text(encoding="utf-8").splitlines():
        try:
            found.append(str(json.loads(line)["id"]))
        except (ValueError, LookupError, TypeError):
            continue
    return found


def _word(verdict: Verdict) -> Word:
    if verdict.passed:
        return "passed"
    lacking = verdict.not_enough_evidence and all(refusal.check == "evidence" for refusal in verdict.refusals)
    return "not_enough_evidence" if lacking else "refused"


@contextmanager
def _said_clearly(work: Path) -> Iterator[None]:
    """What disk and memory can do to a stage, as sentences."""
    try:
        yield
    except (OSError, MemoryError, RuntimeError) as error:
        if is_disk_full(error):
            raise DiskFull(
                f"The disk of {work} is full: the retrain has stopped, and what was there before stays. Make room, and "
                "ask for it again."
            ) from error
        if is_out_of_memory(error):
            raise OutOfMemory(
                "There is too little memory for the retrain; nothing in service has changed. Stop what else runs on "
                "the machine, or lower tune.row_tokens and gate.answers_at_once in the recipe."
            ) from error
        raise
