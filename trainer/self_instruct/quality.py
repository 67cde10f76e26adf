"""The quality report of a run, after the paper's tables and figures: how much, how long, how varied, how good.

It is made from the journal, so a run that still goes on has one, too. Quality itself is what people say who fill in
check.csv; nothing here judges a text.
"""

import json
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from trainer.artifacts import is_disk_full
from trainer.errors import BadInput, DiskFull
from trainer.self_instruct import quality_plots
from trainer.self_instruct.check_sheet import DRAWN, QUESTIONS, Checked, read_check_sheet, write_check_sheet
from trainer.self_instruct.journal import Task
from trainer.self_instruct.overlap import nearest_scores
from trainer.self_instruct.past_run import SHEET, PastRun, read_past_run
from trainer.self_instruct.seeds import Seed
from trainer.self_instruct.verbs import root_of

Scores = NDArray[np.float64]

VERBS, OBJECTS = 20, 4
"""Of the picture, as in the paper's figure 3."""
SAMPLED = 1000
"""Instructions that are compared with all others; with 52,000 others that takes a few seconds."""
PAPER: dict[str, Any] = {
    "source": "Wang et al. 2022, arXiv 2212.10560, tables 1 and 2, figure 3",
    "counts": {
        "instructions": 52445,
        "classification": 11584,
        "not_classification": 40861,
        "instances": 82439,
        "empty_inputs": 35878,
    },
    "mean_words": {"instruction": 15.9, "input": 12.7, "output": 18.9},
    "shown_share": 0.14,
    "checked": {"instruction_fine": 0.92, "input_fine": 0.79, "output_fine": 0.58, "all": 0.54},
}


def write_quality_report(
    run: Path, out: Path, *, seeds: Sequence[Seed], seed: int, checked: Path | None = None
) -> dict[str, Any]:
    """Writes report.json, report.html, sunburst.png, novelty.png and check.csv into `out`; returns report.json.

    `seeds` may be empty: then novelty beside them is left out. `seed` draws the check sheet and the sample of novelty.
    Answers are read from `checked`, else from `out`/check.csv. Raises BadInput where `run` is none, or a sheet
    none, or `out` cannot be written, DiskFull.
    """
    past = read_past_run(run)
    try:
        out.mkdir(parents=True, exist_ok=True)
        write_check_sheet(out / SHEET, past.tasks, seed=seed)
        answers = read_check_sheet(checked or out / SHEET)
        scores = _scores(past.tasks, seeds, seed)
        report = _report(past, scores, answers, seed)
        _write(report, past, scores, out)
    except OSError as error:
        kind = DiskFull if is_disk_full(error) else BadInput
        raise kind(f"{out} cannot be written: {error.strerror}.") from None
    return report


def _report(past: PastRun, scores: dict[str, Scores], answers: dict[str, Checked], seed: int) -> dict[str, Any]:
    return {
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "run": past.folder.resolve().name,
        "has_ended": past.has_ended,
        "seed": seed,
        "counts": _counts(past),
        "words": {field: _spread(words) for field, words in _words(past.tasks).items()},
        "verbs": _verbs([task.instruction for task in past.tasks]),
        "novelty": {name: _overlaps(found) for name, found in scores.items()},
        "rejected": [
            {"step": step, "reason": reason, "number": number} for (step, reason), number in past.rejected.most_common()
        ],
        "checked": {key: _share(found) for key, found in answers.items()},
        "paper": PAPER,
    }


def _write(report: dict[str, Any], past: PastRun, scores: dict[str, Scores], out: Path) -> None:
    """Pictures of nothing are not drawn, and older ones go."""
    pictures = _pictures(report, scores)
    for name in ("sunburst", "novelty"):
        (out / f"{name}.png").unlink(missing_ok=True)
    for name, picture in pictures.items():
        (out / f"{name}.png").write_bytes(picture.png)
    (out / "report.json").write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    (out / "report.html").write_text(_page(report, past, pictures), encoding="utf-8")


def _counts(past: PastRun) -> dict[str, int]:
    """The paper's Table 1, and what it had no need of."""
    instances = [instance for task in past.tasks for instance in task.instances or ()]
    return {
        "instructions": len(past.tasks),
        "classification": sum(task.is_classification is True for task in past.tasks),
        "not_classification": sum(task.is_classification is False for task in past.tasks),
        "classification_unknown": sum(task.is_classification is None for task in past.tasks),
        "without_instances": sum(not task.instances for task in past.tasks),
        "instances": len(instances),
        "empty_inputs": sum(not instance.input.strip() for instance in instances),
        "rejected": past.rejected.total(),
        "requests": past.requests,
    }


