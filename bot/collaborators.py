"""What an answer is made with, as its responder sees them: journal, reply, Slack, and the model that writes."""

from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from bot.conversation import Message, Posting, Shape, Shown, Standing, Turn
from bot.prompts import Counter, Reader
from bot.words import Words


class Stopped(Exception):
    """The person who asked wants no more of this answer."""


class Journal(Protocol):
    """What is written down of an answer while it goes out, so that another worker can take it over.

    Each call raises LeaseLost when another worker has: whatever was made in Slack since is nobody's then.
    """

    @property
    def job_id(self) -> str: ...

    @property
    def posting(self) -> Posting:
        """How far the answer is: as the worker before left it, then as the calls below say."""

    @property
    def age_seconds(self) -> float:
        """Since the question was stored."""

    async def intend(self, shape: Shape) -> None:
        """Before the first call: this is how the answer will be brought."""

    async def not_made(self) -> None:
        """What was intended was certainly not made: it may be tried again."""

    async def used(self, uses: int) -> None:
        """Before and after a post at the turn's response_url: so many may have been made."""

    async def posted(self, ts: str) -> bool:
        """A message of the answer stands at `ts`; False where somebody else is taking it back."""

    async def disown(self, ts: str) -> bool:
        """The message at `ts` is going to be taken back; False where a worker goes on with it. Not fenced."""

    async def taken_back(self, ts: str) -> None:
        """Before it is deleted: the message at `ts` is part of the answer no more, whatever Slack tells of that."""

    @property
    def shown(self) -> dict[str, Shown]:
        """By ts, what this worker has had messages of the answer show as a whole; put down by whoever has it done."""

    async def disowned(self) -> frozenset[str]:
        """The ts of all messages of Dolly's own in this conversation that are being taken back, or were."""

    async def recorded(self) -> frozenset[str]:
        """The ts of all messages of Dolly's own in this conversation that some job has written down."""


class Reply(Protocol):
    """One answer on its way to where it was asked for.

    Raises SlackError where it is refused for good, SlackUnreachable where it may be tried again later, LeaseLost
    where another worker has taken over.
    """

    async def begin(self) -> None:
        """Take over what another worker left, if one did; then show that an answer is being prepared."""

    def hear(self, texts: Iterable[str]) -> None:
        """Before the first `write`: what people wrote in the conversation, whose addresses the model may repeat."""

    def sign(self, model: str, prompt_hash: str) -> None:
        """Before the last `write`: which model writes it, under which system prompt. Messages are marked with it."""

    async def write(self, delta: str) -> None:
        """Add a piece of the model's text. Raises Stopped when the reader pressed Stop, and never SlackUnreachable."""

    async def loading(self) -> None:
        """Show, where else it shows that an answer is being prepared, that a new model is being loaded before."""

    async def notice(self, sentence: str) -> None:
        """Say this where the answer will stand, until it does."""

    async def finish(self, sentence: str | None = None) -> None:
        """Bring out all that was written, then `sentence`, one of Dolly's own; nothing can be written after it."""

    async def stop(self, sentence: str) -> None:
        """End as it stands, with `sentence` where that can still be added; nothing more is brought out."""

    async def abandon(self) -> None:
        """Write no more: somebody else will answer, or nobody."""


class Slack(Reader, Protocol):
    """Where questions come from and answers go."""

    def reply(self, turn: Turn, journal: Journal) -> Reply:
        """The answer to `turn`, not yet begun."""

    async def standing(self, turn: Turn, journal: Journal) -> Standing | None:
        """The answer to `turn` that stands whole in its thread, where the store may have lost it; None where none does.

        What may be a part of it is written down in the journal, for `reply` to take over. Raises SlackError,
        SlackUnreachable or LeaseLost.
        """

    async def words(self, turn: Turn) -> Words:
        """Dolly's own words in the language of who asked. Never fails, and takes half a second at most."""


class Model(Counter, Protocol):
    """What writes the answers (bot.model_client.ModelClient)."""

    @property
    def served_model(self) -> str: ...
    def stream(self, messages: Sequence[Message], *, max_tokens: int) -> AsyncGenerator[str, None]: ...
    async def count_content(self, text: str) -> int: ...


class Engines(Protocol):
    """Which model writes which answer (bot.engines.Engines)."""

    def of(self, channel_id: str) -> AbstractAsyncContextManager[Model]:
        """The model for one turn in the channel, the same to its end. Raises ModelLoading where none may begin now."""
