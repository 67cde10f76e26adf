"""Slack's Events API: what happens in the workspace, as the app hears of it.

Every inner event has the keys of Slack's published samples and of docs.slack.dev; texts are escaped
(&amp; &lt; &gt;) and mentions are <@U…> because messages are kept so.
"""

import base64
import json
import secrets

from bot.local.workspace.clock import Clock
from bot.local.workspace.delivery.delivery import Delivery
from bot.local.workspace.records import AppIdentity, Channel, Json
from bot.local.workspace.timeline.changes import Change
from bot.local.workspace.timeline.timeline import Timeline

# What a message gathers later: part of its history, not of the event that tells of it.
GATHERED_LATER = {
    "reply_count",
    "reply_users",
    "reply_users_count",
    "latest_reply",
    "reactions",
    "is_locked",
    "subscribed",
    "last_read",
}
# What a reply that is shown in its channel too tells of the message above it.
ROOT_KEYS = {
    "bot_id",
    "bot_profile",
    "edited",
    "latest_reply",
    "parent_user_id",
    "reply_count",
    "reply_users_count",
    "subscribed",
    "subtype",
    "team",
    "text",
    "thread_ts",
    "ts",
    "type",
    "user",
    "username",
}
NOT_IN_MENTIONS = {"channel_type", "metadata", "parent_user_id"}
CHANNEL_LETTERS = {"channel": "C", "group": "G", "im": "D", "mpim": "G"}


