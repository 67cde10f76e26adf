"""Replicas are replaced one after the other under load: the new one is ready, then the old one is told to stop."""

import asyncio
import os
import signal
import subprocess
from pathlib import Path

from tests.chaos.subject import ROOT, Replica
from tests.drills.stage import SOCKETS, Stage, figure, stage

STOP_SECONDS = 60.0


async def drill(folder: Path, questions: int) -> bool:
    """With UPGRADE_FROM, a commit, the old replicas run what the project was then."""
    old = await asyncio.to_thread(_earlier, folder, os.environ.get("UPGRADE_FROM"))
    async with stage(folder, old) as on:
        on.dolly.settings.pop("PYTHONPATH", None)
        asking = asyncio.create_task(on.ask(questions))
        await asyncio.sleep(1)
        codes = await _replace_all(on)
        left = await on.answered(await asking)
        waits = [on.witness.whole_at[n] - float(on.witness.asked[n].ts) for n in await asking if n not in left]
        good = figure("upgrade.lost", len(left), "questions", 0)
        good &= figure("upgrade.twice", sum(times > 1 for times in on.answers().values()), "questions", 0)
        good &= figure("upgrade.apologies", on.apologies(), "questions", 0)
        good &= figure("upgrade.stopped_badly", sum(code != 0 for code in codes), "replicas", 0)
        figure("upgrade.longest_wait_seconds", max(waits), "s")
        return good


async def _replace_all(on: Stage) -> list[int | None]:
    """The exit codes of the old ones."""
    codes = []
    for number, old in enumerate(list(on.dolly.replicas)):
        before = on.witness.workspace.delivery.connections
        new = Replica(len(on.dolly.replicas) + number, on.dolly.folder, on.dolly)
        on.dolly.replicas.append(new)
        for proxy in new.proxies.values():
            await proxy.start()
        await new.start()
        await on.connected(before + SOCKETS)
        old.signal(signal.SIGTERM)
        async with asyncio.timeout(STOP_SECONDS):
            while old.is_running:
                await asyncio.sleep(0.05)
        codes.append(old.exit_code)
    return codes


def _earlier(folder: Path, commit: str | None) -> dict[str, str]:
    """The setting that has a replica run the `bot` of that commit."""
    if not commit:
        return {}
    place = folder.with_name(f"{folder.name}-from")
    place.mkdir()
    archive = subprocess.run(["git", "archive", commit, "bot"], cwd=ROOT, check=True, capture_output=True)
    subprocess.run(["tar", "-x"], cwd=place, input=archive.stdout, check=True)
    return {"PYTHONPATH": str(place)}
