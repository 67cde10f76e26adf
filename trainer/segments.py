"""Text between control tokens, as the engine's tokenizer sees it, and never a control token out of it."""

import json
import re
from functools import lru_cache
from typing import Any

from tokenizers import AddedToken
from tokenizers import Tokenizer as Backend

from trainer.errors import BadInput

Tokenizer = Any
"""A PreTrainedTokenizerFast. transformers is not imported where only text is made of messages."""

CACHED_SEGMENTS = 256
"""The template's own words come again with every record."""


class Segments:
    """Encodes what stands between control tokens.

    A tokenizer that is given a whole text cuts it at its added tokens and encodes each piece between by itself; so
    pieces can be given to it one by one. Tokenizers that put a blank before a text are kept from doing so to a piece in
    the middle of one.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        special = special_tokens(tokenizer)
        self.control: dict[str, int] = {token.content: id for id, token in sorted(special.items())}
        """Each control token's text and id."""
        self._takes_blanks_before = {token.content for token in special.values() if token.lstrip}
        self._takes_blanks_after = {token.content for token in special.values() if token.rstrip}
        longest_first = sorted(self.control, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")
        described = json.loads(tokenizer.backend_tokenizer.to_str()) | {"truncation": None, "padding": None}
        self._at_start = _encoder(described)
        after, within = (_unprefixed(described, in_text=in_text) for in_text in (False, True))
        self._after_control = self._at_start if after == described else _encoder(after)
        self._in_text = self._at_start if within == described else _encoder(within)

    def controls_in(self, text: str) -> list[tuple[int, str]]:
        """Place and text of each control token that a tokenizer would find in `text`."""
        return [(match.start(), match[0]) for match in self._pattern.finditer(text)]

    def encode(self, text: str, *, at_start: bool, after: str, before: str) -> list[int]:
        """Tokens of a piece that stands after the control token `after` and before `before` ("" where it is text)."""
        if after in self._takes_blanks_after:
            text = text.lstrip()
        if before in self._takes_blanks_before:
            text = text.rstrip()
        if at_start:
            return self._at_start(text)
        return self._after_control(text) if after else self._in_text(text)


def special_tokens(tokenizer: Tokenizer) -> dict[int, AddedToken]:
    """Id → control token. Raises BadInput where the tokenizer is not a fast one."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if not isinstance(backend, Backend):
        raise BadInput("The base's tokenizer has no tokenizer.json (a fast tokenizer), which Dolly needs.")
    return {id: token for id, token in backend.get_added_tokens_decoder().items() if token.special}


def _encoder(described: dict[str, Any]) -> Any:
    """Text → ids, by a tokenizer that takes special tokens for the text that they are."""
    backend = Backend.from_str(json.dumps(described))
    backend.encode_special_tokens = True

    @lru_cache(CACHED_SEGMENTS)
    def encode(text: str) -> list[int]:
        ids: list[int] = backend.encode(text, add_special_tokens=False).ids
        return ids

    return encode


def _unprefixed(described: dict[str, Any], *, in_text: bool) -> dict[str, Any]:
    """The tokenizer without the blank that it puts before a text (`in_text`: also before a piece after a token)."""

    def changed(node: Any) -> Any:
        if isinstance(node, list):
            return [changed(part) for part in node]
        if not isinstance(node, dict):
            return node
        match node.get("type"):
            case "Metaspace" if in_text or node["prepend_scheme"] == "first":
                return {**node, "prepend_scheme": "never"}
            case "ByteLevel" if in_text:
                return {**node, "add_prefix_space": False}
            case "Prepend" if in_text:
                return {"type": "Sequence", "normalizers": []}
        return {key: changed(value) for key, value in node.items()}

    return described | {part: changed(described[part]) for part in ("normalizer", "pre_tokenizer")}
