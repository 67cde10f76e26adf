"""Corrections that wait, as if people had made them in Slack, and what admins make of them."""

import time
from collections.abc import Sequence
from typing import Any

from bot.access import StoreAccess
from bot.conversation import ConversationId
from bot.feedback import Feedback
from bot.preferences import ChannelRules
from bot.slack.admin.review_form import REVIEW
from bot.store.connection import Client
from bot.store.feedback import FeedbackStore
from bot.store.layout import Layout
from bot.store.preferences import PreferenceStore
from bot.store.sealing import Sealing
from tests.scenarios.conftest import MEMORY_KEY, Json, Team, until

LOOM, OFFICE, HOLIDAY = "What is a loom?", "When is the office open?", "Who approves a holiday request?"
NEVER_ASKED = "How many days of holiday do I have?"


class Reviewers:
    """What is kept of people's corrections, and the form that admins have open."""

    def __init__(self, team: Team, redis: Client) -> None:
        identity = team.workspace.identity
        layout = Layout(f"{identity.team_id}/{identity.bot_id}", StoreAccess("").partitions)
        sealing = Sealing([MEMORY_KEY])
        self.team = team
        self.store = FeedbackStore(redis, layout, sealing)
        self.preferences = PreferenceStore(redis, layout, sealing)
        self.general = team.channel("general")
        self._asked = 0

    async def agree(self, channel_id: str | None = None, *, training_consent: bool = True) -> None:
        """Have a channel let its feedback train a model, or no longer."""
        rules = ChannelRules(training_consent=training_consent)
        await self.preferences.set_channel(channel_id or self.general, rules)

    async def corrected(
        self, question: str, correction: str = "Better.", channel_id: str | None = None, **more: Any
    ) -> Feedback:
        """Ben corrects an answer to a question of Chen's; each a second after the one before."""
        self._asked += 1
        at = time.time() - 1_000 + self._asked
        ts = f"{at:.6f}"
        asker, rater = self.team.person("chen"), self.team.person("ben")
        known = {"answer": "I don't know.", "model": "m", "prompt_hash": "p", "consent": True, "rating": "down", **more}
        feedback = Feedback(ts, asker, rater, question=question, at=at, correction=correction, **known)
        await self.store.put(self._conversation(ts, channel_id), feedback)
        return feedback

    async def kept(self, feedback: Feedback, channel_id: str | None = None) -> Feedback:
        [found] = await self.store.of_conversation(self._conversation(feedback.ts, channel_id))
        return found

    async def withdraw(self, feedback: Feedback) -> None:
        assert await self.store.withdraw(self._conversation(feedback.ts), feedback.ts, feedback.rater_id)

    def _conversation(self, ts: str, channel_id: str | None = None) -> ConversationId:
        return ConversationId(self.team.workspace.identity.team_id, channel_id or self.general, ts)

    # --- the form ---------------------------------------------------------------------------------------------------

    async def review(self, name: str = "asha", arguments: str = "") -> Json:
        """Type `/dolly admin review`; the form that opens."""
        command = f"admin review {arguments}".strip()
        await self.team.workspace.people.command(self.team.person(name), self.general, "/dolly", command)
        await until(lambda: self.view(name) is not None)
        return self.form(name)

    def view(self, name: str = "asha") -> Json | None:
        return self.team.workspace.timeline.top_view(self.team.person(name))

    def form(self, name: str = "asha") -> Json:
        view = self.view(name)
        assert view is not None
        return view

    async def next(self, name: str = "asha", view: Json | None = None, **answers: Any) -> Json:
        """Fill in the form and press *Next*; what stands there then."""
        view = view or self.form(name)
        assert view["callback_id"] == REVIEW
        faults = await self.team.workspace.people.fill_in(self.team.person(name), view["id"], answers)
        assert faults == {}
        return self.form(name)


def texts(view: Json) -> list[str]:
    """What a form shows, a piece each."""
    sections = [block["text"]["text"] for block in view["blocks"] if block["type"] == "section"]
    return sections + [e["text"] for block in view["blocks"] if block["type"] == "context" for e in block["elements"]]


def boxes(view: Json) -> dict[str, str]:
    """What stands in the form's boxes at first, by their action ids."""
    elements = [block["element"] for block in view["blocks"] if block["type"] == "input"]
    return {e["action_id"]: e.get("initial_value", "") for e in elements if e["type"] == "plain_text_input"}


def ticks(view: Json) -> Sequence[str]:
    """The questions that can be ticked."""
    elements = [block["element"] for block in view["blocks"] if block["type"] == "input"]
    return [option["value"] for e in elements if e["type"] == "checkboxes" for option in e["options"]]
