"""What is special about each family of models: how a row of packed examples goes through it."""

import math
from collections.abc import Callable
from types import MethodType
from typing import Any

import torch
from torch.nn.functional import cross_entropy
from transformers import AutoModelForCausalLM

from trainer.errors import BadInput
from trainer.template import Encoded
from trainer.tuning.attention import IMPLEMENTATION, NO_MASK_SHAPE, Packing, packing_of
from trainer.tuning.families import gptj
from trainer.tuning.loss import row_loss, supervised_loss
from trainer.tuning.memory import keep_freed_memory
from trainer.tuning.packing import Row, row_of

PROVEN = ("gptj", "gpt_neox", "llama")
"""Families whose packed logits and gradients are tested to equal the unpacked ones."""
_PROVEN = f"Proven families: {', '.join(PROVEN)}."


def prepare(model: Any) -> None:
    """Make a loaded model ready for `row_loss`: `model(input_ids, row=row)` is the sum of the row's loss.

    Called once, before PEFT, DDP or FSDP wrap the model. Without a row the model answers as before, so it generates.
    Weights and their names stay as they are. On a CPU the process keeps the memory it frees from now on. Raises
    BadInput for a family that cannot keep examples apart, or whose loss is not its head's: one that is not proven is
    tried with a row of two examples.
    """
    family = model.config.model_type
    if family == "gptj":
        gptj.prepare(model)
        hidden_states: Callable[[Any, Row, Packing], torch.Tensor] = gptj.hidden_states
    else:
        if not model._supports_attention_backend:
            raise BadInput(
                f"A {family} model cannot be tuned: transformers gives its attention no way to keep packed examples "
                f"apart. {_PROVEN}"
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
    if family not in PROVEN:
        _try(model)


@torch.no_grad()
def _try(model: Any) -> None:
    """Raises BadInput where the row's second example is told of the first, or a loss is not that of the model's logits.

    What transformers says of a family tells neither: states of convolutions and recurrences run on from example to
    example, and what a model does to its logits (scales, caps) it does after its head.
    """
    family, device = model.config.model_type, model.device
    most = min(1000, model.get_output_embeddings().weight.shape[0])
    generator = torch.Generator().manual_seed(0)
    first, other, second = (torch.randint(most, (size,), generator=generator).tolist() for size in (12, 12, 4))
    silent, learned = [False] * 12, [True] * 4
    near = 1e-4 if model.dtype in (torch.float32, torch.float64) else 1e-2
    try:
        beside, beside_other = (
            float(row_loss(model, row_of([Encoded(ids, silent), Encoded(second, learned)]))[0])
            for ids in (first, other)
        )
        logits = model(torch.tensor([second], device=device), use_cache=False).logits[0, :-1].float()
    except (TypeError, AttributeError, ValueError, KeyError) as error:
        raise BadInput(f"A {family} model cannot be tuned in packed rows: {error} {_PROVEN}") from error
    alone = float(cross_entropy(logits, torch.tensor(second[1:], device=device), reduction="sum"))
    if not math.isclose(beside, beside_other, rel_tol=near):
        raise BadInput(
            f"A {family} model cannot be tuned: what is learned of an example changes with the one before it in a row "
            f"({beside:.4f}, {beside_other:.4f}). {_PROVEN}"
        )
    if not math.isclose(beside, alone, rel_tol=near):
        raise BadInput(
            f"A {family} model cannot be tuned: its logits are not just what its head makes of its last states, so the "
            f"loss would not be its own ({beside:.4f} for {alone:.4f}). {_PROVEN}"
        )


def blocks_of(model: Any) -> torch.nn.ModuleList:
    """The layers that a model, wrapped or not, consists of: its largest list of modules."""
    lists = (module for module in model.modules() if isinstance(module, torch.nn.ModuleList))
    return max(lists, key=lambda blocks: sum(parameter.numel() for parameter in blocks.parameters()))


def compile_blocks(model: Any, **how: Any) -> None:
    """Compile each block for each length of a row, when it first sees one: rows are to be filled up to few lengths.

    `how` goes to torch.compile. A checkpointed block is compiled within its checkpoint.
    """
    for block in blocks_of(model):
        block.compile(dynamic=False, **how)


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
