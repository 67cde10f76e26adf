"""Forgetting what people thought of answers, beyond what the scripts of forgetting.py delete: what was exported to a
trainer, and what a reviewer wrote.

First it is noted that it should be in no model any more (it is known by its name only as long as it is there), then it
is deleted, then it is taken out of exports: whoever is exporting it just now looks once more whether it is there still.
"""

from collections.abc import Collection
from typing import Any

from bot.conversation import ConversationId
from bot.store.connection import Client, store_errors
from bot.store.exported import Exported
from bot.store.feedback import FeedbackStore
from bot.store.layout import Layout
from bot.store.sealing import Sealing


class ForgettingFeedback:
    """Every method raises StoreUnavailable; a store that is full does as it is asked."""

    def __init__(self, client: Client, layout: Layout, sealing: Sealing) -> None:
        self._client = client
        self._layout = layout
        self._team = layout.owner.partition("/")[0]
        self._store = FeedbackStore(client, layout, sealing)
        self._exported = Exported(client)

    async def note(self, conversation: ConversationId | str, user_id: str = "") -> None:
        """Before it is deleted: all of a conversation, or what is about one person there, should be in no model."""
        names = [name for name in await self._names(conversation) if _is_about(name, user_id)]
        await self._exported.note_withdrawn(names)

    async def take_out(self, conversations: Collection[str], user_id: str = "") -> None:
        """After it was deleted: the same in all these conversations leaves the exports."""
        among = frozenset(conversations)
        await self._exported.take_out(lambda name: conversation_of(name) in among and _is_about(name, user_id))

    async def unsign(self, user_id: str) -> None:
        """What the person wrote as a reviewer goes; whose correction they wrote anew, that waits for a review again."""
        for kept in await self._store.all():
            if kept.feedback.reviewer_id == user_id:
                await self._store.review(kept, kept.feedback.without_reviewer())

    async def people(self, conversation: ConversationId | str) -> frozenset[str]:
        """Who rated answers in a conversation, who asked for these, and who reviewed that."""
        where = conversation if isinstance(conversation, ConversationId) else ConversationId.parse(conversation)
        named = {user_id for name in await self._names(where) for user_id in people_of(name)}
        reviewers = {feedback.reviewer_id for feedback in await self._store.of_conversation(where)}
        return frozenset(named | reviewers - {""})

    async def exported(self) -> frozenset[str]:
        """The names of the team's feedback in exports."""
        return frozenset(name for name in await self._exported.names() if name.startswith(f"{self._team}/"))

    async def _names(self, conversation: ConversationId | str) -> list[str]:
        async with store_errors():
            key = f"{self._layout.prefix_of(conversation)}feedback:{conversation}"
            fields: Any = await self._client.hkeys(key)
        return [f"{conversation}/{field}" for field in fields]


def conversation_of(name: str) -> str:
    """Of the feedback that is called so (bot/feedback.py)."""
    return "/".join(name.split("/")[:3])


def people_of(name: str) -> tuple[str, str]:
    """Who asked, and who rated."""
    asker_id, rater_id = name.split("/")[-2:]
    return asker_id, rater_id


def _is_about(name: str, user_id: str) -> bool:
    return not user_id or user_id in people_of(name)
