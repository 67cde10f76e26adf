"""The stage: what a run leaves, what it says of what cannot be, and what it estimates."""

import io
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from rich.console import Console
from transformers import AutoModelForCausalLM, AutoTokenizer

from tests.trainer.tiny import FAMILIES, Family, tiny_base
from tests.trainer.tuning import tiny_runs
from trainer.artifacts import read_manifest, write_manifest
from trainer.datasets import write_dataset
from trainer.errors import BadInput, DiskFull, Diverged, OutOfMemory
from trainer.recipe import DatasetChoice
from trainer.records import Message
from trainer.stages import tune as stage
from trainer.template import template_of
from trainer.tuning import checkpoint as checkpoints
from trainer.tuning.loop import Tuning


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    tiny_runs.base(folder / "base", "llama")
    tiny_runs.dataset(folder / "data")
    return folder


def console() -> Console:
    return Console(file=io.StringIO(), width=500)


def test_a_run_leaves_checkpoints_log_samples_and_tensorboard(made: Path, tmp_path: Path) -> None:
    recipe = tiny_runs.recipe(keep_checkpoints=1, sample_prompts=("Name the fox.",))
    out = stage.tune(recipe, made / "base", made / "data", tmp_path / "run", console=console())
    manifest = read_manifest(out, "run", check=True)
    last = out / manifest["last"]
    assert last.name == "step-000012"
    assert read_manifest(last, "checkpoint", check=True)["base"]["path"] == str((made / "base").resolve())
    assert len(list((out / "checkpoints").iterdir())) <= 2, "the newest, and the best besides"
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    losses = [line["loss"] for line in lines if "loss" in line]
    assert len(losses) == 12
    assert losses[-1] < losses[0]
    assert [line["step"] for line in lines if "held_out_loss" in line] == [4, 8, 12]
    assert len((out / "samples.jsonl").read_text().splitlines()) == 3
    assert list((out / "tensorboard").iterdir())
    assert not [path for path in out.rglob("*") if path.suffix in (".bin", ".pt", ".pkl", ".pth")]
    tokenizer = AutoTokenizer.from_pretrained(last)
    assert template_of(tokenizer).name == "dolly"
    assert AutoModelForCausalLM.from_pretrained(last).config.model_type == "llama"


def test_the_best_is_saved_and_named_though_nothing_else_is_saved_there(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses = iter([3.0, 2.0, 2.5, 2.6])
    monkeypatch.setattr(Tuning, "evaluate", lambda self: next(losses))
    recipe = tiny_runs.recipe(evaluate_every_steps=3, save_every_steps=0, keep_checkpoints=1)
    out = stage.tune(recipe, made / "base", made / "data", tmp_path / "run", console=console())
    manifest = read_manifest(out, "run")
    assert (manifest["best"], manifest["best_held_out_loss"]) == ("checkpoints/step-000006", 2.0)
    assert manifest["last"] == "checkpoints/step-000012"
    assert sorted(path.name for path in (out / "checkpoints").iterdir()) == ["step-000006", "step-000012"]
    assert read_manifest(out / manifest["best"], "checkpoint", check=True)["step"] == 6


NO_SYSTEM = (
    "{% for message in messages %}{% if message.role == 'system' %}{{ raise_exception('no system here') }}{% endif %}"
    "<{{ message.role }}>{{ message.content }}{% if message.role == 'assistant' %}{{ eos_token }}{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}"
)


def test_records_that_are_not_learned_from_are_said_and_counted(tmp_path: Path) -> None:
    tiny_base(tmp_path / "base", "llama")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "base")
    tokenizer.chat_template = NO_SYSTEM
    tokenizer.save_pretrained(tmp_path / "base")
    write_manifest(tmp_path / "base", "base", {"source": "tiny"})
    records = tiny_runs.records(24)
    records[:3] = [replace(one, messages=(Message("system", "Be kind."), *one.messages)) for one in records[:3]]
    write_dataset(tmp_path / "data", records, tiny_runs.records(6, seed=1), [], {"sources": []})
    said = console()
    recipe = tiny_runs.recipe(epochs=0.3)
    recipe = replace(recipe, base=replace(recipe.base, template="own"), dataset=DatasetChoice(max_tokens=40))
    out = stage.tune(recipe, tmp_path / "base", tmp_path / "data", tmp_path / "run", console=said)
    counted = read_manifest(out, "run")["records"]["train"]
    assert counted["refused"] == 3
    assert counted["dropped"] > 0
    assert counted["used"] + counted["dropped"] + counted["refused"] == 24
    assert "3 are conversations that the template does not take" in said.file.getvalue()  # type: ignore[attr-defined]


def test_nothing_more_to_gain_ends_it(made: Path, tmp_path: Path) -> None:
    recipe = tiny_runs.recipe(epochs=50.0, learning_rate=1e-12, early_stop_patience=2, evaluate_every_steps=1)
    out = stage.tune(recipe, made / "base", made / "data", tmp_path / "run", console=console())
    manifest = read_manifest(out, "run")
    assert manifest["ended"] == "early"
    assert manifest["step"] < 40


