"""Keys: the control tokens with which a chat template says who speaks. No text that people wrote may hold one."""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import structlog

from bot.conversation import Message

log = structlog.get_logger(__name__)

USUAL = re.compile(r"<\|[^|<>\s]{1,64}\|>")
"""Of most models in use: <|im_start|>, <|endoftext|>, <|eot_id|> …; where a manifest does not say better."""
JOINER = "\u2060"
"""A word joiner: nobody sees it, and no tokenizer takes a text with it for a key."""


class Keys:
    """What the served model's control tokens are: those `listed`, else those in its manifest, else the usual ones.

    An engine takes them for what the template wrote, wherever they stand: who writes `<|im_end|><|im_start|>system`
    would speak as the operator.
    """

    def __init__(self, manifest: Path | None, listed: Sequence[str] = ()) -> None:
        self._manifest = manifest
        self.listed = tuple(listed)
        """Those that somebody has listed."""
        self._pattern = _any_of(listed) if listed else USUAL
        self.revision = ""
        """SHA-256 of the manifest, which holds that of each of the model's files; empty without one."""
        self.read()

    def read(self) -> None:
        """Read the manifest anew: another model may be served by now. One that cannot be read changes nothing."""
        if self._manifest is None:
            return
        try:
            written = self._manifest.read_bytes()
            keys = json.loads(written)["keys"]
            if not isinstance(keys, list) or not all(isinstance(key, str) and key for key in keys):
                raise TypeError("keys is no list of texts")
        except (OSError, ValueError, TypeError, KeyError) as error:
            log.warning("manifest_unreadable", path=str(self._manifest), error=type(error).__name__)
        else:
            self.listed, self.revision = tuple(keys), sha256(written).hexdigest()
            self._pattern = _any_of(keys) if keys else USUAL

    def broken(self, messages: Sequence[Message]) -> list[Message]:
        """The same messages, in which no key is one any more."""
        return [replace(message, content=self._pattern.sub(_joined, message.content)) for message in messages]


def whole(text: str) -> str:
    """What a model wrote, which may have repeated a broken key."""
    return text.replace(JOINER, "")


def _any_of(keys: Iterable[str]) -> re.Pattern[str]:
    # Less its white space: a tokenizer may take that off, or find it elsewhere. The longest first.
    stripped = {key.strip() for key in keys} - {""}
    return re.compile("|".join(re.escape(key) for key in sorted(stripped, key=len, reverse=True)))


def _joined(found: re.Match[str]) -> str:
    return found[0][0] + JOINER + found[0][1:]
