"""What a person can do in the workspace. The page and the tests act through this."""

from collections.abc import Sequence

from bot.local.workspace.delivery.events import Events
from bot.local.workspace.people.access import Access, said_plainly
from bot.local.workspace.people.composer import wire_text
from bot.local.workspace.people.interacting import Interacting
from bot.local.workspace.people.newcomers import Newcomers
from bot.local.workspace.people.uploads import Uploads
from bot.local.workspace.records import Channel, Json
from bot.local.workspace.refusals import PeopleError as PeopleError
from bot.local.workspace.timeline.timeline import Timeline


class People:
    """Each method is one act of one person. Raises PeopleError on what cannot be done."""

    def __init__(self, timeline: Timeline, events: Events, interacting: Interacting, origin: str) -> None:
        """`origin` is the workspace's own URL, without a slash at its end."""
        self._timeline = timeline
        self._access = Access(timeline)
        self._uploads = Uploads(timeline, self._access, origin)
        self._events = events
        newcomers = Newcomers(timeline)

        self.command = interacting.command
        self.click = interacting.click
        self.press = interacting.press
        self.options = interacting.options
        self.submit_view = interacting.submit_view
        self.fill_in = interacting.fill_in
        self.close_view = interacting.close_view
        self.shortcut = interacting.shortcut

        self.invite = newcomers.invite
        self.welcome = newcomers.welcome
        self.change = newcomers.change

    # Messages

    async def post(
        self,
        user_id: str,
        channel_id: str,
        text: str,
        *,
        thread_ts: str | None = None,
        reply_broadcast: bool = False,
    ) -> Json | None:
        """Say what was typed: `@ben` becomes a mention; a text that opens with the app's /command runs it.

        Returns the message, or None where a command ran. With `reply_broadcast` a reply in a thread is
        shown in its channel too.
        """
        if not text.strip():
            raise PeopleError("Write something first.")
        if text.startswith("/"):
            if thread_ts is not None:
                raise PeopleError("Commands cannot be used in threads: type it in the channel.")
            command, _, rest = text.partition(" ")
            await self.command(user_id, channel_id, command, rest.strip())
            return None
        self._access.channel(user_id, channel_id)
        with said_plainly():
            return self._timeline.post(
                channel_id, user_id, self._wire(text), thread_ts=thread_ts, reply_broadcast=reply_broadcast
            )

    async def share(
        self,
        user_id: str,
        channel_id: str,
        files: Sequence[tuple[str, bytes]],
        text: str = "",
        *,
        thread_ts: str | None = None,
    ) -> Json:
        """Attach files, each a name and its content, to what was typed, if anything was. Returns the message."""
        return self._uploads.share(user_id, channel_id, files, text, thread_ts)

    async def edit(self, user_id: str, channel_id: str, ts: str, text: str) -> None:
        """Change what one has said."""
        if not text.strip():
            raise PeopleError("Write something first.")
        if self._access.message(user_id, channel_id, ts).get("user") != user_id:
            raise PeopleError("You can change only what you wrote yourself.")
        with said_plainly():
            self._timeline.update(channel_id, ts, text=self._wire(text), edited_by=user_id)

    async def delete(self, user_id: str, channel_id: str, ts: str) -> None:
        """Take back what one has said; an admin may delete anyone's message."""
        message = self._access.message(user_id, channel_id, ts)
        if message.get("user") != user_id and not self._access.user(user_id).is_admin:
            raise PeopleError("You can delete only what you wrote yourself.")
        with said_plainly():
            self._timeline.delete(channel_id, ts)

    async def react(self, user_id: str, channel_id: str, ts: str, name: str) -> None:
        """Add the emoji `name` (without colons) to a message; twice is once."""
        self._access.message(user_id, channel_id, ts)
        with said_plainly():
            self._timeline.add_reaction(channel_id, ts, user_id, name)

    async def unreact(self, user_id: str, channel_id: str, ts: str, name: str) -> None:
        """Take one's own emoji from a message."""
        self._access.message(user_id, channel_id, ts)
        with said_plainly():
            self._timeline.remove_reaction(channel_id, ts, user_id, name)

    async def join(self, user_id: str, channel_id: str, *, invited_id: str | None = None) -> None:
        """Enter a channel, or bring `invited_id` (for example Dolly) into it."""
        if invited_id is not None:
            self._access.channel(user_id, channel_id)
        with said_plainly():
            self._timeline.join(channel_id, invited_id or self._access.user(user_id).id)

    async def create_channel(self, user_id: str, name: str, *, is_private: bool = False) -> Channel:
        """Make a channel with Dolly in it. Guests may not."""
        if self._access.user(user_id).is_restricted:
            raise PeopleError("Guests cannot make channels.")
        with said_plainly():
            channel = self._timeline.create_channel(name, user_id, is_private=is_private)
            return self._timeline.join(channel.id, self._timeline.app_user_id)

    # Dolly's answer being written, Dolly's tabs

    async def stop(self, user_id: str, channel_id: str, thread_ts: str) -> None:
        """Stop what Dolly is writing in a thread."""
        self._access.channel(user_id, channel_id)
        streams = self._timeline.open_streams(channel_id, thread_ts)
        with said_plainly():
            for ts in streams:
                self._timeline.stop_by_user(channel_id, ts)
        self._events.agent_session_stopped(user_id, channel_id, thread_ts, streams)

    async def open_home(self, user_id: str) -> None:
        """Open the Home tab of Dolly."""
        self._events.app_home_opened(self._access.user(user_id).id, "home")

    async def open_messages_tab(self, user_id: str) -> None:
        """Open the Messages tab of Dolly."""
        self._events.app_home_opened(self._access.user(user_id).id, "messages")

    async def look_at(self, user_id: str, channel_id: str, *, assistant_ts: str | None = None) -> None:
        """Look at a channel while Dolly is open beside it; `assistant_ts` names the thread of the older pane."""
        self._access.channel(user_id, channel_id)
        if assistant_ts is None:
            self._events.app_context_changed(user_id, channel_id)
        else:
            self._events.assistant_thread("assistant_thread_context_changed", user_id, assistant_ts, channel_id)

    async def open_assistant(self, user_id: str, *, looked_at_id: str | None = None) -> str:
        """Begin a thread in the pane of the older `assistant_view`. Returns its thread_ts."""
        channel, bot_user_id = self._timeline.direct_channel(user_id), self._timeline.app_user_id
        root = self._timeline.post(
            channel.id, bot_user_id, "New conversation", as_app=True, subtype="assistant_app_thread"
        )
        self._events.assistant_thread("assistant_thread_started", user_id, root["ts"], looked_at_id)
        return str(root["ts"])

    def _wire(self, typed: str) -> str:
        return wire_text(typed, self._timeline.users(), self._timeline.channels())
