"""The values of a delivery: what is sent to the app once, and why it counts as not received."""

import uuid
from dataclasses import dataclass, field
from typing import Literal

from bot.local.workspace.records import Json

EnvelopeKind = Literal["events_api", "slash_commands", "interactive"]
DisconnectReason = Literal["warning", "refresh_requested", "link_disabled", "too_many_websockets"]
FailureReason = Literal["timeout", "http_error", "connection_failed"]


@dataclass
class Envelope:
    """One try to deliver one payload."""

    kind: EnvelopeKind
    payload: Json
    retry_attempt: int = 0
    retry_reason: str = ""
    envelope_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    acked: bool = False


class NotAcknowledged(Exception):
    """The app did not acknowledge an envelope. With `final` it asked not to be sent it again."""

    def __init__(self, reason: FailureReason, *, final: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.final = final
