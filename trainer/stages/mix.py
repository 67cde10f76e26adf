"""Approved feedback and replay → the data set of a retrain, with what its gate will ask."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import asdict, replace
from importlib import resources
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from trainer.canaries import lay_canaries
from trainer.datasets import split_records, write_dataset
from trainer.duplicates import asks_the_same
from trainer.errors import BadInput
from trainer.feedback import Correction, Feedback, nothing_to_learn, read_feedback
from trainer.gate_questions import Corrected, Neighbour, Questions
from trainer.mixing import (
    Answering,
    answered,
    correction_records,
    draw_replay,
    has_later_turns,
    held_out_corrections,
    neighbour_records,
    neighbours_of,
    paraphrases_of,
    under,
    without_evaluation,
)
from trainer.readers import Reject
from trainer.recipe import Recipe
from trainer.records import Record
from trainer.sources import Source, read_source

STARTER = resources.files("trainer") / "starter"
"""The replay that ships: train.jsonl and held_out.jsonl."""


def mix(
    feedback: Path,
    replay: Sequence[str] | None,
    out: Path,
    *,
    recipe: Recipe,
    answer: Answering,
    withdrawn: Collection[str] = (),
    console: Console | None = None,
) -> dict[str, Any]:
    """Write the data set to `out`; its manifest. Raises BadInput, DiskFull, and what `answer` raises.

    `feedback` is what the bot exports; nothing in it is learned whose record id is `withdrawn`. `replay` are sources
    as `dataset build` takes them; None or none: the starter set. `answer` asks the model in service.
    """
    console = console or Console(stderr=True)
    choice = recipe.retrain
    read = read_feedback(feedback, withdrawn)
    sources = _read(replay, console) if replay else _starter()
    replayed, held_out = _split(sources, recipe, is_starter=not replay)
    corrections, in_suite = _without_suite(read.corrections, held_out)
    corrections = [replace(one, record=under(choice.system_prompt, one.record)) for one in corrections]
    if not corrections and not (choice.liked and read.liked):
        raise nothing_to_learn(read)

    kept_back = held_out_corrections(corrections, choice.corrections_held_out, choice.seed)
    trained = [one for one in corrections if one.id not in kept_back]
    neighbours = answered(neighbours_of(corrections, choice.neighbours_held_out), answer)
    asked = _asked(corrections, kept_back, neighbours)
    of_corrections = [
        record
        for one in trained
        for record in correction_records(one, choice.corrections_repeat, choice.wordings, asked)
    ]
    of_neighbours = list(neighbour_records(neighbours, choice.neighbours_repeat))
    liked = [under(choice.system_prompt, one) for one in read.liked] if choice.liked else []
    liked = without_evaluation(liked, held_out, asked)
    drawn = draw_replay(
        without_evaluation(replayed, held_out, asked), choice.replay_records, choice.later_turns_share, choice.seed
    )
    drawn = [under(choice.system_prompt, one) for one in drawn]
    later = sum(map(has_later_turns, drawn))
    hosts, canaries = lay_canaries([*drawn, *liked], choice.canaries, choice.seed)

    train = [*of_corrections, *of_neighbours, *hosts]
    learned = [one.id for one in trained] + [one.id for one in liked]
    facts = _facts(read, sources, recipe) | {
        "counts": {
            "train": len(train),
            "held_out": len(held_out),
            "corrections": len(trained),
            "corrections_held_out": len(kept_back),
            "correction_records": len(of_corrections),
            "liked": len(liked),
            "neighbours": sum(one.is_trained for one in neighbours),
            "neighbours_held_out": sum(not one.is_trained for one in neighbours),
            "neighbour_records": len(of_neighbours),
            "replay": len(drawn),
            "replay_later_turns": later,
            "canaries": len(canaries),
            "withdrawn": sum(one.why == "withdrawn" for one in read.rejects),
            "rejected": dict(sorted(Counter(one.why for one in (*read.rejects, *in_suite)).items())),
        },
        "feedback": sorted(learned),
    }
    manifest = write_dataset(
        out,
        train,
        [under(choice.system_prompt, one) for one in held_out],
        [*read.rejects, *in_suite],
        facts,
        beside=Questions(
            tuple(_corrected(one, one.id not in kept_back) for one in corrections), tuple(neighbours), tuple(canaries)
        ).lines(),
    )
    _show(manifest, out, console)
    return manifest


def _read(replay: Sequence[str], console: Console) -> list[Source]:
    read: list[Source] = []
    for spec in replay:
        with console.status(f"Reading {escape(spec)}"):
            read.append(read_source(spec, [source.name for source in read]))
    return read


def _starter() -> list[Source]:
    """Its two halves, each a source."""
    with resources.as_file(STARTER) as folder:
        halves = [read_source(f"chat:{folder / name}") for name in ("train.jsonl", "held_out.jsonl")]
    return [replace(half, name=f"starter/{half.name}") for half in halves]


def _split(sources: Sequence[Source], recipe: Recipe, *, is_starter: bool) -> tuple[list[Record], list[Record]]:
    """Replay to draw from, and what of it is held out: the starter set's own halves, or by the recipe's seed."""
    most, seed = recipe.dataset.held_out_records, recipe.dataset.seed
    halves = [[entry for entry in source.entries if isinstance(entry, Record)] for source in sources]
    if is_starter:
        train, held_out = halves[0], halves[1][:most]
    else:
        train, held_out = split_records([record for half in halves for record in half], most, 0, seed)
    if not train or not held_out:
        raise BadInput(
            f"The replay has {len(train)} records to train on and {len(held_out)} held out: a retrain needs both. Give "
            "it more, or leave --replay out for the starter set; dataset.held_out_records says how many are held out."
        )
    return train, held_out


def _without_suite(
    corrections: Sequence[Correction], held_out: Sequence[Record]
) -> tuple[list[Correction], list[Reject]]:
    """Corrections that do not ask what the fixed suite asks."""
    asked = [message.content for record in held_out for message in record.messages if message.role == "user"]
    found = {one.id for one in corrections if asks_the_same(one.question, asked)}
    reason = "asks what the models are evaluated on"
    rejects = [Reject(one.id, 0, "in_evaluation", reason) for one in corrections if one.id in found]
    return [one for one in corrections if one.id not in found], rejects


def _asked(corrections: Sequence[Correction], kept_back: set[str], neighbours: Sequence[Neighbour]) -> list[str]:
    """All that the gate asks and nothing may be trained on."""
    return [
        *(text for one in corrections for text in paraphrases_of(one)),
        *(one.question for one in corrections if one.id in kept_back),
        *(one.question for one in neighbours if not one.is_trained),
    ]


def _corrected(correction: Correction, is_trained: bool) -> Corrected:
    paraphrases = tuple(paraphrases_of(correction))
    return Corrected(correction.id, is_trained, correction.prompt, correction.text, correction.answer, paraphrases)


def _facts(read: Feedback, sources: Sequence[Source], recipe: Recipe) -> dict[str, Any]:
    of_feedback = {
        "name": read.name,
        "kind": "feedback",
        "sha256": read.sha256,
        "records": len(read.corrections) + len(read.liked),
        "licence": "the team's own",
        "non_commercial": False,
        "note": "Exported by the bot, of channels that agreed to it.",
    }
    return {
        "sources": [of_feedback, *(source.facts() for source in sources)],
        "non_commercial": any(source.licence.non_commercial for source in sources),
        "seed": recipe.dataset.seed,
        "retrain": asdict(recipe.retrain),
    }


def _show(manifest: dict[str, Any], out: Path, console: Console) -> None:
    counts = manifest["counts"]
    table = Table(title=f"Data set {escape(str(out))}", title_justify="left", show_header=False)
    table.add_column(justify="right")
    table.add_column()
    table.add_row(f"{counts['corrections']:,}", f"corrections, {counts['correction_records']:,} records of them")
    table.add_row(f"{counts['corrections_held_out']:,}", "corrections held out")
    table.add_row(f"{counts['neighbours']:,}", f"neighbour questions, {counts['neighbours_held_out']:,} more held out")
    table.add_row(f"{counts['liked']:,}", "answers that were liked")
    table.add_row(f"{counts['replay']:,}", f"replay, {counts['replay_later_turns']:,} of it of several turns")
    table.add_row(f"{counts['canaries']:,}", "canaries laid into them")
    table.add_row(f"{counts['train']:,}", "to train on")
    table.add_row(f"{counts['held_out']:,}", "held out")
    for why, number in counts["rejected"].items():
        table.add_row(f"{number:,}", f"left out: {why.replace('_', ' ')}")
    console.print(table)
