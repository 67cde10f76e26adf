"""What a person can do in the workspace. The page and the tests act through this."""

from typing import Any

from bot.local.workspace.records import Json


class PeopleError(Exception):
    """A person asked for what cannot be done; `str(error)` is the sentence to show."""


class People:
    """Each method is one act of one person. Raises PeopleError on what cannot be done."""

    async def post(self, user_id: str, channel_id: str, text: str, *, thread_ts: str | None = None) -> Json | None:
        """Say what was typed: `@ben` becomes a mention; a text that opens with the app's /command runs it.

        Returns the message, or None where a command ran.
        """
        raise NotImplementedError

    async def command(self, user_id: str, channel_id: str, command: str, text: str) -> None:
        """Run the app's slash command. What fails is told to the person by a Change of kind "error"."""
        raise NotImplementedError

    async def edit(self, user_id: str, channel_id: str, ts: str, text: str) -> None: ...

    async def delete(self, user_id: str, channel_id: str, ts: str) -> None: ...

    async def react(self, user_id: str, channel_id: str, ts: str, name: str) -> None: ...

    async def unreact(self, user_id: str, channel_id: str, ts: str, name: str) -> None: ...

    async def join(self, user_id: str, channel_id: str, *, invited_id: str | None = None) -> None:
        """Enter a channel, or bring `invited_id` (for example Dolly) into it."""

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

    async def options(
        self, user_id: str, channel_id: str | None, where: str, block_id: str, action_id: str, value: str
    ) -> list[Json]:
        """What an external select offers for what was typed: [{"text": …, "value": …}, …]."""
        raise NotImplementedError

    async def submit_view(self, user_id: str, view_id: str, state_values: Json) -> dict[str, str]:
        """Submit a modal. Returns the fault of each block by block_id; {} when there is none.

        `state_values` as in `click`. Required inputs and length limits are checked here, as Slack's own
        client does, before the app hears of it. What became of the modal (closed, replaced, another
        pushed on it) is told by Changes of kind "view".
        """
        raise NotImplementedError

    async def close_view(self, user_id: str, view_id: str) -> None:
        """Close a modal (its x, Cancel or Escape)."""

    async def stop(self, user_id: str, channel_id: str, thread_ts: str) -> None:
        """Stop what Dolly is writing in a thread."""

    async def open_home(self, user_id: str) -> None:
        """Open the Home tab of Dolly."""

    async def open_messages_tab(self, user_id: str) -> None:
        """Open the Messages tab of Dolly."""

    async def look_at(self, user_id: str, channel_id: str) -> None:
        """Look at a channel while Dolly is open beside it (app_context_changed)."""

    async def shortcut(self, user_id: str, channel_id: str | None, ts: str | None, callback_id: str) -> None:
        """Use a message shortcut (channel_id and ts of the message), or a global one (both None)."""
