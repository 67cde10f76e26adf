"""The workspace's SQLite file: every query on it. Each write is committed before it returns.

The file holds what people wrote, so it is made readable by its owner only, and one process has it at a time.
"""

import json
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bot.errors import LocalPartError
from bot.local.workspace.records import TEAM, AppIdentity, Channel, Json, User, new_identity, opening_channels
from bot.local.workspace.timeline.schema import SCHEMA_VERSION, statements_from


class Database:
    """One open SQLite file. Times are seconds since 1970, `ts` is Slack's text form of them."""

    def __init__(self, path: Path | None) -> None:
        """Open `path`, making it if need be with what a new workspace opens with; None keeps it in memory.

        Raises LocalPartError when the file cannot be used.
        """
        if path is not None:
            _make_private_file(path)
        name = ":memory:" if path is None else str(path)
        self._connection = sqlite3.connect(name, timeout=0, isolation_level=None)
        try:
            self._prepare()
        except (sqlite3.Error, LocalPartError) as fault:
            self._connection.close()
            raise _explained(fault, name) from fault

    def _prepare(self) -> None:
        self._run("PRAGMA locking_mode = EXCLUSIVE")
        self._run("PRAGMA journal_mode = WAL")
        self._run("PRAGMA synchronous = NORMAL")
        version = self._run("PRAGMA user_version").fetchone()[0]
        if version > SCHEMA_VERSION:
            raise LocalPartError(
                f"it was written by a newer Dolly (its version is {version}, this one knows {SCHEMA_VERSION}). "
                "Update Dolly, or move the file away to start with an empty workspace."
            )
        with self.transaction():
            for statement in statements_from(version):
                self._run(statement)
            self._run(f"PRAGMA user_version = {SCHEMA_VERSION}")
            if version < 1:
                self._run("INSERT INTO facts VALUES ('app', ?)", _text(asdict(new_identity())))
                self._run("INSERT INTO facts VALUES ('newest_ts', '0')")
                for channel in opening_channels():
                    self.save_channel(channel)
            if version < 2:
                for user in TEAM:
                    self.save_user(user)

    def close(self) -> None:
        self._connection.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All the writes within it are kept, or none."""
        self._run("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._run("ROLLBACK")
            raise
        self._run("COMMIT")

    def _run(self, statement: str, *values: Any) -> sqlite3.Cursor:
        return self._connection.execute(statement, values)

    def _one(self, statement: str, *values: Any) -> Json | None:
        row = self._run(statement, *values).fetchone()
        return None if row is None else json.loads(row[0])

    def _all(self, statement: str, *values: Any) -> list[Json]:
        return [json.loads(row[0]) for row in self._run(statement, *values)]

    # The app, time, people, channels

    def identity(self) -> AppIdentity:
        record = self._one("SELECT value FROM facts WHERE name = 'app'")
        assert record is not None
        return AppIdentity(**record)

    def next_ts(self, now: float) -> str:
        """A `ts` at `now`, or just after the newest that was given out. Never the same twice."""
        newest = int(self._run("SELECT value FROM facts WHERE name = 'newest_ts'").fetchone()[0])
        micros = max(newest + 1, int(now * 1_000_000))
        self._run("UPDATE facts SET value = ? WHERE name = 'newest_ts'", str(micros))
        return f"{micros // 1_000_000:010d}.{micros % 1_000_000:06d}"

    def users(self) -> list[User]:
        return [User(**record) for record in self._all("SELECT record FROM users ORDER BY rowid")]

    def user(self, user_id: str) -> User | None:
        record = self._one("SELECT record FROM users WHERE id = ?", user_id)
        return None if record is None else User(**record)

    def save_user(self, user: User) -> None:
        self._run(
            "INSERT INTO users VALUES (?1, ?2) ON CONFLICT (id) DO UPDATE SET record = ?2", user.id, _text(asdict(user))
        )

    def channels(self) -> list[Channel]:
        return [_channel(row) for row in self._all("SELECT record FROM channels ORDER BY rowid")]

    def channel(self, channel_id: str) -> Channel | None:
        record = self._one("SELECT record FROM channels WHERE id = ?", channel_id)
        return None if record is None else _channel(record)

    def save_channel(self, channel: Channel) -> None:
        self._run(
            "INSERT INTO channels VALUES (?1, ?2) ON CONFLICT (id) DO UPDATE SET record = ?2",
            channel.id,
            _text(asdict(channel)),
        )

    # Messages

    def add_message(self, channel_id: str, message: Json, *, in_history: bool, text_format: str) -> None:
        ts = message["ts"]
        root_ts = message.get("thread_ts", ts)
        values = (channel_id, ts, root_ts, message["user"], int(in_history), text_format, _text(message))
        self._run("INSERT INTO messages VALUES (?, ?, ?, ?, ?, ?, ?)", *values)

    def save_message(self, channel_id: str, message: Json, *, text_format: str) -> None:
        self._run(
            "UPDATE messages SET message = ?, text_format = ?, user_id = ? WHERE channel_id = ? AND ts = ?",
            *(_text(message), text_format, message["user"], channel_id, message["ts"]),
        )

    def delete_message(self, channel_id: str, ts: str) -> None:
        self._run("DELETE FROM messages WHERE channel_id = ? AND ts = ?", channel_id, ts)

    def message(self, channel_id: str, ts: str) -> Json | None:
        return self._one("SELECT message FROM messages WHERE channel_id = ? AND ts = ?", channel_id, ts)

    def text_format(self, channel_id: str, ts: str) -> str | None:
        row = self._run("SELECT text_format FROM messages WHERE channel_id = ? AND ts = ?", channel_id, ts).fetchone()
        return None if row is None else str(row[0])

    def history(self, channel_id: str, after: str, before: str, limit: int) -> list[Json]:
        """Messages of the channel itself, after < ts < before, newest first."""
        return self._all(
            "SELECT message FROM messages WHERE channel_id = ? AND in_history AND ts > ? AND ts < ? "
            "ORDER BY ts DESC LIMIT ?",
            *(channel_id, after, before, limit),
        )

    def thread(self, channel_id: str, root_ts: str, after: str, before: str, limit: int) -> list[Json]:
        """Replies in a thread, without its root, after < ts < before, oldest first."""
        return self._all(
            "SELECT message FROM messages WHERE channel_id = ?1 AND root_ts = ?2 AND ts != ?2 "
            "AND ts > ?3 AND ts < ?4 ORDER BY ts LIMIT ?5",
            *(channel_id, root_ts, after, before, limit),
        )

    def repliers(self, channel_id: str, root_timestamps: Sequence[str]) -> list[tuple[str, str, str]]:
        """(root_ts, ts, user id) of each reply to these messages, oldest first."""
        marks = ", ".join("?" * len(root_timestamps))
        return self._run(
            "SELECT root_ts, ts, user_id FROM messages "
            f"WHERE channel_id = ? AND root_ts IN ({marks}) AND ts != root_ts ORDER BY ts",
            *(channel_id, *root_timestamps),
        ).fetchall()

    # Streams

    def save_stream(self, channel_id: str, ts: str, stream: Json) -> None:
        values = [stream[name] for name in ("root_ts", "started", "state", "mode", "display_mode")]
        self._run("INSERT OR REPLACE INTO streams VALUES (?, ?, ?, ?, ?, ?, ?)", channel_id, ts, *values)

    def stream(self, channel_id: str, ts: str) -> Json | None:
        return self._one(
            "SELECT json_object('root_ts', root_ts, 'started', started, 'state', state, 'mode', mode, "
            "'display_mode', display_mode) FROM streams WHERE channel_id = ? AND ts = ?",
            *(channel_id, ts),
        )

    def streaming(self) -> list[tuple[str, str, str]]:
        """(channel id, root_ts, ts) of each stream that has not ended, oldest first."""
        return self._run("SELECT channel_id, root_ts, ts FROM streams WHERE state = 'streaming' ORDER BY ts").fetchall()

    # What only one person sees, threads with the app, home tabs, files

    def save_ephemeral(self, channel_id: str, user_id: str, message: Json) -> None:
        values = (channel_id, user_id, message["ts"], _text(message))
        self._run("INSERT OR REPLACE INTO ephemerals VALUES (?, ?, ?, ?)", *values)

    def ephemerals(self, channel_id: str, user_id: str) -> list[Json]:
        return self._all(
            "SELECT message FROM ephemerals WHERE channel_id = ? AND user_id = ? ORDER BY ts",
            *(channel_id, user_id),
        )

    def delete_ephemeral(self, channel_id: str, user_id: str, ts: str) -> None:
        statement = "DELETE FROM ephemerals WHERE channel_id = ? AND user_id = ? AND ts = ?"
        self._run(statement, channel_id, user_id, ts)

    def thread_record(self, channel_id: str, root_ts: str) -> Json:
        statement = "SELECT record FROM threads WHERE channel_id = ? AND root_ts = ?"
        return self._one(statement, channel_id, root_ts) or {}

    def save_thread_record(self, channel_id: str, root_ts: str, record: Json) -> None:
        self._run("INSERT OR REPLACE INTO threads VALUES (?, ?, ?)", channel_id, root_ts, _text(record))

    def home(self, user_id: str) -> Json | None:
        return self._one("SELECT view FROM homes WHERE user_id = ?", user_id)

    def homes(self) -> list[tuple[str, Json]]:
        return [(row[0], json.loads(row[1])) for row in self._run("SELECT user_id, view FROM homes")]

    def save_home(self, user_id: str, view: Json) -> None:
        self._run("INSERT OR REPLACE INTO homes VALUES (?, ?)", user_id, _text(view))

    def file(self, file_id: str) -> Json | None:
        return self._one("SELECT record FROM files WHERE id = ?", file_id)

    def file_content(self, file_id: str) -> bytes | None:
        row = self._run("SELECT content FROM files WHERE id = ?", file_id).fetchone()
        return None if row is None else row[0]

    def save_file(self, file_id: str, record: Json, content: bytes | None = None) -> None:
        self._run(
            "INSERT INTO files VALUES (?1, ?2, ?3) "
            "ON CONFLICT (id) DO UPDATE SET record = ?2, content = coalesce(?3, content)",
            *(file_id, _text(record), content),
        )


def _text(value: Json) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _channel(record: Json) -> Channel:
    return Channel(**{**record, "members": tuple(record["members"])})


def _make_private_file(path: Path) -> None:
    """Make the file and its folder for their owner's eyes only. Raises LocalPartError."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        path.chmod(0o600)
    except OSError as fault:
        raise LocalPartError(
            f"The workspace cannot keep its messages in {path}: {fault.strerror}. Give a path that can be written."
        ) from fault


def _explained(fault: Exception, name: str) -> LocalPartError:
    if isinstance(fault, LocalPartError):
        return LocalPartError(f"The workspace's file {name} cannot be used: {fault}")
    if "locked" in str(fault):
        return LocalPartError(
            f"The workspace's file {name} is in use by another Dolly. Stop that one, or give this one another file."
        )
    return LocalPartError(
        f"The workspace's file {name} cannot be used: {fault}. Move it away to start with an empty workspace."
    )
