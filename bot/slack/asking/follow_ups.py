"""Replies that need no mention, in channels that say so: in a thread where Dolly was asked, and to nobody else."""

from collections.abc import Mapping
from typing import Any

from bot.conversation import ConversationId
from bot.slack.mrkdwn import mentioned_ids
from bot.slack.payloads import text
from bot.store.memory import Memory
from bot.store.preferences import PreferenceStore


class FollowUps:
    """Knows which messages are such replies."""

    def __init__(self, preferences: PreferenceStore, memory: Memory) -> None:
        self._preferences = preferences
        self._memory = memory

    async def is_one(self, message: Mapping[str, Any], conversation: ConversationId) -> bool:
        """Whether `message`, in `conversation`, goes on with what Dolly was asked there. Raises StoreUnavailable."""
        is_reply, said = message.get("ts") != conversation.root_ts, text(message, "text")
        if not is_reply or mentioned_ids(said) or "<!" in said:  # to a group, or to everybody here
            return False
        rules = await self._preferences.of_channel(conversation.channel_id)
        return rules.follows and await self._memory.is_known(conversation)
