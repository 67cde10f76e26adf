"""A run that is killed goes on as if it had not been: bit by bit on a CPU, from the last whole checkpoint."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from tests.trainer.tiny import FAMILIES, Family
from tests.trainer.tuning import tiny_runs
from trainer.artifacts import read_manifest
from trainer.errors import BadInput, NotWhole
from trainer.progress import Moment, NoFollower
from trainer.recipe import LoraChoice
from trainer.stages.tune import tune
from trainer.tuning.loop import Tuning

ROOT = Path(__file__).resolve().parents[3]
LAST = "checkpoints/step-000012"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    for family in FAMILIES:
        tiny_runs.base(folder / family, family)
    (folder / "base").symlink_to("llama")
    tiny_runs.dataset(folder / "data")
    return folder


def start(made: Path, out: Path, **said: Any) -> subprocess.Popen[str]:
    told = {"family": "llama", "base": str(made / "base"), "dataset": str(made / "data"), "out": str(out), "tune": {}}
    return subprocess.Popen(
        [sys.executable, "-m", "tests.trainer.tuning.tiny_runs", json.dumps(told | said)],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def weights(checkpoint: Path) -> dict[str, bytes]:
    files = [*checkpoint.glob("*.safetensors"), *checkpoint.glob("adapter/*.safetensors")]
    return {
        f"{path.name} {name}": t.view(-1).numpy().tobytes() for path in files for name, t in load_file(path).items()
    }


@pytest.mark.parametrize(("kind", "family"), [("adamw", "gptj"), ("adamw_8bit_split", "gpt_neox"), ("lora", "llama")])
def test_a_killed_run_goes_on_bit_by_bit(made: Path, tmp_path: Path, kind: str, family: Family) -> None:
    lora = LoraChoice(rank=4, dropout=0.1) if kind == "lora" else None
    chosen: dict[str, Any] = {} if lora else {"optimizer": kind}
    recipe, base = tiny_runs.recipe(family, lora=lora, **chosen), made / family
    whole = tune(recipe, base, made / "data", tmp_path / "whole")
    killed_after = random.randrange(4, 11)
    said_to_it = {"family": family, "base": str(base), "tune": chosen, "lora": bool(lora), "kill_after": killed_after}
    child = start(made, tmp_path / "killed", **said_to_it)
    said, _ = child.communicate(timeout=100)
    assert child.returncode == -signal.SIGKILL, said
    assert not (tmp_path / "killed" / "manifest.json").exists()
    gone_on = tune(recipe, base, made / "data", tmp_path / "killed", resume=True)
    left, right = weights(whole / LAST), weights(gone_on / LAST)
    assert left.keys() == right.keys()
    assert len(left) > 10
    assert left == right, f"killed after step {killed_after}"
    losses = [[json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()] for run in (whole, gone_on)]
    steps = [[(line["step"], line["loss"]) for line in lines if "loss" in line] for lines in losses]
    assert steps[0] == steps[1]
    assert read_manifest(gone_on, "run")["last"] == LAST


def test_who_follows_a_run_stops_it_where_it_is_gone_on_with(made: Path, tmp_path: Path) -> None:
    class Following(NoFollower):
        step = 0

        def told(self, moment: Moment) -> None:
            self.step = moment.done

        def stops(self) -> bool:
            return self.step == 4  # told of it after the fifth step's end

    recipe, base = tiny_runs.recipe("llama"), made / "llama"
    whole = tune(recipe, base, made / "data", tmp_path / "whole")
    stopped = tune(recipe, base, made / "data", tmp_path / "stopped", follower=Following())
    assert not (stopped / "manifest.json").exists()
    assert (stopped / "checkpoints/step-000005/manifest.json").exists()
    assert weights(tune(recipe, base, made / "data", stopped, resume=True) / LAST) == weights(whole / LAST)


def test_sigterm_saves_and_ends_cleanly(made: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    child = start(made, out, tune={"epochs": 2000.0, "save_every_steps": 0, "evaluate_every_steps": 0})
    log = out / "log.jsonl"
    until = time.monotonic() + 100
    while not (log.exists() and log.read_text().count("\n") >= 3):
        assert time.monotonic() < until
        assert child.poll() is None, child.communicate()[0]
        time.sleep(0.05)
    child.send_signal(signal.SIGTERM)
    said, _ = child.communicate(timeout=100)
    assert child.returncode == 0, said
    assert "Go on by --resume" in " ".join(said.split())
    (saved,) = (out / "checkpoints").iterdir()
    assert read_manifest(saved, "checkpoint", check=True)["step"] >= 3
    assert not (out / "manifest.json").exists(), "the run has not ended"


def test_a_half_written_checkpoint_is_refused_and_the_one_before_taken(made: Path, tmp_path: Path) -> None:
    out = tune(tiny_runs.recipe(keep_checkpoints=3), made / "base", made / "data", tmp_path / "run")
    before = weights(out / LAST)
    (out / LAST / "manifest.json").unlink()
    damaged = out / "checkpoints/step-000008/model.safetensors"
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"x")
    with pytest.raises(NotWhole):
        read_manifest(out / LAST)
    tune(tiny_runs.recipe(keep_checkpoints=3), made / "base", made / "data", out, resume=True)
    assert weights(out / LAST) == before, "from step 4, for step 8 is damaged"


def test_what_is_said_to_be_saved_stays_where_a_later_one_is_damaged(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = tiny_runs.recipe(keep_checkpoints=3)
    out = tune(chosen, made / "base", made / "data", tmp_path / "run")
    (out / LAST / "model.safetensors").write_bytes(b"")
    ask_after(monkeypatch, 9)
    once_more = tiny_runs.recipe(keep_checkpoints=1)
    tune(once_more, made / "base", made / "data", out, resume=True)
    names = [path.name for path in (out / "checkpoints").iterdir()]
    assert "step-000009" in names
    assert "step-000012" not in names
    read_manifest(out / "checkpoints/step-000009", "checkpoint", check=True)


def test_whoever_asks_does_not_wait_for_an_evaluation(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask_after(monkeypatch, 4)
    out = tune(tiny_runs.recipe(), made / "base", made / "data", tmp_path / "run")
    assert [path.name for path in (out / "checkpoints").iterdir()] == ["step-000004"]
    assert "held_out_loss" not in (out / "log.jsonl").read_text()


def ask_after(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """SIGTERM comes in the middle of this step."""
    learn = Tuning._learn

    def learn_and_ask(self: Tuning, *args: Any) -> Any:
        if self.step == step - 1:
            os.kill(os.getpid(), signal.SIGTERM)
        return learn(self, *args)

    monkeypatch.setattr(Tuning, "_learn", learn_and_ask)


def test_another_recipe_does_not_go_on(made: Path, tmp_path: Path) -> None:
    tune(tiny_runs.recipe(epochs=0.5), made / "base", made / "data", tmp_path / "run")
    with pytest.raises(BadInput, match=r"tune\.learning_rate changed"):
        tune(
            tiny_runs.recipe(epochs=0.5, learning_rate=1e-4),
            made / "base",
            made / "data",
            tmp_path / "run",
            resume=True,
        )
    with pytest.raises(BadInput, match=r"exists already\. Go on with it by --resume"):
        tune(tiny_runs.recipe(), made / "base", made / "data", tmp_path / "run")
