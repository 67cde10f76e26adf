"""A backup, more that is asked and forgotten, then the machine is gone: the backup goes on at another one."""

import asyncio
import shutil
import time
from pathlib import Path

from tests.chaos.subject import ROOT, Store
from tests.drills.stage import SOCKETS, Stage, figure, stage

BACK_UP = ROOT / "deploy" / "back-up-store.sh"
TORN_BYTES = 7
"""So much of the append-only file's end is missing, as where a backup caught the server in the middle of a record."""


async def drill(folder: Path, questions: int, began_on: Path | None, tag: str = "") -> bool:
    """`began_on`: the server that the backup is taken from, where it is not the one that it is restored on."""

    def other_server(dolly: object) -> None:
        if began_on is not None:
            dolly.store = Store(folder, binary=began_on)  # type: ignore[attr-defined]
            for replica in dolly.replicas:  # type: ignore[attr-defined]
                replica.store.point_at(dolly.store.port)  # type: ignore[attr-defined]

    async with stage(folder, {}, prepare=other_server) as on:
        before = await on.ask(questions)
        await on.answered(before[: questions // 2])  # the rest is under way
        backup = folder / "backup"
        await _run(str(BACK_UP), str(on.dolly.store.folder), str(backup))
        after = await on.ask(questions)
        await on.answered(before + after)
        in_thread, of_person = await _forget(on, before + after)
        under_way = await on.ask(questions)
        answered_before = set(on.witness.whole_at)
        await _burn(on, backup)
        unheard = await on.ask(8)
        burnt = time.time()
        began = time.monotonic()
        await _restore(on, folder, backup)
        seconds = time.monotonic() - began
        left = await on.answered(under_way + unheard)
        last = await on.ask(8)
        left |= await on.answered(last)
        await on.settled()
        asked_again, named = on.prompted(burnt)
        twice = {number for number, times in on.answers().items() if times > 1}
        good = figure(f"restore{tag}.erased_back", len(named & (in_thread | of_person)), "questions", 0)
        good &= figure(f"restore{tag}.answered_again", len(asked_again & answered_before), "questions", 0)
        good &= figure(f"restore{tag}.twice", len(twice), "questions", 0)
        good &= figure(f"restore{tag}.lost", len(left), "questions", 0)
        found = len((set(under_way) - answered_before) & on.acked())
        figure(f"restore{tag}.found_again", found - len(left & set(under_way)), "questions")
        figure(f"restore{tag}.seconds", seconds, "s")
        return good


async def _forget(on: Stage, asked: list[int]) -> tuple[set[int], set[int]]:
    """A thread and a person are forgotten, by command, while Dolly runs; their questions."""
    await on.command("forget", "--conversation", on.conversation(0), "--yes")
    person = on.asker_of[1]
    await on.command("forget", "--user", person, "--yes")
    thread = {number for number in asked if on.witness.asked[number].conversation == on.conversation(0)}
    return thread, {number for number in asked if on.asker_of[number] == person}


async def _burn(on: Stage, backup: Path) -> None:
    """Nothing is left of the store's machine, nor of the processes beside it."""
    for victim in (*on.dolly.replicas, on.dolly.store):
        await victim.kill()
    shutil.rmtree(on.dolly.store.folder)
    _tear(backup)


def _tear(backup: Path) -> None:
    newest = sorted(backup.glob("appendonlydir/*.incr.aof"))[-1]
    with newest.open("r+b") as file:
        file.truncate(max(0, newest.stat().st_size - TORN_BYTES))


async def _restore(on: Stage, folder: Path, backup: Path) -> None:
    """Another machine: the backup in the store's folder, another port, then Dolly with its erasure log."""
    store = Store(folder, "restored")
    shutil.copytree(backup / "appendonlydir", store.folder / "appendonlydir")
    on.dolly.store = store
    await store.start()
    for replica in on.dolly.replicas:
        replica.store.point_at(store.port)
        await replica.start()
    await on.connected(SOCKETS * len(on.dolly.replicas))


async def _run(*words: str) -> None:
    process = await asyncio.create_subprocess_exec(*words)
    if await process.wait():
        raise SystemExit(f"{words[0]} failed")
