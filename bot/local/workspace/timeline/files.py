"""Files that the app and people share. Their content is in the workspace's own file."""

import mimetypes
import secrets
from pathlib import PurePath

from bot.local.workspace.clock import Clock
from bot.local.workspace.records import AppIdentity, Channel, Json, User
from bot.local.workspace.refusals import Refused
from bot.local.workspace.timeline.channels import new_id
from bot.local.workspace.timeline.database import Database

FILE_SIZE_LIMIT_BYTES = 50 * 1024 * 1024
PLACES = {"channel": "channels", "group": "groups", "im": "ims", "mpim": "groups"}
"""In which list a file names a channel, by the channel's kind."""


class Files:
    """Raises Refused with Slack's error names."""

    def __init__(self, database: Database, clock: Clock, identity: AppIdentity) -> None:
        self._database = database
        self._clock = clock
        self._identity = identity
        self._tickets: dict[str, str] = {}

    def announce(self, name: str, size_bytes: int, origin: str) -> tuple[Json, str]:
        """A file that is to come, and the ticket with which it can be uploaded once. `origin` is our own URL."""
        record = self._record(name, size_bytes, self._identity.bot_user_id, self._identity.team_id, origin)
        ticket = secrets.token_urlsafe(24)
        self._tickets[ticket] = record["id"]
        self._database.save_file(record["id"], record)
        return record, ticket

    def upload(self, name: str, content: bytes, user: User, origin: str) -> Json:
        """A file that a person brings."""
        if not 0 < len(content) <= FILE_SIZE_LIMIT_BYTES:
            raise Refused("file_upload_size_restricted")
        record = self._record(name, len(content), user.id, user.team_id, origin)
        self._database.save_file(record["id"], record, content)
        return record

    def _record(self, name: str, size_bytes: int, user_id: str, team_id: str, origin: str) -> Json:
        file_id = new_id("F")
        now = int(self._clock.now())
        suffix = PurePath(name).suffix.removeprefix(".").lower()
        address = f"{origin}/files-pri/{file_id}"
        return {
            "id": file_id,
            "created": now,
            "timestamp": now,
            "name": name,
            "title": name,
            "mimetype": mimetypes.guess_type(name)[0] or "application/octet-stream",
            "filetype": suffix or "binary",
            "pretty_type": suffix.upper() or "Binary",
            "user": user_id,
            "user_team": team_id,
            "editable": False,
            "size": size_bytes,
            "mode": "hosted",
            "is_external": False,
            "external_type": "",
            "is_public": False,
            "public_url_shared": False,
            "display_as_bot": False,
            "username": "",
            "url_private": address,
            "url_private_download": f"{address}/download",
            "permalink": address,
            "channels": [],
            "groups": [],
            "ims": [],
            "file_access": "visible",
        }

    def store(self, ticket: str, content: bytes) -> None:
        """Take the upload that a ticket stands for."""
        file_id = self._tickets.pop(ticket, None)
        record = None if file_id is None else self._database.file(file_id)
        if file_id is None or record is None:
            raise Refused("file_not_found")
        self._database.save_file(file_id, record | {"size": len(content)}, content)

    def complete(self, file_id: str, title: str | None, channel: Channel | None) -> Json:
        """Say that an upload is done, and that it is shared in a channel."""
        record = self.file(file_id)
        if record is None or self.content(file_id) is None:
            raise Refused("file_not_found")
        record |= {"title": title or record["name"]}
        if channel is not None:
            place = PLACES[channel.kind]
            record[place] = [*record[place], channel.id]
        self._database.save_file(file_id, record)
        return record

    def file(self, file_id: str) -> Json | None:
        return self._database.file(file_id)

    def shared_in(self, file: Json) -> list[str]:
        """The ids of the channels that a file is shared in."""
        return [channel_id for place in ("channels", "groups", "ims") for channel_id in file[place]]

    def content(self, file_id: str) -> bytes | None:
        return self._database.file_content(file_id)
