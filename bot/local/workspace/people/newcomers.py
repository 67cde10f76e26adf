"""People who come into the workspace after its opening: colleagues, guests, people of other companies, bots."""

from dataclasses import replace
from typing import Any

from bot.local.workspace.people.access import said_plainly
from bot.local.workspace.records import User
from bot.local.workspace.refusals import PeopleError
from bot.local.workspace.timeline.channels import new_id
from bot.local.workspace.timeline.timeline import Timeline

COLORS = ("8f3a5f", "37618e", "7a5c12", "3f6f4a", "6a4c93", "a3472a")


class Newcomers:
    """Takes people in, and changes what is known of them."""

    def __init__(self, timeline: Timeline) -> None:
        self._timeline = timeline

    async def invite(self, name: str, *channel_ids: str, real_name: str = "", **traits: Any) -> User:
        """Bring somebody new into the workspace and into these channels.

        `traits` are those of `User`: is_restricted=True (a guest; is_ultra_restricted=True: of one channel),
        team_id="T0OTHER0001" (of another company), is_bot=True (another app's bot), is_admin, is_owner,
        locale="hi-IN", tz="Asia/Kolkata".
        """
        color = COLORS[len(self._timeline.users()) % len(COLORS)]
        user = User(new_id("U"), name, real_name or name.capitalize(), **{"color": color, **traits})
        if user.is_bot:
            user = replace(user, bot_id=new_id("B"))
        return self._keep(replace(user, is_restricted=user.is_restricted or user.is_ultra_restricted), channel_ids)

    async def welcome(self, host_id: str, channel_id: str, name: str, **traits: Any) -> User:
        """`invite` as the page does it: colleagues into all channels of their host, others into one."""
        channels = [channel for channel in self._timeline.channels() if host_id in channel.members]
        shared = [channel.id for channel in channels if channel.kind in ("channel", "group")]
        is_colleague = not (traits.get("is_restricted") or "team_id" in traits)
        here = shared if is_colleague else [id for id in shared if id == channel_id] or shared[:1]
        return await self.invite(name.lower(), *here, real_name=name, **traits)

    async def change(self, user_id: str, **traits: Any) -> User:
        """Change somebody's traits, as in `invite`: locale="hi-IN" for somebody who reads Hindi."""
        user = self._timeline.user(user_id)
        if user is None:
            raise PeopleError("There is no such person in this workspace.")
        return self._keep(replace(user, **traits), ())

    def _keep(self, user: User, channel_ids: tuple[str, ...]) -> User:
        with said_plainly():
            self._timeline.add_user(user)
            for channel_id in channel_ids:
                self._timeline.join(channel_id, user.id)
        return user
