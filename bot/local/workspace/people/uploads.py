"""Files that people attach to what they say."""

from collections.abc import Sequence

from bot.local.workspace.people.access import Access, said_plainly
from bot.local.workspace.people.composer import wire_text
from bot.local.workspace.records import Json
from bot.local.workspace.refusals import PeopleError
from bot.local.workspace.timeline.timeline import Timeline

FILES = 10
"""As many as Slack lets a person attach to a message."""


class Uploads:
    """`origin` is the workspace's own URL, without a slash at its end."""

    def __init__(self, timeline: Timeline, access: Access, origin: str) -> None:
        self._timeline = timeline
        self._access = access
        self._origin = origin

    def share(
        self, user_id: str, channel_id: str, files: Sequence[tuple[str, bytes]], text: str, thread_ts: str | None
    ) -> Json:
        """Say `text`, which may be empty, with `files`, each a name and its content. Returns the message."""
        user, channel = self._access.user(user_id), self._access.channel(user_id, channel_id)
        if not 0 < len(files) <= FILES:
            raise PeopleError(f"Attach 1 to {FILES} files.")
        with said_plainly():
            records = [self._timeline.upload_file(name, content, user, self._origin) for name, content in files]
            shared = [self._timeline.complete_file(record["id"], None, channel) for record in records]
            return self._timeline.post(
                channel_id,
                user_id,
                wire_text(text, self._timeline.users(), self._timeline.channels()),
                thread_ts=thread_ts,
                subtype="file_share",
                files=shared,
                upload=False,
                display_as_bot=False,
            )
