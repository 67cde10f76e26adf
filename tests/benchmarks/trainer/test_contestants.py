"""The contestants learn the same from the same tokens: with a tiny Llama, each loss of each step is the other's."""

import random
from pathlib import Path

import pytest

from tests.benchmarks.trainer.contestants import BATCH, measure
from tests.trainer.tiny import tiny_base
from trainer.template import Encoded

pytestmark = pytest.mark.filterwarnings("ignore")  # TRL's and what it imports


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return tiny_base(tmp_path / "base", "llama")


def examples(number: int) -> list[Encoded]:
    draw = random.Random(0)
    lengths = [draw.randint(20, 120) for _ in range(number)]
    return [
        Encoded([draw.randrange(1, 400) for _ in range(length)], [place > 9 for place in range(length)])
        for length in lengths
    ]


def test_dolly_learns_what_padded_batches_learn(base: Path) -> None:
    given = examples(4 * BATCH)

    padded, dolly = (measure(name, base, given) for name in ("padded", "dolly"))

    assert dolly.fingerprint == padded.fingerprint
    assert dolly.losses == pytest.approx(padded.losses, rel=1e-4)
    assert dolly.learned == padded.learned
    assert dolly.useful_tokens == padded.useful_tokens == sum(len(one.input_ids) for one in given[BATCH:])
    assert padded.computed_tokens > 1.2 * padded.useful_tokens
    assert dolly.computed_tokens == dolly.useful_tokens


def test_dolly_learns_what_trl_learns_of_its_rows(base: Path) -> None:
    pytest.importorskip("trl", reason="trl is not installed (make bench-trainer installs it)")
    given = examples(40)

    trl, dolly = (measure(name, base, given) for name in ("trl", "dolly_as_trl"))

    assert trl.leak is not None
    assert trl.leak < 1e-4
    assert dolly.fingerprint == trl.fingerprint
    assert len(dolly.losses) == len(trl.losses) == len(trl.learned)
    assert dolly.losses == pytest.approx(trl.losses, rel=1e-3)
    assert dolly.learned == trl.learned
    assert dolly.useful_tokens == trl.useful_tokens
