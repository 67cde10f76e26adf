"""The GPU's script runs on a CPU with a tiny GPT-J, so that what waits for a card is known to work."""

from pathlib import Path

import pytest

from tests.benchmarks.trainer.gpu import GPT2, Card, main, report, rows, run
from tests.benchmarks.trainer.records import ALPACA

needs_data = pytest.mark.skipif(
    not (ALPACA.exists() and GPT2.exists()), reason="no Alpaca records or GPT-2 tokenizer in ../shared/data"
)


@needs_data
@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")  # peft asks by it
def test_parts_run_and_their_figures_come_out(tmp_path: Path) -> None:
    card = Card.chosen(small=True)
    for part in ("base", "train", "lora"):
        run(part, card, tmp_path)

    lines = report(card, tmp_path)

    assert "trl: not run" in lines
    names = [line.split()[1] for line in lines if line.startswith("figure: ")]
    assert names == [
        f"trainer.{name}" for name in ("epoch_minutes", "to_files_minutes", "mfu_share", "peak_gib", "lora_peak_gib")
    ]


@needs_data
def test_steps_have_at_most_four_lengths_of_a_real_size() -> None:
    made = list(rows(30, 64))

    assert len(made) == 30
    assert len({len(row.input_ids) for row in made}) <= 4
    useful = sum(row.useful_tokens for row in made) / len(made)
    assert 6000 < useful < 7600
    assert useful / (sum(len(row.input_ids) for row in made) / len(made)) > 0.95


def test_without_a_card_it_says_that_it_was_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("sys.argv", ["gpu", "train", "--out", str(tmp_path / "gpu")])
    main()
    assert capsys.readouterr().out == "train: not run, there is no GPU here.\n"
    assert not (tmp_path / "gpu").exists()
