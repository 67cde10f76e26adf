"""What is stored of people's words is encrypted: AES-256-GCM with a key of each conversation's own.

    1.<key id>.<base64 of nonce and ciphertext>     sealed
    0.<text>                                        plain: Dolly was told to do without keys

The conversation is authenticated with the text, so that one read under another conversation does not open:
a mix-up is an error and not a leak.
"""

import base64
import binascii
import hashlib
import hmac
import os
import secrets
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from bot.errors import LocalPartError, SealBroken

KEY_BYTES = 32
NONCE_BYTES = 12
KEY_ID_BYTES = 4


class Sealing:
    """Seals with the newest of its keys, and opens what any of them sealed."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        """`keys` of 32 bytes, the newest first; without any, texts are stored as they are."""
        self._keys = {_key_id(key): key for key in keys}
        self._newest = _key_id(keys[0]) if keys else None

    def seal(self, conversation: str, text: str) -> str:
        """`text` as it is stored for `conversation`: different each time."""
        if self._newest is None:
            return f"0.{text}"
        key = self._keys[self._newest]
        return f"1.{self._newest}.{encrypted(key, f'conversation {conversation}', conversation, text)}"

    def open(self, conversation: str, sealed: str) -> str:
        """The text that was sealed for `conversation`. Raises SealBroken, with a sentence that quotes nothing."""
        version, _, rest = sealed.partition(".")
        if version == "0":
            return rest
        if version != "1":
            raise SealBroken(
                "A stored text has a form that this Dolly does not know: it is damaged, or of a later Dolly."
            )
        key_id, _, body = rest.partition(".")
        if not self._keys:
            raise SealBroken("A stored text is encrypted, and DOLLY_MEMORY_KEY is not set: set it to the key of then.")
        if key_id not in self._keys:
            raise SealBroken("A stored text was encrypted with a key that is not in DOLLY_MEMORY_KEY: add it there.")
        cipher = AESGCM(_derived(self._keys[key_id], f"conversation {conversation}", KEY_BYTES))
        try:
            stored = base64.b64decode(body, validate=True)
            opened = cipher.decrypt(stored[:NONCE_BYTES], stored[NONCE_BYTES:], conversation.encode())
        except (InvalidTag, binascii.Error, ValueError):
            raise SealBroken("A stored text is damaged, or belongs to another conversation; it is not read.") from None
        return opened.decode(errors="surrogatepass")

    def hashes(self, text: str) -> tuple[str, ...]:
        """`text` as it is known under each of the keys, the newest first: nobody without a key can try texts out."""
        keys = [_derived(key, "hash", KEY_BYTES) for key in self._keys.values()] or [b""]
        return tuple(hmac.new(key, text.encode(), hashlib.sha256).hexdigest() for key in keys)


def encrypted(key: bytes, purpose: str, about: str, text: str) -> str:
    """`text` under what is derived from `key` for `purpose`: base64 of nonce and ciphertext, different each time.

    It opens only with the same `about`.
    """
    nonce = secrets.token_bytes(NONCE_BYTES)
    cipher = AESGCM(_derived(key, purpose, KEY_BYTES))
    sealed = cipher.encrypt(nonce, text.encode(errors="surrogatepass"), about.encode())
    return base64.b64encode(nonce + sealed).decode()


def own_key(path: Path, of: str = "Dolly's memory") -> bytes:
    """The key in the file `path`, made at the first call; two that come at once agree on one.

    Raises LocalPartError where it cannot be read or made; `of` says there whose key it is.
    """
    try:
        if not path.exists():
            _make_key(path)
        key = base64.b64decode(path.read_bytes(), validate=False)
    except (OSError, binascii.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is damaged"
        raise LocalPartError(f"The key of {of}, {path}, cannot be used: {reason}.") from None
    if len(key) != KEY_BYTES:
        raise LocalPartError(
            f"The key of {of}, {path}, is damaged: put it back from a backup. "
            "Without it nothing that it has encrypted can be read; to begin anew, delete the folder that it is in."
        )
    return key


def _make_key(path: Path) -> None:
    """Written whole under another name first: whoever finds `path` finds all of it."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(base64.b64encode(secrets.token_bytes(KEY_BYTES)) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):  # somebody else was first
            os.link(draft, path)
    finally:
        draft.unlink()


def _key_id(key: bytes) -> str:
    return _derived(key, "key id", KEY_ID_BYTES).hex()


def _derived(key: bytes, purpose: str, length: int) -> bytes:
    return HKDF(SHA256(), length, salt=None, info=f"dolly {purpose}".encode()).derive(key)
