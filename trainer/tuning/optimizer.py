"""AdamW, on weights whose last bits are never lost.

In fp32 it is torch's fused one. Where weights are bf16, `SplitAdamW` keeps the 16 bits that bf16 cuts off beside them:
together they are the fp32 weight, exactly, and the model computes with its upper half. (AdamW on plain bf16 weights
at a learning rate of 1e-5 moves 1.9 % of them: the others' steps are rounded away.)
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch.distributed.tensor import DTensor

from trainer.errors import NotWhole
from trainer.recipe import TuneChoice
from trainer.tuning.eight_bit import (
    BLOCK,
    chances,
    decode_positive,
    decode_signed,
    encode_positive,
    encode_signed,
    join,
    split,
)

EPSILON = 1e-8
SLICE = 1 << 24
"""Numbers updated at once: what lies between one formula and the next takes no more memory than so many."""
SMALL = 4096
"""Weights with fewer numbers (norms, biases) keep their states in fp32."""

Named = Iterable[tuple[str, torch.nn.Parameter]]


class Optimizer(Protocol):
    def step(self, learning_rate: float) -> None:
        """Update each weight by its gradient, and drop the gradient."""

    def tensors(self) -> dict[str, torch.Tensor]:
        """The states, this process's part of them."""

    def load(self, tensors: Mapping[str, torch.Tensor], step: int) -> None:
        """Go on after `step` steps. Raises NotWhole where the states are another model's."""


def make_optimizer(parameters: Named, choice: TuneChoice) -> "Optimizer":
    """What the recipe asks for, on those parameters that are trained."""
    trained = [(name, parameter) for name, parameter in parameters if parameter.requires_grad]
    if choice.optimizer == "adamw_8bit_split":
        return SplitAdamW(trained, choice, eight_bit=True)
    if any(parameter.dtype == torch.bfloat16 for _, parameter in trained):
        return SplitAdamW(trained, choice, eight_bit=False)
    return FusedAdamW(trained, choice)


class FusedAdamW:
    """torch's."""

    def __init__(self, parameters: Named, choice: TuneChoice) -> None:
        self._parameters = dict(parameters)
        self._adamw = torch.optim.AdamW(
            self._parameters.values(), betas=choice.betas, eps=EPSILON, weight_decay=choice.weight_decay, fused=True
        )

    def step(self, learning_rate: float) -> None:
        self._adamw.param_groups[0]["lr"] = learning_rate
        self._adamw.step()
        self._adamw.zero_grad()

    def tensors(self) -> dict[str, torch.Tensor]:
        return {
            f"{name}.{key}": local(self._adamw.state[parameter][key]).contiguous()
            for name, parameter in self._parameters.items()
            for key in ("exp_avg", "exp_avg_sq")
            if parameter in self._adamw.state
        }

    def load(self, tensors: Mapping[str, torch.Tensor], step: int) -> None:
        for name, parameter in self._parameters.items():
            if not step:
                continue
            state: dict[str, Any] = {"step": torch.tensor(float(step), device=local(parameter).device)}
            for key in ("exp_avg", "exp_avg_sq"):
                state[key] = torch.zeros_like(parameter.detach())
                _copy(local(state[key]), tensors, f"{name}.{key}")
            self._adamw.state[parameter] = state


class SplitAdamW:
    """On weights that are bf16, or fp32 with bf16's values, and 16 low bits beside them.

    With `eight_bit`, states are in 8 bits: 6 bytes a weight with its gradient, where fp32 takes 16.
    """

    def __init__(self, parameters: Named, choice: TuneChoice, *, eight_bit: bool) -> None:
        self._parameters = dict(parameters)
        self._choice = choice
        self._steps = 0
        self._states: dict[str, dict[str, torch.Tensor]] = {}
        for name, parameter in self._parameters.items():
            weight = local(parameter.detach()).view(-1)
            high, low = split(weight.float())
            weight.copy_(high)
            self._states[name] = {"low": low} | _first_states(weight, eight_bit and parameter.numel() >= SMALL)
        self._update: Callable[..., None] = _update
        if any(local(parameter).is_cuda for parameter in self._parameters.values()):
            self.compile()

    def compile(self) -> None:
        """Update in one pass over the memory. On a GPU this is done unasked; on a CPU it takes a C++ compiler."""
        self._update = torch.compile(_update, dynamic=True)

    def step(self, learning_rate: float) -> None:
        self.begin(learning_rate)
        for name in self._parameters:
            self.update(name)

    def step_in_backward(self) -> None:
        """From now on each weight is updated as soon as its gradient is whole. Call `begin` before each backward."""
        for name, parameter in self._parameters.items():
            parameter.register_post_accumulate_grad_hook(lambda _, name=name: self.update(name))

    def begin(self, learning_rate: float) -> None:
        """A step begins."""
        self._steps += 1
        first, second = self._choice.betas
        decay = 1 - learning_rate * self._choice.weight_decay
        corrected = learning_rate / (1 - first**self._steps)
        self._numbers = (first, second, decay, corrected, (1 - second**self._steps) ** 0.5)

    def update(self, name: str) -> None:
        """Update one weight by its gradient, and drop the gradient."""
        parameter = self._parameters[name]
        if parameter.grad is None:
            return
        weight, gradient = local(parameter.detach()).view(-1), local(parameter.grad).reshape(-1)
        state = self._states[name]
        numbers = torch.tensor(self._numbers, device=weight.device)
        step = torch.tensor(self._steps, dtype=torch.int32, device=weight.device)
        for first in range(0, weight.numel(), SLICE):
            last = min(first + SLICE, weight.numel())
            part = {key: _part(values, key, first, last) for key, values in state.items()}
            self._update(weight[first:last], gradient[first:last], part, numbers, step, first)
        parameter.grad = None

    def exact(self, name: str) -> torch.Tensor:
        """The fp32 weight, flat."""
        return join(local(self._parameters[name].detach()).view(-1).bfloat16(), self._states[name]["low"])

    def tensors(self) -> dict[str, torch.Tensor]:
        return {f"{name}.{key}": values for name, state in self._states.items() for key, values in state.items()}

    def load(self, tensors: Mapping[str, torch.Tensor], step: int) -> None:
        self._steps = step
        for name, values in self.tensors().items():
            _copy(values, tensors, name)


