"""What the app's manifest says of it: its command, its shortcuts, the prompts that it opens with.

Slack takes all of this from the manifest, and so does the workspace: from deploy/slack-manifest.json.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bot.local.workspace.records import Json

DEPLOYED = Path(__file__).parents[3] / "deploy" / "slack-manifest.json"


@dataclass(frozen=True)
class Command:
    """A slash command."""

    name: str = "/dolly"
    description: str = "Ask Dolly; only you see the answer"
    usage_hint: str = ""


@dataclass(frozen=True)
class Shortcut:
    """What people can do with a message, or (global) anywhere."""

    callback_id: str
    name: str
    description: str = ""
    type: Literal["message", "global"] = "message"


@dataclass(frozen=True)
class Manifest:
    """What people see of the app before it has said anything."""

    command: Command = Command()
    shortcuts: tuple[Shortcut, ...] = ()
    prompts: tuple[Json, ...] = ()
    """{"title", "message"} each: what the Messages tab suggests until the app suggests something else."""


def read_manifest(path: Path = DEPLOYED) -> Manifest:
    """The manifest in this file; where there is none (Dolly was installed without deploy/), a bare one."""
    if not path.is_file():
        return Manifest()
    features = json.loads(path.read_text()).get("features", {})
    commands = [
        Command(command["command"], command["description"], command.get("usage_hint", ""))
        for command in features.get("slash_commands", ())
    ]
    shortcuts = tuple(
        Shortcut(shortcut["callback_id"], shortcut["name"], shortcut.get("description", ""), shortcut["type"])
        for shortcut in features.get("shortcuts", ())
    )
    prompts = tuple(features.get("agent_view", {}).get("suggested_prompts", ()))
    return Manifest(commands[0] if commands else Command(), shortcuts, prompts)
