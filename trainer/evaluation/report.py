"""What was found, as JSON for the gate and as a page for people: self-contained, nothing is fetched when it is read."""

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from trainer.evaluation import plots
from trainer.evaluation.bits_per_byte import AnswerBits
from trainer.evaluation.measures import Mean
from trainer.evaluation.scoring import ALL_METRICS, Metric, Scored, differences, slices
from trainer.evaluation.suites import Suite

SUITE_TITLES: dict[Suite, str] = {
    "held_out": "Held-out conversations",
    "user_252": "User-oriented instructions",
    "superni": "SuperNaturalInstructions",
    "given": "Given answers",
}
MOST_SLICES = 15
"""Rows of the page's table of parts; report.json holds all."""
MOST_COLUMNS = 3
"""Models beside each other in the terminal; more stand one below the other."""


@dataclass
class Judged:
    """One model with everything that was found out about it."""

    label: str
    folder: Path
    template: str
    """`own` or `dolly`; empty where the answers come from elsewhere."""
    keys: tuple[str, ...]
    stop_tokens: tuple[str, ...]
    answered_by: str
    """The engine and the file that answered."""
    notes: list[str] = field(default_factory=list)
    """What a reader must know: left-out records, an engine that is not the one to serve."""
    bits: list[AnswerBits] = field(default_factory=list)
    scored: dict[Suite, list[Scored]] = field(default_factory=dict)
    lm_eval: dict[str, dict[str, float]] = field(default_factory=dict)
    """Of each task its measures."""


Slices = dict[str, dict[str, Mean]]


@dataclass(frozen=True)
class Report:
    """All models judged on the same questions."""

    judged: Sequence[Judged]
    facts: Mapping[str, Any]
    """What was compared how: data set, settings, time."""

    @property
    def suites(self) -> list[Suite]:
        return [suite for suite in SUITE_TITLES if any(one.scored.get(suite) for one in self.judged)]

    def slices(self, one: Judged, suite: Suite) -> Slices:
        return slices(one.scored.get(suite, ()), one.bits if suite == "held_out" else ())

    def differences(self, one: Judged, suite: Suite) -> dict[str, Mean]:
        """From the first model; empty for itself."""
        first = self.judged[0]
        if one is first:
            return {}
        with_bits = suite == "held_out"
        return differences(
            one.scored.get(suite, ()),
            one.bits if with_bits else (),
            first.scored.get(suite, ()),
            first.bits if with_bits else (),
        )

    def as_json(self) -> dict[str, Any]:
        """Every figure is {"mean", "margin" (half of the 95 % interval), "number" (of values)}; shares are 0 to 1."""
        return {
            **self.facts,
            "models": {
                one.label: {
                    "directory": str(one.folder),
                    "template": one.template,
                    "stop_tokens": list(one.stop_tokens),
                    "answered_by": one.answered_by,
                    "notes": one.notes,
                    "suites": {
                        suite: {
                            "unanswered": sum(scored.answer is None for scored in one.scored.get(suite, ())),
                            "slices": _plain(self.slices(one, suite)),
                            "above_first_model": _plain(self.differences(one, suite)),
                        }
                        for suite in self.suites
                    },
                    "lm_eval": one.lm_eval,
                }
                for one in self.judged
            },
        }


def write_report(report: Report, folder: Path, *, side_by_side: int, seed: int) -> None:
    """report.json, report.html and answers.jsonl, every answer of every model."""
    (folder / "report.json").write_text(json.dumps(report.as_json(), indent=2, ensure_ascii=False) + "\n", "utf-8")
    with (folder / "answers.jsonl").open("w", encoding="utf-8") as file:
        for line in _answer_lines(report):
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
    (folder / "report.html").write_text(_page(report, side_by_side, seed), "utf-8")


def _answer_lines(report: Report) -> list[dict[str, Any]]:
    lines = []
    for suite in report.suites:
        for together in _together(report, suite):
            item = together[0].item
            answers = {
                one.label: asdict(scored.answer)
                | {"rouge_l": scored.rouge_l, "loops": scored.loops, "leaks": scored.leaks}
                | ({} if scored.exact_match is None else {"exact_match": scored.exact_match})
                if scored.answer
                else None
                for one, scored in zip(report.judged, together, strict=True)
            }
            prompt = [{"role": message.role, "content": message.content} for message in item.prompt]
            lines.append(
                {
                    "id": item.id,
                    "suite": suite,
                    "category": item.category,
                    "task": item.task,
                    "later_turn": item.is_later,
                    "prompt": prompt,
                    "reference": item.reference,
                    "other_references": list(item.other_references),
                    "answers": answers,
                }
            )
    return lines


