"""The engine of the benchmark, a process of its own: one text at a fixed speed, several tokens in each event.

One event for each token, as TGI sends them, would have this machine's processor be what is measured; vLLM's
`--stream-interval` sends several as well.
"""

import argparse
import asyncio

from tests.scripted_engine import DONE, Script, ScriptedEngine

BEGINNING = "§"
END = "¶"
"""Signs that neither a question nor a word of Dolly's own has in it: what shows them shows the engine's text."""

TOKENS_PER_SECOND = 40
TOKENS_PER_EVENT = 8


def text_of(tokens: int) -> str:
    """So many words, each a token."""
    return " ".join([BEGINNING, *(f"word{number}" for number in range(tokens - 2)), END])


async def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--tokens", type=int, required=True)
    arguments.add_argument("--slower", type=float, default=1.0, help="how many times more time it takes")
    chosen = arguments.parse_args()
    words = text_of(chosen.tokens).split()
    pause_seconds = chosen.slower * TOKENS_PER_EVENT / TOKENS_PER_SECOND
    async with ScriptedEngine(window_tokens=8192) as engine:
        lines: list[bytes | float] = []
        for start in range(0, len(words), TOKENS_PER_EVENT):
            some = " ".join(words[start : start + TOKENS_PER_EVENT])
            lines += [engine.chunk(f" {some}" if start else some), pause_seconds]
        engine.script = Script(lines=[*lines, engine.chunk("", "stop"), DONE])
        print(f"ready {engine.url}", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
