"""What whoever runs Dolly must be able to rely on, tried: `make drills` (SHORT=1: a minute), or one: DRILL=restore."""

import asyncio
import logging
import os
import shutil
import sys
import tempfile
from pathlib import Path

from tests.drills import failover, restore, upgrade


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


async def drills(folder: Path, only: str | None, *, short: bool) -> bool:
    good = True
    redis = shutil.which("redis-server")
    if only in (None, "restore"):
        good &= await restore.drill(_made(folder / "restore"), 16 if short else 64, None)
        if redis and not short:
            good &= await restore.drill(_made(folder / "restore-redis"), 64, Path(redis), "_from_redis")
    if only in (None, "upgrade"):
        good &= await upgrade.drill(_made(folder / "upgrade"), 80 if short else 400)
    if only in (None, "failover"):
        good &= await failover.drill(folder, 40 if short else 80, 1 if short else 5)
    return good


def main() -> int:
    folder = Path(tempfile.mkdtemp(prefix="dolly-drills-"))
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)  # it tells of each caller that was killed
    good = asyncio.run(drills(folder, os.environ.get("DRILL"), short="--short" in sys.argv))
    if good:
        shutil.rmtree(folder)
        return 0
    print(f"The logs and the stores are in {folder}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
