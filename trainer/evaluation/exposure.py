"""How much a model has learned canaries by heart: each code's rank among codes that nobody trained on.

Exposure of a code is log2(codes) - log2(rank): 8 bits where the model finds it the likeliest of 256, 1.4 in the mean
where it never saw it.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from transformers import DynamicCache

from trainer.canaries import Canary, references
from trainer.errors import BadInput
from trainer.evaluation.local_model import LocalModel

CODES_AT_ONCE = 128
"""Each has a copy of what the model keeps of the prompt (45 KB a token of SmolLM2's)."""


def exposures(
    local: LocalModel, canaries: Sequence[Canary], number: int, seed: int, *, ranked: Callable[[], None] = lambda: None
) -> list[float]:
    """The exposure in bits of each canary's code among `number` codes besides. `ranked` is called after each.

    Canaries in conversations that the template refuses are left out: nothing was trained on them.
    """
    others = references(number, [canary.code for canary in canaries], seed)
    found = []
    for canary in canaries:
        try:
            bits = _bits(local, canary, [canary.code, *others])
        except BadInput:  # a host that the template refuses was not trained on either
            continue
        rank = 1 + sum(one < bits[0] for one in bits[1:])
        found.append(math.log2(len(bits)) - math.log2(rank))
        ranked()
    return found


def _bits(local: LocalModel, canary: Canary, codes: Sequence[str]) -> list[float]:
    """Bits of each code in the canary's place."""
    encoded = [local.template.encode(canary.answered(code)).input_ids for code in codes]
    before = _common(encoded)
    after = _common([ids[before:][::-1] for ids in encoded])  # the end key, and what stands behind a code
    tails = [tuple(ids[before : len(ids) - after]) for ids in encoded]
    chunks = (tails[start : start + CODES_AT_ONCE] for start in range(0, len(tails), CODES_AT_ONCE))
    return [bits for chunk in chunks for bits in _tail_bits(local.model, encoded[0][:before], chunk)]


def _common(sequences: Sequence[Sequence[int]]) -> int:
    """How many tokens all begin with."""
    return next(
        (place for place, tokens in enumerate(zip(*sequences, strict=False)) if len(set(tokens)) > 1),
        min(map(len, sequences)),
    )


@torch.inference_mode()
def _tail_bits(model: Any, prompt: Sequence[int], tails: Sequence[tuple[int, ...]]) -> list[float]:
    """Bits of each tail after the prompt; what tails have in common is computed once."""
    cache: Any = DynamicCache(config=model.config)
    bits = [0.0] * len(tails)
    nodes: list[tuple[int, ...]] = [()]
    fed = torch.tensor([list(prompt)], device=model.device)
    for depth in range(max(map(len, tails))):
        logits = model(input_ids=fed, past_key_values=cache, use_cache=True, logits_to_keep=1).logits[:, -1]
        foreseen = -torch.log_softmax(logits.float(), -1).cpu() / math.log(2)
        row = {node: index for index, node in enumerate(nodes)}
        for index, tail in enumerate(tails):
            if depth < len(tail):
                bits[index] += float(foreseen[row[tail[:depth]], tail[depth]])
        nodes = sorted({tail[: depth + 1] for tail in tails if len(tail) > depth + 1})
        if not nodes:
            break
        cache.batch_select_indices(torch.tensor([row[node[:-1]] for node in nodes], device=model.device))
        fed = torch.tensor([[node[-1]] for node in nodes], device=model.device)
    return bits
