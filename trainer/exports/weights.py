"""The weights that are exported: adapters merged, padding gone, the head's bias as engines have it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from peft import PeftModel
from transformers import AutoTokenizer

from trainer.errors import BadInput
from trainer.exports.origin import Origin
from trainer.template import has_dolly_keys
from trainer.tuning.base import zero_head_bias
from trainer.tuning.base_model import load_directory
from trainer.tuning.keys import add_keys, padding_rows

HeadBias = Literal["zero", "keep"]

LOSS_TEXT = (
    "The printing press spread through Europe in the fifteenth century, and with it the price of a book fell to a "
    "fraction of what a scribe had asked. A workshop needed capital, paper, type and people who could read; the first "
    "thing many of them printed was not a book at all but forms, calendars and indulgences.\n\n"
    "To reset the device, hold the button for ten seconds until the light turns amber, let it go, and wait. If it does "
    "not start again, unplug it, check the fuse, and write to support with the serial number.\n\n"
    "Dear Ms. Alvarez, thank you for your order of 3 March. Two of the four items left our warehouse this morning; the "
    "others will follow by the end of next week. We are sorry for the delay.\n\n"
    "def mean(values):\n    return sum(values) / len(values)\n"
)
"""Prose, instructions, a letter and code: what a base's loss is measured on where its head's bias changes."""

LOUD_RISE = 0.02
"""Of the loss per token, in nats."""


@dataclass(frozen=True)
class BiasChange:
    """What became of the bias of a model's head."""

    choice: HeadBias
    loss_before: float
    """Per token of LOSS_TEXT, in nats, with the bias that the checkpoint has."""
    loss_after: float

    @property
    def rise(self) -> float:
        return self.loss_after - self.loss_before


def load_merged(origin: Origin) -> tuple[Any, Any]:
    """The model and its tokenizer; adapters are merged into their base in fp32, then rounded to its precision.

    Raises BadInput, NotWhole.
    """
    adapter = origin.folder / "adapter"
    if not adapter.is_dir():
        model, tokenizer = load_directory(origin.folder)
        return model.eval(), tokenizer
    folder = Path(str(origin.base.get("path")))
    if "kind" not in origin.base:
        raise BadInput(f"{folder} has gone, or is not the base any more that these adapters learned on. Bring it back.")
    base, base_tokenizer = load_directory(folder)
    precision = base.dtype
    tokenizer = AutoTokenizer.from_pretrained(origin.folder, local_files_only=True)
    if has_dolly_keys(tokenizer):
        add_keys(base, base_tokenizer)
    if origin.chosen("tune", "lm_head_bias") == "zero":
        zero_head_bias(base)  # as it was while the adapters learned
    return PeftModel.from_pretrained(base.float(), str(adapter)).merge_and_unload().to(precision).eval(), tokenizer


def check_finite(model: Any) -> None:
    """Raises BadInput for weights that are NaN or infinite: every answer would be."""
    for name, parameter in model.named_parameters():
        if not torch.isfinite(parameter).all():
            raise BadInput(
                f"The weights of {name} are not all numbers (NaN or infinite). Export an earlier checkpoint."
            )


def settle_head_bias(model: Any, tokenizer: Any, choice: HeadBias) -> BiasChange | None:
    """Zero the bias of the head, or keep it. None where the head has none, or nothing but zeros."""
    bias = getattr(model.get_output_embeddings(), "bias", None)
    if bias is None or not bias.any():
        return None
    before = _loss(model, tokenizer)
    if choice == "keep":
        return BiasChange(choice, before, before)
    with torch.no_grad():
        bias.zero_()
    return BiasChange(choice, before, _loss(model, tokenizer))


def drop_padding(model: Any, tokenizer: Any) -> int:
    """Leave only rows that a token has, so that no engine can draw another one; how many went.

    No values of such a row would do: hidden state times row is the highest logit for some hidden state, a row that is a
    mean of the others is still drawn at times, and TGI drops the bias that could forbid it.
    """
    padding = padding_rows(model, tokenizer)
    ids = set(tokenizer.get_vocab().values())
    if padding.start > padding.stop:
        raise BadInput(
            f"The tokenizer has {padding.start} entries and the model {padding.stop} rows: they are not of one model."
        )
    if holes := sorted(set(range(padding.start)) - ids):
        raise BadInput(
            f"{len(holes)} rows between the tokens have none (the first is {holes[0]}), and a model could say them. "
            "Name them in the tokenizer, as GPT-J does with <|extratoken_1|>."
        )
    if padding:
        model.resize_token_embeddings(padding.start, mean_resizing=False)
    model.generation_config.suppress_tokens = (
        None  # what tuning forbade to its own samples; engines have not heard of it
    )
    return len(padding)


def _loss(model: Any, tokenizer: Any) -> float:
    """Mean cross-entropy per token of LOSS_TEXT, in nats."""
    ids = torch.tensor([tokenizer(LOSS_TEXT, add_special_tokens=False)["input_ids"]])[:, : _window(model)]
    with torch.no_grad():
        logits = model(ids, use_cache=False).logits[0, :-1].float()
    return float(torch.nn.functional.cross_entropy(logits, ids[0, 1:]))


def _window(model: Any) -> int:
    return int(model.config.max_position_embeddings)
