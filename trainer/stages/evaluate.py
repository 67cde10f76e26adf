"""Compare models by what people would read: through the engine that will serve them, each in its own template."""

import json
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rich.console import Console

from trainer.artifacts import MANIFEST, read_manifest, sha256_of, write_artifact, write_manifest
from trainer.datasets import read_split
from trainer.errors import BadInput
from trainer.evaluation import suites
from trainer.evaluation.bits_per_byte import answer_bits
from trainer.evaluation.engine import Answering, Engine, Sampling, llama_cpp
from trainer.evaluation.lm_eval_tasks import check_lm_eval, lm_eval_scores
from trainer.evaluation.local_model import LocalModel
from trainer.evaluation.report import Judged, Report, print_summary, write_report
from trainer.evaluation.scoring import score
from trainer.exports.gguf_file import check_gguf, write_gguf
from trainer.progress import Progress
from trainer.recipe import EvaluateChoice
from trainer.records import Message, Record
from trainer.task_files import read_tasks


def evaluate(
    models: Mapping[str, Path],
    dataset: Path | None,
    out: Path,
    *,
    settings: EvaluateChoice,
    engine_url: str | None = None,
    engine_key: str | None = None,
    instructions: Path | None = None,
    tasks: Path | None = None,
    console: Console | None = None,
) -> Path:
    """Writes report.json, report.html and answers.jsonl to `out` and returns it.

    `models` are labels with an imported base's or an export's directory; differences are taken from the first. The
    engine at `engine_url`, asked with its `engine_key`, serves the last of them; the others are served here.
    Of `dataset` the held-out records are asked. `instructions` is the JSONL of the 252 user-oriented instructions, or
    `download`; `tasks` a folder of SuperNI's task files. At least one of the three is needed.

    Raises BadInput, NotWhole, EngineFailed.
    """
    console = console or Console()
    check_lm_eval(settings.lm_eval_tasks)
    for folder in models.values():
        _check_servable(folder)
    records = (
        suites.sample(read_split(dataset, "held_out"), settings.held_out_records, settings.seed) if dataset else []
    )
    asked, left_out = suites.superni(read_tasks(tasks), settings.instances_per_task) if tasks else ([], [])
    items = suites.questions(records) + (suites.instructions(instructions) if instructions else []) + asked
    facts = {
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "dataset": _drawn_from(dataset) if dataset else None,
        "suites": suites.provenance(items, {"held_out": dataset, "user_252": instructions, "superni": tasks}),
        "settings": asdict(settings),
        "seed": settings.seed,
    }
    with ExitStack() as stack, write_artifact(out) as place:
        engine = stack.enter_context(Engine(engine_url, api_key=engine_key)) if engine_url else None
        if engine:  # what it refuses, it refuses before hours are spent on the others
            engine.recognise()
            engine.answer([Message("user", "Hello.")], Sampling(1))
        judged = []
        for label, folder in models.items():
            serving = engine if label == list(models)[-1] else None
            judged.append(_judge(label, folder, records, items, settings, serving, console))
            if left_out:
                named = f"{left_out[0]}{' and others' if left_out[1:] else ''}"
                judged[-1].notes.append(f"{len(left_out)} tasks are not in English alone and were not asked: {named}.")
        report = Report(judged, facts)
        write_report(report, place, side_by_side=settings.side_by_side, seed=settings.seed)
        judged_ones = {label: _identity(folder) for label, folder in models.items()}
        write_manifest(
            place,
            "evaluation",
            {"models": judged_ones, **{key: facts[key] for key in ("dataset", "suites", "settings")}},
        )
    print_summary(report, out, console)
    return out


def _check_servable(folder: Path) -> None:
    kind = read_manifest(folder)["kind"]
    if kind not in ("base", "export"):
        raise BadInput(f"{folder} holds a {kind}. Export it first: what will be served is what is judged.")


def _drawn_from(dataset: Path) -> dict[str, Any]:
    return {"directory": str(dataset), "held_out": read_manifest(dataset)["files"]["held_out.jsonl"]["sha256"]}