class Events:
    """Turns changes into events, for the channels that the app is a member of."""

    def __init__(self, timeline: Timeline, delivery: Delivery, identity: AppIdentity, clock: Clock) -> None:
        self._timeline = timeline
        self._delivery = delivery
        self._identity = identity
        self._clock = clock
        self._contexts: dict[str, Json] = {}

    def on_change(self, change: Change) -> None:
        """Deliver the events that this change makes, unless the app does not see where it was made."""
        channel = self._timeline.channel(change.channel_id) if change.channel_id else None
        if channel and self._identity.bot_user_id in channel.members:
            for event in self._events_of(change, channel):
                self.deliver(event)

    def deliver(self, event: Json) -> None:
        """Deliver one inner event, with an event_id of its own."""
        self._delivery.event(self._callback(event))

    def app_home_opened(self, user_id: str, tab: str) -> None:
        """`tab` is "home" or "messages"."""
        event: Json = {
            "type": "app_home_opened",
            "user": user_id,
            "channel": self._timeline.direct_channel(user_id).id,
            "tab": tab,
            "event_ts": self._now(),
        }
        if tab == "home" and (view := self._timeline.home(user_id)):
            event["view"] = view
        if user_id in self._contexts:
            event["context"] = self._contexts[user_id]
        self.deliver(event)

    def app_context_changed(self, user_id: str, channel_id: str) -> None:
        """The person looks at another channel while the app is open beside it."""
        entity = {
            "type": "slack#/types/channel_id",
            "value": channel_id,
            "team_id": self._identity.team_id,
        }
        self._contexts[user_id] = {"entities": [entity]}
        self.deliver(
            {
                "type": "app_context_changed",
                "user": user_id,
                "channel": self._timeline.direct_channel(user_id).id,
                "context": self._contexts[user_id],
                "event_ts": self._now(),
            }
        )

    def assistant_thread(self, type: str, user_id: str, thread_ts: str, looked_at_id: str | None) -> None:
        """The events of the older `assistant_view`: `type` is assistant_thread_started or …_context_changed."""
        context: Json = {"enterprise_id": None, "team_id": self._identity.team_id}
        thread: Json = {
            "user_id": user_id,
            "context": {**context, "channel_id": looked_at_id} if looked_at_id else {},
            "channel_id": self._timeline.direct_channel(user_id).id,
            "thread_ts": thread_ts,
        }
        self.deliver({"type": type, "assistant_thread": thread, "event_ts": self._now()})

    def agent_session_stopped(
        self, user_id: str, channel_id: str, thread_ts: str, streaming_message_ts: list[str]
    ) -> None:
        """The person pressed Stop."""
        self.deliver(
            {
                "type": "agent_session_stopped",
                "channel": channel_id,
                "thread_ts": thread_ts,
                "user": user_id,
                "streaming_message_ts": streaming_message_ts,
                "event_ts": self._now(),
            }
        )

    def _events_of(self, change: Change, channel: Channel) -> list[Json]:
        match change.kind:
            case "message" if change.message:
                return self._said(change.message, channel)
            case "message_changed" if change.message:
                return [self._message_changed(change, channel)]
            case "stream" if change.message and change.detail.get("state") != "streaming":
                return [self._message_changed(change, channel)]
            case "message_deleted" if change.previous:
                return [self._message_deleted(change.previous, channel)]
            case "reaction":
                return [self._reaction(change)]
            case "channel" if "joined" in change.detail:
                return [self._member_joined(change.detail["joined"], channel)]
        return []

    def _said(self, message: Json, channel: Channel) -> list[Json]:
        """One message event; a mention in a channel makes an app_mention as well."""
        said = {key: value for key, value in message.items() if key not in GATHERED_LATER}
        if "files" in said and self._timeline.is_shared(channel):
            said["files"] = [_to_be_asked_for(file) for file in said["files"]]
        if "root" in said:
            said["root"] = {key: value for key, value in said["root"].items() if key in ROOT_KEYS}
        event = {**said, "channel": channel.id, "event_ts": message["ts"], "channel_type": channel.kind}
        bot_user_id = self._identity.bot_user_id
        mentions_app = f"<@{bot_user_id}>" in message.get("text", "")
        if not mentions_app or channel.kind == "im" or message.get("user") == bot_user_id:
            return [event]
        mention = {key: value for key, value in event.items() if key not in NOT_IN_MENTIONS}
        if mention.get("subtype") == "file_share":
            del mention["subtype"]
        return [event, {**mention, "type": "app_mention"}]

    def _message_changed(self, change: Change, channel: Channel) -> Json:
        changed = {"message": _without_root(change.message), "previous_message": _without_root(change.previous)}
        return {**self._hidden("message_changed", channel), **changed}

    def _message_deleted(self, previous: Json, channel: Channel) -> Json:
        deleted = {"deleted_ts": previous["ts"], "previous_message": _without_root(previous)}
        return {**self._hidden("message_deleted", channel), **deleted}

    def _hidden(self, subtype: str, channel: Channel) -> Json:
        """A message event that shows nothing new itself: it tells of another message."""
        now = self._now()
        return {
            "type": "message",
            "subtype": subtype,
            "hidden": True,
            "channel": channel.id,
            "ts": now,
            "event_ts": now,
            "channel_type": channel.kind,
        }

    def _reaction(self, change: Change) -> Json:
        return {
            "type": "reaction_added" if change.detail["added"] else "reaction_removed",
            "user": change.user_id,
            "reaction": change.detail["reaction"],
            "item": {"type": "message", "channel": change.channel_id, "ts": change.ts},
            "item_user": (change.message or {}).get("user"),
            "event_ts": self._now(),
        }

    def _member_joined(self, user_id: str, channel: Channel) -> Json:
        return {
            "type": "member_joined_channel",
            "user": user_id,
            "channel": channel.id,
            "channel_type": CHANNEL_LETTERS[channel.kind],
            "team": self._identity.team_id,
            "event_ts": self._now(),
        }

    def _callback(self, event: Json) -> Json:
        identity = self._identity
        channel_id = event.get("channel") or event.get("item", {}).get("channel")
        channel = self._timeline.channel(channel_id) if channel_id else None
        is_shared = channel is not None and self._timeline.is_shared(channel)
        context = {"tid": identity.team_id, "aid": identity.app_id, "cid": channel_id}
        return {
            "token": identity.verification_token,
            "team_id": identity.team_id,
            **({"context_team_id": identity.team_id, "context_enterprise_id": None} if is_shared else {}),
            "api_app_id": identity.app_id,
            "event": event,
            "type": "event_callback",
            "event_id": f"Ev{secrets.token_hex(5).upper()}",
            "event_time": int(self._clock.now()),
            "authorizations": [
                {
                    "enterprise_id": None,
                    "team_id": identity.team_id,
                    "user_id": identity.bot_user_id,
                    "is_bot": True,
                    "is_enterprise_install": False,
                }
            ],
            "is_ext_shared_channel": is_shared,
            "event_context": "4-" + base64.urlsafe_b64encode(json.dumps(context).encode()).decode(),
        }

    def _now(self) -> str:
        return f"{self._clock.now():.6f}"


def _to_be_asked_for(file: Json) -> Json:
    """A file in a channel with another company: files.info tells the rest."""
    kept = {key: file[key] for key in ("id", "created", "timestamp", "user")}
    return {**kept, "mode": "file_access", "file_access": "check_file_info"}


def _without_root(message: Json | None) -> Json:
    return {key: value for key, value in (message or {}).items() if key != "root"}
