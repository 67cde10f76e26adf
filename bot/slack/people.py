"""Who somebody is: name, language, and what they may. Asked of Slack, and kept for a while."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any

import structlog
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.slack.client import UNREACHABLE, Identity, error_name, failure
from bot.words import Languages, Words

log = structlog.get_logger(__name__)

PEOPLE_KEPT = 5_000
NAMES_PER_TEXT = 20
PERSON_SECONDS = 300.0
"""How long somebody who was made an admin, or is none any more, may have to wait until Dolly knows."""
NAME_SECONDS = 24 * 3600.0
"""A name may be older: a thread holds many people, and each would be a call."""
HIDDEN = frozenset({"user_not_found", "user_not_visible"})
"""Slack's names for people whom it does not show to Dolly: they are of another organisation."""
WORDS_SECONDS = 0.5
"""How long a sentence waits for its reader's language. Slack waits three seconds for an acknowledgement."""

WordsOf = Callable[[str], Awaitable[Words]]
"""The words of a person's language, by their id (People.words)."""
ReaderWords = Callable[[], Awaitable[Words]]
"""The words of whoever a reply is for."""


@dataclass(frozen=True, slots=True)
class Person:
    """What Slack says of somebody."""

    id: str
    name: str
    team_id: str
    locale: str
    """As Slack writes it, such as "hi-IN"; empty where it does not say."""
    is_admin: bool
    """Whether they administer or own the workspace."""
    is_guest: bool
    is_external: bool
    """Whether they belong to another organisation (Slack Connect)."""
    is_bot: bool


class People:
    """Asks users.info; one person is asked about once at a time."""

    def __init__(
        self,
        client: AsyncWebClient,
        identity: Identity,
        languages: Languages,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._identity = identity
        self._languages = languages
        self._clock = clock
        self._known: dict[str, tuple[Person, float]] = {}
        """Each with when they were asked about, the longest ago first."""
        self._asking: dict[str, asyncio.Task[Person | None]] = {}

    async def person(self, user_id: str) -> Person | None:
        """Who they are, as of the last five minutes; None where Slack does not say now."""
        return self._remembered(user_id, PERSON_SECONDS) or await self._asked(user_id)

    async def name(self, user_id: str) -> str:
        """The person's name; the id where Slack does not give one now."""
        if user_id == self._identity.bot_user_id:
            return "Dolly"
        person = self._remembered(user_id, NAME_SECONDS) or await self._asked(user_id)
        return person.name if person else user_id

    async def names(self, user_ids: Iterable[str]) -> dict[str, str]:
        """The names of the first few; a text full of ids must not become a call for each."""
        few = list(dict.fromkeys(user_ids))[:NAMES_PER_TEXT]
        return {user_id: await self.name(user_id) for user_id in few}

    async def is_admin(self, user_id: str) -> bool:
        """Whether they administer or own the workspace; False where Slack does not say now."""
        person = await self.person(user_id)
        return person is not None and person.is_admin

    async def words(self, user_id: str) -> Words:
        """The words of the person's language. Never fails, and takes half a second at most.

        A Slack that is slower is listened to all the same: until it answers, the language is the one that was known
        last, or English.
        """
        person = self._remembered(user_id, PERSON_SECONDS)
        if person is None:
            await asyncio.wait({self._ask(user_id)}, timeout=WORDS_SECONDS)
            person = self._remembered(user_id, float("inf"))
        return self._languages.of(person.locale) if person else self._languages.english

    async def end(self) -> None:
        """Ask no more."""
        asking = list(self._asking.values())
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)

    def _remembered(self, user_id: str, seconds: float) -> Person | None:
        person, asked_at = self._known.get(user_id, (None, 0.0))
        return person if person and self._clock() - asked_at < seconds else None

    async def _asked(self, user_id: str) -> Person | None:
        task = self._ask(user_id)
        await asyncio.wait({task})  # whoever waits may be cancelled; others wait for the same answer
        return task.result()

    def _ask(self, user_id: str) -> asyncio.Task[Person | None]:
        if user_id not in self._asking:
            task = asyncio.create_task(self._look_up(user_id))
            self._asking[user_id] = task
            task.add_done_callback(lambda _: self._asking.pop(user_id))
        return self._asking[user_id]

    async def _look_up(self, user_id: str) -> Person | None:
        try:
            user = (await self._client.users_info(user=user_id, include_locale=True)).get("user")
        except (SlackApiError, *UNREACHABLE) as error:
            if not isinstance(error, SlackApiError) or error_name(error) not in HIDDEN:
                log.info("person_unknown", reason=str(failure("users.info", error)))
                return None
            user = None
        person = _person(user_id, user or {}, self._identity)
        self._known.pop(user_id, None)
        if len(self._known) >= PEOPLE_KEPT:
            self._known.pop(next(iter(self._known)))
        self._known[user_id] = (person, self._clock())
        return person


def _person(user_id: str, user: dict[str, Any], identity: Identity) -> Person:
    profile = user.get("profile") or {}
    return Person(
        user_id,
        str(profile.get("display_name") or user.get("real_name") or user.get("name") or user_id),
        str(user.get("team_id") or ""),
        str(user.get("locale") or ""),
        is_admin=bool(user.get("is_admin") or user.get("is_owner")),
        is_guest=bool(user.get("is_restricted") or user.get("is_ultra_restricted")),
        is_external=_is_external(user, identity),
        is_bot=bool(user.get("is_bot")),
    )


def _is_external(user: dict[str, Any], identity: Identity) -> bool:
    """Neither of this workspace nor of another one of its organisation; who cannot be told is external, too."""
    if user.get("is_stranger"):
        return True
    organisation = (user.get("enterprise_user") or {}).get("enterprise_id")
    is_colleague = identity.enterprise_id is not None and organisation == identity.enterprise_id
    return not is_colleague and user.get("team_id") != identity.team_id
