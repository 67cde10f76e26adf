"""What no log may hold: all that people and models say while Dolly is tested, tokens and keys.

    with listening() as silence:
        ...                            # any scenarios
        assert silence.broken(logs_of_children) == []

Said is what people write into workspaces (messages, commands, forms, files) and what engines are sent and answer;
logged is all that `dolly serve` would log at its most talkative level. A run of four words in a row that was said is
looked for in what was logged, in whatever case and with whatever marks between, so that a piece of a text is found,
too; secrets are looked for as they are.
"""

import io
import logging
import re
from collections.abc import AsyncGenerator, Iterable, Iterator, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import structlog

from bot.conversation import Message
from bot.local.workspace import Workspace
from bot.local.workspace.people.interacting import Interacting
from bot.local.workspace.people.people import People
from bot.local.workspace.timeline.changes import Change
from bot.model_client.client import ModelClient
from bot.telemetry import configure_logging

RUN = 4
"""So many words in a row are somebody's, and no accident."""
SECRETS = ("bot_token", "app_token", "signing_secret", "verification_token", "client_secret")

WORD = re.compile(r"[^\W_]+")
AS_WRITTEN = re.compile(r"<[^>]*>")
"""Mentions and addresses, as Slack writes them: ids may be logged."""
ESCAPES = re.compile(r"\\[nrtbf\"]")
"""How JSON and repr() write ends of lines: no part of a word."""

Run = tuple[str, ...]


def runs(text: str) -> set[Run]:
    """Every four words in a row of which two at least are more than figures and letters."""
    words = WORD.findall(ESCAPES.sub(" ", text).lower())
    found = {tuple(words[at : at + RUN]) for at in range(len(words) - RUN + 1)}
    return {run for run in found if sum(len(word) > 2 and word.isalpha() for word in run) >= 2}


@dataclass
class Silence:
    """What was said and logged since it began."""

    logged: io.StringIO = field(default_factory=io.StringIO)
    handler: logging.Handler = field(default_factory=logging.NullHandler)
    said: set[Run] = field(default_factory=set)
    secrets: dict[str, str] = field(default_factory=dict)
    """Each with what it is."""

    def hear(self, text: object) -> None:
        """Somebody says `text`, or all texts in it."""
        if isinstance(text, str):
            self.said |= runs(AS_WRITTEN.sub(" ", text))
        elif isinstance(text, dict):
            self.hear(list(text.values()))
        elif isinstance(text, list | tuple):
            for each in text:
                self.hear(each)

    def keep(self, what: str, secret: str) -> None:
        """Nobody may read `secret`."""
        self.secrets[secret] = what

    def broken(self, logs: Iterable[Path] = ()) -> list[str]:
        """What was said, and is in a log: ours, or one of these files."""
        texts = {"what Dolly logged": self.logged.getvalue()}
        texts |= {str(path): path.read_text(encoding="utf-8", errors="replace") for path in logs}
        found = []
        for where, text in texts.items():
            found += [f"{' '.join(run)!r} in {where}" for run in sorted(runs(text) & self.said)]
            found += [f"the {what} in {where}" for secret, what in self.secrets.items() if secret in text]
        return found


@contextmanager
def listening() -> Iterator[Silence]:
    """Hear all that is said and logged in this process while the body runs."""
    silence = Silence()
    with pytest.MonkeyPatch.context() as patch, _logging(silence):
        _hear_people(silence, patch)
        _hear_models(silence, patch)
        yield silence


@contextmanager
def _logging(silence: Silence) -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in (None, "bot", "slack_bolt", "slack_sdk")]
    levels, root = [logger.level for logger in loggers], loggers[0]
    handlers, root.handlers = root.handlers, []
    configure_logging("debug", silence.logged)
    (silence.handler,) = root.handlers
    root.handlers = [*handlers, silence.handler]
    try:
        yield
    finally:
        root.removeHandler(silence.handler)
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
        structlog.reset_defaults()


def _hear_people(silence: Silence, patch: pytest.MonkeyPatch) -> None:
    start, command, submit, share = Workspace.start, Interacting.command, Interacting.submit_view, People.share

    async def started(self: Workspace) -> None:
        await start(self)
        for name in SECRETS:
            silence.keep(f"workspace's {name}", getattr(self.identity, name))
        dolly = self.identity.bot_user_id

        def heard(change: Change) -> None:
            if change.message is not None and change.message.get("user") != dolly:
                silence.hear(change.message.get("text"))

        self.changes.subscribe(heard)

    async def commanded(self: Interacting, user_id: str, channel_id: str, name: str, text: str) -> None:
        silence.hear(text)
        await command(self, user_id, channel_id, name, text)

    async def submitted(self: Interacting, user_id: str, view_id: str, values: dict[str, Any]) -> dict[str, str]:
        silence.hear(values)
        return await submit(self, user_id, view_id, values)

    async def shared(
        self: People, user_id: str, channel_id: str, files: Sequence[tuple[str, bytes]], *args: Any, **options: Any
    ) -> Any:
        silence.hear([content[:10_000].decode(errors="replace") for _, content in files])
        return await share(self, user_id, channel_id, files, *args, **options)

    patch.setattr(Workspace, "start", started)
    patch.setattr(Interacting, "command", commanded)
    patch.setattr(Interacting, "submit_view", submitted)
    patch.setattr(People, "share", shared)


def _hear_models(silence: Silence, patch: pytest.MonkeyPatch) -> None:
    stream, init = ModelClient.stream, ModelClient.__init__

    async def streamed(self: ModelClient, messages: Sequence[Message], *, max_tokens: int) -> AsyncGenerator[str, None]:
        silence.hear([message.content for message in messages if message.role != "system"])
        written = []
        try:
            async with aclosing(stream(self, messages, max_tokens=max_tokens)) as deltas:
                async for delta in deltas:
                    written.append(delta)
                    yield delta
        finally:
            silence.hear("".join(written))

    def made(self: ModelClient, *args: Any, **options: Any) -> None:
        init(self, *args, **options)
        if self._api_key:
            silence.keep("engine's key", self._api_key)

    patch.setattr(ModelClient, "stream", streamed)
    patch.setattr(ModelClient, "__init__", made)
