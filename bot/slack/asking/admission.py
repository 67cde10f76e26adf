"""Who may ask at all: allow lists, guests, people of other organisations, and channels where Dolly keeps quiet."""

from bot.access import AccessRules
from bot.conversation import Turn
from bot.errors import SlackUnreachable
from bot.slack.people import People, Person
from bot.store.preferences import PreferenceStore


class Admission:
    """Judges turns by the operator's rules, and by those of the channel."""

    def __init__(self, people: People, preferences: PreferenceStore, rules: AccessRules) -> None:
        self._people = people
        self._preferences = preferences
        self._rules = rules

    async def refused(self, turn: Turn) -> str | None:
        """The key of the sentence that says why `turn` gets no answer; None where it may have one.

        Raises StoreUnavailable; SlackUnreachable where Slack does not say now who is asking.
        """
        channel_id = turn.conversation.channel_id
        is_direct = turn.is_direct or channel_id.startswith("D")
        if not is_direct and not await self._is_allowed(channel_id):
            return "refused_channel"
        if self._rules.users and turn.user_id not in self._rules.users:
            return "refused_person"
        person = await self._people.person(turn.user_id)
        if person is None:
            raise SlackUnreachable("users.info", "nobody knows who is asking")
        return self._refused(person)

    async def _is_allowed(self, channel_id: str) -> bool:
        if self._rules.channels and channel_id not in self._rules.channels:
            return False
        return (await self._preferences.of_channel(channel_id)).is_allowed

    def _refused(self, person: Person) -> str | None:
        if person.is_bot and person.id not in self._rules.bots:
            return "refused_person"
        if person.is_guest and not self._rules.guests:
            return "refused_guest"
        if self._rules.teams:
            return None if person.team_id in self._rules.teams else "refused_team"
        return "refused_team" if person.is_external else None
