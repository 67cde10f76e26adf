"""The workspace: a stand-in for Slack on 127.0.0.1."""

from pathlib import Path

from bot.local.workspace.changes import Changes
from bot.local.workspace.clock import Clock
from bot.local.workspace.people import People
from bot.local.workspace.records import AppIdentity


class Workspace:
    """Slack's Web API, its deliveries to the app, and the page that people use, on one port."""

    url: str
    api_url: str
    identity: AppIdentity
    changes: Changes
    people: People
    request_url: str | None

    def __init__(
        self,
        database: Path | None = None,
        *,
        port: int = 0,
        clock: Clock | None = None,
        rate_limits: bool = False,
        request_url: str | None = None,
    ) -> None:
        """Keep what is said in the SQLite file `database`, or in memory only. Port 0 takes a free one.

        With `request_url` the app is reached there by signed HTTP, without it by Socket Mode.
        """
        self.request_url = request_url

    async def start(self) -> None:
        """Open the database and the port. Raises LocalPartError when either cannot be had."""

    async def stop(self) -> None:
        """Close everything that `start` opened."""
