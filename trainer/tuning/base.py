"""A base made ready for tuning: loaded, with Dolly's keys where the recipe wants them, and its head's bias settled."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from trainer.artifacts import read_manifest
from trainer.errors import BadInput
from trainer.recipe import Recipe
from trainer.template import Template, dolly_template, own_template
from trainer.tuning.families import prepare
from trainer.tuning.keys import add_keys

LOUD_RISE = 0.02
"""Of the base's loss per token where its head's bias is dropped, in nats."""


@dataclass(frozen=True)
class Loaded:
    model: Any
    """AutoModelForCausalLM on the CPU, ready for packed rows."""
    tokenizer: Any
    template: Template


def load_base(base: Path, recipe: Recipe, *, weights: Path | None = None) -> Loaded:
    """The base as the recipe tunes it; with `weights`, those of a checkpoint's directory instead of the base's.

    Raises NotWhole, and BadInput for what transformers cannot load or cannot keep packed examples apart in.
    """
    read_manifest(base, "base")
    folder = weights or base
    dtype = torch.bfloat16 if recipe.tune.precision == "bf16" else torch.float32
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        config = AutoConfig.from_pretrained(folder, local_files_only=True)
        if getattr(config, "activation_function", None) == "gelu_new":
            config.activation_function = (
                "gelu_pytorch_tanh"  # the same function, by the name that TGI computes it under
            )
        model = AutoModelForCausalLM.from_pretrained(
            folder, config=config, dtype=dtype, local_files_only=True, use_safetensors=True
        )
    except (OSError, ValueError, KeyError) as error:
        raise BadInput(f"{folder} cannot be loaded as a model: {error}") from None
    if recipe.base.template == "dolly":
        add_keys(model, tokenizer)
        template = dolly_template(tokenizer)
    else:
        template = own_template(tokenizer)
    prepare(model)
    return Loaded(model, tokenizer, template)


def head_bias(model: Any) -> torch.nn.Parameter | None:
    """The bias of the head, where it has one."""
    return getattr(model.get_output_embeddings(), "bias", None)


def zero_head_bias(model: Any) -> None:
    """Zero it and keep it so: what TGI serves, which drops it, is then what was tuned."""
    bias = head_bias(model)
    if bias is not None:
        with torch.no_grad():
            bias.zero_()
        bias.requires_grad_(False)