def _together(report: Report, suite: Suite) -> list[tuple[Scored, ...]]:
    """For each question what every model answered; all were asked the same, in the same order."""
    return list(zip(*(one.scored[suite] for one in report.judged), strict=True))


def _page(report: Report, side_by_side: int, seed: int) -> str:
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    environment.filters["shown"] = shown
    template = environment.from_string((resources.files(__package__) / "report.html").read_text("utf-8"))
    return template.render(
        report=report,
        facts=report.facts,
        judged=report.judged,
        suites=[_suite_view(report, suite) for suite in report.suites],
        chosen=_chosen(report, side_by_side, seed),
        titles=SUITE_TITLES,
        colours=plots.COLOURS,
        lm_eval_tasks=sorted({task for one in report.judged for task in one.lm_eval}),
    )


def _suite_view(report: Report, suite: Suite) -> dict[str, Any]:
    """What the page shows of a suite."""
    parts = {one.label: report.slices(one, suite) for one in report.judged}
    whole = {label: found.get("all", {}) for label, found in parts.items()}
    names = [name for name in next(iter(parts.values())) if name != "all"]
    categories = [name for name in names if not name.startswith("task: ")]
    category_plot = plots.by_category(parts, "rouge_l", f"{suite}-categories")
    lengths = {one.label: [words for scored in one.scored[suite] if (words := scored.words)] for one in report.judged}
    references = [len(scored.item.reference.split()) for scored in report.judged[0].scored[suite]]
    return {
        "name": suite,
        "title": SUITE_TITLES[suite],
        "questions": len(references),
        "metrics": [metric for metric in ALL_METRICS if any(metric.key in means for means in whole.values())],
        "whole": whole,
        "above": {one.label: report.differences(one, suite) for one in report.judged},
        "parts": parts,
        "part_names": categories[:MOST_SLICES],
        "parts_left_out": max(0, len(categories) - MOST_SLICES),
        "tasks": len(names) - len(categories),
        "bars": Markup(plots.bars(whole, suite)),
        "categories": Markup(category_plot) if category_plot else None,
        "lengths": Markup(plots.lengths(lengths, references, f"{suite}-lengths")),
    }


def _chosen(report: Report, number: int, seed: int) -> list[tuple[Scored, ...]]:
    """Questions for the page, drawn with the seed and not picked; as many of each suite."""
    found: list[tuple[Scored, ...]] = []
    for place, suite in enumerate(report.suites):
        left = len(report.suites) - place
        together = _together(report, suite)
        drawn = random.Random(seed).sample(together, min((number - len(found)) // left, len(together)))
        found += drawn
    return found


def print_summary(report: Report, out: Path | None, console: Console) -> None:
    """Each suite's figures as a table, what a reader must know of the models, and where the page is, if any."""
    for suite in report.suites:
        wholes = [report.slices(one, suite).get("all", {}) for one in report.judged]
        metrics = [metric for metric in ALL_METRICS if any(metric.key in whole for whole in wholes)]
        labels = [one.label for one in report.judged]
        names = [f"{metric.title}{', %' if metric.is_share else ''}" for metric in metrics]
        cells = [
            [shown(whole[metric.key], metric) if metric.key in whole else "–" for whole in wholes] for metric in metrics
        ]
        if len(labels) > MOST_COLUMNS:
            names, labels, cells = labels, names, [list(row) for row in zip(*cells, strict=True)]
        table = Table(title=SUITE_TITLES[suite], title_justify="left")
        table.add_column("")
        for label in labels:
            table.add_column(escape(label), justify="right")
        for name, row in zip(names, cells, strict=True):
            table.add_row(escape(name), *row)
        console.print(table)
    for one in report.judged:
        for note in one.notes:
            console.print(f"{one.label}: {note}", markup=False, highlight=False)
    if out:
        console.print(f"The report: {out / 'report.html'}", markup=False, highlight=False, soft_wrap=True)


def shown(mean: Mean, metric: Metric, *, signed: bool = False) -> str:
    scale = 100 if metric.is_share else 1
    sign = "+" if signed else ""
    value = f"{scale * mean.mean:{sign}.{metric.digits}f}".replace("-", "−")
    return f"{value} ± {scale * mean.margin:.{metric.digits}f}"


def _plain(value: Any) -> Any:
    if isinstance(value, Mean):
        return asdict(value)
    return {key: _plain(part) for key, part in value.items()} if isinstance(value, Mapping) else value
