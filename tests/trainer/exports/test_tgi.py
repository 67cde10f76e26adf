"""A directory of transformers 5 after the rules, in transformers 4.51.3; and what each rule is there for."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from tests.trainer.exports.tgi_environment import Read, read_as_tgi
from tests.trainer.tiny import EXTRA_TOKENS, FAMILIES, Family, tiny_model, tiny_tokenizer
from trainer.exports import tgi

IDS = [5, 399, 17, 0, 260, 261, 262, 33, 90, 91, 92, 17, 5, 350, 351, 352] * 8
"""Longer than the tiny models' original context, so that scaling of rope counts."""

STOP_IDS = (7, 0)
TEMPLATE = "{% for message in messages %}{{ message['content'] }}{% endfor %}"

RULES_OF = {
    "gptj": ("gptj_tanh_gelu",),
    "gpt_neox": ("neox_rotary",),
    "llama": ("rope_theta", "rope_scaling"),
}
OF_ALL = ("known_tokenizer_class", "named_special_tokens", "inline_chat_template", "torch_dtype", "list_of_stop_ids")


def saved(folder: Path, family: Family, dtype: torch.dtype = torch.float32) -> Path:
    """What transformers 5 leaves of a tuned model, with further special tokens as Dolly's keys are."""
    model = tiny_model(family, dtype=dtype)
    if family == "gptj":
        model.config.activation_function = "gelu_new"
        torch.nn.init.zeros_(model.lm_head.bias)
    model.save_pretrained(folder)
    tokenizer = tiny_tokenizer(extra_tokens=EXTRA_TOKENS if family == "gptj" else 0)
    tokenizer.add_special_tokens({"additional_special_tokens": ["### End", "### Response:\n"]})
    tokenizer.chat_template = TEMPLATE
    tokenizer.save_pretrained(folder)
    return folder


def names(family: str) -> tuple[str, ...]:
    return (*OF_ALL, *RULES_OF[family])


@pytest.fixture(scope="module")
def reads(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Read]:
    """By family and the rule that was left out ("" for none), or "in bf16" with all rules."""
    root = tmp_path_factory.mktemp("tgi")
    folders = {}
    for family in FAMILIES:
        for without in ("", *names(family)):
            folder = saved(root / f"{family}-{without or 'all'}", family)
            rules = [rule for rule in tgi.RULES if rule.__name__ != without]
            tgi.make_readable(folder, chat_template=TEMPLATE, stop_ids=STOP_IDS, rules=rules)
            folders[family, without] = folder
        folder = folders[family, "in bf16"] = saved(root / f"{family}-bf16", family, torch.bfloat16)
        tgi.make_readable(folder, chat_template=TEMPLATE, stop_ids=STOP_IDS)
    return dict(zip(folders, read_as_tgi(list(folders.values()), IDS, root), strict=True))


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, torch.Tensor]:
    """Logits of what was tuned, by family, and "FAMILY in bf16"; GPT-J as Dolly tunes it."""
    found: dict[str, torch.Tensor] = {}
    for family in FAMILIES:
        tuned = {"activation_function": "gelu_pytorch_tanh"} if family == "gptj" else {}
        root = tmp_path_factory.mktemp("tuned")
        found[family] = logits(saved(root / "fp32", family), **tuned)
        found[f"{family} in bf16"] = logits(saved(root / "bf16", family, torch.bfloat16), **tuned)
    return found


def logits(folder: Path, **config: Any) -> torch.Tensor:
    model = AutoModelForCausalLM.from_pretrained(folder, dtype="auto", attn_implementation="eager", **config).eval()
    with torch.no_grad():
        found: torch.Tensor = model(torch.tensor([IDS])).logits
    return found


def is_right(family: str, read: Read, expected: torch.Tensor) -> bool:
    """All that TGI takes from a directory, as it was tuned."""
    facts = read.facts
    return (
        "error" not in facts
        and facts["dtype"] == "torch.float32"
        and facts["chat_template"] == TEMPLATE
        and facts["stop_ids"] == sorted(STOP_IDS)
        and {"### End", "### Response:\n"} <= set(facts["special"])
        and all(torch.equal(found, expected) for found in read.logits.values())
    )


@pytest.mark.parametrize("family", FAMILIES)
def test_an_export_is_read_as_it_was_tuned(
    family: str, reads: dict[tuple[str, str], Read], expected: dict[str, torch.Tensor]
) -> None:
    read = reads[family, ""]
    assert read.facts["transformers"] == "4.51.3"
    assert read.facts["torch"] == torch.__version__
    assert is_right(family, read, expected[family]), read.facts


@pytest.mark.parametrize(("family", "rule"), [(family, rule) for family in FAMILIES for rule in names(family)])
def test_without_a_rule_it_is_not(
    family: str, rule: str, reads: dict[tuple[str, str], Read], expected: dict[str, torch.Tensor]
) -> None:
    read = reads[family, rule]
    assert not is_right(family, read, expected[family])


@pytest.mark.parametrize("family", FAMILIES)
def test_in_bf16_too(family: str, reads: dict[tuple[str, str], Read], expected: dict[str, torch.Tensor]) -> None:
    """But for the sines of GPT-J's rope. transformers 5 rounds them to bf16 and TGI does not: what that comes to is
    bounded here. (transformers 4.51.3 itself makes others, from rounded frequencies; TGI has code of its own.)"""
    read, tuned = reads[family, "in bf16"], expected[f"{family} in bf16"]
    assert read.facts["dtype"] == "torch.bfloat16"
    assert torch.equal(read.logits["as_tuned" if family == "gptj" else "as_saved"], tuned)
    if family == "gptj":
        assert (read.logits["as_served"] - tuned).abs().max() < 0.01 * tuned.abs().max()
        assert reads[family, ""].facts["angles_off"] == 0.0
        assert read.facts["angles_off"] > 0.01


def test_every_rule_is_tried() -> None:
    assert {rule.__name__ for rule in tgi.RULES} == {rule for family in FAMILIES for rule in names(family)}
