"""What the text of a message calls people and channels: ids in, names out."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Names:
    """The names that one reader of the page sees."""

    users: Mapping[str, str] = field(default_factory=dict)
    """User id → the name shown, without the @."""

    channels: Mapping[str, str] = field(default_factory=dict)
    """Channel id → the name shown, without the #."""

    viewer_id: str | None = None
    """Who is reading: a mention of this person stands out."""
