"""Stop strings, cut here for every engine.

Engines differ: TGI leaves the stop string in the text and misses one that ends within a token, vLLM cuts it,
others know no stop strings at all. So none is sent; ending the stream at the cut makes the engine stop.
"""

from collections.abc import Sequence


class StopCut:
    """Passes text through until the first stop string, which may be spread over many deltas."""

    def __init__(self, stop: Sequence[str]) -> None:
        self._stop = [text for text in stop if text]
        self._held = ""
        self.found = False

    def feed(self, delta: str) -> str:
        """What of the text so far may be shown: nothing that a stop string could have begun in."""
        text = self._held + delta
        found = [(start + len(stop), start) for stop in self._stop if (start := text.find(stop)) >= 0]
        if found:
            self.found = True
            self._held = ""
            _, start = min(found)  # the one that ends first, so that deltas make no difference
            return text[:start]
        held = max((_overlap(text, stop) for stop in self._stop), default=0)
        self._held = text[len(text) - held :]
        return text[: len(text) - held]

    def rest(self) -> str:
        """What was held back, once the text has ended and no stop string came of it."""
        held, self._held = self._held, ""
        return held


def _overlap(text: str, stop: str) -> int:
    """How many characters at the end of `text` are the beginning of `stop`."""
    longest = min(len(text), len(stop) - 1)
    return next((length for length in range(longest, 0, -1) if text.endswith(stop[:length])), 0)