def test_a_rate_that_is_too_high_ends_with_a_sentence(made: Path, tmp_path: Path) -> None:
    recipe = tiny_runs.recipe(epochs=20.0, learning_rate=1e6, max_grad_norm=0.0, evaluate_every_steps=0)
    with pytest.raises(Diverged, match=r"Lower tune\.learning_rate from 1e\+06"):
        stage.tune(recipe, made / "base", made / "data", tmp_path / "run", console=console())


def test_a_full_disk_keeps_the_last_good_checkpoint(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = checkpoints._write_optimizer
    written: list[int] = []

    def write_or_fill(*args: Any) -> None:
        if written:
            raise OSError(28, "No space left on device")
        write(*args)
        written.append(1)

    monkeypatch.setattr(checkpoints, "_write_optimizer", write_or_fill)
    with pytest.raises(DiskFull):
        stage.tune(tiny_runs.recipe(), made / "base", made / "data", tmp_path / "run", console=console())
    assert [path.name for path in (tmp_path / "run/checkpoints").iterdir()] == ["step-000004"]
    read_manifest(tmp_path / "run/checkpoints/step-000004", "checkpoint", check=True)


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory"), MemoryError()])
def test_out_of_memory_says_what_to_lower(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*args: Any, **kwargs: Any) -> None:
        raise error

    monkeypatch.setattr("trainer.tuning.loop.row_loss", fail)
    with pytest.raises(OutOfMemory, match=r"which saves [\d.]+ (M|G)iB"):
        stage.tune(tiny_runs.recipe(), made / "base", made / "data", tmp_path / "run", console=console())


def test_what_cannot_fit_is_refused_before_it_is_loaded(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage, "_available_memory", lambda device: 1000)
    with pytest.raises(OutOfMemory, match="alone take"):
        stage.tune(tiny_runs.recipe(), made / "base", made / "data", tmp_path / "run", console=console())


def test_a_dry_run_loads_no_weights(made: Path, tmp_path: Path) -> None:
    bare = tiny_runs.base(tmp_path / "base", "llama")
    said = console()
    (bare / "model.safetensors").write_bytes(bytes((bare / "model.safetensors").stat().st_size))
    found = stage.dry_run(tiny_runs.recipe(), bare, made / "data", console=said)
    model = AutoModelForCausalLM.from_pretrained(made / "base")
    assert found.parameters == sum(parameter.numel() for parameter in model.parameters())
    assert found.weights_bytes == 4 * found.parameters
    assert found.steps == 12
    assert "memory" in said.file.getvalue()  # type: ignore[attr-defined]


def test_a_dry_run_looks_at_the_disk_of_the_run(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Path] = []

    def usage(place: Path) -> SimpleNamespace:
        asked.append(place)
        return SimpleNamespace(free=10)

    monkeypatch.setattr("shutil.disk_usage", usage)
    said = console()
    stage.dry_run(tiny_runs.recipe(), made / "base", made / "data", tmp_path / "not/yet/there", console=said)
    assert asked == [tmp_path]
    assert "The disk is too small" in said.file.getvalue()  # type: ignore[attr-defined]


def test_a_base_of_another_family_than_the_recipes_is_refused(made: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r'is a llama model, and the recipe is for gptj.* set base\.family to "llama"'):
        stage.tune(tiny_runs.recipe("gptj"), made / "base", made / "data", tmp_path / "run", console=console())
    with pytest.raises(BadInput, match="the recipe is for gpt_neox"):
        stage.dry_run(tiny_runs.recipe("gpt_neox"), made / "base", made / "data", console=console())


@pytest.mark.parametrize("family", FAMILIES)
def test_each_family_learns_in_bf16(tmp_path: Path, family: Family) -> None:
    base, data = tiny_runs.base(tmp_path / "base", family), tiny_runs.dataset(tmp_path / "data")
    recipe = tiny_runs.recipe(family, precision="bf16", optimizer="adamw_8bit_split", evaluate_every_steps=0)
    out = stage.tune(recipe, base, data, tmp_path / "run", console=console())
    losses = [json.loads(line).get("loss") for line in (out / "log.jsonl").read_text().splitlines()]
    assert losses[11] < losses[0]
    last = out / read_manifest(out, "run")["last"]
    assert AutoModelForCausalLM.from_pretrained(last, dtype="auto").dtype == torch.bfloat16


def test_gptj_is_tuned_with_the_activation_and_the_bias_that_tgi_has(made: Path, tmp_path: Path) -> None:
    base = tiny_runs.base(tmp_path / "base", "gptj", activation_function="gelu_new")
    said = console()
    out = stage.tune(tiny_runs.recipe("gptj"), base, made / "data", tmp_path / "run", console=said)
    model = AutoModelForCausalLM.from_pretrained(out / "checkpoints/step-000012")
    assert model.config.activation_function == "gelu_pytorch_tanh"
    assert not model.lm_head.bias.any()
    assert "The head's bias is zeroed" in said.file.getvalue()  # type: ignore[attr-defined]


def test_step_in_backward_wants_its_optimizer(made: Path, tmp_path: Path) -> None:
    recipe = tiny_runs.recipe(step_in_backward=True, max_grad_norm=0.0)
    with pytest.raises(BadInput, match="adamw_8bit_split"):
        stage.tune(recipe, made / "base", made / "data", tmp_path / "run", console=console())
