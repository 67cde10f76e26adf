"""Answers that were given elsewhere, scored as `evaluate` scores its own; no model and no engine is needed."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from trainer.artifacts import sha256_of, write_artifact, write_manifest
from trainer.errors import BadInput
from trainer.evaluation.answer_files import read_together
from trainer.evaluation.report import Judged, Report, print_summary, write_report
from trainer.evaluation.scoring import score

SIDE_BY_SIDE, SEED = 20, 42
"""Answers that the page shows, and what they are drawn with."""


def score_answers(files: Mapping[str, Path], out: Path | None = None, *, console: Console | None = None) -> Report:
    """Prints each label's figures; a report of them lies in `out` then, where that is given.

    `files` hold answers to the same questions; differences are taken from the first. Raises BadInput.
    """
    if not files:
        raise BadInput("There is nothing to score: name LABEL=FILE.")
    console = console or Console()
    judged = []
    for label, given in read_together(files).items():
        one = Judged(label, files[label], template="", keys=(), stop_tokens=(), answered_by=files[label].name)
        for answer in given:
            one.scored.setdefault(answer.item.suite, []).append(score(answer.item, answer.answer, ()))
        judged.append(one)
    held = {label: {"file": str(path), "sha256": sha256_of(path)} for label, path in files.items()}
    made = datetime.now(UTC).isoformat(timespec="seconds")
    report = Report(judged, {"made": made, "dataset": None, "settings": None, "seed": SEED, "answers": held})
    if out:
        with write_artifact(out) as place:
            write_report(report, place, side_by_side=SIDE_BY_SIDE, seed=SEED)
            write_manifest(place, "scores", {"answers": held})
    print_summary(report, out, console)
    return report
