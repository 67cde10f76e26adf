"""Files of records → a data set: read, checked, without what is said twice or evaluated on, split, with a manifest."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from trainer.artifacts import sha256_of
from trainer.datasets import split_records, write_dataset
from trainer.duplicates import in_evaluation, near_duplicates
from trainer.errors import BadInput
from trainer.readers import Reject
from trainer.recipe import DatasetChoice
from trainer.records import Record
from trainer.sources import PRESUMED, TOLD, Source, read_evaluation, read_source

SHOWN_REJECTS = 5
"""Lines that are shown while the file holds all."""

WHY = {
    "bad_line": "lines that are no record",
    "empty_answer": "with an empty answer",
    "no_consent": "of channels that did not agree",
    "nothing_to_learn": "rated down, without a correction",
    "corrected": "liked by one, corrected by another",
    "near_duplicate": "nearly the same as an earlier one",
    "in_evaluation": "that models are evaluated on",
    "not_approved": "not approved by a reviewer",
    "rejected": "rejected by a reviewer",
    "withdrawn": "withdrawn or forgotten",
}


def build_dataset(
    sources: Sequence[str],
    out: Path,
    *,
    settings: DatasetChoice,
    evaluation: Sequence[Path] = (),
    licence: str | None = None,
    console: Console | None = None,
) -> dict[str, Any]:
    """Build it; the manifest. Raises BadInput, DiskFull.

    `sources` are `KIND:PATH`, `hub:NAME` or paths; what is asked in `evaluation` is left out.
    `licence` is that of the files that come without one.
    """
    console = console or Console(stderr=True)
    items = [item for path in evaluation for item in read_evaluation(path)]
    read = _read(sources, licence, console)
    records = [entry for source in read for entry in source.entries if isinstance(entry, Record)]
    rejects = [entry for source in read for entry in source.entries if isinstance(entry, Reject)]
    lines = len(records) + len(rejects)

    records, twice = _without_evaluation(records, items)
    rejects += twice
    if settings.near_duplicates:
        with console.status("Looking for near-duplicates"):
            records, twice = _without_near_duplicates(records)
        rejects += twice
    if not records:
        raise BadInput(f"There is nothing to learn from in {', '.join(sources)}: {_reasons(rejects)}.")
    train, held_out = split_records(records, settings.held_out_records, settings.train_records, settings.seed)

    facts = _facts(read, settings) | {
        "counts": {
            "lines": lines,
            "records": len(records),
            "train": len(train),
            "held_out": len(held_out),
            "not_drawn": len(records) - len(train) - len(held_out),
            "rejected": dict(sorted(Counter(reject.why for reject in rejects).items())),
        },
        "evaluation": [
            {"name": path.name, "sha256": sha256_of(path) if path.is_file() else None} for path in evaluation
        ],
    }
    manifest = write_dataset(out, train, held_out, rejects, facts)
    _show(manifest, rejects, out, console)
    return manifest


def _read(sources: Sequence[str], licence: str | None, console: Console) -> list[Source]:
    read: list[Source] = []
    for spec in sources:
        with console.status(f"Reading {escape(spec)}"):
            read.append(read_source(spec, [source.name for source in read], licence=licence))
    if licence and not any(source.licence.note == TOLD for source in read):
        known = ", ".join(f"{source.name} is {source.licence.name}" for source in read)
        raise BadInput(f"--licence {licence} is for what comes without one, and here {known}. Leave it out.")
    return read


def _without_evaluation(
    records: Sequence[Record], items: Sequence[tuple[str, str]]
) -> tuple[list[Record], list[Reject]]:
    found = in_evaluation(records, items)
    reason = "instruction and input are those of an evaluation item"
    return (
        [record for index, record in enumerate(records) if index not in found],
        [_reject(records[index], "in_evaluation", reason) for index in sorted(found)],
    )


def _without_near_duplicates(records: Sequence[Record]) -> tuple[list[Record], list[Reject]]:
    found = near_duplicates(records)
    return (
        [record for index, record in enumerate(records) if index not in found],
        [
            _reject(records[index], "near_duplicate", f"nearly the same as {records[first].id}")
            for index, first in found.items()
        ],
    )


def _reject(record: Record, why: Any, reason: str) -> Reject:
    line = int(record.id.rpartition(":")[2])
    return Reject(record.source, line, why, reason, record.messages[-1].content)


def _facts(read: Sequence[Source], settings: DatasetChoice) -> dict[str, Any]:
    return {
        "sources": [source.facts() for source in read],
        "non_commercial": any(source.licence.non_commercial for source in read),
        "seed": settings.seed,
        "near_duplicates": settings.near_duplicates,
    }


def _reasons(rejects: Sequence[Reject]) -> str:
    if not rejects:
        return "it is empty"
    first = rejects[0]
    return f"of {len(rejects)} lines none is left; the first, {first.file}, line {first.line}: {first.reason}"


def _show(manifest: dict[str, Any], rejects: Sequence[Reject], out: Path, console: Console) -> None:
    counts = manifest["counts"]
    table = Table(title=f"Data set {escape(str(out))}", title_justify="left", show_header=False)
    table.add_column(justify="right")
    table.add_column()
    table.add_row(f"{counts['lines']:,}", "lines read")
    for why, number in counts["rejected"].items():
        table.add_row(f"{number:,}", f"left out: {WHY[why]}")
    table.add_row(f"{counts['records']:,}", "records")
    table.add_row(f"{counts['train']:,}", "to train on")
    table.add_row(f"{counts['held_out']:,}", "held out")
    if counts["not_drawn"]:
        table.add_row(f"{counts['not_drawn']:,}", "not drawn: dataset.train_records says how many are")
    console.print(table)
    for reject in rejects[:SHOWN_REJECTS]:
        console.print(f"{escape(reject.file)}, line {reject.line}: {escape(reject.reason)}", highlight=False)
    if len(rejects) > SHOWN_REJECTS:
        console.print(f"… and {len(rejects) - SHOWN_REJECTS:,} more in {escape(str(out / 'rejects.jsonl'))}")
    for source in manifest["sources"]:
        if source["non_commercial"]:
            console.print(
                f"[bold white on red] NOT FOR COMMERCIAL USE [/] {escape(source['name'])} is {source['licence']}: "
                f"{escape(source['note'])}",
                highlight=False,
            )
        else:
            console.print(f"{escape(source['name'])}: licence {source['licence']}. {escape(source['note'])}")
        if source["note"].startswith(PRESUMED):
            console.print("If that is wrong, tell its licence with --licence.")
