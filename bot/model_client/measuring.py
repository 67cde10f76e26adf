"""How fast an engine answers, and how much: one answer, counted by its events."""

import time

from bot import metrics


class Measurement:
    """Begins with the request. Engines send one event for a token, or now and then for a few of them."""

    def __init__(self) -> None:
        self._asked = time.monotonic()
        self._first = self._last = 0.0
        self._tokens = 0

    def token(self) -> None:
        """A token has come, be it one of hidden reasoning."""
        self._last = time.monotonic()
        self._tokens += 1
        if self._tokens == 1:
            self._first = self._last
            metrics.first_token_seconds.observe(self._first - self._asked)

    def end(self) -> None:
        """The answer is finished, broken off or not wanted any more."""
        metrics.engine_tokens.labels("completion").inc(self._tokens)
        if self._last > self._first:
            metrics.engine_tokens_per_second.observe((self._tokens - 1) / (self._last - self._first))
