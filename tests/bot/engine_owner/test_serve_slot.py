"""The script that is an engine container's first process, in each shell that is here, with real child processes."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.processes import children_of, is_running

SCRIPT = Path(__file__).parents[3] / "deploy" / "engines" / "serve-slot.sh"
CHILD = "import json,sys,time; print('child', json.dumps(sys.argv[1:]), flush=True); time.sleep(600)"
SHELLS = [shell for shell in ("dash", "bash", "busybox") if shutil.which(shell)]


class Engine:
    """The script, running."""

    def __init__(self, shell: str, folder: Path, *words: str) -> None:
        self.slot = folder / "engine-a"
        self.folder = folder
        self.log = folder / "log"
        start = [shell, "sh"] if shell == "busybox" else [shell]
        command = [
            *start,
            str(SCRIPT),
            str(self.slot),
            *(words or (sys.executable, "-c", CHILD, "--model={model}", "{model}/x y")),
        ]
        with self.log.open("w") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env=os.environ | {"PAUSE_SECONDS": "1"})

    def model(self, name: str, *, whole: bool = True) -> Path:
        path = self.folder / "models" / name
        path.mkdir(parents=True)
        if whole:
            (path / "manifest.json").write_text("{}")
        return path

    def serve(self, text: object) -> None:
        partial = self.folder / ".partial"
        partial.write_text(str(text))
        partial.replace(self.slot)

    def until(self, condition: Callable[[], object], seconds: float = 15) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.02)

    def lines(self, beginning: str) -> list[str]:
        return [line for line in self.log.read_text().splitlines() if line.startswith(beginning)]

    def until_served(self, model: Path, times: int = 1) -> int:
        """The process id of the child that serves it."""
        said = f"child {json.dumps([f'--model={model}', f'{model}/x y'])}"
        self.until(lambda: self.lines("child").count(said) == times and self.lines("child")[-1] == said)
        return next(
            pid for pid in children_of(self.process.pid) if b"--model" in Path(f"/proc/{pid}/cmdline").read_bytes()
        )


@pytest.fixture
def shell() -> str:
    return "sh"


@pytest.fixture
def engine(shell: str, tmp_path: Path) -> Iterator[Engine]:
    engine = Engine(shell, tmp_path)
    yield engine
    engine.process.terminate()
    engine.process.wait(10)


@pytest.mark.parametrize("shell", SHELLS)
def test_it_serves_what_the_slot_names_and_nothing_else(engine: Engine) -> None:
    time.sleep(0.3)
    assert engine.lines("child") == [], "no slot"
    first, second = engine.model("first model's {model} & more"), engine.model("second")
    engine.serve(first)  # without the line's end
    one = engine.until_served(first)
    engine.serve(f"{second}\n")
    two = engine.until_served(second)
    assert not is_running(one)
    engine.serve("")
    engine.until(lambda: not is_running(two))
    engine.serve(f"{first}\n")
    three = engine.until_served(first, 2)
    engine.slot.unlink()
    engine.until(lambda: not is_running(three))


def test_a_model_that_is_not_whole_waits(engine: Engine) -> None:
    half = engine.model("half", whole=False)
    engine.serve(f"{half}\n")
    engine.until(lambda: engine.lines(f"serve-slot: waits for {half}"))
    time.sleep(0.5)
    assert engine.lines("child") == []
    assert len(engine.lines("serve-slot: waits")) == 1, "it is said once"
    (half / "manifest.json").write_text("{}")
    engine.until_served(half)


def test_one_that_ends_by_itself_is_started_again(engine: Engine) -> None:
    model = engine.model("first")
    engine.serve(f"{model}\n")
    os.kill(engine.until_served(model), signal.SIGKILL)
    engine.until_served(model, 2)
    assert engine.lines("serve-slot: ")[1].endswith("ended by itself (status 137) and starts again in 1 s")


def test_told_to_end_it_lets_the_engine_end_first(engine: Engine) -> None:
    model = engine.model("first")
    engine.serve(f"{model}\n")
    child = engine.until_served(model)
    engine.process.terminate()
    assert engine.process.wait(10) == 0
    assert not is_running(child)


def test_an_engine_has_the_time_that_it_needs(tmp_path: Path) -> None:
    slow = (
        "import signal,sys,time; signal.signal(15, lambda *_: (time.sleep(2), print('done', flush=True), sys.exit()));"
    )
    engine = Engine("sh", tmp_path, sys.executable, "-c", slow + "print('up', flush=True); time.sleep(60)", "{model}")
    engine.serve(engine.model("first"))
    engine.until(lambda: engine.lines("up"))
    engine.process.terminate()
    time.sleep(0.3)
    engine.process.terminate()  # impatience changes nothing
    assert engine.process.wait(10) == 0
    assert engine.lines("done")


def test_it_is_plain_sh() -> None:
    shellcheck = shutil.which("shellcheck")
    if shellcheck is None:
        pytest.skip("shellcheck is not installed: apt-get install shellcheck")
    done = subprocess.run([shellcheck, "--shell=sh", str(SCRIPT)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")
