"""What a run takes, before anything is loaded: memory, time and disk, from config.json and the records' lengths."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import AutoModelForCausalLM

from trainer.recipe import Recipe
from trainer.template import Encoded
from trainer.tuning.families import matmul_flops_per_token
from trainer.tuning.loss import CHUNK_ON_CPU, CHUNK_ON_GPU
from trainer.tuning.plan import Plan, learned_tokens

GIB = 1 << 30
USED_SHARE = 0.4
"""Of a machine's matmul rate, what tuning reaches in the mean: time is a rough guess."""
SPARE = 0.92
"""Share of the memory that one may count on: allocators lose some."""


@dataclass(frozen=True)
class Estimate:
    """Bytes are those of one process."""

    parameters: int
    trained_parameters: int
    weights_bytes: int
    gradients_bytes: int
    optimizer_bytes: int
    activation_bytes_per_token: int
    head_bytes: int
    row_tokens: int
    """The longest row there will be."""
    tokens: int
    """Of all epochs."""
    steps: int
    flops: float
    seconds: float
    checkpoint_bytes: int
    disk_bytes: int
    """With all checkpoints that are kept, and one being written."""

    @property
    def fixed_bytes(self) -> int:
        """Whatever the length of a row."""
        return self.weights_bytes + self.gradients_bytes + self.optimizer_bytes + self.head_bytes

    @property
    def memory_bytes(self) -> int:
        return self.fixed_bytes + self.activation_bytes_per_token * self.row_tokens


def estimate(
    recipe: Recipe, config: Any, examples: Sequence[Encoded], flops_per_second: float, *, processes: int, on_gpu: bool
) -> Estimate:
    """`processes` share the weights of a full fine-tune out among them where they are GPUs (FSDP2)."""
    choice, lora = recipe.tune, recipe.lora if recipe.tune.method == "lora" else None
    with torch.device("meta"):
        model: Any = AutoModelForCausalLM.from_config(config)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    trained = _adapter_parameters(model, recipe) if lora else parameters
    width = 2 if choice.precision == "bf16" else 4
    parts = processes if on_gpu else 1
    state_width = 4 if choice.optimizer == "adamw_8bit_split" else 8 + (2 if width == 2 else 0)
    plan = Plan(examples, choice)
    lengths = [len(example.input_ids) for example in examples]
    rows = [len(row.input_ids) for step in range(plan.steps_per_epoch) for row in plan.rows(step, 0)]
    computed = sum(rows) * plan.steps / plan.steps_per_epoch
    share = sum(map(learned_tokens, examples)) / max(1, sum(rows))
    flops = computed * matmul_flops_per_token(config, learned_share=share, frozen=lora is not None)
    if choice.gradient_checkpointing:
        flops *= 4 / 3 if lora is None else 3 / 2
    checkpoint = trained * (width + state_width)
    chunk = CHUNK_ON_GPU if on_gpu else CHUNK_ON_CPU
    return Estimate(
        parameters=parameters,
        trained_parameters=trained,
        weights_bytes=parameters * width // parts,
        gradients_bytes=trained * width // parts if not choice.step_in_backward else 0,
        optimizer_bytes=trained * state_width // parts,
        activation_bytes_per_token=_activation_bytes(config, width, choice.gradient_checkpointing),
        head_bytes=2 * chunk * model.get_output_embeddings().weight.shape[0] * 4,
        row_tokens=max(rows),
        tokens=round(sum(lengths) * plan.steps / plan.steps_per_epoch),
        steps=plan.steps,
        flops=flops,
        seconds=flops / (USED_SHARE * flops_per_second * processes),
        checkpoint_bytes=checkpoint,
        disk_bytes=checkpoint * (choice.keep_checkpoints + 2),
    )


def what_to_lower(recipe: Recipe, of: Estimate, available: int) -> str:
    """A sentence: what fits into so many bytes, and what each change saves."""
    choice = recipe.tune
    counted_on = int(SPARE * available)
    room = counted_on - of.fixed_bytes
    fitting = room // max(1, of.activation_bytes_per_token) // 64 * 64
    if fitting >= of.row_tokens:  # the estimate was too low: halves are tried until it fits
        fitting = of.row_tokens // 2 // 64 * 64
    found = []
    if fitting >= 256:
        found.append(
            f"tune.row_tokens from {choice.row_tokens} to {fitting} (and dataset.max_tokens to at most that), which "
            f"saves {gib((of.row_tokens - fitting) * of.activation_bytes_per_token)}"
        )
    if not choice.gradient_checkpointing:
        saved = of.activation_bytes_per_token * of.row_tokens * 9 // 10
        found.append(f"memory for time by tune.gradient_checkpointing = true, which saves {gib(saved)}")
    if choice.method == "full" and choice.optimizer == "adamw":
        found.append(f'tune.optimizer to "adamw_8bit_split", which saves {gib(of.optimizer_bytes // 2)}')
    if choice.precision == "fp32":
        found.append(f'tune.precision to "bf16", which saves {gib(of.weights_bytes // 2)}')
    if choice.method == "full":
        saved = of.gradients_bytes + of.optimizer_bytes
        found.append(f'tune.method to "lora", which saves {gib(saved)}')
    if not found:
        found.append("nothing more in the recipe: take a smaller base or a larger machine, which are what is left")
    return "Lower " + "; or ".join(found) + "."


def gib(size: float) -> str:
    return f"{size / GIB:.1f} GiB" if size >= 0.1 * GIB else f"{size / (1 << 20):.1f} MiB"


def measured_flops_per_second(device: torch.device, dtype: torch.dtype) -> float:
    """What this machine's matmul reaches, in a moment's try."""
    size = 8192 if device.type == "cuda" else 1024
    left, right = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    best = float("inf")
    for _ in range(4):
        begun = time.perf_counter()
        float((left @ right)[0, 0])  # waits for the device
        best = min(best, time.perf_counter() - begun)
    return 2.0 * size**3 / best


def _activation_bytes(config: Any, width: int, checkpointing: bool) -> int:
    """What one token leaves for backward: what each norm, projection, attention and activation of each layer keeps."""
    hidden, layers = config.hidden_size, config.num_hidden_layers
    inner = getattr(config, "intermediate_size", None) or getattr(config, "n_inner", None) or 4 * hidden
    gated = config.model_type not in ("gptj", "gpt_neox", "gpt2", "opt", "bloom")
    layer = (10 if gated else 8) * hidden + (4 if gated else 2) * inner
    kept = layers * hidden + layer if checkpointing else layers * layer
    return int((kept + 4 * hidden) * width)


def _adapter_parameters(model: Any, recipe: Recipe) -> int:
    lora = recipe.lora
    assert lora is not None
    head = model.get_output_embeddings()
    linear = {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear) and module is not head
    }
    if lora.targets != ("all-linear",):
        linear = {name: module for name, module in linear.items() if name.rpartition(".")[2] in lora.targets}
    return sum(lora.rank * (module.in_features + module.out_features) for module in linear.values())
