"""What people do with everything that Dolly shows them; what Slack then delivers are the samples for the rest."""

import asyncio
import contextlib
from typing import Any

from bot.local.workspace import Workspace
from bot.local.workspace.manifest import read_manifest
from bot.local.workspace.people.elements import FIELD_BY_TYPE, all_elements
from bot.local.workspace.refusals import PeopleError
from bot.slack.answering.answer_blocks import FEEDBACK
from bot.slack.commands.channel import ALLOWED, CONSENT, RULES
from bot.slack.feedback.form import CORRECTION
from tests.fuzz.generated import Way

Json = dict[str, Any]
COMMANDS = [
    "", "help", "ask what is this?", "what is this?", "status", "settings", "feedback", "channel", "channel follow on",
    "channel follow off", "forget", "forget me", "forget channel", "admin", "admin status", "admin users",
    "admin quota",
    "admin dead-letters", "admin review", "admin retrain", "admin retrain yes", "admin cancel", "admin models",
    "admin promote", "admin promote 0001-aaaaaaaa #general", "admin rollback",
]  # fmt: skip
WAYS: dict[str, Way] = {"events_api": "event", "slash_commands": "command", "interactive": "interaction"}
CHOICES: Json = {
    "selected_user": "U0000000001",
    "selected_channel": "C0000000001",
    "selected_conversation": "C0000000001",
    "selected_date": "2026-11-22",
    "selected_time": "10:00",
    "value": "words",
}
PRESSES = 12
"""So many elements of one surface are tried."""


