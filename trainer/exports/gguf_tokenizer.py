"""A tokenizer.json as the lists that llama.cpp keeps in a GGUF file.

llama.cpp names its pre-tokenizers instead of reading them, so a tokenizer is told by what it does: one that is not in
the tables below would split text otherwise than in training, and is refused.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from gguf import TokenType

from trainer.errors import BadInput

LLAMA3_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
BYTES = {"type": "ByteLevel", "add_prefix_space": False}
SINGLE_DIGITS = {"type": "Digits", "individual_digits": True}

BYTE_LEVEL: dict[str, tuple[list[dict[str, Any]], bool]] = {
    "gpt-2": ([BYTES | {"use_regex": True}], False),
    "smollm": ([SINGLE_DIGITS, BYTES | {"use_regex": True}], False),
    "llama-bpe": (
        [
            {"type": "Split", "pattern": {"Regex": LLAMA3_WORDS}, "behavior": "Isolated", "invert": False},
            BYTES | {"use_regex": False},
        ],
        True,
    ),
}
"""llama.cpp's name → the steps of the pre-tokenizer, and whether a whole word in the vocabulary needs no merges."""

SPACE = "▁"
SENTENCEPIECE_NORMALIZER = {
    "type": "Sequence",
    "normalizers": [
        {"type": "Prepend", "prepend": SPACE},
        {"type": "Replace", "pattern": {"String": " "}, "content": SPACE},
    ],
}


@dataclass(frozen=True)
class Vocabulary:
    """What goes under `tokenizer.ggml.` in a GGUF file; lists are by token id."""

    model: Literal["gpt2", "llama"]
    pre: str
    tokens: list[str]
    types: list[int]
    merges: list[str] | None
    """Of byte-level BPE, best first."""
    scores: list[float] | None
    """Of SentencePiece BPE: what is merged first has the highest."""


def read_vocabulary(folder: Path) -> Vocabulary:
    """The vocabulary of `folder`/tokenizer.json. Raises BadInput for one that llama.cpp is not known to split alike."""
    try:
        tokenizer = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise BadInput(f"{folder} has no readable tokenizer.json, which GGUF files are written from.") from None
    model = tokenizer["model"]
    if model.get("type") != "BPE":
        raise BadInput(
            f"GGUF is written for BPE tokenizers, and this one is {model.get('type')}. Export with --gguf none."
        )
    ids = model["vocab"] | {token["content"]: token["id"] for token in tokenizer["added_tokens"]}
    texts = {number: text for text, number in ids.items()}
    tokens = [texts.get(number, f"[UNUSED{number}]") for number in range(max(texts) + 1)]
    types = [int(TokenType.NORMAL if number in texts else TokenType.UNUSED) for number in range(len(tokens))]
    merges = [tuple(merge.split(" ", 1)) if isinstance(merge, str) else tuple(merge) for merge in model["merges"]]
    if model.get("byte_fallback"):
        _check_sentencepiece(tokenizer)
        _mark_bytes(tokens, types)
        if model.get("unk_token") is not None:
            types[ids[model["unk_token"]]] = int(TokenType.UNKNOWN)
    for token in tokenizer["added_tokens"]:
        if types[token["id"]] != TokenType.UNKNOWN:
            types[token["id"]] = int(TokenType.CONTROL if token["special"] else TokenType.USER_DEFINED)
    if model.get("byte_fallback"):
        scores = _scores(tokens, [left + right for left, right in merges])
        return Vocabulary("llama", "default", tokens, types, None, scores)
    return Vocabulary("gpt2", _byte_level_name(tokenizer), tokens, types, [" ".join(merge) for merge in merges], None)


def _byte_level_name(tokenizer: Mapping[str, Any]) -> str:
    """llama.cpp's name of what a byte-level tokenizer does before it merges."""
    found = tokenizer.get("pre_tokenizer") or {}
    steps = found["pretokenizers"] if found.get("type") == "Sequence" else [found]
    steps = [{key: value for key, value in step.items() if key != "trim_offsets"} for step in steps]
    whole_words = bool(tokenizer["model"].get("ignore_merges"))
    for name, known in BYTE_LEVEL.items():
        if known == (steps, whole_words) and tokenizer.get("normalizer") is None:
            return name
    raise BadInput(
        "llama.cpp is not known to split text as this tokenizer does "
        f"(known: {', '.join(BYTE_LEVEL)} and LLaMA's SentencePiece). Export with --gguf none, "
        "and serve with vLLM or TGI."
    )


def _check_sentencepiece(tokenizer: Mapping[str, Any]) -> None:
    """Only the first LLaMA's way, a space before each piece of text, is what llama.cpp does with such a vocabulary."""
    metaspace = tokenizer.get("pre_tokenizer") or {}
    by_normalizer = tokenizer.get("normalizer") == SENTENCEPIECE_NORMALIZER and not metaspace
    by_metaspace = (
        tokenizer.get("normalizer") is None
        and metaspace.get("type") == "Metaspace"
        and metaspace.get("replacement") == SPACE
        and metaspace.get("prepend_scheme") == "always"
        and metaspace.get("split") is False
    )
    if not (by_normalizer or by_metaspace):
        raise BadInput(
            "This SentencePiece tokenizer puts spaces elsewhere than LLaMA's, so llama.cpp would split text otherwise. "
            "Export with --gguf none, and serve with vLLM or TGI."
        )


def _mark_bytes(tokens: list[str], types: list[int]) -> None:
    numbers = {text: number for number, text in enumerate(tokens)}
    for byte in range(256):
        if (number := numbers.get(f"<0x{byte:02X}>")) is None:
            raise BadInput(
                f"The tokenizer falls back to bytes and has no token <0x{byte:02X}>. Export with --gguf none."
            )
        types[number] = int(TokenType.BYTE)


def _scores(tokens: list[str], merged: list[str]) -> list[float]:
    """SentencePiece merges the pair with the highest score, tokenizer.json the one that stands first in its list."""
    ranks: dict[str, int] = {}
    for rank, text in enumerate(merged):
        ranks.setdefault(text, rank)
    return [-float(ranks.get(text, 0)) for text in tokens]
