"""Two processes learn what one does: `accelerate launch --cpu`, and FSDP2 over gloo."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.trainer.tuning import tiny_runs
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
        command, cwd=ROOT, env=os.environ | environment, text=True, capture_output=True, timeout=110, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


def said(made: Path, out: Path, **more: Any) -> str:
    told = {"family": "llama", "base": str(made / "base"), "dataset": str(made / "data"), "out": str(out)}
    return json.dumps(told | {"tune": {"evaluate_every_steps": 0, "save_every_steps": 0}} | more)


def furthest(left: Path, right: Path) -> float:
    one, other = (load_file(run / "checkpoints/step-000020/model.safetensors") for run in (left, right))
    assert one.keys() == other.keys()
    return max(float((one[name] - other[name]).abs().max()) for name in one)


def test_two_processes_have_the_weights_of_one_after_20_steps(made: Path, tmp_path: Path) -> None:
    launch(1, "tests.trainer.tuning.tiny_runs", said(made, tmp_path / "one"))
    launch(2, "tests.trainer.tuning.tiny_runs", said(made, tmp_path / "two"))
    assert furthest(tmp_path / "one", tmp_path / "two") < 1e-5


def test_gradients_of_two_processes_are_those_of_one_in_float64(made: Path, tmp_path: Path) -> None:
    for processes in (1, 2):
        launch(processes, "tests.trainer.tuning.gradients", str(made), str(tmp_path / f"{processes}.safetensors"))
    one, two = (load_file(tmp_path / f"{processes}.safetensors") for processes in (1, 2))
    assert one.keys() == two.keys()
    assert all(values.dtype == torch.float64 for values in one.values())
    assert max(float((one[name] - two[name]).abs().max()) for name in one) < 1e-10
    assert max(float(values.abs().max()) for values in one.values()) > 1e-3


def test_fsdp2_over_two_processes_has_the_weights_of_one(made: Path, tmp_path: Path) -> None:
    launch(1, "tests.trainer.tuning.tiny_runs", said(made, tmp_path / "one"))
    fsdp = {"ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "2"}
    launch(2, "tests.trainer.tuning.tiny_runs", said(made, tmp_path / "two"), **fsdp)
    names = {path.name for path in (tmp_path / "two/checkpoints/step-000020").iterdir()}
    assert {"optimizer-00000-of-00002.safetensors", "optimizer-00001-of-00002.safetensors"} <= names
    assert furthest(tmp_path / "one", tmp_path / "two") < 1e-5


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
