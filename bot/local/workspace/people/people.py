"""What a person can do in the workspace. The page and the tests act through this."""

from collections.abc import Sequence
from typing import Any

from bot.local.workspace.delivery.delivery import Delivery
from bot.local.workspace.delivery.envelopes import EnvelopeKind, NotAcknowledged
from bot.local.workspace.delivery.events import Events
from bot.local.workspace.delivery.interactions import Interactions
from bot.local.workspace.delivery.response_urls import Origin, ResponseUrls
from bot.local.workspace.delivery.view_answers import apply_answer
from bot.local.workspace.people.access import Access, said_plainly
from bot.local.workspace.people.composer import wire_text
from bot.local.workspace.people.elements import action_of, faults, find_element, state_of
from bot.local.workspace.people.uploads import Uploads
from bot.local.workspace.records import AppIdentity, Json
from bot.local.workspace.refusals import PeopleError as PeopleError
from bot.local.workspace.refusals import Refused
from bot.local.workspace.timeline.changes import Change, Changes
from bot.local.workspace.timeline.timeline import Timeline


class People:
    """Each method is one act of one person. Raises PeopleError on what cannot be done."""

    def __init__(
        self,
        timeline: Timeline,
        changes: Changes,
        identity: AppIdentity,
        delivery: Delivery,
        events: Events,
        interactions: Interactions,
        response_urls: ResponseUrls,
        origin: str,
    ) -> None:
        """`origin` is the workspace's own URL, without a slash at its end."""
        self._timeline = timeline
        self._access = Access(timeline)
        self._uploads = Uploads(timeline, self._access, origin)
        self._changes = changes
        self._identity = identity
        self._delivery = delivery
        self._events = events
        self._interactions = interactions
        self._response_urls = response_urls

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

    async def look_at(self, user_id: str, channel_id: str) -> None:
        """Look at a channel while Dolly is open beside it."""
        self._access.channel(user_id, channel_id)
        self._events.app_context_changed(user_id, channel_id)

    # Commands, clicks, modals. What the app does not answer is told by a Change of kind "error".

    async def command(self, user_id: str, channel_id: str, command: str, text: str) -> None:
        """Run the app's slash command."""
        user, channel = self._access.user(user_id), self._access.channel(user_id, channel_id)
        if command != self._identity.command:
            raise PeopleError(f"{command} is not a command here. There is {self._identity.command}.")
        text = wire_text(text, self._timeline.users(), self._timeline.channels(), named=True)
        payload = self._interactions.slash_command(user, channel, command, text)
        answer = await self._ask("slash_commands", payload, user_id, channel_id, command)
        if not answer:
            return
        try:
            self._response_urls.respond(Origin(user_id, channel_id), answer)
        except Refused as refused:
            self._tell(user_id, channel_id, f"Dolly's answer to {command} cannot be shown ({refused.error}).")

    async def click(
        self,
        user_id: str,
        channel_id: str | None,
        where: str,
        block_id: str,
        action_id: str,
        *,
        state_values: Json | None = None,
        **choice: Any,
    ) -> None:
        """Use an interactive element of a message (`where` = its ts) or of a view (`where` = its id, "V…").

        `choice` is what the element carries, in Slack's own names: value="…" (feedback_buttons,
        plain_text_input), selected_option={"text": …, "value": …} (selects, overflow, radio buttons),
        selected_options=[…] (checkboxes, multi selects), selected_date="2026-01-31", selected_time,
        selected_user, selected_channel, selected_conversation. Buttons need none.
        `state_values` is {block_id: {action_id: {"value": …} or {"selected_option": …} …}}: what the
        other inputs of the message or view hold now.
        """
        place = self._access.place(user_id, channel_id, where)
        element = find_element(place.blocks, block_id, action_id)
        action = action_of(element, block_id, choice)
        held = state_values or {}
        held = {**held, block_id: {**held.get(block_id, {}), action_id: choice}}
        state = state_of(place.blocks, held)
        payload = self._interactions.block_actions(self._access.user(user_id), place, action, state)
        await self._ask("interactive", payload, user_id, channel_id, "the click")

    async def options(
        self, user_id: str, channel_id: str | None, where: str, block_id: str, action_id: str, value: str
    ) -> list[Json]:
        """What an external select offers for what was typed: [{"text": …, "value": …}, …]."""
        place = self._access.place(user_id, channel_id, where)
        find_element(place.blocks, block_id, action_id)
        user = self._access.user(user_id)
        payload = self._interactions.block_suggestion(user, place, block_id, action_id, value)
        answer = await self._ask("interactive", payload, user_id, channel_id, "the search") or {}
        groups = answer.get("option_groups") or [{"options": answer.get("options") or []}]
        return [option for group in groups for option in group["options"]]

    async def submit_view(self, user_id: str, view_id: str, state_values: Json) -> dict[str, str]:
        """Submit a modal. Returns the fault of each block by block_id; {} when there is none.

        `state_values` as in `click`. Required inputs and length limits are checked here, as Slack's own
        client does, before the app hears of it. What became of the modal (closed, replaced, another
        pushed on it) is told by Changes of kind "view".
        """
        view = self._access.view(user_id, view_id)
        state = state_of(view["blocks"], state_values)
        if found := faults(view["blocks"], state):
            return found
        payload = self._interactions.view_submission(self._access.user(user_id), view, state)
        answer = await self._ask("interactive", payload, user_id, None, "the form")
        if answer is None:
            return {}
        try:
            return apply_answer(self._timeline, user_id, view_id, answer)
        except Refused as refused:
            self._tell(user_id, None, f"Dolly's answer to the form cannot be shown ({refused.error}).")
            return {}

    async def close_view(self, user_id: str, view_id: str) -> None:
        """Close a modal (its x, Cancel or Escape)."""
        view = self._access.view(user_id, view_id)
        is_cleared = bool(view.get("clear_on_close"))
        self._timeline.close_view(view_id, all=is_cleared)
        if view.get("notify_on_close"):
            payload = self._interactions.view_closed(self._access.user(user_id), view, is_cleared=is_cleared)
            await self._ask("interactive", payload, user_id, None, "the closed form")

    async def shortcut(self, user_id: str, channel_id: str | None, ts: str | None, callback_id: str) -> None:
        """Use a message shortcut (channel_id and ts of the message), or a global one (both None)."""
        user = self._access.user(user_id)
        if channel_id is None or ts is None:
            payload = self._interactions.global_shortcut(user, callback_id)
        else:
            message = self._access.message(user_id, channel_id, ts)
            channel = self._access.channel(user_id, channel_id)
            payload = self._interactions.message_action(user, channel, message, callback_id)
        await self._ask("interactive", payload, user_id, channel_id, "the shortcut")

    # What these acts share

    async def _ask(
        self, kind: EnvelopeKind, payload: Json, user_id: str, channel_id: str | None, act: str
    ) -> Json | None:
        """The app's answer, or None when there was none and the person has been told."""
        try:
            return await self._delivery.ask(kind, payload)
        except NotAcknowledged as failure:
            error = "operation_timeout" if failure.reason == "timeout" else "dispatch_failed"
            self._tell(user_id, channel_id, f"Dolly did not respond to {act} ({error}). Please try again.")
            return None

    def _tell(self, user_id: str, channel_id: str | None, text: str) -> None:
        self._changes.publish(Change("error", channel_id, user_id=user_id, detail={"text": text}))

    def _wire(self, typed: str) -> str:
        return wire_text(typed, self._timeline.users(), self._timeline.channels())
