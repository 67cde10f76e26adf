"""A base and a data set → a run: checkpoints, a log, samples, and TensorBoard's files."""

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]
import torch
import transformers
from rich.console import Console
from rich.table import Table
from tokenizers import AddedToken
from torch.distributed.fsdp import FSDPModule
from transformers import AutoConfig, AutoTokenizer

from trainer.artifacts import MANIFEST, is_disk_full, read_manifest, sha256_of, write_manifest
from trainer.datasets import Fitted, Split, fit, read_split
from trainer.errors import BadInput, DiskFull, OutOfMemory
from trainer.progress import Follower, NoFollower, Progress
from trainer.recipe import Recipe, to_toml
from trainer.template import DOLLY_KEYS, Template, dolly_template, has_dolly_keys, own_template
from trainer.tuning.adapters import add_adapters, load_adapters
from trainer.tuning.base import LOUD_RISE, Loaded, head_bias, load_base
from trainer.tuning.checkpoint import (
    checkpoint_folder,
    checkpoints,
    last_checkpoint,
    load_optimizer,
    read_state,
    remove_after,
    remove_old,
    save_checkpoint,
)
from trainer.tuning.estimate import SPARE, Estimate, estimate, gib, measured_flops_per_second, what_to_lower
from trainer.tuning.families import PROVEN, compile_blocks
from trainer.tuning.keys import key_ids
from trainer.tuning.loop import Ended, Tuning
from trainer.tuning.memory import is_out_of_memory
from trainer.tuning.optimizer import local, make_optimizer
from trainer.tuning.plan import Plan, rows_of_process
from trainer.tuning.processes import Processes
from trainer.tuning.run_log import RunLog
from trainer.tuning.watch import BestWatch

BIAS_ROWS = 4
"""Held-out rows on which the base's loss is taken before and after its head's bias is zeroed."""
FREE_TO_CHANGE = (
    "keep_checkpoints",
    "sample_prompts",
    "evaluate_every_steps",
    "save_every_steps",
    "early_stop_patience",
)
"""What a resumed run's recipe may say otherwise: nothing that decides what is learned."""


def tune(
    recipe: Recipe,
    base: Path,
    dataset: Path,
    out: Path,
    *,
    resume: bool = False,
    console: Console | None = None,
    follower: Follower | None = None,
) -> Path:
    """Tune, and return `out`: the run's directory, whose manifest names its last and its best checkpoint.

    A run that its `follower` or a signal stops has no manifest yet: it is gone on with by `resume`. Every process of
    `accelerate launch` calls it. Raises BadInput, NotWhole, OutOfMemory, DiskFull, Diverged.
    """
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    processes = Processes()
    console = console or Console(stderr=True, quiet=not processes.is_main)
    if recipe.tune.step_in_backward and (processes.count > 1 or recipe.tune.optimizer != "adamw_8bit_split"):
        raise BadInput(
            "tune.step_in_backward is for one process and tune.optimizer = adamw_8bit_split: gradients must not wait."
        )
    of_base, of_dataset = _origin(base, "base"), _origin(dataset, "dataset")
    checkpoint = _place(out, recipe, {"base": of_base, "dataset": of_dataset}, resume, processes, console)
    planned = _estimated(recipe, base, dataset, processes)
    _check_memory(recipe, planned, processes.device)
    with _said_clearly(recipe, planned, out, processes.device):
        loaded = load_base(base, recipe, weights=checkpoint if recipe.tune.method == "full" else None)
        context = loaded.model.config.max_position_embeddings
        train = _fitted(recipe, dataset, "train", loaded.template, context)
        held_out = _fitted(recipe, dataset, "held_out", loaded.template, context)
        assert train is not None
        records = {
            "train": _counted(train, "to train on", console),
            "held_out": _counted(held_out, "held out", console),
        }
        plan = Plan(train.examples, recipe.tune, processes.count)
        model = _prepared(loaded, recipe, checkpoint, processes)
        rows = rows_of_process(held_out.examples, recipe.tune, processes.count, processes.index) if held_out else []
        facts = {"recipe": asdict(recipe), "base": of_base, "dataset": of_dataset, "records": records}
        tuning = Tuning(
            model=model,
            tokenizer=loaded.tokenizer,
            template=loaded.template,
            optimizer=make_optimizer(model.named_parameters(), recipe.tune),
            plan=plan,
            choice=recipe.tune,
            held_out=rows,
            processes=processes,
            save=lambda tuning: _save(tuning, out, facts),
            flops_per_token=planned.flops / max(1, planned.tokens),
        )
        _settle_head_bias(tuning, recipe, fresh=checkpoint is None, console=console)
        if checkpoint:
            _go_on(tuning, checkpoint, out)
            console.print(f"Going on after step {tuning.step} of {plan.steps}, from {checkpoint}.")
        ended = _run(tuning, out, console, follower or NoFollower())
    return _finished(tuning, out, facts, ended, console)


