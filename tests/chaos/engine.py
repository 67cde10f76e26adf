"""The scripted engine of a chaos run, in a process that can be killed: `python -m tests.chaos.engine PORT FILE`.

Each prompt is appended to FILE, a JSON line, before a word of the answer is written: what was asked is known
whatever becomes of the engine. An answer depends on nothing but its prompt.
"""

import asyncio
import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from aiohttp import web

from tests.chaos.context import Prompt
from tests.chaos.markers import POISON, answer_text, questions_in
from tests.engine_dialects import Messages
from tests.scripted_engine import Request, Script, ScriptedEngine

TOKENS_PER_SECOND = 80
WINDOW_TOKENS = 100_000
OVERLOADED = Script(refusal=(429, {"error": "Model is overloaded", "error_type": "overloaded"}))
OVERLOAD_FILE = "overloaded"
"""As long as it stands beside the record, the engine takes no question."""
POISON_WORDS = "That is a hard one, let me"


class RecordingEngine(ScriptedEngine):
    """Answers the newest question of a prompt, and writes down who asked what."""

    def __init__(self, record: Path) -> None:
        super().__init__(dialect="vllm", window_tokens=WINDOW_TOKENS)
        self._overloaded = record.with_name(OVERLOAD_FILE)
        self._record = os.open(record, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    async def _answer(self, http: web.Request, request: Request, script: Script) -> web.StreamResponse:
        asker = http.headers.get("Authorization", "").removeprefix("Bearer ")
        line = {"at": time.time(), "asker": asker, "messages": request.messages}
        os.write(self._record, json.dumps(line).encode() + b"\n")
        self.requests.clear()  # they are in the file
        self.calls.clear()
        is_overloaded = self._overloaded.exists()
        return await super()._answer(http, request, OVERLOADED if is_overloaded else script_for(request.messages))


def script_for(messages: Messages) -> Script:
    newest = messages[-1]["content"]
    numbers = questions_in(newest)
    if not numbers:
        return Script(text="Hello.")
    if POISON in newest.rpartition(f"q{numbers[-1]:05d}")[2]:
        return Script(text=POISON_WORDS, end="error", after=numbers[-1] % 2 * 4)
    return Script(text=answer_text(numbers[-1]), tokens_per_second=TOKENS_PER_SECOND)


def read_prompts(record: Path) -> Iterator[Prompt]:
    """The prompts in the file, oldest first. A line that a kill cut short was never answered."""
    if not record.exists():
        return
    for line in record.read_text(encoding="utf-8").splitlines():
        try:
            asked = json.loads(line)
        except ValueError:
            continue
        yield Prompt(asked["at"], asked["asker"], asked["messages"])


async def main(port: int, record: Path) -> None:
    await RecordingEngine(record).start(port)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), Path(sys.argv[2])))
