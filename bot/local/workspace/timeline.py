"""What is said and shown in the workspace: the only code that writes it.

(Signatures first; bodies follow.)
"""

from collections.abc import Sequence
from typing import Literal

from bot.local.workspace.changes import Changes
from bot.local.workspace.clock import Clock
from bot.local.workspace.database import Database
from bot.local.workspace.records import AppIdentity, Channel, Json, User

StreamState = Literal["streaming", "stopped", "stopped_by_user", "expired"]
Page = tuple[list[Json], str | None]


class Timeline:
    """Every method raises `refusals.Refused` with Slack's error name when it will not do it
    (channel_not_found, not_in_channel, message_not_found, thread_not_found, is_archived, invalid_cursor …)."""

    def __init__(self, database: Database, changes: Changes, clock: Clock, identity: AppIdentity) -> None:
        raise NotImplementedError

    # People and channels
    def users(self) -> list[User]: ...
    def user(self, user_id: str) -> User | None: ...
    def channels(self) -> list[Channel]: ...
    def channel(self, channel_id: str) -> Channel | None: ...
    def direct_channel(self, user_id: str) -> Channel: ...  # the DM of that person with Dolly, made at need
    def create_channel(self, name: str, creator: str) -> Channel: ...
    def join(self, channel_id: str, user_id: str) -> Channel: ...
    def leave(self, channel_id: str, user_id: str) -> Channel: ...
    def archive(self, channel_id: str) -> Channel: ...

    # Messages. `text` is escaped as on the wire (&amp; &lt; &gt;, <@U…>).
    def post(
        self,
        channel_id: str,
        user_id: str,
        text: str,
        *,
        thread_ts: str | None = None,
        blocks: list[Json] | None = None,
        metadata: Json | None = None,
        as_app: bool = False,
        subtype: str | None = None,
        reply_broadcast: bool = False,
        markdown: bool = False,
        **extra: object,
    ) -> Json: ...
    def post_ephemeral(
        self,
        channel_id: str,
        to_user_id: str,
        text: str,
        *,
        thread_ts: str | None = None,
        blocks: list[Json] | None = None,
        response_url_id: str | None = None,
    ) -> Json: ...
    def ephemerals(self, channel_id: str, user_id: str) -> list[Json]: ...
    def ephemeral(self, channel_id: str, user_id: str, ts: str) -> Json | None: ...
    def replace_ephemeral(
        self, channel_id: str, user_id: str, ts: str, *, text: str, blocks: list[Json] | None = None
    ) -> Json: ...
    def delete_ephemeral(self, channel_id: str, user_id: str, ts: str) -> None: ...
    def update(
        self,
        channel_id: str,
        ts: str,
        *,
        text: str | None = None,
        blocks: list[Json] | None = None,
        metadata: Json | None = None,
        edited_by: str | None = None,
    ) -> Json: ...
    def delete(self, channel_id: str, ts: str) -> None: ...
    def message(self, channel_id: str, ts: str) -> Json | None: ...
    def text_format(self, channel_id: str, ts: str) -> Literal["markdown", "mrkdwn"]: ...
    def history(
        self,
        channel_id: str,
        *,
        oldest: str | None = None,
        latest: str | None = None,
        inclusive: bool = False,
        limit: int = 100,
        cursor: str | None = None,
    ) -> Page: ...
    def replies(
        self,
        channel_id: str,
        thread_ts: str,
        *,
        oldest: str | None = None,
        latest: str | None = None,
        inclusive: bool = False,
        limit: int = 1000,
        cursor: str | None = None,
    ) -> Page: ...
    def add_reaction(self, channel_id: str, ts: str, user_id: str, name: str) -> bool: ...  # False: was there
    def remove_reaction(self, channel_id: str, ts: str, user_id: str, name: str) -> bool: ...

    # Streams: raise refusals.StreamError
    def start_stream(
        self,
        channel_id: str,
        thread_ts: str,
        *,
        markdown_text: str | None = None,
        chunks: Sequence[Json] | None = None,
        task_display_mode: str = "timeline",
    ) -> Json: ...
    def append_stream(
        self,
        channel_id: str,
        ts: str,
        *,
        markdown_text: str | None = None,
        chunks: Sequence[Json] | None = None,
    ) -> Json: ...
    def stop_stream(
        self,
        channel_id: str,
        ts: str,
        *,
        markdown_text: str | None = None,
        chunks: Sequence[Json] | None = None,
        blocks: list[Json] | None = None,
        metadata: Json | None = None,
        session_status: str = "active",
    ) -> Json: ...
    def stop_by_user(self, channel_id: str, ts: str) -> None: ...
    def stream_state(self, channel_id: str, ts: str) -> StreamState | None: ...
    def open_streams(self, channel_id: str, thread_ts: str) -> list[str]: ...
    def expire(self) -> None: ...  # ends what time has ended: streams after 5, statuses after 2 minutes

    # Threads with the app
    def set_status(
        self, channel_id: str, thread_ts: str, status: str, loading_messages: Sequence[str] = ()
    ) -> None: ...
    def status(self, channel_id: str, thread_ts: str) -> Json | None: ...  # {"status", "loading_messages"}
    def set_prompts(
        self, channel_id: str, thread_ts: str | None, prompts: list[Json], title: str | None = None
    ) -> None: ...
    def prompts(self, channel_id: str, thread_ts: str | None) -> Json | None: ...  # {"title", "prompts"}
    def set_title(self, channel_id: str, thread_ts: str, title: str) -> None: ...
    def title(self, channel_id: str, thread_ts: str) -> str | None: ...
    def set_session(self, channel_id: str, thread_ts: str, status: str) -> None: ...
    def session(
        self, channel_id: str, thread_ts: str
    ) -> str | None: ...  # processing | active | suspended | closed

    # Views. A stored view has Slack's answer shape: id, hash, root_view_id, previous_view_id, state, app_id …
    def open_view(self, trigger_user: str, view: Json) -> Json: ...
    def push_view(self, trigger_user: str, view: Json) -> Json: ...
    def update_view(self, view_id: str, view: Json, *, hash: str | None = None) -> Json: ...
    def close_view(self, view_id: str, *, all: bool = False) -> None: ...
    def view(self, view_id: str) -> Json | None: ...
    def view_owner(self, view_id: str) -> str | None: ...
    def top_view(self, user_id: str) -> Json | None: ...
    def home(self, user_id: str) -> Json | None: ...
    def publish_home(self, user_id: str, view: Json, *, hash: str | None = None) -> Json: ...
