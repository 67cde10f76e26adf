"""Checkpoints: a directory each, written beside its place, with the manifest last; nothing in them runs code.

model.safetensors, config.json, tokenizer …   a full fine-tune, as transformers loads it; or
adapter/, tokenizer …                         LoRA, as PEFT loads it, with the rows of new keys
optimizer-00000-of-00001.safetensors          states; a file a process where weights are shared out (FSDP2)
state.json                                    step, place in the data, random state, best so far, recipe, base, data set
manifest.json                                 last: without it the directory is half of one and is refused
"""

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict

from trainer.artifacts import MANIFEST, is_disk_full, read_manifest, write_artifact, write_manifest
from trainer.errors import BadInput, DiskFull, NotWhole
from trainer.tuning.adapters import save_adapters
from trainer.tuning.optimizer import Optimizer
from trainer.tuning.processes import Processes

STATE = "state.json"


def checkpoint_folder(run: Path, step: int) -> Path:
    return run / "checkpoints" / f"step-{step:06d}"


def save_checkpoint(
    folder: Path,
    model: Any,
    tokenizer: Any,
    optimizer: Optimizer,
    state: Mapping[str, Any],
    processes: Processes,
) -> None:
    """Write one; every process calls it. `state` is JSON, and the manifest repeats its recipe, base and data set.

    Raises DiskFull: what was there before stays.
    """
    if processes.is_main and folder.is_dir():
        shutil.rmtree(folder)  # not whole: a resumed run passed it over, and is here again
    if processes.count == 1:
        with write_artifact(folder) as partial:
            _write_model(partial, model, tokenizer, None)
            _write_optimizer(partial, optimizer, processes)
            _finish(partial, state)
        return
    weights = _gathered(model) if processes.shards else None
    if not processes.is_main:
        _write_part(Path(processes.told("")), optimizer, processes)
        _agree(folder, False, processes)
        return
    with write_artifact(folder) as partial:
        processes.told(str(partial))
        failed: Exception | None = None
        try:
            _write_model(partial, model, tokenizer, weights)
            _write_optimizer(partial, optimizer, processes)
        except Exception as error:
            failed = error
        try:
            _agree(folder, failed is not None, processes)
        finally:
            if failed:
                raise failed
        _finish(partial, state)


def last_checkpoint(run: Path, say: Callable[[str], None]) -> Path:
    """The newest whole checkpoint of a run; half-written and damaged ones are named and passed over.

    Raises NotWhole where none is whole.
    """
    for folder in reversed(checkpoints(run)):
        try:
            read_manifest(folder, "checkpoint", check=True)
        except NotWhole as error:
            say(f"Passed over: {error}")
        else:
            return folder
    raise NotWhole(
        f"{run} holds no whole checkpoint to go on from. Begin anew, without --resume, in another directory."
    )


def checkpoints(run: Path) -> list[Path]:
    """All of a run, oldest first, whole or not."""
    return sorted((run / "checkpoints").glob("step-*"))


def read_state(folder: Path) -> dict[str, Any]:
    state: dict[str, Any] = json.loads((folder / STATE).read_text(encoding="utf-8"))
    return state


def load_optimizer(folder: Path, optimizer: Optimizer, step: int, processes: Processes) -> None:
    """Raises NotWhole where the checkpoint's is of another model, or shared among other processes."""
    path = folder / _optimizer_name(processes)
    if not path.is_file():
        raise NotWhole(f"{folder} has no {path.name}: go on with as many processes as wrote it.")
    optimizer.load(load_file(path), step)


def remove_old(run: Path, keep: int, best: int | None) -> None:
    """Leave the newest `keep` checkpoints, and the one of step `best`. The manifest goes first: no half is whole."""
    for folder in checkpoints(run)[:-keep]:
        if best is None or folder != checkpoint_folder(run, best):
            (folder / MANIFEST).unlink(missing_ok=True)
            shutil.rmtree(folder, ignore_errors=True)


def remove_after(run: Path, step: int) -> None:
    """A run that goes on after `step` leaves what lies behind it: half-written or damaged, it would count as newest."""
    for folder in checkpoints(run):
        if folder.name > checkpoint_folder(run, step).name:
            shutil.rmtree(folder, ignore_errors=True)


def _gathered(model: Any) -> dict[str, torch.Tensor]:
    """All weights on the main process, through torch.distributed.checkpoint; of tied ones the first."""
    weights: dict[str, Any] = get_model_state_dict(
        model, options=StateDictOptions(full_state_dict=True, cpu_offload=True)
    )
    once = {name for name, _ in model.named_parameters()}
    tied = {name for name, _ in model.named_parameters(remove_duplicate=False)} - once
    return {name: values for name, values in weights.items() if name not in tied}


def _write_model(folder: Path, model: Any, tokenizer: Any, weights: dict[str, torch.Tensor] | None) -> None:
    tokenizer.save_pretrained(folder)
    if hasattr(model, "peft_config"):
        save_adapters(model, folder / "adapter", weights)
    else:
        model.save_pretrained(folder, state_dict=weights)


def _write_optimizer(folder: Path, optimizer: Optimizer, processes: Processes) -> None:
    tensors = {name: values.detach().cpu() for name, values in optimizer.tensors().items()}
    save_file(tensors, folder / _optimizer_name(processes))


def _optimizer_name(processes: Processes) -> str:
    part, parts = (processes.index, processes.count) if processes.shards else (0, 1)
    return f"optimizer-{part:05d}-of-{parts:05d}.safetensors"


def _write_part(partial: Path, optimizer: Optimizer, processes: Processes) -> None:
    """What another process than the main one has to write: its part of the optimizer, if it has one of its own."""
    failed = None
    try:
        if processes.shards:
            _write_optimizer(partial, optimizer, processes)
    except Exception as error:
        failed = error
    if failed:
        _agree(partial, True, processes)
        if is_disk_full(failed):
            raise DiskFull(f"The disk of {partial.parent} is full; the last checkpoint stays.") from failed
        raise failed


def _agree(folder: Path, failed: bool, processes: Processes) -> None:
    """All wait until all have written. Raises BadInput where one could not."""
    if processes.sum(float(failed))[0] and not failed:
        raise BadInput(f"{folder} was not written: another process could not write its part; see its words.")


def _finish(partial: Path, state: Mapping[str, Any]) -> None:
    (partial / STATE).write_text(json.dumps(state, indent=2) + "\n", encoding="utf-8")
    told = ("step", "recipe", "base", "dataset", "records")
    write_manifest(partial, "checkpoint", {key: state[key] for key in told if key in state})