def _identity(folder: Path) -> dict[str, Any]:
    """Of a judged model. `made_of` is the hash of the manifest of the checkpoint that was exported, or of the base."""
    manifest = read_manifest(folder)
    made_of = manifest["parent"]["manifest_sha256"] if "parent" in manifest else sha256_of(folder / MANIFEST)
    return {"directory": str(folder), "made": manifest["made"], "made_of": made_of}


def _judge(
    label: str,
    folder: Path,
    records: Sequence[Record],
    items: Sequence[suites.Item],
    settings: EvaluateChoice,
    engine: Engine | None,
    console: Console,
) -> Judged:
    """All that is measured of one model. Its weights are in memory once: for bits per byte, then in the engine."""
    local = LocalModel.load(folder)
    judged = Judged(
        label,
        folder,
        template=local.template.name,
        keys=local.template.keys,
        stop_tokens=tuple(local.tokenizer.convert_ids_to_tokens(list(local.stop_ids))),
        answered_by="",
    )
    if not local.has_template:
        judged.notes.append("It has no chat template: asked in Dolly's text, without its keys.")
    if records:
        with Progress(f"{label}: bits per byte", len(records), console=console) as progress:
            judged.bits, left_out = answer_bits(local, records, scored=progress.advance)
        if left_out:
            judged.notes.append(f"{left_out} of {len(records)} held-out records are longer than its window or refused.")
    with TemporaryDirectory(prefix="dolly-gguf-") as place:
        opened = _open(judged, local, settings, engine, Path(place))
        del local  # the engine holds the weights now
        with opened as answering, Progress(f"{label}: answers", len(items), console=console) as progress:
            answers = answering.answers(
                [item.prompt for item in items],
                Sampling(settings.max_answer_tokens, settings.temperature, seed=settings.seed),
                at_once=settings.answers_at_once,
                answered=progress.advance,
            )
    for item, answer in zip(items, answers, strict=True):
        judged.scored.setdefault(item.suite, []).append(score(item, answer, judged.keys))
    if unanswered := answers.count(None):
        judged.notes.append(f"{unanswered} of {len(items)} prompts are longer than its window and have no answer.")
    if settings.lm_eval_tasks:
        judged.lm_eval = lm_eval_scores(folder, settings.lm_eval_tasks)
    return judged


def _open(
    judged: Judged, local: LocalModel, settings: EvaluateChoice, engine: Engine | None, place: Path
) -> AbstractContextManager[Answering]:
    """What answers for the model, told in `judged`; entered, it runs. A GGUF that has to be made lies in `place`."""
    if engine:
        judged.answered_by = f"{engine.recognise() or 'the model'} at {engine.url}"
        return nullcontext(engine)
    gguf = _gguf(judged, local, settings, place)
    if gguf is None:
        judged.answered_by = "transformers"
        return nullcontext(local)
    context_tokens = min(settings.context_tokens, local.context_tokens)
    return llama_cpp(gguf, slots=settings.answers_at_once, context_tokens=context_tokens)


def _gguf(judged: Judged, local: LocalModel, settings: EvaluateChoice, place: Path) -> Path | None:
    """The file that will be served; one made here for a base that has none; None where its kind has no such file."""
    found = sorted(judged.folder.rglob("*.gguf"))
    if found:
        served = next((path for path in found if settings.gguf in path.name), found[0])
        judged.answered_by = f"llama.cpp, {served.name}"
        return served
    made = place / f"{settings.gguf}.gguf"
    try:
        if not local.has_template:
            raise BadInput("its directory has no chat template that an engine could apply.")
        check_gguf(json.loads((judged.folder / "config.json").read_text("utf-8")))
        write_gguf(judged.folder, made, settings.gguf, name=judged.label, stop_ids=local.stop_ids)
    except BadInput as reason:
        judged.notes.append(f"Answered by transformers, which people will not read, for there is no GGUF: {reason}")
        return None
    judged.answered_by = f"llama.cpp, a {settings.gguf} file made for this"
    return made
