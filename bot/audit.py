"""The audit log: one JSON object a line, for each turn that ended and each act of an admin; never a text.

    {"at": "2026-11-22T14:03:45.120000+00:00", "user": "U0ASHA00001", "conversation": "9f86d081884c7d65",
     "model": "team/dolly", "tokens": 412, "decision": "answered", "reason": ""}
    {"at": "2026-11-22T14:05:02.310000+00:00", "user": "U0ASHA00001", "act": "set_channel", "target": "C0GENERAL01"}

The user is Slack's id as it is: whoever may read the log must be able to say who, and with a member list at hand a
hash of an id hides nobody. The conversation is a hash, by which lines of one thread are found together, and the log
does not tell where in Slack it is. Each line is written by one system call into a file opened anew: several replicas
may share the file, and it may be rotated at any time.
"""

import hashlib
import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import structlog

from bot.conversation import ConversationId, Turn
from bot.errors import LocalPartError

log = structlog.get_logger(__name__)

Decision = Literal["answered", "refused", "apologised"]
"""An answer was given, the question was not taken (a quota was used up, …), or an apology stood in its place."""


class AuditLog:
    """Appends to `path`, a file of mode 0600; with None, nothing. Raises LocalPartError when it cannot be written."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        if path is not None:
            try:
                path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                _append(path, b"")
            except OSError as error:
                raise LocalPartError(
                    f"The audit log {path} cannot be written ({error.strerror}); name another place with AUDIT_LOG."
                ) from None

    def turn_ended(self, turn: Turn, decision: Decision, *, reason: str = "", model: str = "", tokens: int = 0) -> None:
        """Note how `turn` ended. `reason` is the quota, or the key of the apology; `tokens` were read and written."""
        self._add(
            turn.user_id,
            conversation=hashed(turn.conversation),
            model=model,
            tokens=tokens,
            decision=decision,
            reason=reason,
        )

    def acted(self, user_id: str, act: str, target: str = "") -> None:
        """Note what somebody did who may more than others. `target` is the id of what it was done to."""
        self._add(user_id, act=act, target=target)

    def _add(self, user_id: str, **fields: object) -> None:
        if self._path is None:
            return
        line = {"at": datetime.now(UTC).isoformat(), "user": user_id, **fields}
        try:
            _append(self._path, json.dumps(line).encode() + b"\n")
        except OSError as error:  # what is noted has happened all the same
            log.error("audit_line_lost", reason=error.strerror)


def hashed(conversation: ConversationId | str) -> str:
    """A conversation as the log names it."""
    return hashlib.sha256(str(conversation).encode()).hexdigest()[:16]


def _append(path: Path, line: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, line)
    finally:
        os.close(descriptor)
