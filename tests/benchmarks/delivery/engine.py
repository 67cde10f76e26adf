"""The engine of the benchmark, a process of its own: writes one text, a word at a time, at a fixed speed."""

import argparse
import asyncio

from tests.scripted_engine import Script, ScriptedEngine

BEGINNING = "§"
END = "¶"
"""Signs that neither a question nor a word of Dolly's own has in it: what shows them shows the engine's text."""

WORDS = 60
TEXT = " ".join([BEGINNING, *(f"word{number}" for number in range(WORDS - 2)), END])


async def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--tokens-per-second", type=float, required=True, help="0 writes them all at once")
    arguments.add_argument("--first-token-seconds", type=float, required=True)
    chosen = arguments.parse_args()
    script = Script(TEXT, first_token_seconds=chosen.first_token_seconds, tokens_per_second=chosen.tokens_per_second)
    async with ScriptedEngine(script, window_tokens=8192) as engine:
        print(f"ready {engine.url}", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