def dry_run(
    recipe: Recipe, base: Path, dataset: Path, out: Path | None = None, *, console: Console | None = None
) -> Estimate:
    """Say what memory, time and disk it takes, the disk of `out` or else of here; no weights are read."""
    console = console or Console()
    processes = Processes()
    found = _estimated(recipe, base, dataset, processes)
    memory = _available_memory(processes.device)
    place = (out or Path.cwd()).absolute()
    place = next(folder for folder in (place, *place.parents) if folder.is_dir())
    free = shutil.disk_usage(place).free
    table = Table(title=f"{recipe.name}: estimated, nothing loaded")
    for column in ("what", "takes", "of"):
        table.add_column(column)
    table.add_row("weights", gib(found.weights_bytes), f"{found.parameters:,} parameters")
    table.add_row("gradients", gib(found.gradients_bytes), f"{found.trained_parameters:,} trained")
    table.add_row("optimizer", gib(found.optimizer_bytes), recipe.tune.optimizer)
    activations = found.activation_bytes_per_token * found.row_tokens
    table.add_row("activations", gib(activations), f"{found.row_tokens:,} tokens in the longest row")
    table.add_row("head", gib(found.head_bytes), "logits, a chunk at a time")
    table.add_row("memory", gib(found.memory_bytes), f"{gib(memory)} on {processes.device}", style="bold")
    took = f"{found.seconds / 60:.0f} minutes" if found.seconds > 90 else f"{found.seconds:.0f} seconds"
    table.add_row(
        "time", took, f"{found.steps:,} steps, {found.tokens:,} tokens, {found.flops:.2e} FLOPs", style="bold"
    )
    table.add_row("disk", gib(found.disk_bytes), f"{gib(free)} free in {place}", style="bold")
    console.print(table)
    if found.memory_bytes > SPARE * memory:
        console.print(f"[bold red]It does not fit.[/] {what_to_lower(recipe, found, memory)}")
    if found.disk_bytes > free:
        console.print("[bold red]The disk is too small.[/] Lower tune.keep_checkpoints, or make room.")
    return found


def _origin(folder: Path, kind: str) -> dict[str, Any]:
    read_manifest(folder, kind)
    return {"path": str(folder.resolve()), "manifest_sha256": sha256_of(folder / MANIFEST)}


def _place(
    out: Path, recipe: Recipe, origins: dict[str, Any], resume: bool, processes: Processes, console: Console
) -> Path | None:
    """Make the run's directory; to resume, find the checkpoint to go on from."""
    if resume:
        if not out.is_dir():
            raise BadInput(f"There is no run {out} to go on with. Begin it without --resume.")
        checkpoint = last_checkpoint(out, lambda line: console.print(line, style="yellow", highlight=False))
        _check_same(read_state(checkpoint), recipe, origins, checkpoint)
        return checkpoint
    taken = out.exists() and (out.is_file() or any(out.iterdir()))
    processes.wait()
    if taken:
        hint = " Go on with it by --resume, or" if out.is_dir() and checkpoints(out) else ""
        raise BadInput(f"{out} exists already.{hint} Name another directory.")
    if processes.is_main:
        (out / "checkpoints").mkdir(parents=True)
        (out / "recipe.toml").write_text(to_toml(recipe), encoding="utf-8")
    processes.wait()
    return None


def _check_same(state: dict[str, Any], recipe: Recipe, origins: dict[str, Any], checkpoint: Path) -> None:
    """Raises BadInput where the run that is resumed would not be the same any more."""
    before, now = state["recipe"], asdict(recipe)
    changed = [
        f"{section}.{key}"
        for section in ("base", "dataset", "tune", "lora")
        for key, value in (now[section] or {}).items()
        if key not in FREE_TO_CHANGE and _as_json(value) != _as_json((before[section] or {}).get(key))
    ]
    for what, origin in origins.items():
        if origin["manifest_sha256"] != state[what]["manifest_sha256"]:
            changed.append(f"the {what} itself")
    if changed:
        raise BadInput(
            f"{checkpoint} was tuned otherwise: {', '.join(changed)} changed since. Resume with what it had (the "
            "run's recipe.toml), or begin another run."
        )


