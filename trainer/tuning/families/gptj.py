"""GPT-J with attention of the project's own.

transformers gives it two: an eager one that computes tokens x tokens in float32, and flash attention that is never told
where examples end, so what is packed leaks without a word. This one attends within examples, and turns the positions'
angles into sines and cosines once for all layers.
"""

from types import MethodType
from typing import Any, NamedTuple

import torch

from trainer.errors import BadInput
from trainer.tuning.attention import Packing, attend
from trainer.tuning.packing import Row


class Turns(NamedTuple):
    """cos and sin of each position's angles: (tokens, 1, rotary size), each value twice, for a pair."""

    cos: torch.Tensor
    sin: torch.Tensor


def prepare(model: Any) -> None:
    """Give each block a second way through: with a packing it attends within examples."""
    config = model.config
    if config.attn_pdrop or config.resid_pdrop or config.embd_pdrop:
        raise BadInput("This GPT-J asks for dropout, which packed rows do not have; set its pdrop values to 0.")
    for block in model.transformer.h:
        block.forward = MethodType(_block_forward(block.forward), block)


def hidden_states(model: Any, row: Row, packing: Packing) -> torch.Tensor:
    """The last hidden states (tokens, size) of a row."""
    transformer = model.transformer
    hidden = transformer.wte(row.input_ids)
    turns = _turns(transformer.h[0].attn, row.position_ids, hidden.dtype)
    for block in transformer.h:
        hidden = block(hidden, packing=packing, turns=turns)
    normed: torch.Tensor = transformer.ln_f(hidden)
    return normed


def _turns(attention: Any, positions: torch.Tensor, dtype: torch.dtype) -> Turns:
    angles = attention.embed_positions.to(positions.device).index_select(0, positions)  # sines, then cosines
    sin, cos = angles.to(dtype).repeat_interleave(2, dim=1)[:, None, :].chunk(2, dim=-1)
    return Turns(cos, sin)


def _block_forward(original: Any) -> Any:
    def forward(
        self: Any, hidden: torch.Tensor, *args: Any, packing: Packing | None = None, turns: Any = None, **kwargs: Any
    ) -> Any:
        if packing is None:
            return original(hidden, *args, **kwargs)
        normed = self.ln_1(hidden)
        return hidden + _attention(self.attn, normed, packing, turns) + self.mlp(normed)

    return forward


def _attention(attention: Any, hidden: torch.Tensor, packing: Packing, turns: Turns) -> torch.Tensor:
    """hidden: (tokens, size). Returns the same shape."""
    heads = (len(hidden), attention.num_attention_heads, attention.head_dim)
    query = _turned(attention.q_proj(hidden).view(heads), turns)
    key = _turned(attention.k_proj(hidden).view(heads), turns)
    value = attention.v_proj(hidden).view(heads)
    query, key, value = (part.transpose(0, 1)[None] for part in (query, key, value))
    attended = attend(query, key, value, packing)
    out: torch.Tensor = attention.out_proj(attended.reshape(hidden.shape))
    return out


def _turned(heads: torch.Tensor, turns: Turns) -> torch.Tensor:
    """Turn the first dimensions of each head, taken in pairs, by the position's angles."""
    size = turns.cos.shape[-1]
    turning, rest = heads[..., :size], heads[..., size:]
    crossed = torch.stack((-turning[..., 1::2], turning[..., ::2]), dim=-1).flatten(-2)
    return torch.cat((turning * turns.cos + crossed * turns.sin, rest), dim=-1)
