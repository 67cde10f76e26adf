"""Modals that are open and home tabs that were published. Views are in the shape of Slack's answers."""

import secrets

from bot.local.workspace.clock import Clock
from bot.local.workspace.records import AppIdentity, Json
from bot.local.workspace.refusals import Refused
from bot.local.workspace.timeline.blocks import with_ids
from bot.local.workspace.timeline.changes import Change, Changes
from bot.local.workspace.timeline.channels import new_id
from bot.local.workspace.timeline.database import Database

STACK_LIMIT = 3
"""Modals on top of each other, the first one included."""


class Views:
    """Each person's stack of modals, gone with the process, and home tab, which is kept.

    Raises Refused with Slack's error names.
    """

    def __init__(self, database: Database, changes: Changes, clock: Clock, identity: AppIdentity) -> None:
        self._database = database
        self._changes = changes
        self._clock = clock
        self._identity = identity
        self._stacks: dict[str, list[Json]] = {}

    def open_view(self, trigger_user: str, view: Json) -> Json:
        """Open a modal, in the place of what that person had open."""
        view_id = new_id("V")
        stored = self._stored(view, view_id, root_view_id=view_id, previous_view_id=None)
        self._stacks[trigger_user] = [stored]
        self._tell(trigger_user, stored, "opened")
        return stored

    def push_view(self, trigger_user: str, view: Json) -> Json:
        """Put a modal on top of the one that is open."""
        stack = self._stacks.get(trigger_user)
        if not stack:
            raise Refused("not_found")
        if len(stack) >= STACK_LIMIT:
            raise Refused("push_limit_reached")
        stored = self._stored(view, new_id("V"), root_view_id=stack[0]["id"], previous_view_id=stack[-1]["id"])
        stack.append(stored)
        self._tell(trigger_user, stored, "pushed")
        return stored

    def update_view(self, view_id: str, view: Json, *, hash: str | None = None) -> Json:
        """Change a modal or a home tab. With `hash`, only if it is still the one of that hash."""
        previous = self.view(view_id)
        owner = self.view_owner(view_id)
        if previous is None or owner is None:
            raise Refused("not_found")
        if previous["type"] == "home":
            return self.publish_home(owner, view, hash=hash)
        _check_hash(previous, hash)
        stored = self._stored(
            view,
            view_id,
            root_view_id=previous["root_view_id"],
            previous_view_id=previous["previous_view_id"],
        )
        stack = self._stacks[owner]
        stack[stack.index(previous)] = stored
        self._tell(owner, stored, "updated")
        return stored

    def close_view(self, view_id: str, *, all: bool = False) -> None:
        """Close a modal and those above it; with `all`, the whole stack."""
        view, owner = self.view(view_id), self.view_owner(view_id)
        if view is None or owner is None or view["type"] == "home":
            raise Refused("not_found")
        stack = self._stacks[owner]
        keep = 0 if all else stack.index(view)
        closed, self._stacks[owner] = stack[keep:], stack[:keep]
        for modal in reversed(closed):
            self._tell(owner, modal, "closed")

    def view(self, view_id: str) -> Json | None:
        """An open modal or a home tab."""
        return next((view for _, view in self._all() if view["id"] == view_id), None)

    def view_by_external_id(self, external_id: str) -> Json | None:
        return next((view for _, view in self._all() if view["external_id"] == external_id), None)

    def view_owner(self, view_id: str) -> str | None:
        """The user id of the person who sees it."""
        return next((owner for owner, view in self._all() if view["id"] == view_id), None)

    def _all(self) -> list[tuple[str, Json]]:
        modals = [(owner, view) for owner, stack in self._stacks.items() for view in stack]
        return modals + self._database.homes()

    def top_view(self, user_id: str) -> Json | None:
        """The modal that this person has in front."""
        stack = self._stacks.get(user_id)
        return stack[-1] if stack else None

    def home(self, user_id: str) -> Json | None:
        return self._database.home(user_id)

    def publish_home(self, user_id: str, view: Json, *, hash: str | None = None) -> Json:
        """Show the view as this person's home tab. With `hash`, only if it is still the one of that hash."""
        previous = self.home(user_id)
        _check_hash(previous, hash)
        view_id = previous["id"] if previous else new_id("V")
        stored = self._stored(view, view_id, root_view_id=view_id, previous_view_id=None)
        self._database.save_home(user_id, stored)
        self._changes.publish(Change("home", user_id=user_id, detail={"view": stored}))
        return stored

    def _stored(self, view: Json, view_id: str, *, root_view_id: str, previous_view_id: str | None) -> Json:
        external_id = view.get("external_id")
        holder = self.view_by_external_id(external_id) if external_id else None
        if holder is not None and holder["id"] != view_id:
            raise Refused("duplicate_external_id")
        return {
            "id": view_id,
            "team_id": self._identity.team_id,
            "type": view["type"],
            "blocks": with_ids(view["blocks"]),
            "private_metadata": view.get("private_metadata") or "",
            "callback_id": view.get("callback_id") or "",
            "external_id": external_id or "",
            "state": {"values": {}},
            "hash": f"{int(self._clock.now())}.{secrets.token_urlsafe(6)}",
            "title": view.get("title"),
            "submit": view.get("submit"),
            "close": view.get("close"),
            "clear_on_close": bool(view.get("clear_on_close")),
            "notify_on_close": bool(view.get("notify_on_close")),
            "root_view_id": root_view_id,
            "previous_view_id": previous_view_id,
            "app_id": self._identity.app_id,
            "app_installed_team_id": self._identity.team_id,
            "bot_id": self._identity.bot_id,
        }

    def _tell(self, user_id: str, view: Json, event: str) -> None:
        self._changes.publish(Change("view", user_id=user_id, detail={"view": view, "event": event}))


def _check_hash(view: Json | None, hash: str | None) -> None:
    if hash is not None and (view is None or view["hash"] != hash):
        raise Refused("hash_conflict")
