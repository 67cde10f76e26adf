"""Dolly's keys take the rows that a base has to spare, and start as what they are to be."""

from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import AddedToken
from transformers import AutoModelForCausalLM, AutoTokenizer, GPT2Tokenizer, GPTNeoXTokenizer

from tests.trainer.tiny import FAMILIES, Family, tiny_model, tiny_tokenizer
from trainer.errors import BadInput
from trainer.records import Message
from trainer.template import DOLLY_KEYS, dolly_template, template_of
from trainer.tuning.keys import add_keys, key_ids, padding_rows

TURNS = [Message("user", "Name a colour."), Message("assistant", "Red.")]


def rows_of(model: Any) -> list[torch.Tensor]:
    """Copies of all that has a row for each token: both matrices, and the output's bias."""
    output = model.get_output_embeddings()
    found = [model.get_input_embeddings().weight, output.weight, getattr(output, "bias", None)]
    return [values.detach().clone() for values in found if values is not None]


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("room", ["above", "spare", "none"])
def test_starts_of_the_keys(family: Family, tied: bool, room: str) -> None:
    tokenizer = tiny_tokenizer(extra_tokens=4 if room == "spare" else 0)
    model = tiny_model(family, tied=tied, vocab_size=448 if room == "above" else len(tokenizer))
    pieces = {key: tokenizer(key).input_ids for key in DOLLY_KEYS}
    before, entries = rows_of(model), len(tokenizer)
    add_keys(model, tokenizer)
    ids = dict(zip(DOLLY_KEYS, key_ids(tokenizer), strict=True))
    assert list(ids.values()) == [400, 401, 402]
    after = rows_of(model)
    assert len(after) == (3 if family == "gptj" else 2)
    for old, new in zip(before, after, strict=True):
        assert len(new) == {"above": 448, "spare": 404, "none": 448}[room]
        assert torch.equal(new[ids["### End"]], old[0])
        for key in DOLLY_KEYS[1:]:
            torch.testing.assert_close(new[ids[key]], old[pieces[key]].mean(dim=0))
        kept = [row for row in range(min(entries, len(old))) if row not in ids.values()]
        assert torch.equal(new[kept], old[kept])
    assert (model.get_input_embeddings().weight is model.get_output_embeddings().weight) is tied
    if room == "none":  # rows that are nobody's are the mean, not what memory held
        torch.testing.assert_close(after[0][403:], before[0].mean(dim=0).expand(45, -1))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_model_with_keys_comes_back_from_its_directory(family: Family, tmp_path: Path) -> None:
    tokenizer = tiny_tokenizer(extra_tokens=8 if family == "gptj" else 0)
    model = tiny_model(family, vocab_size=len(tokenizer))
    add_keys(model, tokenizer)
    expected = dolly_template(tokenizer).encode(TURNS)
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    again = AutoTokenizer.from_pretrained(tmp_path)
    assert key_ids(again) == key_ids(tokenizer)
    template = template_of(again)
    assert template.name == "dolly"
    assert template.encode(TURNS) == expected
    assert again.decode(expected.input_ids, skip_special_tokens=True).endswith("Red.\n\n")
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert loaded.generation_config.eos_token_id == [key_ids(tokenizer)[0], 0]
    ids = torch.tensor([expected.input_ids])
    assert torch.equal(loaded(ids).logits, model(ids).logits)


@pytest.mark.parametrize("kind", [GPT2Tokenizer, GPTNeoXTokenizer])
def test_renamed_tokens_survive_tokenizers_that_transformers_builds_anew(kind: Any, tmp_path: Path) -> None:
    plain = tiny_tokenizer(extra_tokens=8)
    plain.save_pretrained(tmp_path / "plain")
    tokenizer = kind.from_pretrained(tmp_path / "plain")
    add_keys(tiny_model("gptj", vocab_size=408), tokenizer)
    tokenizer.save_pretrained(tmp_path / "tuned")
    again = AutoTokenizer.from_pretrained(tmp_path / "tuned")
    assert key_ids(again) == (400, 401, 402)
    assert again.get_vocab() == tokenizer.get_vocab()
    assert template_of(again).encode(TURNS) == dolly_template(tokenizer).encode(TURNS)


def test_rows_without_a_token_are_never_sampled() -> None:
    tokenizer = tiny_tokenizer()
    model = tiny_model("llama", tied=False, vocab_size=400)
    add_keys(model, tokenizer)
    assert padding_rows(model, tokenizer) == range(403, 448)
    with torch.no_grad():  # even where all speaks for them
        model.get_output_embeddings().weight[403:] = 100 * model.get_output_embeddings().weight[:45].sign()
    prompt = torch.tensor([dolly_template(tokenizer).encode_prompt(TURNS[:1])])
    for sampled in (False, True):
        answer = model.generate(prompt, do_sample=sampled, max_new_tokens=40)[0]
        assert int(answer.max()) < 403


def test_keys_are_added_once() -> None:
    tokenizer, model = tiny_tokenizer(), tiny_model("llama")
    add_keys(model, tokenizer)
    with torch.no_grad():
        model.get_input_embeddings().weight[400:403] = 7.0  # trained since
    add_keys(model, tokenizer)
    assert key_ids(tokenizer) == (400, 401, 402)
    assert model.get_input_embeddings().weight[400:403].eq(7.0).all()
    assert model.generation_config.eos_token_id == [400, 0]


def test_llama3s_reserved_tokens_are_spare() -> None:
    tokenizer = tiny_tokenizer()
    reserved = [AddedToken(f"<|reserved_special_token_{number}|>", special=True) for number in range(5)]
    tokenizer.add_tokens(reserved, special_tokens=True)
    model = tiny_model("llama", vocab_size=405)
    add_keys(model, tokenizer)
    assert key_ids(tokenizer) == (400, 401, 402)
    assert model.config.vocab_size == 405
    assert "<|reserved_special_token_0|>" not in tokenizer.get_vocab()


def test_bf16_rows_are_copied_bit_by_bit() -> None:
    tokenizer = tiny_tokenizer()
    model = tiny_model("gpt_neox", dtype=torch.bfloat16)
    add_keys(model, tokenizer)
    output = model.get_output_embeddings().weight
    assert output.dtype == torch.bfloat16
    assert torch.equal(output[400], output[0])


def test_a_base_that_ends_no_text_is_refused() -> None:
    tokenizer = tiny_tokenizer()
    tokenizer.eos_token = None
    with pytest.raises(BadInput, match="no end-of-text token"):
        add_keys(tiny_model("llama"), tokenizer)
