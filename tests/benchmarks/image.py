"""What the bot's image installs, and whether it runs as in production: `make bench-image` (a minute; root, no Docker).

Its Dockerfile is carried out (tests/deploy/built.py), and `dolly serve` started from what comes of it: as user 10001
without a capability, its root read-only, no shell in it, all secrets in files, as deploy/compose has it. Somebody asks
in a workspace, an engine in TGI's contract answers, and the image's own health check is asked. The last lines are the
figures:

    figure: image.bot_installed_mb      all that lies in /srv/dolly
    figure: image.bot_packages          distributions in its virtual environment
    figure: image.bot_start_seconds     from the first instruction to /readyz
    figure: image.bot_answered          questions answered, of one
    figure: image.bot_stop_seconds      from SIGTERM to the end of the process
"""

import asyncio
import base64
import json
import os
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any, cast

import aiohttp

from bot.local.workspace import Workspace
from tests.bot.store.servers import free_port, running, valkey
from tests.deploy.built import Built, build, close, command
from tests.deploy.dockerfile import IMAGES
from tests.scenarios.conftest import Team
from tests.scripted_engine import Script, ScriptedEngine
from tests.store_users import USERS

USER = 10001
MEGABYTE = 1_000_000
READY_SECONDS = 60.0
GOAL_MB = 250
ANSWER = "From an image, read-only."


def size_mb(folder: Path) -> float:
    return sum(path.lstat().st_size for path in folder.rglob("*")) / MEGABYTE


def folder_of_user(path: Path) -> Path:
    path.mkdir()
    os.chown(path, USER, USER)
    return path


def put_secrets(built: Built, secrets: dict[str, str]) -> None:
    """As Compose mounts them: each a file, which the group may read."""
    folder = built.inside("/run/secrets")
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in secrets.items():
        (folder / name).write_text(text)
        os.chown(folder / name, USER, USER)
        (folder / name).chmod(0o440)


async def ready(url: str) -> None:
    async with aiohttp.ClientSession() as session, asyncio.timeout(READY_SECONDS):
        while True:
            try:
                async with session.get(f"{url}/readyz") as response:
                    if response.status == 200:
                        return
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(0.02)


async def run(built: Built, scratch: Path, store_url: str) -> dict[str, float]:
    workspace = Workspace(scratch / "workspace.sqlite3", port=0)
    await workspace.start()
    engine = ScriptedEngine(Script(text=ANSWER), api_key="engine-key")
    async with engine:
        identity, key = workspace.identity, base64.b64encode(os.urandom(32)).decode()
        put_secrets(
            built,
            {
                "slack_bot_token": identity.bot_token,
                "slack_app_token": identity.app_token,
                "redis_url": store_url,
                "dolly_memory_key": key,
                "engine_api_key": "engine-key",
            },
        )
        close(built, {"/data": folder_of_user(scratch / "data"), "/tmp": folder_of_user(scratch / "tmp")})
        port = free_port()
        settings = {"ENGINE_URL": engine.url, "SLACK_API_URL": workspace.api_url, "ADMIN_PORT": str(port)}
        environment = {**built.environment, **settings}
        (entrypoint,), (arguments,) = built.stage.all("ENTRYPOINT"), built.stage.all("CMD")
        words = [*(entrypoint.words or []), *(arguments.words or [])]
        begun = time.monotonic()
        process = subprocess.Popen(command(built, words), env=environment)  # noqa: ASYNC220 (it is soon begun)
        try:
            await ready(f"http://127.0.0.1:{port}")
            started = time.monotonic() - begun
            seen_by_kernel(process.pid)
            (check,) = built.stage.all("HEALTHCHECK")
            asked = command(built, json.loads(check.rest.removeprefix("CMD ")))
            await asyncio.to_thread(subprocess.run, asked, env=environment, check=True)
            team = Team(workspace, cast(Any, None))
            answers = await team.answered(await team.say("asha", "@dolly Where do you run?"))
            assert answers == [ANSWER], answers
            told = time.monotonic()
            process.terminate()
            status = await asyncio.to_thread(process.wait, 30)
            assert status == 0, f"it ended with {status}"
            stopped = time.monotonic() - told
        finally:
            process.kill()
            await workspace.stop()
    return {"start_seconds": started, "answered": len(answers), "stop_seconds": stopped}


def seen_by_kernel(pid: int) -> None:
    """It is nobody in particular, and can become nobody else."""
    status = dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    assert set(status["Uid"].split() + status["Gid"].split()) == {str(USER)}
    assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == 0
    assert status["NoNewPrivs"] == "1"


def refused(built: Built, words: list[str]) -> bool:
    return (
        subprocess.run(command(built, words), env=built.environment, check=False, capture_output=True).returncode != 0
    )


def main() -> None:
    folder = Path(tempfile.mkdtemp(prefix="dolly-image-"))
    folder.chmod(0o755)
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(folder)], check=True)  # of this namespace: it goes with it
    try:
        built = build(IMAGES / "bot.Dockerfile", folder_of_user(folder / "image"))
        venv = built.inside("venv")
        installed, packages = size_mb(built.inside(".")), len(list(venv.glob("lib/*/site-packages/*.dist-info")))
        users = folder / "store_users"
        users.write_text(USERS.read_text().replace("CHANGE-ME", "secret"))
        store = running(valkey(), folder / "store", url="redis://dolly:secret@{host}:{port}", aclfile=str(users))
        scratch = folder_of_user(folder / "run")
        with store as server:
            measured = asyncio.run(run(built, scratch, server.url))
        assert refused(built, ["/bin/sh", "-c", "true"]), "there is a shell"
        assert refused(built, ["python", "-c", "open('/srv/dolly/x', 'w')"]), "the root can be written"
        for name in ("torch", "transformers", "xllamacpp", "trainer", "pip"):
            assert refused(built, ["python", "-c", f"import {name}"]), f"it has {name}"
    finally:
        subprocess.run(["umount", "--recursive", "--lazy", str(folder)], check=False)
        folder.rmdir()
    ok = "ok" if installed <= GOAL_MB else "short"
    print(f"figure: image.bot_installed_mb {installed:.0f} MB goal {GOAL_MB} {ok}")
    print(f"figure: image.bot_packages {packages} packages goal - ok")
    print(f"figure: image.bot_start_seconds {measured['start_seconds']:.1f} s goal - ok")
    print(f"figure: image.bot_answered {measured['answered']:.0f} questions goal 1 ok")
    print(f"figure: image.bot_stop_seconds {measured['stop_seconds']:.1f} s goal - ok")


if __name__ == "__main__":
    main()