def local(tensor: torch.Tensor) -> torch.Tensor:
    """What lies on this process of a tensor that may be shared among several."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def _first_states(weight: torch.Tensor, eight_bit: bool) -> dict[str, torch.Tensor]:
    if not eight_bit:
        return {key: torch.zeros_like(weight, dtype=torch.float32) for key in ("exp_avg", "exp_avg_sq")}
    blocks = -(-weight.numel() // BLOCK)
    return {
        "exp_avg_codes": torch.zeros(blocks * BLOCK, dtype=torch.int8, device=weight.device),
        "exp_avg_scale": torch.zeros(blocks, device=weight.device),
        "exp_avg_sq_codes": torch.zeros(blocks * BLOCK, dtype=torch.uint8, device=weight.device),
        "exp_avg_sq_scale": torch.zeros(blocks, device=weight.device),
    }


def _part(values: torch.Tensor, key: str, first: int, last: int) -> torch.Tensor:
    """What belongs to the weight's numbers from `first` to `last`; codes come in whole blocks."""
    blocks = -(-last // BLOCK)
    if key.endswith("_scale"):
        return values[first // BLOCK : blocks]
    return values[first : blocks * BLOCK] if key.endswith("_codes") else values[first:last]


def _update(
    weight: torch.Tensor,
    gradient: torch.Tensor,
    state: dict[str, torch.Tensor],
    numbers: torch.Tensor,
    step: torch.Tensor,
    offset: int,
) -> None:
    """AdamW on one slice, in place. numbers: both betas, the decay's factor, the step's size, the correction of v."""
    first, second, decay, size, correction = numbers.unbind()
    count = weight.numel()
    gradient = gradient.float()
    eight_bit = "exp_avg_codes" in state
    if eight_bit:
        mean = decode_signed(state["exp_avg_codes"], state["exp_avg_scale"])
        square = decode_positive(state["exp_avg_sq_codes"], state["exp_avg_sq_scale"])
        gradient = F.pad(gradient, (0, mean.numel() - count))
    else:
        mean, square = state["exp_avg"], state["exp_avg_sq"]
    mean = torch.lerp(gradient, mean, first)
    square = torch.lerp(gradient * gradient, square, second)
    change = size * mean / (square.sqrt() / correction + EPSILON)
    exact = join(weight.to(torch.bfloat16), state["low"]) * decay - change[:count]
    high, low = split(exact)
    weight.copy_(high)
    state["low"].copy_(low)
    if eight_bit:
        codes, scale = encode_signed(mean)
        state["exp_avg_codes"].copy_(codes)
        state["exp_avg_scale"].copy_(scale)
        codes, scale = encode_positive(square, chances(offset, square.numel(), step))
        state["exp_avg_sq_codes"].copy_(codes)
        state["exp_avg_sq_scale"].copy_(scale)
    else:
        mean_kept, square_kept = state["exp_avg"], state["exp_avg_sq"]
        mean_kept.copy_(mean)
        square_kept.copy_(square)


def _copy(into: torch.Tensor, tensors: Mapping[str, torch.Tensor], name: str) -> None:
    found = tensors.get(name)
    if found is None or found.shape != into.shape or found.dtype != into.dtype:
        raise NotWhole(
            f"The checkpoint's optimizer has no fitting {name}: it is of another model, recipe or number of processes."
        )
    into.copy_(found)
