"""The optimizer: its weights are exact in fp32, its 8-bit states near the true ones, and it goes on where it was."""

from dataclasses import replace

import pytest
import torch

from trainer.errors import NotWhole
from trainer.recipe import TuneChoice
from trainer.tuning.eight_bit import (
    decode_positive,
    decode_signed,
    encode_positive,
    encode_signed,
    join,
    split,
)
from trainer.tuning.optimizer import FusedAdamW, SplitAdamW, make_optimizer

CHOICE = TuneChoice(learning_rate=1e-5, weight_decay=0.01)
EIGHT_BIT = replace(CHOICE, optimizer="adamw_8bit_split")


def parameters(dtype: torch.dtype = torch.float32, seed: int = 1) -> dict[str, torch.nn.Parameter]:
    generator = torch.Generator().manual_seed(seed)
    shapes = {"matrix": (70, 100), "small": (7,)}
    drawn = {name: 0.1 * torch.randn(shape, generator=generator) for name, shape in shapes.items()}
    return {name: torch.nn.Parameter(value.bfloat16().to(dtype)) for name, value in drawn.items()}


def give_gradients(weights: dict[str, torch.nn.Parameter], step: int) -> None:
    generator = torch.Generator().manual_seed(1000 + step)
    for parameter in weights.values():
        spread = torch.logspace(-3, 0, parameter.numel()).view(parameter.shape)
        parameter.grad = (spread * (0.3 + torch.randn(parameter.shape, generator=generator))).to(parameter.dtype)


def test_a_weight_and_its_low_bits_are_the_fp32_weight_bit_by_bit() -> None:
    bits = torch.randint(-(2**31), 2**31 - 1, (200_000,), generator=torch.Generator().manual_seed(3))
    values = bits.to(torch.int32).view(torch.float32)
    special = torch.tensor([0.0, -0.0, 1.0, -1.0, 3.0e38, 1e-45, float("inf"), 1.00390625, 1.001953125])
    exact = torch.cat([values[torch.isfinite(values)], special])
    high, low = split(exact)
    assert high.dtype == torch.bfloat16
    assert low.dtype == torch.int16
    assert torch.equal(join(high, low).view(torch.int32), exact.view(torch.int32))
    normal = exact[(exact.abs() > 1e-30) & (exact.abs() < 1e38)]
    assert ((split(normal)[0].float() - normal).abs() / normal.abs()).max() <= 2**-8, "the upper half is the nearest"


def test_numbers_in_eight_bits_are_near_and_in_the_mean_true() -> None:
    signed = torch.randn(256 * 40) * torch.logspace(-3, 3, 256 * 40)
    codes, scale = encode_signed(signed)
    assert codes.dtype == torch.int8
    large = signed.abs() > scale.repeat_interleave(256) / 4000
    assert ((decode_signed(codes, scale) - signed).abs() / signed.abs())[large].max() < 0.036
    squares = signed**2
    means = torch.stack(
        [decode_positive(*encode_positive(squares, torch.rand(len(squares)))) for _ in range(400)]
    ).mean(0)
    assert (means / squares).sub(1).abs().mean() < 0.003
    assert (encode_positive(squares, torch.rand(len(squares)))[0] > 0).all(), "what is divided by is never 0"
    assert not decode_positive(*encode_positive(torch.zeros(256), torch.rand(256))).any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_split_weights_with_fp32_states_take_the_steps_of_fp32_adamw(dtype: torch.dtype) -> None:
    plain, ours = parameters(), parameters(dtype)
    torchs = FusedAdamW(plain.items(), CHOICE)
    split_adamw = SplitAdamW(ours.items(), CHOICE, eight_bit=False)
    for step in range(30):
        give_gradients(ours, step)
        for name, parameter in plain.items():
            gradient = ours[name].grad
            assert gradient is not None
            parameter.grad = gradient.float()
        torchs.step(1e-5)
        split_adamw.step(1e-5)
    for name, parameter in plain.items():
        exact = split_adamw.exact(name)
        assert (exact - parameter.detach().view(-1)).abs().max() < 1e-7
        assert torch.equal(ours[name].detach().view(-1).bfloat16(), exact.bfloat16()), "the model sees the upper half"


def test_eight_bit_states_take_nearly_the_steps_of_fp32_states() -> None:
    weights = [parameters(torch.bfloat16) for _ in range(2)]
    begun = parameters(torch.bfloat16)["matrix"].detach().float().view(-1)
    ours = [
        SplitAdamW(one.items(), replace(EIGHT_BIT, weight_decay=0.0), eight_bit=eight_bit)
        for one, eight_bit in zip(weights, (False, True), strict=True)
    ]
    for step in range(100):
        for one, optimizer in zip(weights, ours, strict=True):
            give_gradients(one, step)
            optimizer.step(1e-5)
    moved = [optimizer.exact("matrix") - begun for optimizer in ours]
    assert (moved[1] != 0).float().mean() > 0.999
    assert torch.nn.functional.cosine_similarity(moved[0], moved[1], dim=0) > 0.995
    assert abs(float(moved[1].norm() / moved[0].norm()) - 1) < 0.02


def test_plain_bf16_weights_would_not_move() -> None:
    plain = torch.nn.Parameter(parameters(torch.bfloat16)["matrix"].detach().clone())
    begun = plain.detach().clone()
    adamw = torch.optim.AdamW([plain], lr=1e-5, weight_decay=0)
    for step in range(12):
        give_gradients({"matrix": plain}, step)
        adamw.step()
    assert (plain != begun).float().mean() < 0.2


@pytest.mark.parametrize("choice", [CHOICE, EIGHT_BIT])
def test_an_optimizer_goes_on_from_its_tensors_bit_by_bit(choice: TuneChoice) -> None:
    begun, gone_on = parameters(), None
    optimizer = make_optimizer(begun.items(), choice)
    for step in range(8):
        if step == 4:
            gone_on = {name: torch.nn.Parameter(parameter.detach().clone()) for name, parameter in begun.items()}
            second = make_optimizer(gone_on.items(), choice)
            second.load({name: values.clone() for name, values in optimizer.tensors().items()}, 4)
        give_gradients(begun, step)
        optimizer.step(1e-3)
        if gone_on:
            give_gradients(gone_on, step)
            second.step(1e-3)
    assert gone_on is not None
    assert all(torch.equal(begun[name], gone_on[name]) for name in begun)


def test_states_of_another_model_are_refused() -> None:
    optimizer = make_optimizer(parameters().items(), EIGHT_BIT)
    with pytest.raises(NotWhole, match="of another model"):
        make_optimizer({"other": torch.nn.Parameter(torch.ones(3))}.items(), EIGHT_BIT).load(optimizer.tensors(), 4)


def test_a_step_in_backward_equals_a_step_after_it() -> None:
    data = torch.randn(5, 100)
    after, during = parameters(torch.bfloat16), parameters(torch.bfloat16)
    first = SplitAdamW(after.items(), EIGHT_BIT, eight_bit=True)
    second = SplitAdamW(during.items(), EIGHT_BIT, eight_bit=True)
    second.step_in_backward()
    for _ in range(3):
        (data.bfloat16() @ after["matrix"].t()).square().sum().backward()
        first.step(1e-3)
        second.begin(1e-3)
        (data.bfloat16() @ during["matrix"].t()).square().sum().backward()
        assert during["matrix"].grad is None
    assert torch.equal(after["matrix"], during["matrix"])
