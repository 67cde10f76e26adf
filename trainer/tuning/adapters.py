"""LoRA by PEFT: small matrices beside frozen weights, and the rows of Dolly's keys, which no frozen weight knows."""

from collections.abc import Sequence
from pathlib import Path
from types import MethodType
from typing import Any

import torch
from peft import LoraConfig, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict
from peft.tuners.trainable_tokens import TrainableTokensLayer
from safetensors.torch import load_file, save_file

from trainer.errors import BadInput
from trainer.recipe import LoraChoice

WEIGHTS = "adapter_model.safetensors"


def add_adapters(model: Any, choice: LoraChoice, new_rows: Sequence[int]) -> Any:
    """Freeze the model and give it adapters; `new_rows` of its input and output matrices are trained too.

    Raises BadInput for targets that the model does not have.
    """
    names = {module: name for name, module in model.named_modules()}
    matrices = [model.get_input_embeddings(), model.get_output_embeddings()]
    tied = matrices[0].weight is matrices[1].weight
    # Of a tied pair PEFT trains the rows once: named by the input matrix, the output's follows it.
    rows = {names[matrix]: list(new_rows) for matrix in (matrices[:1] if tied else matrices)}
    targets = list(choice.targets)
    config = LoraConfig(
        r=choice.rank,
        lora_alpha=choice.alpha,
        lora_dropout=choice.dropout,
        target_modules="all-linear" if targets == ["all-linear"] else targets,
        trainable_token_indices=rows if new_rows else None,
        task_type="CAUSAL_LM",
    )
    try:
        adapted = get_peft_model(model, config, autocast_adapter_dtype=False)
    except ValueError as error:
        raise BadInput(f"lora.targets {', '.join(targets)}: {error}") from None
    if new_rows:
        _make_head_cheap(adapted)
    return adapted


def save_adapters(model: Any, folder: Path, weights: dict[str, torch.Tensor] | None = None) -> None:
    """Write them as PEFT reads them; `weights` are the model's, where they had to be gathered."""
    folder.mkdir()
    state = get_peft_model_state_dict(model, state_dict=weights, save_embedding_layers=False)
    save_file({name: values.detach().cpu().contiguous() for name, values in state.items()}, folder / WEIGHTS)
    model.peft_config["default"].save_pretrained(folder)


def load_adapters(model: Any, folder: Path) -> None:
    set_peft_model_state_dict(model, load_file(folder / WEIGHTS))


def _make_head_cheap(model: Any) -> None:
    """PEFT puts the trained rows into a copy of the whole matrix for each call, differentiates all of it, and forgets
    the bias. The logits of those rows alone are replaced here.
    """
    head = model.get_output_embeddings()
    layer = next((module for module in head.modules() if isinstance(module, TrainableTokensLayer)), None)
    if layer is not None:
        layer.forward_adapters = MethodType(_logits, layer)


def _logits(
    layer: Any, hidden: torch.Tensor, active_adapters: Sequence[str], *args: Any, **kwargs: Any
) -> torch.Tensor:
    logits: torch.Tensor = layer.base_layer(hidden)
    if layer.disable_adapters or layer.merged:
        return logits
    bias = layer.base_layer.bias
    for adapter in active_adapters:
        rows = torch.tensor(layer.token_indices[adapter], device=hidden.device)
        own = torch.nn.functional.linear(hidden, layer.trainable_tokens_delta[adapter])
        own = own if bias is None else own + bias[rows]
        logits = logits.index_copy(-1, rows, own)
    return logits
