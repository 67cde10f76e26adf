"""What is special about each family of models: how a row of packed examples goes through it."""

from collections.abc import Callable
from types import MethodType
from typing import Any

import torch
from transformers import AutoModelForCausalLM

from trainer.errors import BadInput
from trainer.tuning.attention import IMPLEMENTATION, NO_MASK_SHAPE, Packing, packing_of
from trainer.tuning.families import gptj
from trainer.tuning.loss import supervised_loss
from trainer.tuning.memory import keep_freed_memory
from trainer.tuning.packing import Row

PROVEN = ("gptj", "gpt_neox", "llama")
"""Families whose packed logits and gradients are tested to equal the unpacked ones."""


def prepare(model: Any) -> None:
    """Make a loaded model ready for `row_loss`: `model(input_ids, row=row)` is the sum of the row's loss.

    Called once, before PEFT, DDP or FSDP wrap the model. Without a row the model answers as before, so it generates.
    Weights and their names stay as they are. On a CPU the process keeps the memory it frees from now on. Raises
    BadInput for a family that cannot keep examples apart.
    """
    family = model.config.model_type
    if family == "gptj":
        gptj.prepare(model)
        hidden_states: Callable[[Any, Row, Packing], torch.Tensor] = gptj.hidden_states
    else:
        if not model._supports_attention_backend:
            raise BadInput(
                f"A {family} model cannot be tuned: transformers gives its attention no way to keep packed examples "
                f"apart. Proven families: {', '.join(PROVEN)}."
            )
        model.set_attn_implementation(IMPLEMENTATION)
        hidden_states = _hidden_states
    if model.device.type == "cpu":
        keep_freed_memory()
    answer = model.forward

    def forward(self: Any, *args: Any, row: Row | None = None, **kwargs: Any) -> Any:
        if row is None:
            return answer(*args, **kwargs)
        packing = packing_of(row.lengths, row.input_ids.device, self.dtype)
        hidden = hidden_states(self, row, packing)
        return supervised_loss(self.get_output_embeddings(), hidden, row.labels)

    model.forward = MethodType(forward, model)


def _hidden_states(model: Any, row: Row, packing: Packing) -> torch.Tensor:
    """The last hidden states (tokens, size) of a model that takes its attention from transformers' interface."""
    output = model.base_model(
        input_ids=row.input_ids[None],
        position_ids=row.position_ids[None],
        attention_mask=torch.empty(NO_MASK_SHAPE, device=row.input_ids.device),
        use_cache=False,
        packing=packing,
    )
    return output.last_hidden_state[0]


def matmul_flops_per_token(config: Any, *, learned_share: float = 1.0, frozen: bool = False) -> float:
    """FLOPs of the matrix products for a token, forward and backward: 6 for each weight, 4 where the base is frozen.

    The head counts at the learned positions only. Attention within examples is not counted (0.3 % for Alpaca on GPT-J).
    """
    blocks, head = matmul_weights(config)
    return (4 if frozen else 6) * (blocks + learned_share * head)


def matmul_weights(config: Any) -> tuple[int, int]:
    """Weights that each token is multiplied with: in the blocks, and in the head. Nothing is loaded."""
    with torch.device("meta"):
        model: Any = AutoModelForCausalLM.from_config(config)
    head = model.get_output_embeddings()
    linear = [module for module in model.modules() if isinstance(module, torch.nn.Linear) and module is not head]
    return sum(module.weight.numel() for module in linear), head.weight.numel()
