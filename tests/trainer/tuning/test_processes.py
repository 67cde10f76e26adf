"""Two processes learn what one does: with gradients summed between them, and with weights shared out (FSDP2)."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from accelerate.commands.config.config_args import load_config_from_file
from safetensors.torch import load_file

from tests.trainer.tiny import FAMILIES, Family, tiny_model
from tests.trainer.tuning import gradients, tiny_runs
from trainer.tuning.plan import Plan, share
from trainer.tuning.processes import Processes

ROOT = Path(__file__).resolve().parents[3]
CONFIGS = ROOT / "deploy" / "accelerate"
WITHOUT_GRADIENT = "query_key_value.bias"
"""A bias adds as much to a query's scores with all keys, where heads are not turned: its gradient is but rounding, of
which AdamW makes whole steps."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    for family in FAMILIES:
        tiny_runs.base(folder / family, family)
    tiny_runs.dataset(folder / "data", train=40)
    return folder


@pytest.fixture(scope="module")
def one(made: Path) -> Path:
    """What one process makes of it: gradients of the first step, and runs."""
    for family in FAMILIES:
        gradients.save_gradients(made, made / "one", family, Processes())
        gradients.run(made, made / "one", family)
    return made / "one"


@pytest.fixture(scope="module")
def two(made: Path) -> Path:
    """What two make of it, each with all weights."""
    launch("cpu.yaml", str(made), str(made / "two"))
    return made / "two"


@pytest.fixture(scope="module")
def shared(made: Path) -> Path:
    """What two make of it, each with half of the weights."""
    launch("fsdp2.yaml", str(made), str(made / "shared"), "shared")
    return made / "shared"


def launch(config: str, *words: str) -> None:
    """The processes of this configuration, two of them, on any machine's processors."""
    command = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", str(CONFIGS / config)]
    command += ["--main_process_port", "0", *(["--num_processes", "2"] if config != "cpu.yaml" else [])]
    done = subprocess.run(
        [*command, "-m", gradients.__name__, *words],
        cwd=ROOT,
        env=os.environ | {"ACCELERATE_USE_CPU": "true"},
        text=True,
        capture_output=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


def weights(run: Path) -> dict[str, torch.Tensor]:
    found = load_file(run / gradients.LAST / "model.safetensors")
    return {name: values for name, values in found.items() if not name.endswith(WITHOUT_GRADIENT)}


def furthest(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> float:
    assert left.keys() == right.keys()
    return max(float((left[name] - right[name]).abs().max()) for name in left)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("family", FAMILIES)
def test_two_processes_have_the_gradients_of_one_in_float64(one: Path, two: Path, family: Family) -> None:
    left, right = (load_file(folder / f"{family}.safetensors") for folder in (one, two))
    assert all(values.dtype == torch.float64 for values in left.values())
    assert max(float(values.abs().max()) for values in left.values()) > 1e-3
    assert furthest(left, right) < 1e-10


@pytest.mark.timeout(300)
@pytest.mark.parametrize("family", FAMILIES)
def test_two_processes_have_the_weights_of_one_after_20_steps(one: Path, two: Path, family: Family) -> None:
    assert furthest(weights(one / family), weights(two / family)) < 1e-5


@pytest.mark.timeout(300)
@pytest.mark.parametrize("family", FAMILIES)
def test_fsdp2_over_two_processes_has_the_weights_of_one(one: Path, shared: Path, family: Family) -> None:
    names = {path.name for path in (shared / family / gradients.LAST).iterdir()}
    assert {"optimizer-00000-of-00002.safetensors", "optimizer-00001-of-00002.safetensors"} <= names
    assert furthest(weights(one / family), weights(shared / family)) < 1e-5


@pytest.mark.timeout(300)
def test_adapters_under_fsdp2_are_those_of_one(made: Path, one: Path, shared: Path) -> None:
    gradients.run(made, one, "llama", lora=True)
    left, right = (
        load_file(folder / "llama-lora" / gradients.LAST / "adapter/adapter_model.safetensors")
        for folder in (one, shared)
    )
    assert furthest(left, right) < 1e-5


@pytest.mark.timeout(300)
def test_a_run_under_fsdp2_goes_on_bit_by_bit(shared: Path) -> None:
    whole, gone_on = shared / "gptj-whole", shared / "gptj" / gradients.LAST
    for path in whole.glob("*.safetensors"):
        left, right = load_file(path), load_file(gone_on / path.name)
        assert all(torch.equal(left[name], right[name]) for name in left)


def test_gradients_of_bf16_weights_that_are_shared_out_are_summed_in_fp32(monkeypatch: pytest.MonkeyPatch) -> None:
    summed_in: list[torch.dtype | None] = []
    monkeypatch.setattr(
        "trainer.tuning.processes.fully_shard", lambda module, mp_policy: summed_in.append(mp_policy.reduce_dtype)
    )
    processes = Processes()
    processes.shards = True
    processes.shard(tiny_model("llama", dtype=torch.bfloat16))
    assert summed_in == [torch.float32] * 3


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_configuration_is_one_that_accelerate_knows(path: Path) -> None:
    config = load_config_from_file(str(path))
    assert config.mixed_precision == "no", "the recipe decides"
    several = {"cpu": "MULTI_GPU", "fsdp2": "FSDP", "nodes": "FSDP", "one-gpu": "NO"}
    assert config.distributed_type == several[path.stem]
    assert config.use_cpu is (path.stem == "cpu")
    if config.distributed_type == "FSDP":
        assert config.fsdp_config["fsdp_version"] == 2


def test_a_step_has_the_same_records_however_they_are_shared() -> None:
    examples = [tiny_runs.example(3 + 7 * index % 40) for index in range(33)]
    choice = tiny_runs.recipe(global_batch_size=8).tune
    one, three = Plan(examples, choice), Plan(examples, choice, 3)
    assert one.steps == three.steps == 10
    for step in range(one.steps):
        assert one.batch(step) == three.batch(step)
        rows = [three.rows(step, process) for process in range(3)]
        assert len({len(of_process) for of_process in rows}) == 1
        useful = sorted(length for of_process in rows for row in of_process for length in row.lengths if length > 2)
        assert useful == sorted(len(examples[index].input_ids) for index in one.batch(step))
    assert one.batch(0) != one.batch(5), "each epoch has an order of its own"
    assert sorted(index for part in share([5, 1, 4, 2], 2) for index in part) == [0, 1, 2, 3]
