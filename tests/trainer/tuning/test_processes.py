"""Two processes learn what one does: `accelerate launch --cpu`, and FSDP2 over gloo."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.trainer.tuning import gradients, tiny_runs
from trainer.tuning.plan import Plan, share

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    tiny_runs.base(folder / "base", "llama")
    tiny_runs.dataset(folder / "data", train=40)
    return folder


def launch(processes: int, module: str, *words: str, **environment: str) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "accelerate.commands.launch", "--cpu", "--num_processes", str(processes)]
    command += ["--num_machines", "1", "--mixed_precision", "no", "--main_process_ip", "127.0.0.1"]
    command += ["--main_process_port", str(port), "--num_cpu_threads_per_process", "1", "-m", module, *words]
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | environment, text=True, capture_output=True, timeout=280, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


def furthest(left: Path, right: Path) -> float:
    one, other = (load_file(run / "run/checkpoints/step-000020/model.safetensors") for run in (left, right))
    assert one.keys() == other.keys()
    return max(float((one[name] - other[name]).abs().max()) for name in one)


@pytest.fixture(scope="module")
def one(made: Path) -> Path:
    """What one process makes of it: a run, and the gradients of its first step."""
    gradients.main(made, made / "one")
    return made / "one"


@pytest.mark.timeout(300)
def test_two_processes_have_the_gradients_of_one_in_float64_and_its_weights_after_20_steps(
    made: Path, one: Path
) -> None:
    two = made / "two"
    launch(2, "tests.trainer.tuning.gradients", str(made), str(two))
    left, right = (load_file(folder / "gradients.safetensors") for folder in (one, two))
    assert left.keys() == right.keys()
    assert all(values.dtype == torch.float64 for values in left.values())
    assert max(float((left[name] - right[name]).abs().max()) for name in left) < 1e-10
    assert max(float(values.abs().max()) for values in left.values()) > 1e-3
    assert furthest(one, two) < 1e-5


@pytest.mark.timeout(300)
def test_fsdp2_over_two_processes_has_the_weights_of_one(made: Path, one: Path) -> None:
    fsdp = {"ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "2"}
    launch(2, "tests.trainer.tuning.gradients", str(made), str(made / "shared"), "run-only", **fsdp)
    names = {path.name for path in (made / "shared/run/checkpoints/step-000020").iterdir()}
    assert {"optimizer-00000-of-00002.safetensors", "optimizer-00001-of-00002.safetensors"} <= names
    assert furthest(one, made / "shared") < 1e-5


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