def _words(tasks: Sequence[Task]) -> dict[str, list[int]]:
    """Of each instruction, each input that is not empty, and each output."""
    instances = [instance for task in tasks for instance in task.instances or ()]
    return {
        "instruction": [len(task.instruction.split()) for task in tasks],
        "input": [words for instance in instances if (words := len(instance.input.split()))],
        "output": [len(instance.output.split()) for instance in instances],
    }


def _spread(words: Sequence[int]) -> dict[str, float] | None:
    """None of none."""
    if not words:
        return None
    median, p95 = np.percentile(words, (50, 95))
    mean = round(float(np.mean(words)), 2)
    return {"mean": mean, "median": float(median), "p95": float(p95), "max": max(words)}


def _verbs(instructions: Sequence[str]) -> dict[str, Any]:
    """The most common root verbs that have a noun object, each with its most common objects: the paper's figure 3."""
    roots = [root for instruction in instructions if (root := root_of(instruction))]
    pairs = Counter((root.verb, root.object) for root in roots if root.object is not None)
    by_verb: Counter[str] = Counter()
    for (verb, _), number in pairs.items():
        by_verb[verb] += number
    top: list[dict[str, Any]] = [
        {
            "verb": verb,
            "number": number,
            "objects": [{"object": noun, "number": times} for (of, noun), times in pairs.most_common() if of == verb][
                :OBJECTS
            ],
        }
        for verb, number in by_verb.most_common(VERBS)
    ]
    return {
        "with_verb": len(roots),
        "with_object": pairs.total(),
        "verbs": len({root.verb for root in roots}),
        "pairs": len(pairs),
        "shown": sum(one["number"] for verb in top for one in verb["objects"]),
        "top": top,
    }


def _scores(tasks: Sequence[Task], seeds: Sequence[Seed], seed: int) -> dict[str, Scores]:
    """The highest ROUGE-L of each instruction with a seed, and of a sample with the other instructions."""
    instructions = [task.instruction for task in tasks]
    sample = random.Random(seed).sample(instructions, min(SAMPLED, len(instructions)))
    others = nearest_scores(sample, instructions) if len(instructions) > 1 else np.zeros(0)
    scores = {"seeds": nearest_scores(instructions, [one.instruction for one in seeds]), "others": others}
    return {name: found for name, found in scores.items() if found.size}


def _overlaps(scores: Scores) -> dict[str, Any]:
    """`histogram`: how many from 0 to below 0.05, from there to below 0.1, and so on."""
    counts, _ = np.histogram(scores, quality_plots.EDGES)
    median, p95 = np.percentile(scores, (50, 95))
    return {
        "number": int(scores.size),
        "mean": round(float(scores.mean()), 3),
        "median": round(float(median), 3),
        "p95": round(float(p95), 3),
        "histogram": counts.tolist(),
    }


def _share(found: Checked) -> dict[str, float]:
    return {"yes": found.yes, "number": found.number} | asdict(found.interval)


def _pictures(report: dict[str, Any], scores: dict[str, Scores]) -> dict[str, quality_plots.Picture]:
    """Those that there is something to draw for."""
    verbs, instructions = report["verbs"], report["counts"]["instructions"]
    pictures = {}
    if verbs["top"]:
        centre = f"{verbs['shown']:,} of\n{instructions:,}\ninstructions"
        pictures["sunburst"] = quality_plots.sunburst(verbs["top"], centre)
    if scores:
        pictures["novelty"] = quality_plots.novelty(scores)
    return pictures


def _page(report: dict[str, Any], past: PastRun, pictures: dict[str, quality_plots.Picture]) -> str:
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    environment.filters["number"] = lambda value: f"{value:,}"
    environment.filters["percent"] = lambda part, whole=1: f"{100 * part / whole:.1f} %" if whole else "–"
    template = environment.from_string((resources.files(__package__) / "quality.html").read_text("utf-8"))
    return template.render(
        report=report,
        facts=past.facts,
        questions=QUESTIONS | {"all": "All three"},
        drawn=DRAWN,
        sampled=SAMPLED,
        pictures={name: Markup(picture.svg) for name, picture in pictures.items()},
        lengths=Markup(quality_plots.lengths(_words(past.tasks))) if past.tasks else None,
    )
