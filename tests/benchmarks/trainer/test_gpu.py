"""The GPU's script runs on a CPU with a tiny GPT-J, so that what waits for a card is known to work."""

import json
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.benchmarks.trainer import gpu
from tests.benchmarks.trainer.gpu import GPT2, Card, main, recipe_of, report, run
from tests.benchmarks.trainer.records import ALPACA

pytestmark = pytest.mark.filterwarnings("ignore")  # TRL's and peft's, and what they import
needs_data = pytest.mark.skipif(
    not (ALPACA.exists() and GPT2.exists()), reason="no Alpaca records or GPT-2 tokenizer in ../shared/data"
)
CARD = Card.chosen(small=True)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("gpu")
    run("base", CARD, out)
    run("train", CARD, out)
    return out


@needs_data
def test_parts_run_and_their_figures_come_out(made: Path) -> None:
    for part in ("export", "lora"):
        run(part, CARD, made)

    lines = report(CARD, made)

    names = [line.split()[1].removeprefix("trainer.") for line in lines if line.startswith("figure: ")]
    assert names[:5] == ["epoch_minutes", "mfu_share", "peak_gib", "to_files_minutes", "lora_peak_gib"]


@needs_data
@pytest.mark.skipif(find_spec("trl") is None, reason="trl is not installed (make bench-trainer installs it)")
def test_trl_steps_with_our_optimizer(made: Path) -> None:
    run("trl", CARD, made)

    assert any(line.startswith("figure: trainer.gpu_useful_vs_trl") for line in report(CARD, made))


@needs_data
def test_a_part_ends_by_itself_and_says_so(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("base", "data"):
        (tmp_path / name).symlink_to(made / name)
    recipe = recipe_of(CARD, "train")
    monkeypatch.setattr(gpu, "recipe_of", lambda *_: replace(recipe, tune=replace(recipe.tune, epochs=9999.0)))

    class AsSoonAsItLearns(threading.Thread):
        def __init__(self, seconds: float, work: Callable[[], None]) -> None:
            super().__init__()
            self._asks, self._work = seconds < gpu.LIMIT_SECONDS, work

        def run(self) -> None:
            while self._asks and not (tmp_path / "train/log.jsonl").exists():
                time.sleep(0.05)
            if self._asks:
                self._work()

        def cancel(self) -> None:
            pass

    monkeypatch.setattr("threading.Timer", AsSoonAsItLearns)

    run("train", CARD, tmp_path)

    lines = [json.loads(line) for line in (tmp_path / "train.jsonl").read_text().splitlines()]
    assert [line["what"] for line in lines] == ["tune", "stopped"]
    assert "train: the time was up: fewer steps, saved as they are" in report(CARD, tmp_path)
    assert list((tmp_path / "train/checkpoints").iterdir())


def test_on_a_card_it_is_what_the_recipes_say() -> None:
    card = Card.chosen(small=False)
    train, lora = recipe_of(card, "train").tune, recipe_of(card, "lora").tune
    assert (train.optimizer, train.row_tokens, len(train.fill_lengths)) == ("adamw_8bit_split", 8512, 4)
    assert not train.gradient_checkpointing
    assert (lora.method, lora.row_tokens, lora.gradient_checkpointing) == ("lora", 2048, True)
    assert (train.epochs, lora.epochs) == (1.0, 0.25), "160 steps each"


def test_without_a_card_or_what_it_needs_it_says_that_it_was_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("sys.argv", ["gpu", "train", "--out", str(tmp_path / "gpu")])
    main()
    assert capsys.readouterr().out == "train: not run, there is no GPU here.\n"
    assert not (tmp_path / "gpu").exists()
    monkeypatch.setattr(gpu, "find_spec", lambda name: None)
    assert gpu.missing("trl", CARD) in (
        "trl is not installed (make bench-trainer installs it)",
        "there are no Alpaca records and GPT-2 tokenizer in ../shared/data",
    )
