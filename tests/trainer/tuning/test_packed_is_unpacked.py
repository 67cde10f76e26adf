"""What a row gives for an example, logits and gradients, is what transformers gives for the example alone.

The same comparison, made of the ways that leak, fails: it can tell.
"""

from collections.abc import Callable
from itertools import accumulate
from typing import Any

import pytest
import torch
from torch.nn.functional import cross_entropy

from tests.trainer.tiny import FAMILIES, Family, redraw, tiny_model
from trainer.errors import BadInput
from trainer.template import Encoded
from trainer.tuning import families
from trainer.tuning.attention import Packing, attend, packing_of
from trainer.tuning.families import matmul_flops_per_token, matmul_weights, prepare
from trainer.tuning.loss import row_loss
from trainer.tuning.packing import Row, row_of

LENGTHS = (17, 5, 1, 30, 11)
EACH_FAMILY = [(family, tied) for family in FAMILIES for tied in (False, True)]


def examples(lengths: tuple[int, ...] = LENGTHS) -> list[Encoded]:
    generator = torch.Generator().manual_seed(7)
    made = []
    for length in lengths:
        ids = torch.randint(1, 400, (length,), generator=generator).tolist()
        learned = (torch.rand(length, generator=generator) < 0.6).tolist()
        made.append(Encoded(ids, learned))
    return made


def alone(model: Any, example: Encoded) -> torch.Tensor:
    """Logits (tokens, vocabulary) of one example by transformers' eager attention."""
    logits: torch.Tensor = model(torch.tensor([example.input_ids]), use_cache=False).logits[0]
    return logits


def loss_alone(model: Any, example: Encoded) -> torch.Tensor:
    learned = torch.tensor(example.loss_mask[1:], dtype=torch.bool)
    logits = alone(model, example)[:-1][learned]
    return cross_entropy(logits, torch.tensor(example.input_ids[1:], dtype=torch.long)[learned], reduction="sum")


def packed_logits(model: Any, row: Row) -> torch.Tensor:
    packing = packing_of(row.lengths, row.input_ids.device, model.dtype)
    of_family = families.gptj.hidden_states if model.config.model_type == "gptj" else families._hidden_states
    logits: torch.Tensor = model.get_output_embeddings()(of_family(model, row, packing))
    return logits


def worst_difference(logits: torch.Tensor, row: Row, expected: list[torch.Tensor]) -> float:
    """The largest difference between an example's logits in the row and alone."""
    ends = accumulate(row.lengths)
    places = zip(ends, row.lengths, expected, strict=False)  # a filler is compared with nothing
    return max((logits[end - length : end] - one).abs().max().item() for end, length, one in places)


def gradients(model: Any) -> dict[str, torch.Tensor]:
    return {name: parameter.grad.clone() for name, parameter in model.named_parameters()}


@pytest.mark.parametrize(("family", "tied"), EACH_FAMILY)
@pytest.mark.parametrize("fill_to", [None, 80])
def test_packed_logits_are_those_of_each_example_alone(family: Family, tied: bool, fill_to: int | None) -> None:
    reference = tiny_model(family, tied=tied, attn_implementation="eager")
    expected = [alone(reference, example) for example in examples()]
    model = tiny_model(family, tied=tied)
    prepare(model)
    row = row_of(examples(), fill_to=fill_to)

    assert worst_difference(packed_logits(model, row), row, expected) < 2e-5


@pytest.mark.parametrize(("family", "tied"), EACH_FAMILY)
def test_packed_gradients_are_the_sum_of_those_alone(family: Family, tied: bool) -> None:
    # eager attention goes through float32 whatever the model's dtype; GPT-J has no other
    attention = "eager" if family == "gptj" else "sdpa"
    tolerance = 2e-5 if family == "gptj" else 1e-9
    reference = tiny_model(family, tied=tied, dtype=torch.float64, attn_implementation=attention)
    model = tiny_model(family, tied=tied, dtype=torch.float64)
    prepare(model)
    total = torch.stack([loss_alone(reference, example) for example in examples()]).sum()
    total.backward()

    loss, learned = row_loss(model, row_of(examples(), fill_to=96))
    loss.backward()

    assert learned == sum(sum(example.loss_mask[1:]) for example in examples())
    assert loss.item() == pytest.approx(total.item(), rel=tolerance)
    expected, found = gradients(reference), gradients(model)
    assert found.keys() == expected.keys()
    for name, gradient in found.items():
        scale = float(expected[name].abs().max())
        assert scale > 0, f"{name} has no gradient to compare"
        assert (gradient - expected[name]).abs().max().item() < tolerance * max(scale, 1), name


