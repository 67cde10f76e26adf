"""Dolly's keys as single tokens of a base: where their rows are, and what they start as.

The end key starts as a copy of the base's end-of-text row, because a base that has learned to end a text then knows how
to end an answer: with a mean start no answer ever stopped (0 of 48 against 42 of 48).
"""

import json
import re
from typing import Any

import torch
from tokenizers import AddedToken
from tokenizers import Tokenizer as Backend

from trainer.errors import BadInput
from trainer.template import DOLLY_KEYS, END_KEY, dolly_source, has_dolly_keys

ROWS_MULTIPLE = 64
"""Matrices with other numbers of rows leave a GPU's matrix units partly idle."""

SPARE_TOKEN = re.compile(r"<\|(?:extratoken|reserved_special_token)_(\d+)\|>")
"""What GPT-J and Llama 3 call their tokens without a meaning."""


def add_keys(model: Any, tokenizer: Any) -> None:
    """Give a base (AutoModelForCausalLM, PreTrainedTokenizerFast) Dolly's keys, template and stop tokens.

    The keys take rows that the base has to spare: above the tokenizer's entries, or of tokens without a meaning; where
    there are none the matrices grow to a multiple of 64 rows. Harmless where they are there already. Raises BadInput
    where the base has no end-of-text token.
    """
    if tokenizer.eos_token_id is None:
        raise BadInput("The base's tokenizer names no end-of-text token (eos_token), so no answer could learn to end.")
    if not has_dolly_keys(tokenizer):
        pieces = {key: tokenizer(key, add_special_tokens=False).input_ids for key in DOLLY_KEYS}
        _name_keys(model, tokenizer)
        ids = dict(zip(DOLLY_KEYS, key_ids(tokenizer), strict=True))
        _start(model, {ids[key]: [tokenizer.eos_token_id] if key == END_KEY else pieces[key] for key in DOLLY_KEYS})
    tokenizer.chat_template = dolly_source(tokenizer)
    _set_stops(model, tokenizer)


def key_ids(tokenizer: Any) -> tuple[int, ...]:
    """Ids of DOLLY_KEYS, in their order: the rows that LoRA must train too."""
    return tuple(tokenizer.convert_tokens_to_ids(list(DOLLY_KEYS)))


def padding_rows(model: Any, tokenizer: Any) -> range:
    """Rows of the output matrix that no token has: all above the tokenizer's last entry."""
    return range(_entries(tokenizer), model.get_output_embeddings().weight.shape[0])


def _entries(tokenizer: Any) -> int:
    return max(tokenizer.get_vocab().values()) + 1


def _name_keys(model: Any, tokenizer: Any) -> None:
    """Make the keys tokens of the tokenizer, with rows in the model's matrices."""
    new = [AddedToken(key, special=True, normalized=False) for key in DOLLY_KEYS]
    spare = sorted((int(match[1]), token) for token in tokenizer.get_vocab() if (match := SPARE_TOKEN.fullmatch(token)))
    rows = model.get_input_embeddings().weight.shape[0]
    entries = _entries(tokenizer)
    if rows - entries < len(new) <= len(spare):
        _rename(tokenizer, {token: key for (_, token), key in zip(spare, DOLLY_KEYS, strict=False)})
        return
    tokenizer.add_tokens(new, special_tokens=True)
    if _entries(tokenizer) > rows:
        old = [matrix.weight[:rows].float().mean(dim=0) for matrix in _matrices(model)]
        model.resize_token_embeddings(_entries(tokenizer), pad_to_multiple_of=ROWS_MULTIPLE, mean_resizing=False)
        with torch.no_grad():
            for matrix, mean in zip(_matrices(model), old, strict=True):
                matrix.weight[rows:] = mean.to(matrix.weight.dtype)
                if getattr(matrix, "bias", None) is not None:
                    matrix.bias[rows:] = matrix.bias[:rows].float().mean().to(matrix.bias.dtype)


def _rename(tokenizer: Any, names: dict[str, str]) -> None:
    """Give tokens other texts, in place; their ids stay."""
    described = json.loads(tokenizer.backend_tokenizer.to_str())
    vocabulary = described["model"]["vocab"]
    for old, new in names.items():
        id = tokenizer.convert_tokens_to_ids(old)
        if old in vocabulary:
            vocabulary[new] = vocabulary.pop(old)
        described["added_tokens"] = [token for token in described["added_tokens"] if token["id"] != id]
        added = {"id": id, "content": new, "special": True, "normalized": False}
        described["added_tokens"].append(added | dict.fromkeys(("single_word", "lstrip", "rstrip"), False))
    described["added_tokens"].sort(key=lambda token: token["id"])
    tokenizer._tokenizer = Backend.from_str(json.dumps(described))


def _start(model: Any, starts: dict[int, list[int]]) -> None:
    """Set row → mean of the rows that it replaces, in the input and the output matrix and the output's bias."""
    with torch.no_grad():
        for matrix in _matrices(model):
            for values in (matrix.weight, getattr(matrix, "bias", None)):
                if values is None:
                    continue
                rows = {row: values[of].float().mean(dim=0).to(values.dtype) for row, of in starts.items()}
                for row, value in rows.items():
                    values[row] = value


def _matrices(model: Any) -> list[Any]:
    """The input and the output matrix; one where they are tied."""
    matrices = [model.get_input_embeddings(), model.get_output_embeddings()]
    is_tied = matrices[0].weight is matrices[1].weight
    # Of a tied pair the output's is taken: it may have a bias.
    return matrices[1:] if is_tied else matrices


def _set_stops(model: Any, tokenizer: Any) -> None:
    """A list, because TGI does not read a single number here; suppressed is what has no token."""
    generation = model.generation_config
    base = generation.eos_token_id
    stops = base if isinstance(base, list) else [base]
    end_id = key_ids(tokenizer)[DOLLY_KEYS.index(END_KEY)]
    generation.eos_token_id = list(
        dict.fromkeys([end_id, tokenizer.eos_token_id, *(id for id in stops if id is not None)])
    )
    if generation.pad_token_id is None:
        generation.pad_token_id = tokenizer.eos_token_id
    padding = padding_rows(model, tokenizer)
    generation.suppress_tokens = list(padding) or None
