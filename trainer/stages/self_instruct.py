"""New tasks from seeds, written by the company's own model: what goes to it stays on the company's machines."""

import asyncio
import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from rich.table import Table

from trainer.artifacts import MANIFEST, write_manifest
from trainer.errors import BadInput, TrainerError
from trainer.self_instruct.journal import Journal
from trainer.self_instruct.past_run import QUALITY, RUN
from trainer.self_instruct.pipeline import SelfInstruct
from trainer.self_instruct.prompts import CHAT, RAW, PromptSet
from trainer.self_instruct.seeds import Seed, identity_of, read_seeds
from trainer.self_instruct.writing import Writer
from trainer.self_instruct_choices import SelfInstructChoice

CACHE_MIB = 1024
"""Of the examples that the prompts of each step begin with."""
TRAIN = "train.jsonl"


def self_instruct(
    seeds: Path,
    out: Path,
    *,
    target: int,
    choice: SelfInstructChoice,
    engine_url: str | None = None,
    engine_key: str | None = None,
    model: Path | None = None,
    resume: bool = False,
    console: Console | None = None,
) -> Path:
    """Goes on until `target` instances stand in `out`/train.jsonl, in Alpaca's shape; returns `out`.

    The model is the one at `engine_url`, or that of an imported base's or export's directory or a GGUF file, `model`,
    served here. Each request's outcome is in `out`/journal.jsonl before the next; with `resume` a stopped run goes on.

    Raises BadInput, EngineFailed, NothingKept; what was kept before stays.
    """
    console = console or Console()
    if (engine_url is None) == (model is None):
        raise BadInput(
            "The tasks are written by the model at --engine-url or the one in --model-dir: name one of the two."
        )
    read = read_seeds(seeds)
    if choice.steps == "alpaca" and any(not seed.instances for seed in read):
        raise BadInput(f"{seeds}: Alpaca's way shows each seed with its instance, and some have none.")
    facts = {"settings": asdict(choice), "seeds": identity_of(seeds) | {"tasks": len(read)}}
    _open_folder(out, facts, resume=resume)
    with Journal(out) as journal, _engine(engine_url, model, choice) as url:
        (out / MANIFEST).unlink(missing_ok=True)
        try:
            engine = asyncio.run(_write(url, engine_key, choice, read, journal, target, console))
        except ExceptionGroup as failures:
            expected, others = failures.split(TrainerError)
            if expected is None or others is not None:
                raise
            raise _first(expected) from None
        except KeyboardInterrupt:
            console.print(escape(f"Stopped. {out} keeps what was written; go on with it by --resume."), soft_wrap=True)
            raise
        _finish(out, journal, facts | {"engine": engine, "target": target})
        _report(out, read, choice.seed)
        _show(out, journal, console)
    return out


@contextmanager
def _engine(url: str | None, model: Path | None, choice: SelfInstructChoice) -> Iterator[str]:
    """Where the model is."""
    if url is not None:
        yield url
        return
    assert model is not None  # seen before
    from trainer.exports.servable import serving  # torch

    slots, threads = choice.requests_at_once, choice.threads or None
    with serving(
        model, slots=slots, context_tokens=choice.context_tokens, threads=threads, cache_mib=CACHE_MIB
    ) as engine:
        yield engine.url


async def _write(
    url: str,
    key: str | None,
    choice: SelfInstructChoice,
    seeds: list[Seed],
    journal: Journal,
    target: int,
    console: Console,
) -> dict[str, str]:
    # asyncio ends on Ctrl-C between two steps, and so at SIGTERM: never in the middle of a line of the journal.
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, signal.raise_signal, signal.SIGINT)
    async with Writer(url, api_key=key, timeout_seconds=choice.timeout_seconds) as writer:
        await writer.recognise()
        prompts = await _prompts(choice, writer)
        with _bar(journal, target, console) as moved:
            await SelfInstruct(choice, prompts, writer, seeds, journal, target=target, moved=moved).run()
        return {"kind": writer.kind, "model": Path(writer.model).name, "prompts": "chat" if prompts.is_chat else "raw"}


