"""Rows: what fits, what is learned, what is filler, and that packed equals unpacked for each family."""

import random

import pytest
import torch

from trainer.errors import BadInput
from trainer.template import Encoded
from trainer.tuning.packing import IGNORED, fill_length, fill_lengths, pack, row_of


def test_packing_fills_rows_without_losing_an_example() -> None:
    draw = random.Random(0)
    lengths = [min(1500, int(draw.lognormvariate(4.5, 0.6)) + 1) for _ in range(3000)]

    rows = pack(lengths, 2048)

    assert sorted(index for row in rows for index in row) == list(range(3000))
    assert max(sum(lengths[index] for index in row) for row in rows) <= 2048
    assert sum(lengths) / (len(rows) * 2048) > 0.99
    assert pack(lengths, 2048) == rows


def test_packing_takes_the_tightest_room() -> None:
    assert pack([6, 5, 4, 3], 10) == [[0, 2], [1, 3]]
    assert pack([], 10) == []


def test_an_example_longer_than_a_row_is_refused_by_name() -> None:
    with pytest.raises(BadInput, match="11 tokens does not fit a row of 10"):
        pack([3, 11], 10)


def test_labels_are_shifted_within_each_example() -> None:
    row = row_of([Encoded([5, 6, 7], [False, True, True]), Encoded([8, 9], [True, True])], fill_to=8, filler_id=1)

    assert row.input_ids.tolist() == [5, 6, 7, 8, 9, 1, 1, 1]
    assert row.labels.tolist() == [6, 7, IGNORED, 9, IGNORED, IGNORED, IGNORED, IGNORED]
    assert row.position_ids.tolist() == [0, 1, 2, 0, 1, 0, 1, 2]
    assert row.lengths == (3, 2, 3)
    assert (row.filler, row.useful_tokens) == (3, 5)


def test_a_row_that_is_full_has_no_filler() -> None:
    row = row_of([Encoded([5, 6], [False, True])], fill_to=2)
    assert (row.lengths, row.filler) == ((2,), 0)


@pytest.mark.parametrize(
    ("examples", "fill_to"), [([], None), ([Encoded([], [])], None), ([Encoded([1, 2, 3], [True] * 3)], 2)]
)
def test_a_row_that_cannot_be_is_refused(examples: list[Encoded], fill_to: int | None) -> None:
    with pytest.raises(BadInput):
        row_of(examples, fill_to=fill_to)


def test_few_lengths_waste_little() -> None:
    draw = random.Random(0)
    tokens = [int(draw.gauss(6789, 450)) for _ in range(813)]

    lengths = fill_lengths(tokens)

    filled = [fill_length(count, lengths) for count in tokens]
    assert len(lengths) == 4
    assert all(length % 64 == 0 for length in lengths)
    assert sum(tokens) / sum(filled) > 0.95
    assert sum(filled) < sum(len(tokens) * [max(lengths)])
    assert fill_lengths([100]) == [128]
    with pytest.raises(BadInput, match="longer than any"):
        fill_length(max(lengths) + 1, lengths)
    assert torch.tensor(lengths).diff().min() > 0
