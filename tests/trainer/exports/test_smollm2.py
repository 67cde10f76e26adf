"""A real model, exported and answered by llama.cpp: SmolLM2, short here, all 50 answers with `-m slow_trainer`."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from tests.benchmarks.trainer import export as benchmark
from tests.benchmarks.trainer.export import (
    TIE_NATS,
    Talk,
    bits_per_byte,
    engine_answers,
    parting,
    transformers_answers,
)
from trainer.evaluation.engine import Engine, llama_cpp
from trainer.evaluation.local_model import LocalModel
from trainer.exports.gguf_file import PRECISIONS
from trainer.records import Message
from trainer.stages.export import export

QUESTIONS = (
    "What is the capital of France?",
    "Give three tips for staying healthy.",
    "Name 3 primary colours.",
    "Write one sentence about the sea.",
    "What does a carpenter do?",
    "How many days are in a week?",
)
KNOWN: list[Talk] = [
    (Message("user", "What is the capital of France?"), Message("assistant", "The capital of France is Paris.")),
    (Message("user", "Why is the sky blue?"), Message("assistant", "Air scatters short wavelengths of light most.")),
    (Message("user", "What is 12 times 12?"), Message("assistant", "12 times 12 is 144.")),
]


@pytest.fixture(scope="module")
def served(smollm2_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("smollm2") / "served"
    return export(smollm2_base, out, gguf=PRECISIONS, console=Console(quiet=True))


@pytest.fixture(scope="module")
def engines(served: Path) -> Iterator[dict[str, Engine]]:
    with (
        llama_cpp(served / "model-f16.gguf", slots=1, context_tokens=256) as f16,
        llama_cpp(served / "model-q8_0.gguf", slots=1, context_tokens=256) as q8_0,
    ):
        yield {"f16": f16, "q8_0": q8_0}


@pytest.mark.timeout(300)  # the import, where this test is the first to want it, and a busy machine
def test_answers_of_f16_are_those_of_transformers(served: Path, engines: dict[str, Engine]) -> None:
    talks = [[Message("user", question)] for question in QUESTIONS]
    local = LocalModel.load(served)
    expected = transformers_answers(local, talks)
    assert "Paris" in expected[0]
    answers = engine_answers(engines["f16"], talks)
    assert answers[0] == expected[0]
    assert max(parting(local, *one) for one in zip(talks, expected, answers, strict=True)) < TIE_NATS


def test_answers_part_by_what_transformers_thinks_of_both(served: Path) -> None:
    local, talk = LocalModel.load(served), [Message("user", QUESTIONS[0])]
    [right] = transformers_answers(local, [talk])
    assert parting(local, talk, right, right) == 0
    assert parting(local, talk, right, right.replace("Paris", "London")) > 1
    assert parting(local, talk, right, right.removesuffix(".")) > TIE_NATS, "too early an end"


@pytest.mark.timeout(300)
def test_q8_0_foresees_nearly_as_well_as_f16(served: Path, engines: dict[str, Engine]) -> None:
    template = LocalModel.load(served).template
    f16, q8_0 = (bits_per_byte(engines[precision], template, KNOWN) for precision in PRECISIONS)
    assert 0.2 < f16 < 2
    assert abs(q8_0 / f16 - 1) < 0.03  # three short answers; the figure of many is a command's


@pytest.mark.slow_trainer
@pytest.mark.timeout(900)
def test_the_figures_reach_their_goals(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    if not benchmark.DOLLY_15K.exists():
        pytest.skip("needs databricks-dolly-15k beside the checkout, in shared/data")
    monkeypatch.setattr("sys.argv", ["export"])
    benchmark.main()
    figures = [line for line in capsys.readouterr().out.splitlines() if line.startswith("figure:")]
    assert len(figures) == 4
    assert not [line for line in figures if line.endswith("short") and "f16_answers_equal" not in line]
