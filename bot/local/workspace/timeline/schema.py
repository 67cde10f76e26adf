"""The tables of the workspace's file, and what each version of them added."""

VERSIONS = (
    """
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE channels (id TEXT PRIMARY KEY, record TEXT NOT NULL) STRICT;
CREATE TABLE messages (
    channel_id TEXT NOT NULL, ts TEXT NOT NULL, root_ts TEXT NOT NULL, user_id TEXT NOT NULL,
    in_history INTEGER NOT NULL, text_format TEXT NOT NULL, message TEXT NOT NULL,
    PRIMARY KEY (channel_id, ts)
) STRICT, WITHOUT ROWID;
CREATE INDEX threads_messages ON messages (channel_id, root_ts, ts);
CREATE TABLE streams (
    channel_id TEXT NOT NULL, ts TEXT NOT NULL, root_ts TEXT NOT NULL, started REAL NOT NULL,
    state TEXT NOT NULL, mode TEXT, display_mode TEXT NOT NULL, PRIMARY KEY (channel_id, ts)
) STRICT, WITHOUT ROWID;
CREATE TABLE ephemerals (
    channel_id TEXT NOT NULL, user_id TEXT NOT NULL, ts TEXT NOT NULL, message TEXT NOT NULL,
    PRIMARY KEY (channel_id, user_id, ts)
) STRICT, WITHOUT ROWID;
CREATE TABLE threads (
    channel_id TEXT NOT NULL, root_ts TEXT NOT NULL, record TEXT NOT NULL, PRIMARY KEY (channel_id, root_ts)
) STRICT, WITHOUT ROWID;
CREATE TABLE homes (user_id TEXT PRIMARY KEY, view TEXT NOT NULL) STRICT;
CREATE TABLE files (id TEXT PRIMARY KEY, record TEXT NOT NULL, content BLOB) STRICT;
""",
    """
CREATE TABLE users (id TEXT PRIMARY KEY, record TEXT NOT NULL) STRICT;
UPDATE facts SET value = json_remove(value, '$.command', '$.command_description', '$.command_hint') WHERE name = 'app';
""",
)
"""What makes a file of version n one of version n + 1; a new file begins with version 0."""

SCHEMA_VERSION = len(VERSIONS)


def statements_from(version: int) -> list[str]:
    """What brings a file of this version up to date."""
    return [statement for script in VERSIONS[version:] for statement in script.split(";") if statement.strip()]
