"""What a person may see and touch, and the sentences that say why not."""

from collections.abc import Iterator
from contextlib import contextmanager

from bot.local.workspace.delivery.interactions import Place
from bot.local.workspace.records import Channel, Json, User
from bot.local.workspace.refusals import PeopleError, Refused
from bot.local.workspace.timeline.timeline import Timeline

REFUSALS = {
    "cant_delete_message": "This message is still being written: stop it first.",
    "channel_not_found": "This conversation does not exist.",
    "is_archived": "This channel is archived: nobody can write in it.",
    "message_not_found": "This message is no longer there.",
    "name_taken": "This name is taken.",
    "no_text": "The message is empty.",
    "not_in_channel": "You are not in this channel: join it first.",
    "streaming_state_conflict": "This message is still being written.",
    "thread_not_found": "This thread is no longer there.",
}


@contextmanager
def said_plainly() -> Iterator[None]:
    """A refusal becomes a PeopleError with a sentence."""
    try:
        yield
    except Refused as refused:
        sentence = REFUSALS.get(refused.error, f"This cannot be done ({refused.error}).")
        raise PeopleError(sentence) from refused


class Access:
    """Looks up what a person wants to act on. Every method raises PeopleError where they may not."""

    def __init__(self, timeline: Timeline) -> None:
        self._timeline = timeline

    def user(self, user_id: str) -> User:
        user = self._timeline.user(user_id)
        if user is None or (user.is_bot and not user.bot_id):
            raise PeopleError("There is no such person in this workspace.")
        return user

    def channel(self, user_id: str, channel_id: str) -> Channel:
        """A channel that the person is in."""
        channel = self._timeline.channel(channel_id)
        if channel is None:
            raise PeopleError(REFUSALS["channel_not_found"])
        if self.user(user_id).id not in channel.members:
            raise PeopleError(REFUSALS["not_in_channel"])
        return channel

    def message(self, user_id: str, channel_id: str, ts: str) -> Json:
        self.channel(user_id, channel_id)
        message = self._timeline.message(channel_id, ts)
        if message is None:
            raise PeopleError(REFUSALS["message_not_found"])
        return message

    def view(self, user_id: str, view_id: str) -> Json:
        """A modal or home tab of the person."""
        view = self._timeline.view(view_id)
        if view is None or self._timeline.view_owner(view_id) != user_id:
            raise PeopleError("This form is no longer open.")
        return view

    def place(self, user_id: str, channel_id: str | None, where: str) -> Place:
        """The view with the id `where` ("V…"), or the message with that ts, ephemeral ones included."""
        if channel_id is None or where.startswith("V"):
            return Place(self.view(user_id, where))
        channel = self.channel(user_id, channel_id)
        if ephemeral := self._timeline.ephemeral(channel_id, user_id, where):
            return Place(ephemeral, channel, is_ephemeral=True)
        return Place(self.message(user_id, channel_id, where), channel)
