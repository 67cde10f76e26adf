"""The store's primary dies, cut off from its replica a moment before; the replica takes its place, and its address.

Every question of which Slack was told that Dolly has it is to be answered. Where nobody waits for the replica
(REDIS_WAIT_REPLICAS=0), what came in that moment is on a disk that is gone. In the split, the old primary does not die:
one Dolly goes on with it for a while (`min-replicas-to-write 1`), the others have the new one.
"""

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path

from redis.asyncio import Redis

from tests.chaos.fault_proxy import HOST, FaultProxy
from tests.chaos.subject import Replica, Store
from tests.drills.stage import figure, stage

CUT_OFF_SECONDS = 1.5
SPLIT_SECONDS = 6.0
"""How long there are two primaries."""
MAX_LAG_SECONDS = 3


async def drill(folder: Path, questions: int, rounds: int) -> bool:
    good = True
    for wait, splits, name in (
        (1, False, "with_wait"),
        (0, False, "without_wait"),
        (1, True, "split_with_wait"),
        (0, True, "split_without_wait"),
    ):
        lost = twice = 0
        seconds: list[float] = []
        for number in range(rounds):
            own = folder / f"{name}-{number}"
            await asyncio.to_thread(own.mkdir)
            more = await _round(own, questions, wait, splits=splits)
            lost, twice = lost + more[0], twice + more[1]
            seconds.append(more[2])
        good &= figure(f"failover.lost_{name}", lost, "questions", 0 if wait else None)
        good &= figure(f"failover.twice_{name}", twice, "questions", 0)
        figure(f"failover.seconds_{name}", max(seconds), "s")
    return good


async def _round(folder: Path, questions: int, wait: int, *, splits: bool) -> tuple[int, int, float]:
    """How many acknowledged questions were never answered, how many twice, and how long until the next answer came."""
    settings = {"REDIS_WAIT_REPLICAS": str(wait)}
    async with stage(folder, settings) as on, FaultProxy(HOST, on.dolly.store.port) as link:
        replica = Store(folder, "store-replica", more={"replicaof": f"{HOST} {link.port}"})
        await replica.start()
        try:
            await _in_step(replica)
            if splits:
                await _bound(on.dolly.store)
            await on.answered(await on.ask(questions))
            asking = asyncio.create_task(on.ask(questions * 4 if splits else questions))
            await asyncio.sleep(0.5)
            link.black_hole = True
            await asyncio.sleep(CUT_OFF_SECONDS)
            if not splits:
                await on.dolly.store.kill()
            died = time.time()
            await _promote(replica, on.dolly.replicas[1:] if splits else on.dolly.replicas)
            if splits:
                await asyncio.sleep(SPLIT_SECONDS)
                await on.dolly.store.kill()
                on.dolly.replicas[0].store.point_at(replica.port)
            await link.stop()
            left = await on.answered(await asking)
            await on.settled()
            lost = left & on.acked()
            twice = sum(times > 1 for times in on.answers().values())
            later = [at for at in on.witness.whole_at.values() if at > died + 0.5]
            return len(lost), twice, min(later) - died
        finally:
            await replica.kill()


async def _in_step(replica: Store) -> None:
    async with asyncio.timeout(30):
        while True:
            async with Redis(host=HOST, port=replica.port) as client:
                try:
                    if (await client.info("replication")).get("master_link_status") == "up":
                        return
                except OSError:
                    pass
            await asyncio.sleep(0.1)


async def _bound(primary: Store) -> None:
    """As the guide has it, with less patience: without its replica the primary takes nothing."""
    async with Redis(host=HOST, port=primary.port) as client:
        await client.config_set("min-replicas-max-lag", MAX_LAG_SECONDS)
        await client.config_set("min-replicas-to-write", 1)


async def _promote(replica: Store, dollies: Sequence[Replica]) -> None:
    """As the guide has it: REPLICAOF NO ONE, then the address of REDIS_URL leads to it."""
    async with Redis(host=HOST, port=replica.port) as client:
        await client.replicaof("NO", "ONE")
    for dolly in dollies:
        dolly.store.point_at(replica.port)
