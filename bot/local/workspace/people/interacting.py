"""What people do with the app: run its command, click, fill in its forms, use its shortcuts.

What the app does not answer is told to the person by a Change of kind "error".
"""

from typing import Any

from bot.local.workspace.delivery.delivery import Delivery
from bot.local.workspace.delivery.envelopes import EnvelopeKind, NotAcknowledged
from bot.local.workspace.delivery.interactions import Interactions
from bot.local.workspace.delivery.response_urls import Origin, ResponseUrls
from bot.local.workspace.delivery.view_answers import apply_answer
from bot.local.workspace.manifest import Manifest
from bot.local.workspace.people.access import Access
from bot.local.workspace.people.composer import wire_text
from bot.local.workspace.people.elements import action_of, block_of, faults, filled, find_element, state_of
from bot.local.workspace.records import Json
from bot.local.workspace.refusals import PeopleError, Refused
from bot.local.workspace.timeline.changes import Change, Changes
from bot.local.workspace.timeline.timeline import Timeline


class Interacting:
    """Each method is one act of one person. Raises PeopleError on what cannot be done."""

    def __init__(
        self,
        timeline: Timeline,
        changes: Changes,
        manifest: Manifest,
        delivery: Delivery,
        interactions: Interactions,
        response_urls: ResponseUrls,
    ) -> None:
        self._timeline = timeline
        self._access = Access(timeline)
        self._changes = changes
        self._manifest = manifest
        self._delivery = delivery
        self._interactions = interactions
        self._response_urls = response_urls

    async def command(self, user_id: str, channel_id: str, command: str, text: str) -> None:
        """Run the app's slash command."""
        user, channel = self._access.user(user_id), self._access.channel(user_id, channel_id)
        if command != self._manifest.command.name:
            raise PeopleError(f"{command} is not a command here. There is {self._manifest.command.name}.")
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

    async def press(self, user_id: str, channel_id: str | None, where: str, action_id: str, **choice: Any) -> None:
        """`click` on the first element with this action_id, in whatever block it stands."""
        block_id = block_of(self._access.place(user_id, channel_id, where).blocks, action_id)
        await self.click(user_id, channel_id, where, block_id, action_id, **choice)

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

    async def fill_in(self, user_id: str, view_id: str, answers: dict[str, Any]) -> dict[str, str]:
        """`submit_view` with answers by block_id or action_id: {"text": "Better", "who": "everyone", "also": ["a"]}.

        An input that is not answered keeps its initial value.
        """
        blocks = self._access.view(user_id, view_id)["blocks"]
        return await self.submit_view(user_id, view_id, filled(blocks, answers))

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
