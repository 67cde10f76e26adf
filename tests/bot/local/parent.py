"""A small Dolly for the tests to kill: starts a store, and an engine if asked, and stops them on Ctrl-C.

`python parent.py DATA_DIRECTORY [--engine] [--untied]` prints one JSON line when all is up. With --untied its
children do not die with it, as where the kernel offers no such thing.
"""

import asyncio
import json
import sys
from pathlib import Path

from redis.asyncio import Redis

from bot.local import supervisor
from bot.local.engine import LocalEngine
from bot.local.model import default_model_path
from bot.local.store import LocalStore

EXEC_ONLY = "import os, sys; os.execv(sys.argv[2], sys.argv[2:])"


async def main(directory: Path, flags: list[str]) -> None:
    if "--untied" in flags:
        supervisor.TIE_TO_PARENT = directory / "exec_only.py"
        supervisor.TIE_TO_PARENT.write_text(EXEC_ONLY)
    store = LocalStore(directory)
    engine = LocalEngine(default_model_path(), directory)
    await store.start()
    if "--engine" in flags:
        await engine.start()
    pids = [pid for pid in (store.pid, engine.pid) if pid is not None]
    print(json.dumps({"pids": pids, "url": store.url}), flush=True)
    try:
        await asyncio.Event().wait()
    finally:
        async with Redis.from_url(store.url) as client:
            await client.set("written", "after Ctrl-C")
        await engine.stop()
        await store.stop()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2:]))