@pytest.mark.parametrize("family", FAMILIES)
def test_an_examples_gradient_is_the_same_whatever_lies_beside_it(family: Family) -> None:
    model = tiny_model(family, dtype=torch.float64)
    prepare(model)
    first, *others = examples()
    silent = [Encoded(other.input_ids, [False] * len(other.input_ids)) for other in others]
    found = []
    for row in (row_of([first]), row_of([*silent, first]), row_of([silent[0], first, silent[3]], fill_to=70)):
        model.zero_grad()
        row_loss(model, row)[0].backward()
        found.append(gradients(model))

    for other in found[1:]:
        for name, gradient in found[0].items():
            torch.testing.assert_close(other[name], gradient, rtol=1e-10, atol=1e-10, msg=name)


def use_cache(model: Any, row: Row) -> torch.Tensor:
    logits: torch.Tensor = model(row.input_ids[None], position_ids=row.position_ids[None], use_cache=True).logits[0]
    return logits


def ones_as_mask(model: Any, row: Row) -> torch.Tensor:
    logits: torch.Tensor = model(
        row.input_ids[None],
        position_ids=row.position_ids[None],
        attention_mask=torch.ones_like(row.input_ids)[None],
        use_cache=False,
    ).logits[0]
    return logits


def one_long_example(model: Any, row: Row) -> torch.Tensor:
    prepare(model)
    packed_as_one = Row(row.input_ids, row.labels, row.position_ids, (len(row.input_ids),))
    return packed_logits(model, packed_as_one)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("leak", [use_cache, ones_as_mask, one_long_example])
def test_the_comparison_sees_every_way_that_leaks(family: Family, leak: Callable[[Any, Row], torch.Tensor]) -> None:
    model = tiny_model(family, attn_implementation="eager")
    expected = [alone(model, example) for example in examples()]
    row = row_of(examples())

    assert worst_difference(leak(model, row), row, expected) > 1e-2


@pytest.mark.parametrize(("family", "tied"), EACH_FAMILY)
def test_loss_per_learned_token_is_the_same_however_examples_are_shared_among_rows(family: Family, tied: bool) -> None:
    model = tiny_model(family, tied=tied, dtype=torch.float64)
    prepare(model)
    together = [row_of(examples())]
    accumulated = [row_of(examples()[:2]), row_of(examples()[2:])]
    each = [row_of([example]) for example in examples()]
    found = []
    for rows in (together, accumulated, each):
        model.zero_grad()
        losses = [row_loss(model, row) for row in rows]
        learned = sum(number for _, number in losses)
        for loss, _ in losses:
            (loss / learned).backward()
        found.append((sum(loss.item() for loss, _ in losses) / learned, gradients(model)))

    for mean, gradient in found[1:]:
        assert mean == pytest.approx(found[0][0], rel=1e-12)
        for name, expected in found[0][1].items():
            torch.testing.assert_close(gradient[name], expected, rtol=1e-10, atol=1e-12, msg=name)


@pytest.mark.parametrize("family", FAMILIES)
def test_checkpointed_blocks_give_the_same_gradients(family: Family) -> None:
    found = []
    for checkpointed in (False, True):
        model = tiny_model(family, dtype=torch.float64)
        prepare(model)
        model.train()
        if checkpointed:
            model.activation_checkpointing_enable({"use_reentrant": False})
        row_loss(model, row_of(examples()))[0].backward()
        found.append(gradients(model))
    for name, gradient in found[0].items():
        torch.testing.assert_close(found[1][name], gradient, rtol=1e-10, atol=1e-10, msg=name)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_prepared_model_generates_and_saves_as_before(family: Family, tmp_path: Any) -> None:
    plain, model = tiny_model(family), tiny_model(family)
    prepare(model)
    prompt = torch.tensor([[5, 6, 7]])
    settings: dict[str, Any] = {"max_new_tokens": 12, "do_sample": False, "eos_token_id": None, "pad_token_id": 0}

    assert model.generate(prompt, **settings).tolist() == plain.generate(prompt, **settings).tolist()
    model.save_pretrained(tmp_path / "prepared")
    plain.save_pretrained(tmp_path / "plain")
    for name in ("config.json", "model.safetensors"):
        assert (tmp_path / "prepared" / name).read_bytes() == (tmp_path / "plain" / name).read_bytes()


