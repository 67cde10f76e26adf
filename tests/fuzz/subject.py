"""`dolly serve` as a process of its own: nothing beyond this machine can be reached, and /metrics counts its tasks."""

import asyncio
import os
import sys
from pathlib import Path

from prometheus_client import Gauge

from bot.__main__ import app
from bot.local.workspace import Workspace
from tests.chaos.subject import Victim, free_port
from tests.offline import refuse_network

ROOT = Path(__file__).resolve().parents[2]
TASKS = "fuzz_tasks"


class Dolly(Victim):
    """The process, reached by signed HTTP."""

    def __init__(self, folder: Path, workspace: Workspace, store_url: str, engine_url: str) -> None:
        super().__init__("dolly", folder)
        self._folder = folder
        self.http_port, self.admin_port = free_port(), free_port()
        identity = workspace.identity
        self._environment = {
            **{name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG")},
            "PYTHONPATH": str(ROOT),
            "SLACK_BOT_TOKEN": identity.bot_token,
            "SLACK_SIGNING_SECRET": identity.signing_secret,
            "SLACK_API_URL": workspace.api_url,
            "SLACK_RATE": "1000",
            "HTTP_HOST": "127.0.0.1",
            "HTTP_PORT": str(self.http_port),
            "ADMIN_PORT": str(self.admin_port),
            "REDIS_URL": store_url,
            "DOLLY_MEMORY_KEY": "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
            "DOLLY_DATA": str(folder),
            "ENGINE_URL": engine_url,
            "MAX_TOKENS": "200",
            "QUESTIONS_PER_MINUTE": "0",
            "WAITING_PER_USER": "1000000",
            "LOG_LEVEL": "info",
        }

    async def start(self) -> None:
        command = [sys.executable, "-m", "tests.fuzz.subject", "serve"]
        await self.spawn(command, cwd=self._folder, environment=self._environment)


if __name__ == "__main__":
    sys.addaudithook(refuse_network)
    Gauge(TASKS, "Tasks of the event loop").set_function(lambda: len(asyncio.all_tasks()))
    app()
