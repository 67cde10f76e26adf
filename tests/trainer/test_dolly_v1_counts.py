"""Dolly v1's text, token for token: 51,974 of Alpaca's records, 5,519,697 tokens, 3,091,575 of them learned."""

import json
from pathlib import Path
from typing import Any

import pytest
from transformers import PreTrainedTokenizerFast

from trainer.datasets import fit, split_records
from trainer.recipe import load_recipe
from trainer.records import Record
from trainer.sources import read_source
from trainer.template import DOLLY_KEYS, Encoded, dolly_template
from trainer.tuning.plan import Plan

DATA = Path(__file__).parents[3] / "shared" / "data"
pytestmark = [
    pytest.mark.skipif(not DATA.is_dir(), reason="needs ../shared/data, the public data sets"),
    pytest.mark.timeout(600),  # ten seconds of one core, and others may be busy
]

RECORDS, TOKENS, LEARNED = 51_974, 5_519_697, 3_091_575
EVERY = 100
"""All are counted in text that is written here; each of so many also goes the trainer's way."""

# As databrickslabs/dolly had it in March 2023.
WITHOUT_INPUT = """Below is an instruction that describes a task. \
Write a response that appropriately completes the request.

### Instruction:
{instruction}

### Response:
{output}

### End"""
WITH_INPUT = """Below is an instruction that describes a task, paired with an input that provides further context. \
Write a response that appropriately completes the request.

### Instruction:
{instruction}

### Input:
{input}

### Response:
{output}

### End"""


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    """GPT-2's, which is GPT-J's base, with the three keys."""
    file = str(DATA / "tokenizers" / "gpt2" / "tokenizer.json")
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=file, eos_token="<|endoftext|>")
    tokenizer.add_special_tokens({"additional_special_tokens": list(DOLLY_KEYS)})
    return tokenizer


@pytest.fixture(scope="module")
def records() -> list[Record]:
    source = read_source(str(DATA / "alpaca" / "alpaca_data.json"))
    return [entry for entry in source.entries if isinstance(entry, Record)]


@pytest.fixture(scope="module")
def encoded(tokenizer: Any) -> list[tuple[list[int], int]]:
    """Ids of each text, and how many of them follow the response key."""
    rows = json.loads((DATA / "alpaca" / "alpaca_data.json").read_text(encoding="utf-8"))
    texts = [(WITH_INPUT if row["input"] else WITHOUT_INPUT).format(**row) for row in rows if row["output"].strip()]
    response = tokenizer.convert_tokens_to_ids("### Response:\n")
    ids = [list(one.ids) for one in tokenizer.backend_tokenizer.encode_batch_fast(texts, add_special_tokens=False)]
    return [(one, len(one) - one.index(response) - 1) for one in ids]


def test_dolly_v1s_text_has_its_tokens(encoded: list[tuple[list[int], int]]) -> None:
    assert len(encoded) == RECORDS
    assert sum(len(ids) for ids, _ in encoded) == TOKENS
    assert sum(learned for _, learned in encoded) == LEARNED


def test_the_trainer_makes_the_same_tokens(
    tokenizer: Any, records: list[Record], encoded: list[tuple[list[int], int]]
) -> None:
    fitted = fit(
        records[::EVERY], dolly_template(tokenizer), load_recipe("dolly-v1-gptj-6b").dataset.max_tokens, "drop"
    )
    assert (fitted.dropped, fitted.cut, fitted.refused) == (0, 0, 0)
    for example, (ids, learned) in zip(fitted.examples, encoded[::EVERY], strict=True):
        assert example.input_ids == ids
        assert example.loss_mask == [False] * (len(ids) - learned) + [True] * learned


def test_the_steps_are_dolly_v1s(records: list[Record], encoded: list[tuple[list[int], int]]) -> None:
    recipe = load_recipe("dolly-v1-gptj-6b")
    train, held_out = split_records(records, recipe.dataset.held_out_records, 0, recipe.dataset.seed)
    batch = recipe.tune.global_batch_size
    assert len(held_out) == 1_000
    assert (-(-len(records) // batch), -(-len(train) // batch)) == (813, 797)

    ids = {id(record): ids for record, (ids, _) in zip(records, encoded, strict=True)}
    plan = Plan([Encoded(ids[id(record)], [True] * len(ids[id(record)])) for record in train], recipe.tune)
    rows = [plan.rows(step, 0) for step in range(plan.steps)]
    assert all(len(of_step) == 1 for of_step in rows), "nothing is accumulated"
    useful, filled = sum(row.useful_tokens for (row,) in rows), sum(len(row.input_ids) for (row,) in rows)
    assert useful / filled > 0.95
