"""That the scenarios' logs are searched in earnest: what is planted in one is found, in whatever wrapping."""

import json
from pathlib import Path

import structlog

from bot.local.store import LocalStore
from bot.local.workspace import Workspace
from tests.scenarios.conftest import running_team
from tests.scripted_engine import Script, ScriptedEngine
from tests.silence import Silence, listening

SAID = "where do we keep the spare badges?"
WRITTEN = "In the third drawer, below the printer."
KEY = "no-pattern-knows-this-key"


async def heard(local_store: LocalStore, silence: Silence, planted: str = "") -> Workspace:
    """A question and its answer, with a careless line in Dolly's log."""
    workspace = Workspace()
    await workspace.start()
    async with (
        ScriptedEngine(Script(text=WRITTEN), api_key=KEY) as engine,
        running_team(local_store.url, engine.url, workspace=workspace, api_key=KEY) as team,
    ):
        await team.answered(await team.say("asha", f"@dolly {SAID}"))
        await team.workspace.people.command(
            team.person("ben"), team.channel("general"), "/dolly", "who is on call today"
        )
        if planted:
            structlog.get_logger("bot.planted").debug("careless", heard={"payload": [planted]})
    await workspace.stop()
    assert '"answered"' in silence.logged.getvalue(), "it listens"
    return workspace


async def test_a_dolly_that_keeps_silent_breaks_nothing(redis: object, local_store: LocalStore) -> None:
    with listening() as silence:
        await heard(local_store, silence)
        assert silence.broken() == []
        assert len(silence.said) > 8
        assert len(silence.secrets) == 6


async def test_a_piece_of_what_was_said_is_found(redis: object, local_store: LocalStore) -> None:
    for planted in (f"text={SAID!r}", "in\nthe THIRD drawer, below", "x: who is on call today?"):
        with listening() as silence:
            await heard(local_store, silence, planted)
            assert silence.broken(), planted


async def test_secrets_are_found_as_they_are(redis: object, local_store: LocalStore) -> None:
    with listening() as silence:
        workspace = await heard(local_store, silence, f"Authorization: Bearer {KEY}")
        assert silence.broken() == ["the engine's key in what Dolly logged"]
        assert workspace.identity.signing_secret in silence.secrets


async def test_logs_of_child_processes_are_read(redis: object, local_store: LocalStore, tmp_path: Path) -> None:
    log = tmp_path / "engine.log"
    with listening() as silence:
        await heard(local_store, silence)
        log.write_text(json.dumps({"prompt": f"<|user|>\n{SAID}"}), encoding="utf-8")
        (first, *_) = silence.broken([log])
        assert str(log) in first


def test_nothing_is_left_behind() -> None:
    before = Workspace.start
    with listening():
        assert Workspace.start is not before
    assert Workspace.start is before
