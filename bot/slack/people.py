"""Who somebody is: their name, and whether they may administer. Asked of Slack, and kept for a while."""

import time
from collections.abc import Callable, Iterable
from typing import Any

from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.slack.client import UNREACHABLE, Identity

NAMES_KEPT = 5_000
NAMES_PER_TEXT = 20
ADMIN_SECONDS = 300.0
"""How long somebody who was made an admin, or is none any more, may have to wait until Dolly knows."""


class People:
    """Asks users.info."""

    def __init__(self, client: AsyncWebClient, identity: Identity, clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._clock = clock
        self._own_name = {identity.bot_user_id: "Dolly"}
        self._names = dict(self._own_name)
        self._admins: dict[str, tuple[bool, float]] = {}

    async def names(self, user_ids: Iterable[str]) -> dict[str, str]:
        """The names of the first few; a text full of ids must not become a call for each."""
        few = list(dict.fromkeys(user_ids))[:NAMES_PER_TEXT]
        return {user_id: await self.name(user_id) for user_id in few}

    async def name(self, user_id: str) -> str:
        """The person's name; the id where Slack does not give one now."""
        if user_id not in self._names:
            user = await self._look_up(user_id)
            if user is None:
                return user_id
            if len(self._names) >= NAMES_KEPT:
                self._names = dict(self._own_name)
            profile = user.get("profile") or {}
            name = profile.get("display_name") or user.get("real_name") or user.get("name") or user_id
            self._names[user_id] = str(name)
        return self._names[user_id]

    async def is_admin(self, user_id: str) -> bool:
        """Whether they administer or own the workspace; False where Slack does not say now."""
        known, until = self._admins.get(user_id, (False, 0.0))
        if self._clock() < until:
            return known
        user = await self._look_up(user_id)
        if user is None:
            return False
        if len(self._admins) >= NAMES_KEPT:
            self._admins.clear()
        is_admin = bool(user.get("is_admin") or user.get("is_owner"))
        self._admins[user_id] = (is_admin, self._clock() + ADMIN_SECONDS)
        return is_admin

    async def _look_up(self, user_id: str) -> dict[str, Any] | None:
        try:
            user: dict[str, Any] = (await self._client.users_info(user=user_id))["user"]
        except (SlackApiError, *UNREACHABLE):
            return None
        return user
