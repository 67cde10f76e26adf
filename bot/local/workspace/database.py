"""The workspace's SQLite file. (Signatures first; bodies follow.)"""

from pathlib import Path

from bot.local.workspace.records import AppIdentity


class Database:
    def __init__(self, path: Path | None) -> None:
        """None keeps it in memory. Raises bot.errors.LocalPartError."""
        raise NotImplementedError

    def identity(self) -> AppIdentity:
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError
