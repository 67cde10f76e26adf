"""The cases that are always tried first: what once was found, and what is known to be nasty (tests/fuzz/corpus)."""

import json
from pathlib import Path
from typing import Any

from bot.local.workspace import Workspace
from tests.fuzz.generated import Item, is_known

FOLDER = Path(__file__).with_name("corpus")


def corpus(workspace: Workspace) -> list[Item]:
    """All of it, each text whole and letter by letter. `{bot}`, `{team}`, `{person}` and `{general}` are ids there."""
    found = []
    for path in sorted(FOLDER.glob("outputs/*.md")):
        text = path.read_text()
        found += [Item("output", deltas=(text,)), Item("output", deltas=tuple(text))]
    for path in sorted(FOLDER.glob("bodies/*")):
        found.append(Item("body", body=path.read_bytes(), is_known=False))
    for path in sorted(FOLDER.glob("payloads/*.json")):
        entry = json.loads(path.read_text())
        payload = _with_ids(entry["payload"], workspace)
        found.append(Item("payload", entry["way"], payload, is_known=is_known(entry["way"], payload)))
    return found


def _with_ids(value: Any, workspace: Workspace) -> Any:
    general = next(channel.id for channel in workspace.timeline.channels() if channel.name == "general")
    person = next(user.id for user in workspace.timeline.users() if user.name.lower() == "asha")
    names = {"{bot}": workspace.identity.bot_user_id, "{team}": workspace.identity.team_id}
    names |= {"{person}": person, "{general}": general}
    text = json.dumps(value)
    for name, known in names.items():
        text = text.replace(name, known)
    return json.loads(text)
