"""What an engine is told before all else, for one turn: Dolly's own words, the channel's, the person's."""

from bot.conversation import Turn
from bot.preferences import ChannelRules, system_prompt
from bot.store.preferences import PreferenceStore


class Guidance:
    """Puts it together. `base` is Dolly's own part."""

    def __init__(self, preferences: PreferenceStore, base: str) -> None:
        self._preferences = preferences
        self._base = base

    async def of(self, turn: Turn) -> str:
        """The system prompt of `turn`. Raises StoreUnavailable."""
        channel_id = turn.conversation.channel_id
        is_channel = not channel_id.startswith("D")
        rules = await self._preferences.of_channel(channel_id) if is_channel else ChannelRules()
        return system_prompt(self._base, rules, await self._preferences.of_person(turn.user_id))
