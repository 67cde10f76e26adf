"""The workspace as one person sees it: their channels, and every message drawn for their eyes."""

from bot.local.workspace.manifest import Manifest
from bot.local.workspace.page.rendering import emoji, messages, views
from bot.local.workspace.page.rendering.messages import Told
from bot.local.workspace.page.rendering.names import Names
from bot.local.workspace.records import AppIdentity, Channel, Json, User
from bot.local.workspace.timeline.timeline import Timeline

PAGE_SIZE = 50
"""Messages of a channel that are shown at once; older ones are asked for by scrolling up."""


class Reader:
    """Reads the timeline for `viewer`. A channel that they are not in raises KeyError."""

    def __init__(self, timeline: Timeline, identity: AppIdentity, manifest: Manifest, viewer: User) -> None:
        self._timeline = timeline
        self._manifest = manifest
        self._identity = identity
        self.viewer = viewer

    def state(self) -> Json:
        """Who and what there is: everything but messages."""
        self._timeline.direct_channel(self.viewer.id)
        for user in self._timeline.users():
            if not user.is_bot and user.id != self.viewer.id:
                self._timeline.direct_channel(self.viewer.id, user.id)
        identity = self._identity
        return {
            "team": identity.team_name,
            "me": self.viewer.id,
            "bot": identity.bot_user_id,
            "users": [self._user(user) for user in self._timeline.users()],
            "channels": [self._channel(channel) for channel in self._timeline.channels() if self.sees(channel)],
            "commands": [
                {
                    "name": self._manifest.command.name,
                    "description": self._manifest.command.description,
                    "hint": self._manifest.command.usage_hint,
                }
            ],
            "shortcuts": [
                {"callback_id": shortcut.callback_id, "name": shortcut.name, "description": shortcut.description}
                for shortcut in self._manifest.shortcuts
                if shortcut.type == "message"
            ],
            "emoji": [{"name": name, "character": emoji.character(name)} for name in emoji.PICKER],
        }

    def sees(self, channel: Channel) -> bool:
        return self.viewer.id in channel.members

    def channel_page(self, channel_id: str, before: str | None = None) -> Json:
        """The newest messages of a channel, or those before a ts; oldest first."""
        self._seen_channel(channel_id)
        found, cursor = self._timeline.history(channel_id, latest=before, limit=PAGE_SIZE)
        shown = [self._item(channel_id, message) for message in reversed(found)]
        if before is None:
            shown += self._ephemerals(channel_id, None)
        return {
            "messages": sorted(shown, key=lambda item: float(item["ts"])),
            "has_more": cursor is not None,
            "prompts": self._prompts(channel_id, None),
        }

    def _prompts(self, channel_id: str, thread_ts: str | None) -> list[Json]:
        """What the app suggests in a thread or at the top of its Messages tab; there, else what its manifest does."""
        set_prompts = self._timeline.prompts(channel_id, thread_ts)
        if set_prompts is not None:
            return list(set_prompts["prompts"])
        is_tab = thread_ts is None and channel_id == self._timeline.direct_channel(self.viewer.id).id
        return list(self._manifest.prompts) if is_tab else []

    def thread_page(self, channel_id: str, thread_ts: str) -> Json:
        """A whole thread, its root first, and what Dolly is doing in it."""
        self._seen_channel(channel_id)
        found, _ = self._timeline.replies(channel_id, thread_ts)
        shown = [self._item(channel_id, message) for message in found]
        shown += self._ephemerals(channel_id, thread_ts)
        return {
            "messages": sorted(shown, key=lambda item: float(item["ts"])),
            "title": self._timeline.title(channel_id, thread_ts) or "",
            "work": self.work(channel_id, thread_ts),
            "prompts": self._prompts(channel_id, thread_ts),
        }

    def file(self, file_id: str) -> tuple[Json, bytes]:
        """A file that is shared where the viewer is, and its content. Raises KeyError."""
        file, content = self._timeline.file(file_id), self._timeline.file_content(file_id)
        shared_in = [] if file is None else map(self._timeline.channel, self._timeline.file_shared_in(file))
        if file is None or content is None or not any(self.sees(channel) for channel in shared_in if channel):
            raise KeyError(file_id)
        return file, content

    def message(self, channel_id: str, ts: str) -> Json | None:
        """One message as an item for the page; None where there is none that the viewer may see."""
        channel = self._timeline.channel(channel_id)
        if channel is None or not self.sees(channel):
            return None
        message = self._timeline.message(channel_id, ts)
        if message is not None:
            return self._item(channel_id, message)
        ephemeral = self._timeline.ephemeral(channel_id, self.viewer.id, ts)
        return None if ephemeral is None else self._item(channel_id, ephemeral, ephemeral=True)

    def work(self, channel_id: str, thread_ts: str) -> Json:
        """What Dolly is doing in a thread: the words to show ("" for nothing), and whether it can be stopped."""
        status = self._timeline.status(channel_id, thread_ts) or {}
        words = str(status.get("status") or "")
        streaming = bool(self._timeline.open_streams(channel_id, thread_ts))
        working = bool(words) or streaming or self._timeline.session(channel_id, thread_ts) == "processing"
        if words:
            shown = (status.get("loading_messages") or [f"Dolly {words}"])[0]
        else:
            shown = "Dolly is writing…" if streaming else ""
        return {"text": shown, "can_stop": working}

    def source(self, channel_id: str, ts: str) -> str:
        """What the viewer typed, as they would type it again: `<@U…>` as `@name`, escapes undone."""
        self._seen_channel(channel_id)
        message = self._timeline.message(channel_id, ts)
        text = str(message["text"]) if message else ""
        for user in self._timeline.users():
            text = text.replace(f"<@{user.id}>", f"@{user.name}")
        return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")

    def modal(self) -> str:
        """The topmost modal that is open for the viewer, as HTML; "" for none."""
        view = self._timeline.top_view(self.viewer.id)
        if view is None:
            return ""
        return views.modal(view, self._names(), is_pushed=bool(view.get("previous_view_id")))

    def home(self) -> str:
        """Dolly's Home tab for the viewer, as HTML; "" where none was published."""
        view = self._timeline.home(self.viewer.id)
        return "" if view is None else views.home(view, self._names())

    def _seen_channel(self, channel_id: str) -> Channel:
        channel = self._timeline.channel(channel_id)
        if channel is None or not self.sees(channel):
            raise KeyError(channel_id)
        return channel

    def _item(self, channel_id: str, message: Json, *, ephemeral: bool = False) -> Json:
        ts = str(message["ts"])
        thread_ts = message.get("thread_ts")
        is_root = thread_ts in (None, ts)
        told = Told(
            text_format="mrkdwn" if ephemeral else self._timeline.text_format(channel_id, ts),
            stream_state=None if ephemeral else self._timeline.stream_state(channel_id, ts),
            ephemeral=ephemeral,
            thread_status=self.work(channel_id, ts)["text"] if is_root and not ephemeral else "",
        )
        users = {user.id: user for user in self._timeline.users()}
        return {
            "ts": ts,
            "channel_id": channel_id,
            "thread_ts": None if is_root else thread_ts,
            "in_channel": is_root or message.get("subtype") == "thread_broadcast",
            "user_id": message.get("user"),
            "html": messages.to_html(message, told, users, self._names()),
        }

    def _ephemerals(self, channel_id: str, thread_ts: str | None) -> list[Json]:
        found = self._timeline.ephemerals(channel_id, self.viewer.id)
        return [
            self._item(channel_id, message, ephemeral=True)
            for message in found
            if message.get("thread_ts") == thread_ts
        ]

    def _names(self) -> Names:
        users = {user.id: user.real_name for user in self._timeline.users()}
        channels = {channel.id: channel.name for channel in self._timeline.channels() if channel.name}
        return Names(users, channels, self.viewer.id)

    def _user(self, user: User) -> Json:
        return {
            "id": user.id,
            "name": user.name,
            "real_name": user.real_name,
            "is_bot": user.is_bot,
            "note": "another company" if user.is_external else "guest" if user.is_restricted else "",
            "avatar": messages.avatar(user),
        }

    def _channel(self, channel: Channel) -> Json:
        newest, _ = self._timeline.history(channel.id, limit=1)
        partners = [user_id for user_id in channel.members if user_id != self.viewer.id]
        return {
            "id": channel.id,
            "name": channel.name,
            "kind": channel.kind,
            "topic": channel.topic,
            "members": list(channel.members),
            "partner": partners[0] if channel.kind == "im" and partners else None,
            "latest": newest[0]["ts"] if newest else None,
        }