class Tour:
    """Acts as Asha, who administers, as Ben, who does not, and as a guest."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self._people, self._timeline = workspace.people, workspace.timeline
        self._general = next(channel.id for channel in self._timeline.channels() if channel.name == "general")

    async def go(self) -> None:
        """Try everything once."""
        users = [user.id for user in self._timeline.users() if user.name.lower() in ("asha", "ben")]
        guests = [user.id for user in self._timeline.users() if user.is_restricted]
        if not guests:
            guests = [(await self._people.invite("Gita", self._general, is_restricted=True)).id]
        await self._correct(users[0])
        for user_id in (*users, *guests):
            await self._converse(user_id)
            for command in COMMANDS:
                await self._act(self._people.command(user_id, self._general, "/dolly", command))
                await asyncio.sleep(0.05)
                await self._use_forms(user_id)
            await asyncio.sleep(0.3)
            for ephemeral in list(self._timeline.ephemerals(self._general, user_id))[-30:]:
                await self._use(user_id, self._general, ephemeral, ephemeral["ts"])
            await self._act(self._people.open_home(user_id))
            await asyncio.sleep(0.3)
            if home := self._timeline.home(user_id):
                await self._use(user_id, None, home, home["id"])

    async def _correct(self, user_id: str) -> None:
        """Leave something to review: an answer that an admin puts right, where that may train a model."""
        await self._act(self._people.command(user_id, self._general, "/dolly", "channel"))
        await self._fill_in(user_id, {RULES: [ALLOWED, CONSENT]})
        message = await self._people.post(user_id, self._general, "@dolly what is a loom?")
        assert message is not None
        await asyncio.sleep(0.7)
        answer = self._timeline.replies(self._general, str(message["ts"]))[0][-1]
        await self._act(self._people.press(user_id, self._general, answer["ts"], FEEDBACK, value="down"))
        await self._fill_in(user_id, {CORRECTION: "A frame for weaving."})

    async def _fill_in(self, user_id: str, answers: Json) -> None:
        """Fill in the form that opens in a moment, if one does."""
        await asyncio.sleep(0.3)
        if view := self._timeline.top_view(user_id):
            await self._act(self._people.fill_in(user_id, view["id"], answers))

    async def _converse(self, user_id: str) -> None:
        people, direct = self._people, self._timeline.direct_channel(user_id).id
        for channel in (self._general, direct):
            try:
                message = await people.post(user_id, channel, "@dolly what is this?")
            except PeopleError:
                continue
            assert message is not None
            ts = str(message["ts"])
            await asyncio.sleep(0.7)
            for each in self._timeline.replies(channel, ts)[0]:
                for shortcut in SHORTCUTS:
                    await self._act(people.shortcut(user_id, channel, each["ts"], shortcut))
                    await self._use_forms(user_id)
                for emoji in ("thumbsup", "-1", "octagonal_sign", "eyes"):
                    await self._act(people.react(user_id, channel, each["ts"], emoji))
                    await self._act(people.unreact(user_id, channel, each["ts"], emoji))
                await self._use(user_id, channel, each, each["ts"])
            await self._act(people.post(user_id, channel, "and then?", thread_ts=ts))
            await self._act(people.share(user_id, channel, [("a.txt", b"words"), ("b.bin", b"\0\1")], "@dolly read"))
            await self._act(people.edit(user_id, channel, ts, "@dolly what is that?"))
            await self._act(people.stop(user_id, channel, ts))
            await self._act(people.delete(user_id, channel, ts))
            await self._act(people.look_at(user_id, channel))
        await self._act(people.open_messages_tab(user_id))
        await self._act(people.open_assistant(user_id, looked_at_id=self._general))
        await self._act(people.shortcut(user_id, None, None, "ask"))

    async def _use(self, user_id: str, channel_id: str | None, surface: Json, where: str) -> None:
        for block, element in _usable(surface):
            for choice in _choices(element):
                await self._act(
                    self._people.click(user_id, channel_id, where, block["block_id"], element["action_id"], **choice)
                )
                await asyncio.sleep(0.05)
                await self._use_forms(user_id)

    async def _use_forms(self, user_id: str) -> None:
        for _ in range(3):
            view = self._timeline.top_view(user_id)
            if view is None:
                return
            for block, element in _usable(view):
                if element.get("type") in ("button", "overflow") or block.get("dispatch_action"):
                    for choice in _choices(element)[:1]:
                        await self._act(
                            self._people.click(
                                user_id, None, view["id"], block["block_id"], element["action_id"], **choice
                            )
                        )
            await self._act(self._people.fill_in(user_id, view["id"], {}))
            if (top := self._timeline.top_view(user_id)) and top["id"] == view["id"]:
                await self._act(self._people.close_view(user_id, view["id"]))

    async def _act(self, act: Any) -> None:
        """What cannot be done is left out."""
        with contextlib.suppress(PeopleError):
            await act


SHORTCUTS = [shortcut.callback_id for shortcut in read_manifest().shortcuts]


def samples_of(workspace: Workspace) -> list[tuple[Way, Json]]:
    """One sample of each kind of what was delivered, the newest; kinds are told apart by what a listener hears."""
    found: dict[str, tuple[Way, Json]] = {}
    for envelope in workspace.delivery.delivered:
        payload, way = envelope.payload, WAYS[envelope.kind]
        event = payload.get("event") or {}
        actions = payload.get("actions") or [{}]
        view = payload.get("view") or {}
        marks = [way, payload.get("type"), event.get("type"), event.get("subtype"), event.get("channel_type")]
        marks += [actions[0].get("action_id"), view.get("callback_id"), payload.get("callback_id")]
        marks += ["thread_ts" in event, bool(event.get("files")), (payload.get("text") or "").partition(" ")[0][:12]]
        found["/".join(map(str, marks))] = (way, payload)
    return [found[name] for name in sorted(found)]


def _usable(surface: Json) -> list[tuple[Json, Json]]:
    """Blocks and elements that can be used; not those that only show something."""
    found = [pair for pair in all_elements(surface.get("blocks") or []) if "action_id" in pair[1]]
    return found[:PRESSES]


def _choices(element: Json) -> list[Json]:
    kind = element.get("type", "")
    if kind == "feedback_buttons":
        return [{"value": element[button]["value"]} for button in ("positive_button", "negative_button")]
    field = "selected_option" if kind == "overflow" else FIELD_BY_TYPE.get(kind)
    if field is None:
        return [{}]
    options = element.get("options") or []
    if field == "selected_option":
        return [{field: {"value": option["value"]}} for option in options[:3]]
    if field == "selected_options":
        return [{field: [{"value": option["value"]} for option in options[:2]]}]
    return [{field: CHOICES[field]}] if field in CHOICES else []