def _as_json(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _fitted(recipe: Recipe, dataset: Path, split: Split, template: Template, context: int) -> Fitted | None:
    if split == "held_out" and not (dataset / "held_out.jsonl").stat().st_size:
        return None
    longest = min(recipe.dataset.max_tokens, context)
    return fit(read_split(dataset, split), template, longest, recipe.dataset.too_long)


def _counted(fitted: Fitted | None, what: str, console: Console) -> dict[str, int]:
    """What became of the records, for the run's manifest; what is not learned from is said."""
    if fitted is None:
        return {"used": 0}
    counts = {"used": len(fitted.records), "dropped": fitted.dropped, "cut": fitted.cut, "refused": fitted.refused}
    if fitted.dropped or fitted.cut or fitted.refused:
        console.print(
            f"Of the records {what}, {len(fitted.records)} are used; {fitted.dropped} are too long and left out, "
            f"{fitted.cut} are cut, {fitted.refused} are conversations that the template does not take.",
            highlight=False,
        )
    return counts


def _estimated(recipe: Recipe, base: Path, dataset: Path, processes: Processes) -> Estimate:
    """From config.json, the tokenizer and the records."""
    read_manifest(base, "base")
    try:
        config = AutoConfig.from_pretrained(base, local_files_only=True)
        tokenizer = AutoTokenizer.from_pretrained(base, local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        raise BadInput(f"{base} has no config and tokenizer that transformers can load: {error}") from None
    if recipe.base.family not in ("other", config.model_type):
        raise BadInput(
            f"{base} is a {config.model_type} model, and the recipe is for {recipe.base.family}. Name a base that the "
            f'recipe is for, or set base.family to "{config.model_type if config.model_type in PROVEN else "other"}".'
        )
    if recipe.base.template == "dolly" and not has_dolly_keys(tokenizer):
        tokenizer.add_tokens(
            [AddedToken(key, special=True, normalized=False) for key in DOLLY_KEYS], special_tokens=True
        )
    template = dolly_template(tokenizer) if recipe.base.template == "dolly" else own_template(tokenizer)
    fitted = _fitted(recipe, dataset, "train", template, config.max_position_embeddings)
    assert fitted is not None
    dtype = torch.bfloat16 if recipe.tune.precision == "bf16" else torch.float32
    rate = measured_flops_per_second(processes.device, dtype)
    on_gpu = processes.device.type == "cuda"
    return estimate(recipe, config, fitted.examples, rate, processes=processes.count, on_gpu=on_gpu)


def _available_memory(device: torch.device) -> int:
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return int(psutil.virtual_memory().available)


def _check_memory(recipe: Recipe, planned: Estimate, device: torch.device) -> None:
    """What cannot fit is refused before it is tried: on a CPU the system would end the process without a word."""
    available = _available_memory(device)
    if planned.fixed_bytes > available:
        raise OutOfMemory(
            f"Weights, gradients and optimizer alone take {gib(planned.fixed_bytes)}, and {gib(available)} are free on "
            f"{device}. {what_to_lower(recipe, planned, available)}"
        )


@contextmanager
def _said_clearly(recipe: Recipe, planned: Estimate, out: Path, device: torch.device) -> Iterator[None]:
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError, RuntimeError, OSError) as error:
        if is_disk_full(error):
            raise DiskFull(f"The disk of {out} is full. Its last checkpoint stays; make room, and --resume.") from error
        if is_out_of_memory(error):
            available = _available_memory(device)
            if device.type == "cuda":
                available = torch.cuda.get_device_properties(device).total_memory
            raise OutOfMemory(
                f"Out of memory on {device}: {gib(planned.memory_bytes)} were estimated, {gib(available)} are there. "
                f"{what_to_lower(recipe, planned, available)}"
            ) from error
        raise


def _prepared(loaded: Loaded, recipe: Recipe, checkpoint: Path | None, processes: Processes) -> Any:
    """The model with what is trained chosen, on its device; on a GPU compiled, where rows have few lengths."""
    model = loaded.model
    bias = head_bias(model)
    if bias is not None and recipe.tune.lm_head_bias == "zero":
        bias.requires_grad_(False)
    if recipe.tune.method == "lora":
        assert recipe.lora is not None
        torch.manual_seed(recipe.tune.seed)
        new_rows = key_ids(loaded.tokenizer) if recipe.base.template == "dolly" else ()
        model = add_adapters(model, recipe.lora, new_rows)
        if checkpoint:
            load_adapters(model, checkpoint / "adapter")
    if recipe.tune.gradient_checkpointing:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    model.train()
    if processes.device.type == "cuda" and recipe.tune.fill_lengths:
        compile_blocks(model)
    processes.shard(model)
    return model


def _settle_head_bias(tuning: Tuning, recipe: Recipe, *, fresh: bool, console: Console) -> None:
    """Zero it where the recipe says so, and say what that does to the base."""
    named = dict(tuning.model.named_parameters())
    bias = next((one for name, one in named.items() if "lm_head" in name and name.endswith(".bias")), None)
    if bias is None or recipe.tune.lm_head_bias != "zero":
        return
    held_out, tuning.held_out = tuning.held_out, tuning.held_out[:BIAS_ROWS]
    (size,) = tuning.processes.sum(float(local(bias.detach()).abs().sum()))
    before = tuning.evaluate() if fresh and size else None
    if isinstance(tuning.model, FSDPModule):
        tuning.model.reshard()  # the evaluation has left the whole head at hand, and the next one would still take it
    local(bias.detach()).zero_()
    if before is not None and tuning.held_out:
        after = tuning.evaluate()
        said = f"The head's bias is zeroed, for TGI drops it: the base's loss goes from {before:.4f} to {after:.4f}."
        if after - before > LOUD_RISE:
            said += f' That is a rise over {LOUD_RISE}: if your engine serves the bias, set tune.lm_head_bias = "keep".'
        console.print(said, style="bold red" if after - before > LOUD_RISE else None, highlight=False)
    tuning.held_out = held_out


def _go_on(tuning: Tuning, checkpoint: Path, out: Path) -> None:
    state = read_state(checkpoint)
    tuning.step = tuning.saved_step = state["step"]
    tuning.best = BestWatch(**state["best"])
    load_optimizer(checkpoint, tuning.optimizer, tuning.step, tuning.processes)
    tuning.processes.wait()
    if tuning.processes.is_main:
        remove_after(out, tuning.step)


def _save(tuning: Tuning, out: Path, facts: dict[str, Any]) -> None:
    folder = checkpoint_folder(out, tuning.step)
    state = tuning.state() | facts
    save_checkpoint(folder, tuning.model, tuning.tokenizer, tuning.optimizer, state, tuning.processes)
    if tuning.processes.is_main:
        remove_old(out, tuning.choice.keep_checkpoints, tuning.best.step if tuning.best.loss is not None else None)
    tuning.processes.wait()


def _run(tuning: Tuning, out: Path, console: Console, follower: Follower) -> Ended:
    log = RunLog(out, tuning.step) if tuning.processes.is_main else None
    dtype = next(tuning.model.parameters()).dtype
    peak = measured_flops_per_second(tuning.processes.device, dtype) * tuning.processes.count
    total = tuning.plan.steps
    try:
        with Progress(
            "Tuning", total, done=tuning.step, flops_per_second=peak, console=console, follower=follower
        ) as progress:
            return tuning.run(log, progress, time.monotonic, follower.stops)
    finally:
        if log:
            log.close()


def _finished(tuning: Tuning, out: Path, facts: dict[str, Any], ended: Ended, console: Console) -> Path:
    last = checkpoint_folder(out, tuning.step)
    if ended == "asked" and tuning.step < tuning.plan.steps:
        console.print(f"Stopped after step {tuning.step} of {tuning.plan.steps}; {last} is saved. Go on by --resume.")
    else:
        best = checkpoint_folder(out, tuning.best.step)
        best = best if best.is_dir() else last
        if tuning.processes.is_main:
            named = {"last": str(last.relative_to(out)), "best": str(best.relative_to(out))}
            found = {"ended": ended, "best_held_out_loss": tuning.best.loss}
            write_manifest(out, "run", tuning.state() | facts | named | found, without="checkpoints")
        why = "early: held-out loss falls no more" if ended == "early" else "done"
        console.print(f"Tuned ({why}). Last checkpoint: {last}; best: {best}.", highlight=False)
    tuning.processes.end()
    return out
