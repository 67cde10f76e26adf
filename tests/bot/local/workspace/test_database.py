"""The workspace's file: private, durable, one process's, and of a version that is understood."""

import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from bot.errors import LocalPartError
from bot.local.workspace.clock import ManualClock
from bot.local.workspace.records import TEAM
from bot.local.workspace.timeline.changes import Changes
from bot.local.workspace.timeline.database import Database
from bot.local.workspace.timeline.schema import SCHEMA_VERSION
from bot.local.workspace.timeline.timeline import Timeline
from tests.bot.local.workspace.bare_app import ASHA, GENERAL

POST_AND_HANG = """
import sys, time
from pathlib import Path
from bot.local.workspace.timeline.changes import Changes
from bot.local.workspace.clock import SystemClock
from bot.local.workspace.timeline.database import Database
from bot.local.workspace.timeline.timeline import Timeline
database = Database(Path(sys.argv[1]))
timeline = Timeline(database, Changes(), SystemClock(), database.identity())
root = timeline.post("C0GENERAL01", "U0ASHA00001", "Kept?")
stream = timeline.start_stream("C0GENERAL01", root["ts"], markdown_text="So ")
timeline.append_stream("C0GENERAL01", stream["ts"], markdown_text="far")
print(root["ts"], stream["ts"], flush=True)
time.sleep(60)
"""


def timeline_of(database: Database) -> Timeline:
    return Timeline(database, Changes(), ManualClock(), database.identity())


def test_only_its_owner_can_read_it(tmp_path: Path) -> None:
    path = tmp_path / "new" / "workspace.sqlite"
    database = Database(path)
    timeline_of(database).post(GENERAL, ASHA, "Secret")
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    modes = {each.name: stat.S_IMODE(each.stat().st_mode) for each in path.parent.iterdir()}
    assert modes.pop("workspace.sqlite") == 0o600
    assert set(modes.values()) <= {0o600}
    database.close()


def test_what_was_said_and_who_the_app_is_outlive_the_process(tmp_path: Path) -> None:
    path = tmp_path / "workspace.sqlite"
    first = Database(path)
    identity = first.identity()
    message = timeline_of(first).post(GENERAL, ASHA, "Kept?")
    first.close()
    second = Database(path)
    assert second.identity() == identity
    assert timeline_of(second).message(GENERAL, message["ts"]) == message
    assert timeline_of(second).post(GENERAL, ASHA, "Later")["ts"] > message["ts"]
    second.close()


def test_every_write_outlives_a_kill(tmp_path: Path) -> None:
    path = tmp_path / "workspace.sqlite"
    with subprocess.Popen([sys.executable, "-c", POST_AND_HANG, str(path)], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        root_ts, stream_ts = child.stdout.readline().split()
        with pytest.raises(LocalPartError, match="in use by another Dolly"):
            Database(path)
        child.kill()
    database = Database(path)
    timeline = timeline_of(database)
    replies, _ = timeline.replies(GENERAL, root_ts)
    assert [(message["ts"], message["text"]) for message in replies] == [(root_ts, "Kept?"), (stream_ts, "So far")]
    database.close()


def test_a_file_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "workspace.sqlite"
    Database(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(LocalPartError, match=r"workspace\.sqlite cannot be used: .* newer Dolly .* Update Dolly"):
        Database(path)
    assert path.read_bytes() == before


def test_a_file_that_is_something_else_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "workspace.sqlite"
    path.write_text("Dear diary, " * 1000)
    with pytest.raises(LocalPartError, match="Move it away"):
        Database(path)
    assert path.read_text().startswith("Dear diary")


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(LocalPartError, match=r"cannot keep its messages in .*file/workspace\.sqlite"):
        Database(tmp_path / "file" / "workspace.sqlite")


def test_a_transaction_is_kept_whole_or_not_at_all() -> None:
    database = Database(None)

    def fail_halfway() -> None:
        with database.transaction():
            database.save_home(ASHA, {"type": "home"})
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_halfway()
    assert database.home(ASHA) is None
    database.close()


def test_credentials_are_new_in_each_workspace_and_not_in_its_repr() -> None:
    one, other = Database(None), Database(None)
    assert one.identity().bot_token != other.identity().bot_token
    assert one.identity().signing_secret not in repr(one.identity())
    assert one.identity().bot_token not in repr(one.identity())
    one.close()
    other.close()


def test_a_file_of_the_first_version_gets_its_people_and_keeps_the_app(tmp_path: Path) -> None:
    path = tmp_path / "workspace.db"
    database = Database(path)
    identity = database.identity()
    database.close()
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("DROP TABLE users")
        connection.execute("UPDATE facts SET value = json_set(value, '$.command', '/dolly') WHERE name = 'app'")
        connection.execute("PRAGMA user_version = 1")
    database = Database(path)
    assert database.identity() == identity
    assert database.users() == list(TEAM)
    database.close()
