"""The payloads of slash commands and interactions, in the shapes of docs.slack.dev."""

from dataclasses import dataclass

from bot.local.workspace.clock import Clock
from bot.local.workspace.delivery.response_urls import Origin, ResponseUrls
from bot.local.workspace.delivery.triggers import Triggers
from bot.local.workspace.records import AppIdentity, Channel, Json, User


@dataclass(frozen=True)
class Place:
    """Where an interactive element is: in a message of a channel, or in a view (a modal or the home tab)."""

    surface: Json
    """The message or the view."""

    channel: Channel | None = None
    """None for a view."""

    is_ephemeral: bool = False

    @property
    def blocks(self) -> list[Json]:
        blocks: list[Json] = self.surface.get("blocks") or []
        return blocks

    def container(self) -> Json:
        if self.channel is None:
            return {"type": "view", "view_id": self.surface["id"]}
        container = {
            "type": "message",
            "message_ts": self.surface["ts"],
            "channel_id": self.channel.id,
            "is_ephemeral": self.is_ephemeral,
        }
        thread_ts = self.surface.get("thread_ts")
        return {**container, "thread_ts": thread_ts} if thread_ts else container


class Interactions:
    """Builds each payload, with a new trigger_id and a new response_url where Slack gives one."""

    def __init__(self, identity: AppIdentity, triggers: Triggers, response_urls: ResponseUrls, clock: Clock) -> None:
        self._identity = identity
        self._triggers = triggers
        self._response_urls = response_urls
        self._clock = clock

    def slash_command(self, user: User, channel: Channel, command: str, text: str) -> Json:
        """Flat, and all strings: over HTTP it is a form."""
        return {
            "token": self._identity.verification_token,
            "team_id": self._identity.team_id,
            "team_domain": self._identity.team_domain,
            "channel_id": channel.id,
            "channel_name": _channel_name(channel),
            "user_id": user.id,
            "user_name": user.name,
            "command": command,
            "text": text,
            "api_app_id": self._identity.app_id,
            "is_enterprise_install": "false",
            "response_url": self._response_urls.issue(Origin(user.id, channel.id)),
            "trigger_id": self._triggers.issue(user.id),
        }

    def block_actions(self, user: User, place: Place, action: Json, state_values: Json) -> Json:
        """A click or a choice in a message, a modal or the home tab."""
        payload = {
            **self._common("block_actions", user),
            "container": place.container(),
            "trigger_id": self._triggers.issue(user.id),
            "actions": [{**action, "action_ts": self._now()}],
        }
        if place.channel is None:
            return {**payload, "view": {**place.surface, "state": {"values": state_values}}}
        origin = Origin(user.id, place.channel.id, place.surface["ts"], place.is_ephemeral)
        payload |= {
            "channel": {"id": place.channel.id, "name": _channel_name(place.channel)},
            "state": {"values": state_values},
            "response_url": self._response_urls.issue(origin),
        }
        # Slack keeps no ephemeral message, so it cannot show one here.
        return payload if place.is_ephemeral else {**payload, "message": place.surface}

    def block_suggestion(self, user: User, place: Place, block_id: str, action_id: str, value: str) -> Json:
        """What was typed in an external select."""
        payload = {
            **self._common("block_suggestion", user),
            "container": place.container(),
            "action_id": action_id,
            "block_id": block_id,
            "value": value,
        }
        if place.channel is None:
            return {**payload, "view": place.surface}
        channel = {"id": place.channel.id, "name": _channel_name(place.channel)}
        return {**payload, "channel": channel, "message": place.surface}

    def view_submission(self, user: User, view: Json, state_values: Json) -> Json:
        return {
            **self._common("view_submission", user),
            "trigger_id": self._triggers.issue(user.id),
            "view": {**view, "state": {"values": state_values}},
            "response_urls": [],
        }

    def view_closed(self, user: User, view: Json, *, is_cleared: bool) -> Json:
        """`is_cleared`: the whole stack of modals was closed, not this one only."""
        return {**self._common("view_closed", user), "view": view, "is_cleared": is_cleared}

    def message_action(self, user: User, channel: Channel, message: Json, callback_id: str) -> Json:
        """A message shortcut."""
        origin = Origin(user.id, channel.id, message["ts"])
        return {
            **self._shortcut("message_action", user, callback_id),
            "channel": {"id": channel.id, "name": _channel_name(channel)},
            "message_ts": message["ts"],
            "message": message,
            "response_url": self._response_urls.issue(origin),
        }

    def global_shortcut(self, user: User, callback_id: str) -> Json:
        return self._shortcut("shortcut", user, callback_id)

    def _shortcut(self, type: str, user: User, callback_id: str) -> Json:
        common = self._common(type, user)
        del common["api_app_id"]  # the one kind of payload without it
        return {
            **common,
            "user": {"id": user.id, "name": user.name, "team_id": user.team_id},
            "callback_id": callback_id,
            "trigger_id": self._triggers.issue(user.id),
            "action_ts": self._now(),
        }

    def _now(self) -> str:
        return f"{self._clock.now():.6f}"

    def _common(self, type: str, user: User) -> Json:
        return {
            "type": type,
            "user": {"id": user.id, "username": user.name, "name": user.name, "team_id": user.team_id},
            "api_app_id": self._identity.app_id,
            "token": self._identity.verification_token,
            "team": {"id": self._identity.team_id, "domain": self._identity.team_domain},
            "enterprise": None,
            "is_enterprise_install": False,
        }


def _channel_name(channel: Channel) -> str:
    """Slack names no channel that not everyone may see."""
    return {"im": "directmessage", "group": "privategroup"}.get(channel.kind, channel.name)
