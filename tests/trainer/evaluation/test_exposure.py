"""Exposure: near 1.4 bits for a model that never saw the codes, and bits as the whole conversation has them."""

import math
from statistics import fmean

import pytest

from tests.trainer.tiny import FAMILIES, Family, tiny_model, tiny_tokenizer
from trainer.canaries import Canary, lay_canaries, references
from trainer.evaluation.bits_per_byte import answer_bits
from trainer.evaluation.exposure import exposures
from trainer.evaluation.local_model import LocalModel
from trainer.records import Message, Record
from trainer.template import dolly_source


def local_model(family: Family) -> LocalModel:
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = dolly_source(tokenizer).replace("'\\n\\n### End'", "eos_token")
    return LocalModel(tiny_model(family), tokenizer)


def canaries(number: int) -> list[Canary]:
    records = [
        Record(f"r{place}", (Message("user", f"{place}?"), Message("assistant", "Yes.")), "replay")
        for place in range(number)
    ]
    return lay_canaries(records, number, 42)[1]


def test_codes_that_were_never_seen_rank_anywhere() -> None:
    told: list[int] = []
    found = exposures(local_model("llama"), canaries(24), 63, 42, ranked=lambda: told.append(1))
    assert len(found) == len(told) == 24
    assert all(0 <= one <= 6 for one in found)
    assert 0.7 < fmean(found) < 2.2  # 1.4 give or take 0.3


@pytest.mark.parametrize("family", FAMILIES)
def test_ranks_are_those_of_whole_conversations(family: Family) -> None:
    local, (canary,) = local_model(family), canaries(1)
    codes = [canary.code, *references(31, [canary.code], 42)]
    whole = [
        sum(one.bits for one in answer_bits(local, [Record("r", canary.answered(code), "replay")])[0]) for code in codes
    ]
    rank = 1 + sum(bits < whole[0] for bits in whole[1:])
    assert exposures(local, [canary], 31, 42) == pytest.approx([5 - math.log2(rank)])