@pytest.mark.parametrize("family", FAMILIES)
def test_lora_learns_through_rows(family: Family) -> None:
    from peft import LoraConfig, get_peft_model

    model = tiny_model(family, dtype=torch.float64)
    prepare(model)
    expected, _ = row_loss(model, row_of(examples()))
    tuned = get_peft_model(
        model, LoraConfig(r=2, target_modules="all-linear", task_type="CAUSAL_LM", trainable_token_indices=[3, 4])
    )

    loss, _ = row_loss(tuned, row_of(examples()))
    loss.backward()

    assert loss.item() == pytest.approx(expected.item(), rel=1e-9)
    learned = [parameter.grad for parameter in tuned.parameters() if parameter.requires_grad]
    assert learned
    assert all(gradient is not None and gradient.abs().sum() >= 0 for gradient in learned)


def test_a_row_where_nothing_is_learned_has_no_loss() -> None:
    model = tiny_model("llama")
    prepare(model)
    loss, learned = row_loss(model, row_of([Encoded([1, 2, 3], [False] * 3)]))
    loss.backward()
    assert (loss.item(), learned) == (0.0, 0)
    assert all(float(parameter.grad.abs().max()) == 0 for parameter in model.parameters())


def test_grouped_heads_attend_within_examples() -> None:
    query, key, value = torch.randn(1, 4, 9, 8), torch.randn(1, 2, 9, 8), torch.randn(1, 2, 9, 8)
    together = attend(query, key, value, Packing((4, 5)))
    first = attend(query[:, :, :4], key[:, :, :4], value[:, :, :4], Packing((4,)))
    torch.testing.assert_close(together[:, :4], first)
    assert together.shape == (1, 9, 4, 8)


def test_a_family_that_cannot_keep_examples_apart_is_refused() -> None:
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.for_model(
        "codegen", n_embd=32, n_layer=1, n_head=4, vocab_size=64, n_positions=64, rotary_dim=8
    )
    with pytest.raises(BadInput, match="codegen"):
        prepare(AutoModelForCausalLM.from_config(config))


SIZES: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 64,
    "vocab_size": 448,
    "pad_token_id": 0,
    "bos_token_id": 0,
    "eos_token_id": 0,
}


def another_model(family: str, **own: Any) -> Any:
    from transformers import AutoConfig, AutoModelForCausalLM

    model: Any = AutoModelForCausalLM.from_config(AutoConfig.for_model(family, **SIZES, **own)).eval()
    redraw(model, 0)
    return model


@pytest.mark.parametrize(
    ("family", "own"),
    [("qwen2", {}), ("qwen3", {"head_dim": 8}), ("mistral", {"sliding_window": None, "head_dim": 8})],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_another_family_is_tuned_through_transformers_interface(
    family: str, own: dict[str, Any], dtype: torch.dtype
) -> None:
    model = another_model(family, **own).to(dtype)
    expected = [alone(model, example) for example in examples()]
    prepare(model)
    row = row_of(examples())
    if dtype == torch.float32:
        assert worst_difference(packed_logits(model, row), row, expected) < 2e-5


@pytest.mark.parametrize(
    ("family", "own", "why"),
    [
        ("granite", {"logits_scaling": 8.0}, "logits are not just what its head makes"),
        ("cohere", {}, "logits are not just what its head makes"),
        ("lfm2", {"layer_types": ["conv", "full_attention"]}, "changes with the one before it"),
        ("mistral", {"sliding_window": 8, "head_dim": 8}, "sliding_window"),
    ],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_family_that_would_be_tuned_wrong_is_refused(
    family: str, own: dict[str, Any], why: str, dtype: torch.dtype
) -> None:
    with pytest.raises(BadInput, match=why):
        prepare(another_model(family, **own).to(dtype))


def test_dropout_and_windows_are_refused() -> None:
    with pytest.raises(BadInput, match="dropout"):
        prepare(tiny_model("gptj", attn_pdrop=0.1))
    model = tiny_model("gpt_neox", attention_dropout=0.1)
    prepare(model)
    with pytest.raises(BadInput, match="dropout"):
        row_loss(model.train(), row_of(examples()))


def test_flops_count_the_weights_that_tokens_are_multiplied_with() -> None:
    from transformers import AutoConfig

    blocks, head = matmul_weights(AutoConfig.for_model("gptj"))
    assert (blocks, head) == (28 * 12 * 4096**2, 50400 * 4096)
    assert matmul_flops_per_token(AutoConfig.for_model("gptj")) == 6 * (blocks + head)
    assert matmul_flops_per_token(AutoConfig.for_model("gptj"), learned_share=0.5, frozen=True) == 4 * (
        blocks + head / 2
    )
