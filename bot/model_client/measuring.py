"""How fast an engine answers, and how much: one answer, counted by its events."""

import time
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from bot import metrics, tracing
from bot.model_client.dialects import EngineReport


class Measurement:
    """Begins with the request, and ends when the answer does or is left.

    Engines send one event for a token, or now and then for a few of them.
    """

    def __init__(self, url: str, max_tokens: int, temperature: float) -> None:
        self._asked = time.monotonic()
        self._first = self._last = 0.0
        self._tokens = 0
        parts = urlsplit(url)
        self._span = tracing.call(
            tracing.CHAT,
            {
                tracing.OPERATION: tracing.CHAT,
                tracing.REQUEST_MAX_TOKENS: max_tokens,
                tracing.REQUEST_TEMPERATURE: temperature,
                tracing.REQUEST_STREAM: True,
                tracing.SERVER_ADDRESS: parts.hostname or "",
                tracing.SERVER_PORT: parts.port or (443 if parts.scheme == "https" else 80),
            },
        )

    def __enter__(self) -> Self:
        self._span.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """The answer is finished, broken off or not wanted any more."""
        metrics.engine_tokens.labels("completion").inc(self._tokens)
        if self._last > self._first:
            metrics.engine_tokens_per_second.observe((self._tokens - 1) / (self._last - self._first))
        self._span.note({tracing.OUTPUT_TOKENS: self._tokens})
        self._span.__exit__(kind, error, trace)

    def asked(self, report: EngineReport) -> None:
        """It is known who is asked."""
        self._span.note(
            {
                tracing.PROVIDER: report.dialect,
                tracing.REQUEST_MODEL: report.model,
                tracing.RESPONSE_MODEL: report.stamp,
            },
            name=f"{tracing.CHAT} {report.model}",
        )

    def token(self) -> None:
        """A token has come, be it one of hidden reasoning."""
        self._last = time.monotonic()
        self._tokens += 1
        if self._tokens == 1:
            self._first = self._last
            metrics.first_token_seconds.observe(self._first - self._asked)
            self._span.note({tracing.FIRST_CHUNK_SECONDS: self._first - self._asked})

    def finished(self, reason: str) -> None:
        """The engine has said why it ended."""
        self._span.note({tracing.FINISH_REASONS: [reason]})