async def _prompts(choice: SelfInstructChoice, writer: Writer) -> PromptSet:
    if choice.prompts == "chat":
        return CHAT
    goes_on = await writer.goes_on()
    if not goes_on and choice.prompts == "raw":
        raise BadInput(f"The engine at {writer.url} takes no raw prompts. Say --set self_instruct.prompts=chat.")
    return RAW if goes_on else CHAT


@contextmanager
def _bar(journal: Journal, target: int, console: Console) -> Iterator[Any]:
    """Instances of the target, tasks, and what was rejected, by reason."""
    bar = Bar(
        TextColumn("Writing"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.description}"),
        console=console,
    )
    shown = bar.add_task("", total=target, completed=journal.instances)

    def moved() -> None:
        reasons = ", ".join(f"{why} {number}" for why, number in journal.rejected.most_common(3))
        said = f"{len(journal.tasks)} tasks; rejected {journal.rejected.total()}" + (f": {reasons}" if reasons else "")
        bar.update(shown, completed=min(journal.instances, target), description=said)

    with bar:
        moved()
        yield moved


def _open_folder(out: Path, facts: dict[str, Any], *, resume: bool) -> None:
    """A new folder, or the one of a run of the same seeds and settings."""
    known = out / RUN
    if resume:
        try:
            before = json.loads(known.read_bytes())
        except (OSError, ValueError):
            raise BadInput(f"{out} holds no run to go on with: there is no {RUN} in it. Leave --resume out.") from None
        for key, value in json.loads(json.dumps(facts)).items():
            if before.get(key) != value:
                raise BadInput(
                    f"{out} was begun with other {key} ({known}). Go on with those, or name another directory."
                )
        return
    if out.is_file() or (out.is_dir() and any(out.iterdir())):
        hint = "Go on with it by --resume, or name" if known.is_file() else "Name"
        raise BadInput(f"{out} exists already. {hint} another directory.")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"{out} cannot be written: {error.strerror}.") from None
    begun = {**facts, "begun": datetime.now(UTC).isoformat(timespec="seconds")}
    partial = out / f".{RUN}.partial"
    partial.write_text(json.dumps(begun, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    partial.replace(known)


def _finish(out: Path, journal: Journal, facts: dict[str, Any]) -> None:
    """What is trained on, and the manifest, last."""
    partial = out / f".{TRAIN}.partial"
    with partial.open("w", encoding="utf-8") as file:
        for task in journal.tasks.values():
            for instance in task.instances or ():
                line = {
                    "instruction": task.instruction,
                    "input": instance.input,
                    "output": instance.output,
                    "id": task.id,
                }
                file.write(json.dumps(line, ensure_ascii=False) + "\n")
    partial.replace(out / TRAIN)
    write_manifest(
        out,
        "self_instruct",
        facts
        | {
            "tasks": len(journal.tasks),
            "instances": journal.instances,
            "requests": journal.requests,
            "rejected": dict(journal.rejected.most_common()),
        },
        without=QUALITY,
    )


def _report(out: Path, seeds: list[Seed], seed: int) -> None:
    from trainer.self_instruct.quality import write_quality_report  # matplotlib

    write_quality_report(out, out / QUALITY, seeds=seeds, seed=seed)


def _show(out: Path, journal: Journal, console: Console) -> None:
    table = Table(title=f"{journal.instances} instances of {len(journal.tasks)} tasks", title_justify="left")
    table.add_column("rejected")
    table.add_column("", justify="right")
    for why, number in journal.rejected.most_common():
        table.add_row(why, str(number))
    console.print(table)
    console.print(escape(f"To train on: {out / TRAIN} (`dolly-trainer dataset build {out / TRAIN} …`)"), soft_wrap=True)
    console.print(escape(f"How good they are: {out / QUALITY / 'report.html'}"), soft_wrap=True)


def _first(failures: BaseExceptionGroup[TrainerError]) -> TrainerError:
    """Of workers that ended together, the first's reason."""
    found = failures.exceptions[0]
    return _first(found) if isinstance(found, BaseExceptionGroup) else found
