"""Numbers in 8 bits, in blocks with a scale of their own: levels a constant ratio apart, so small ones keep digits.

Codes are made of flat tensors whose length is a multiple of BLOCK, in float32, and run compiled as well as not.
"""

import torch

BLOCK = 256
"""Numbers that share a scale."""

SIGNED_LEVELS = 127
SIGNED_PER_OCTAVE = 10
"""Levels 7 % apart, over 12.6 octaves; smaller numbers become 0."""

POSITIVE_LEVELS = 255
POSITIVE_PER_OCTAVE = 8
"""Of squares; levels 9 % apart, over 31.8 octaves."""


def encode_signed(values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """int8 codes, and the largest magnitude of each block. To the nearest level."""
    blocks = values.view(-1, BLOCK)
    scale = blocks.abs().amax(dim=1)
    share = blocks.abs() / scale.clamp_min(torch.finfo(torch.float32).tiny)[:, None]
    level = torch.round(SIGNED_LEVELS + SIGNED_PER_OCTAVE * torch.log2(share)).clamp(0, SIGNED_LEVELS)
    return (level * blocks.sign()).to(torch.int8).view(-1), scale


def decode_signed(codes: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    blocks = codes.view(-1, BLOCK).float()
    size = torch.exp2((blocks.abs() - SIGNED_LEVELS) / SIGNED_PER_OCTAVE) * scale[:, None]
    return (size * blocks.sign()).view(-1)


def encode_positive(values: torch.Tensor, chance: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """uint8 codes, and the largest value of each block. Up or down by `chance` (in [0, 1), one each), true in the mean.

    A running mean that moves by a thousandth a step would never leave its level if it were rounded to the nearest.
    What is not 0 never becomes 0: it is divided by.
    """
    blocks = values.view(-1, BLOCK)
    scale = blocks.amax(dim=1)
    share = blocks / scale.clamp_min(torch.finfo(torch.float32).tiny)[:, None]
    place = (POSITIVE_LEVELS + POSITIVE_PER_OCTAVE * torch.log2(share)).clamp(1, POSITIVE_LEVELS)
    below = torch.floor(place)
    ratio = 2 ** (1 / POSITIVE_PER_OCTAVE)
    odds = (torch.exp2((place - below) / POSITIVE_PER_OCTAVE) - 1) / (ratio - 1)
    level = below + (chance.view(-1, BLOCK) < odds).float()
    return torch.where(blocks > 0, level, torch.zeros_like(level)).to(torch.uint8).view(-1), scale


def decode_positive(codes: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    blocks = codes.view(-1, BLOCK).float()
    size = torch.exp2((blocks - POSITIVE_LEVELS) / POSITIVE_PER_OCTAVE) * scale[:, None]
    return torch.where(blocks > 0, size, torch.zeros_like(size)).view(-1)


def chances(first: int, count: int, step: torch.Tensor) -> torch.Tensor:
    """`count` numbers in [0, 1) that only their place, from `first` on, and the step (int32, on the device) decide."""
    mixed = torch.arange(first, first + count, dtype=torch.int32, device=step.device) * -1640531535 + step * 668265263
    for shift, factor in ((15, 739982445), (12, 695872825)):
        mixed = (mixed ^ ((mixed >> shift) & ((1 << (32 - shift)) - 1))) * factor
    return ((mixed ^ ((mixed >> 15) & 0x1FFFF)) & 0xFFFFFF).float() / (1 << 24)


def split(exact: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """float32 → the nearest bfloat16 and an int16 of what is left; `join` gives back the same bits. Not for NaN."""
    bits = exact.view(torch.int32)
    high = ((bits + 0x8000) >> 16).to(torch.int16)
    low = (bits - (high.to(torch.int32) << 16)).to(torch.int16)
    return high.view(torch.bfloat16), low


def join(high: torch.Tensor, low: torch.Tensor) -> torch.Tensor:
    """The float32 that was split."""
    return ((high.view(torch.int16).to(torch.int32) << 16) + low.to(torch.int32)).view(torch.float32)
