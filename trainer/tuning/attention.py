"""Attention within each example of a row, and never across.

On a CPU one call of sdpa for each example: nothing is computed that is thrown away. On a GPU the kernel for sequences
of differing lengths, which reads the borders from a tensor: a compiled model is compiled once for each length of a row.
"""

from collections.abc import Callable
from itertools import accumulate
from typing import Any, NamedTuple, cast

import torch
import torch.nn.functional as F
from torch.nn.attention.varlen import varlen_attn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from trainer.errors import BadInput

IMPLEMENTATION = "dolly_packed"
"""The name under which transformers finds this attention."""
NO_MASK_SHAPE = (1, 1, 1, 1)
"""transformers takes a mask of four dimensions as made already: it builds none of tokens x tokens."""
LEAST_EXAMPLES, EXAMPLES_STEP = 72, 8
"""Borders are padded to at least so many examples, and beyond to a multiple: few more or less compile nothing anew."""
LEAST_LONGEST = 2048
"""The kernel is told of an example at least so long: it passes over what is not there, and is compiled once."""


class Packing(NamedTuple):
    """Where the examples of a row lie."""

    lengths: tuple[int, ...]
    """Tokens of each example; empty where `borders` says it."""
    borders: torch.Tensor | None = None
    """int32 (examples + 1,): the first token of each example, and the row's end again and again as padding."""
    longest: int = 0
    """At least the tokens of the longest example."""


def packing_of(lengths: tuple[int, ...], device: torch.device, dtype: torch.dtype) -> Packing:
    """Lay out a row for the attention of this device and dtype."""
    if device.type != "cuda" or dtype not in (torch.float16, torch.bfloat16):
        return Packing(lengths)
    return bordered(lengths, device)


def bordered(lengths: tuple[int, ...], device: torch.device) -> Packing:
    """The layout for the kernel of differing lengths: between most rows only the tensor's values differ."""
    slots = max(LEAST_EXAMPLES, (len(lengths) // EXAMPLES_STEP + 1) * EXAMPLES_STEP)
    borders = [0, *accumulate(lengths)]
    borders += borders[-1:] * (slots + 1 - len(borders))
    longest = max(LEAST_LONGEST, 1 << (max(lengths) - 1).bit_length())
    return Packing((), torch.tensor(borders, dtype=torch.int32).to(device, non_blocking=True), longest)


def attend(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, packing: Packing, scale: float | None = None
) -> torch.Tensor:
    """Causal attention within each example.

    query: (1, heads, tokens, head size); key, value: the same or with fewer heads, each shared by neighbours among the
    query's. Returns (1, tokens, heads, head size).
    """
    grouped = query.shape[1] != key.shape[1]
    if packing.borders is None:
        parts = zip(*(part.split(packing.lengths, dim=2) for part in (query, key, value)), strict=True)
        one = [
            F.scaled_dot_product_attention(q, k, v, is_causal=True, scale=scale, enable_gqa=grouped)
            for q, k, v in parts
        ]
        return torch.cat([part.transpose(1, 2) for part in one], dim=1)
    attended = varlen_attn(
        query[0].transpose(0, 1),
        key[0].transpose(0, 1),
        value[0].transpose(0, 1),
        packing.borders,
        packing.borders,
        packing.longest,
        packing.longest,
        scale=scale,
        window_size=(-1, 0),
        enable_gqa=grouped,
    )
    return cast(torch.Tensor, attended)[None]


def packed_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    scaling: float | None = None,
    dropout: float = 0.0,
    packing: Packing | None = None,
    **other: Any,
) -> tuple[torch.Tensor, None]:
    """`attend` as transformers calls it; what comes without a packing (generation) goes to sdpa.

    Raises BadInput for what packed rows do not have: attention dropout, windows, soft caps, sinks.
    """
    if packing is None:
        given: Callable[..., tuple[torch.Tensor, None]] = sdpa_attention_forward
        return given(module, query, key, value, attention_mask, scaling=scaling, dropout=dropout, **other)
    if dropout:
        raise BadInput(
            "This base asks for attention dropout, which packed rows do not have; set it to 0 in its config."
        )
    for feature in ("sliding_window", "softcap", "s_aux", "position_bias"):
        if other.get(feature) is not None:
            raise BadInput(
                f"This base's attention has {feature}, which is not proven for packed rows; it is not tuned."
            )
    return attend(query, key, value, packing, scaling), None


AttentionInterface.register(IMPLEMENTATION, packed_attention)
AttentionMaskInterface.register(IMPLEMENTATION, sdpa_mask)
