"""Bits per byte are those of the answers' text alone, whatever is batched with them and however tokens are cut."""

import math
from typing import Any

import pytest
import torch

from tests.trainer.tiny import FAMILIES, Family, tiny_model, tiny_tokenizer
from trainer.evaluation.bits_per_byte import answer_bits
from trainer.evaluation.local_model import LocalModel
from trainer.evaluation.measures import Mean
from trainer.records import Message, Record
from trainer.tuning.keys import add_keys

SAID = "Red and नीला — café."
ONE = Record("one", (Message("user", "Name three colours."), Message("assistant", SAID)), "s", "lists")
TWO_TURNS = Record(
    "two",
    (
        Message("user", "When does it open?"),
        Message("assistant", "At nine."),
        Message("user", "And the printer?"),
        Message("assistant", "On the second floor it is called Ada."),
    ),
    "s",
)
LONG = Record("long", (Message("user", "Hi"), Message("assistant", "word " * 300)), "s")


def local(family: Family) -> LocalModel:
    model, tokenizer = tiny_model(family), tiny_tokenizer(extra_tokens=8)
    add_keys(model, tokenizer)
    return LocalModel(model, tokenizer)


def bits_one_by_one(local: LocalModel, record: Record) -> list[float]:
    """Of each answer, in the plainest way: one forward pass, all logits, the answer's own tokens found by hand."""
    ids = local.template.encode(record.messages).input_ids
    opening, end = (local.tokenizer.convert_tokens_to_ids(key) for key in ("### Response:\n", "### End"))
    with torch.no_grad():
        shares = torch.log_softmax(local.model(torch.tensor([ids])).logits[0].double(), -1)
    found = []
    for start in [place + 1 for place, token in enumerate(ids) if token == opening]:
        stop = ids.index(end, start)
        blank = local.tokenizer.encode("\n\n", add_special_tokens=False)
        assert ids[stop - len(blank) : stop] == blank
        answer = range(start, stop - len(blank))
        found.append(-sum(float(shares[place - 1, ids[place]]) for place in answer) / math.log(2))
    return found


@pytest.mark.parametrize("family", FAMILIES)
def test_bits_are_those_of_the_plainest_way(family: Family) -> None:
    model = local(family)
    found, left_out = answer_bits(model, [TWO_TURNS, ONE, LONG])
    assert left_out == 1  # 300 words in a window of 256 tokens
    by_id = {(one.record_id, one.turn): one for one in found}
    assert by_id.keys() == {("one", 0), ("two", 0), ("two", 1)}
    assert [by_id["one", 0].bits] == pytest.approx(bits_one_by_one(model, ONE), rel=1e-4)
    assert [by_id["two", turn].bits for turn in (0, 1)] == pytest.approx(bits_one_by_one(model, TWO_TURNS), rel=1e-4)
    assert by_id["one", 0].size_bytes == len(SAID.encode())
    assert (by_id["one", 0].category, by_id["one", 0].is_later) == ("lists", False)
    assert by_id["two", 1].is_later


def test_the_end_token_and_blanks_cost_nothing() -> None:
    """A model that is sure of nothing but blanks and the end is still as bad at the answer."""
    model = local("llama")
    before, _ = answer_bits(model, [ONE])
    blind = [*model.template.stop_ids, *model.tokenizer.encode("\n\n", add_special_tokens=False)]
    forward = model.model.forward

    def sure_of_the_end(**inputs: Any) -> Any:
        output = forward(**inputs)
        output.logits[..., blind] -= 1000.0  # impossible: were they counted, bits would be thousands
        return output

    model.model.forward = sure_of_the_end
    after, _ = answer_bits(model, [ONE])
    assert after[0].bits < before[0].bits  # what the impossible ones had is shared among the others
    assert after[0].bits > 0.9 * before[0].bits


def test_progress_counts_every_record() -> None:
    counted: list[int] = []
    answer_bits(local("llama"), [ONE, LONG, TWO_TURNS, ONE], scored=counted.append)
    assert sum(counted) == 4


def test_a_ratio_tells_how_sure_it_is() -> None:
    assert Mean.of_ratio([], []) is None
    found = Mean.of_ratio([1.0, 2.0, 3.0], [2.0, 4.0, 6.0])
    assert found == Mean(0.5, 0.0, 3)
    spread = Mean.of_ratio([1.0, 3.0] * 50, [4.0] * 100)
    assert spread is not None
    assert (spread.mean, spread.number) == (0.5, 100)
    assert spread.margin == pytest.approx(1.96 * 0.2513 / 10, abs=1e-3)
