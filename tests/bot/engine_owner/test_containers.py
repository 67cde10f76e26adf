"""`dolly own-engines` in a process of its own, over two engines in slots; the trainer promotes."""

import asyncio
import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest
from redis.asyncio import Redis

from bot.engine_owner.ownership import leave_own_engine
from bot.local.model import default_model_path
from bot.local.store import LocalStore
from bot.store.connection import connect
from bot.store.served_models import ServedModels
from tests.promotion import Hash, Promoter, told_of
from tests.scenarios.conftest import running_team, until
from tests.store_users import with_users
from tests.trainer.revisions import add
from trainer.connection import connect as connect_trainer
from trainer.registry import Registry
from trainer.serving import Serving
from trainer.stages.promote import promote, rollback

ROOT = Path(__file__).parents[3]
HOSTS = ("127.0.0.1", "127.0.0.2")


def model_directory(folder: Path, name: str) -> Path:
    """A model as dolly-trainer exports it, as far as an owner looks."""
    path = folder / name
    path.mkdir(parents=True)
    (path / "weights").write_text(name)
    sha256 = sha256_of(path / "weights")
    manifest = {"files": {"weights": {"bytes": len(name), "sha256": sha256}}, "keys": ["<|im_end|>"]}
    (path / "manifest.json").write_text(json.dumps(manifest))
    return path


def sha256_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on just now."""
    with ExitStack() as stack:
        return [stack.enter_context(socket.create_server(("127.0.0.1", 0))).getsockname()[1] for _ in range(count)]


def scripted(host: str, port: int) -> list[str]:
    return [sys.executable, "-m", "tests.bot.engine_owner.model_server", "{model}", host, str(port)]


def llama(_: str, port: int) -> list[str]:
    """llama.cpp; it ends with its parent, which is the script."""
    options = f"--port {port} --slots 2 --context-tokens-per-slot 512 --threads 1 --parent-pid $PPID"
    return ["sh", "-c", f'exec {sys.executable} -m bot.local.llama_server "$0" {options}', "{model}/weights"]


@dataclass
class Box:
    """One machine: two engines' containers, their slots, and whoever owns them."""

    folder: Path
    redis: Redis
    store_url: str
    engine: Callable[[str, int], list[str]] = scripted
    """The command of the engine at a host and port; {model} stands for what it serves."""
    hosts: tuple[str, str] = HOSTS
    ports: tuple[int, int] = (0, 0)
    admin_port: int = 0
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    owner: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        self.promoter = Promoter(self.redis)
        (self.folder / "slots").mkdir()
        model_directory(self.folder / "models", "shipped")
        (self.folder / "current").symlink_to(self.folder / "models" / "shipped")
        *ports, self.admin_port = free_ports(3)
        self.ports = (ports[0], ports[1])
        for host, port in zip(self.hosts, self.ports, strict=True):
            command = ["sh", "deploy/engines/serve-slot.sh", str(self.folder / "slots" / host)]
            self.run(command + self.engine(host, port), PAUSE_SECONDS="1")

    @property
    def urls(self) -> list[str]:
        return [f"http://{host}:{port}" for host, port in zip(self.hosts, self.ports, strict=True)]

    def run(self, command: list[str], **environment: str) -> subprocess.Popen[bytes]:
        with (self.folder / "log").open("ab") as log:
            process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log, env=os.environ | environment)
        self.processes.append(process)
        return process

    def own(self, at_once: int = 2) -> None:
        """Start an owner."""
        self.owner = self.run(
            [sys.executable, "-c", OWNER],
            REDIS_URL=self.store_url,
            ENGINE_SLOTS=",".join(self.urls),
            SLOTS_DIR=str(self.folder / "slots"),
            MODEL_DIRECTORY=str(self.folder / "current"),
            ENGINES_AT_ONCE=str(at_once),
            DOLLY_DATA=str(self.folder),
            ADMIN_PORT=str(self.admin_port),
        )

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        assert self.owner is not None
        self.owner.send_signal(number)
        self.owner.wait(20)

    def model(self, name: str, revision: str) -> Hash:
        """One that is to be promoted."""
        path = model_directory(self.folder / "models", name)
        return told_of(path, revision, sha256=sha256_of(path / "manifest.json"))

    @property
    def slots(self) -> list[str]:
        """The names of the models that are to run, by address."""
        files = [self.folder / "slots" / host for host in self.hosts]
        return [Path(file.read_text().strip()).name if file.exists() else "" for file in files]

    async def settled(self, revision: str, *slots: str, seconds: float = 30) -> None:
        """Wait until this is in service, and the slots are these."""
        began = time.monotonic()
        while not (await self.redis.hget("model:current", "revision") == revision and self.slots == list(slots)):
            assert time.monotonic() - began < seconds, (self.slots, (self.folder / "log").read_text()[-3000:])
            await asyncio.sleep(0.05)

    async def url(self) -> str:
        return str(await self.redis.hget("model:current", "url"))

    def close(self) -> None:
        for process in reversed(self.processes):
            process.terminate()
        for process in self.processes:
            process.wait(20)


OWNER = """
import bot.engine_owner.own_engines as own_engines, bot.engine_owner.owner as owner, sys
own_engines.SHORTEST_DRAIN_SECONDS, own_engines.QUIET_SECONDS = 1.0, 0.5
owner.ABANDONED_SECONDS = 2.0
from bot.__main__ import app
app(["own-engines"])
"""
"""`dolly own-engines`, which waits for no longer than a test needs."""


@pytest.fixture
def box(tmp_path: Path, redis: Redis, local_store: LocalStore) -> Iterator[Box]:
    box = Box(tmp_path, redis, local_store.url)
    yield box
    box.close()


async def told(url: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as http, http.get(url) as response:
        return response.status, await response.text()


@pytest.mark.chaos
async def test_with_real_engines_and_the_rights_of_its_user(tmp_path: Path) -> None:
    with with_users(tmp_path / "store") as server:
        redis = connect(server.url)
        assert isinstance(redis, Redis)
        url = server.url.replace("//dolly:", "//dolly-owner:")
        box = Box(tmp_path, redis, url, engine=llama, hosts=("localhost", "127.0.0.1"))
        try:
            for name in ("shipped", "first"):  # the same weights by two names
                path = box.folder / "models" / name
                path.mkdir(exist_ok=True)
                shutil.copy(default_model_path(), path / "weights")
                files = {"weights": {"sha256": sha256_of(path / "weights")}}
                (path / "manifest.json").write_text(json.dumps({"files": files, "keys": [], "name": name}))
            box.own(at_once=1)
            await box.settled("shipped", "shipped", "", seconds=60)
            status, text = await told(f"http://127.0.0.1:{box.admin_port}/readyz")
            assert (status, json.loads(text)) == (200, {"ready": True, "reasons": []})
            assert await box.promoter.answers(box.urls[0])
            manifest = box.folder / "models" / "first" / "manifest.json"
            done = await box.promoter.promote(told_of(manifest.parent, "0001-00000000", sha256=sha256_of(manifest)))
            assert (done["state"], done["url"]) == ("promoted", box.urls[1])
            await box.settled("0001-00000000", "", "first")
            assert await box.promoter.answers(await box.url())
            with pytest.raises(aiohttp.ClientConnectorError):
                await told(f"{box.urls[0]}/health")
        finally:
            box.close()
            await redis.aclose()


@pytest.mark.chaos
async def test_promoted_under_load_and_back_with_the_owner_restarted_between(box: Box) -> None:
    box.own()
    await box.settled("shipped", "shipped", "")
    assert json.loads(await box.redis.get("model:owner") or "{}")["serves"] == "directory"
    assert await box.url() == box.urls[0], "absolute: each Dolly is configured with an address of its own choice"
    async with running_team(box.store_url, box.urls[0]) as team:
        answers: list[str] = []
        stop = asyncio.Event()

        async def ask_on(name: str) -> None:
            while not stop.is_set():
                root = await team.say(name, "@dolly go on")
                found = await team.answered(root)
                while any(answer.startswith("_") for answer in found):  # a word of Dolly's, that it has to wait
                    await asyncio.sleep(0.1)
                    found = await team.answered(root)
                answers.extend(found)

        asking = [asyncio.create_task(ask_on(name)) for name in ("asha", "ben", "chen")]
        try:
            await until(lambda: len(answers) > 4, seconds=30)
            done = await box.promoter.promote(box.model("first", "0001-00000000"))
            assert (done["state"], done["url"]) == ("promoted", box.urls[1])
            await box.settled("0001-00000000", "", "first")

            box.kill()  # while it owns; people go on to be answered without it
            await box.redis.delete("model:owner")
            assert await leave_own_engine(ServedModels(box.redis)) is None, "a bot that starts now changes nothing"
            count = len(answers)
            await until(lambda: len(answers) > count + 4, seconds=30)
            box.own()
            await until(lambda: (box.folder / "log").read_text().count("The engines are owned") == 2, seconds=30)
            await box.settled("0001-00000000", "", "first")
            assert await box.url() == box.urls[1]
            assert (box.folder / "log").read_text().count("serves ") == 4, "what ran was left running"

            assert (await box.promoter.roll_back())["state"] == "promoted"
            await box.settled("shipped", "shipped", "")
            count = len(answers)
            await until(lambda: len(answers) > count + 4, seconds=30)
        finally:
            stop.set()
            await asyncio.gather(*asking)
    whole = {" ".join([name] * 20) for name in ("shipped", "first")}
    assert set(answers) == whole, "each answer is whole, and of one model"
    box.kill(signal.SIGTERM)
    assert box.slots == ["shipped", ""], "engines outlive their owner"


@pytest.mark.chaos
async def test_where_one_fits_it_takes_the_others_place_at_the_other_address(box: Box) -> None:
    box.own(at_once=1)
    await box.settled("shipped", "shipped", "")
    assert json.loads(await box.redis.get("model:owner") or "{}")["holds"] == 1
    first = box.model("first", "0001-00000000")
    candidate = await box.promoter.settled(await box.promoter.want(first))
    assert (box.promoter.states[-2:], box.slots) == (["holding", "ready"], ["", "first"])
    await box.promoter.refuse("It said nothing.")
    await box.settled("shipped", "shipped", "")
    assert candidate["url"] == box.urls[1]

    done = await box.promoter.promote(first)
    assert done["state"] == "promoted"
    await box.settled("0001-00000000", "", "first")
    assert await box.url() == box.urls[1]


@pytest.mark.chaos
async def test_the_trainers_own_command_promotes_and_goes_back(box: Box) -> None:
    box.own()
    await box.settled("shipped", "shipped", "")
    registry = Registry(box.folder / "models")
    revision, client = add(registry, "first"), connect_trainer(box.store_url)
    try:
        await asyncio.to_thread(promote, registry, Serving(client), revision, by="U1")
        await box.settled(revision, "", revision)  # the slot is empty, its engine may be ending still
        assert registry.current() == revision
        await asyncio.to_thread(rollback, registry, Serving(client), by="U1")
        await box.settled("shipped", "shipped", "")
    finally:
        client.close()


@pytest.mark.chaos
@pytest.mark.parametrize("state", ["starting", "holding", "ready"])
async def test_an_owner_killed_in_the_middle_is_followed_by_one_who_serves_what_is_in_service(
    box: Box, state: str
) -> None:
    box.own(at_once=1)
    await box.settled("shipped", "shipped", "")
    model = box.model("first", "0001-00000000")
    await box.promoter.want(model)
    async with asyncio.timeout(20):
        while await box.redis.hget("model:candidate", "state") != state:
            if state == "starting" and await box.redis.hget("model:candidate", "state") != "wanted":
                break  # it is over in a moment
            await asyncio.sleep(0.005)
    box.kill()
    await box.redis.delete("model:owner")
    box.own(at_once=1)

    async def is_failed() -> bool:
        return await box.redis.hget("model:candidate", "state") in ("failed", "refused")

    async with asyncio.timeout(30):
        while not await is_failed():
            await asyncio.sleep(0.05)
    await until(lambda: sorted(box.slots) == ["", "shipped"], seconds=30)
    assert await box.promoter.answers(await box.url())


async def test_what_is_not_as_its_manifest_says_is_refused(box: Box) -> None:
    box.own()
    await box.settled("shipped", "shipped", "")
    changed, other, gone = (box.model(name, f"000{number}-00000000") for number, name in enumerate("abc"))
    (Path(changed["path"]) / "weights").write_text("others")
    (Path(gone["path"]) / "weights").unlink()
    for model, sentence in (
        (changed, "has another SHA-256 than its manifest says"),
        (other | {"sha256": "ab" * 32}, "another SHA-256 than 0001-00000000"),
        (gone, "cannot be read"),
        (other | {"path": str(box.folder / "nowhere")}, "is no model's directory, or is not whole"),
    ):
        failed = await box.promoter.promote(model)
        assert (failed["state"], sentence in failed["reason"]) == ("failed", True), failed["reason"]
    assert box.slots == ["shipped", ""]


@pytest.mark.chaos
async def test_a_canary_stands_beside_and_goes(box: Box) -> None:
    box.own()
    await box.settled("shipped", "shipped", "")
    first = box.model("first", "0001-00000000")
    await box.promoter.promote(first, canary=["C1"])
    await asyncio.sleep(2)
    await box.settled("shipped", "shipped", "first")
    box.kill()
    await box.redis.delete("model:owner")
    box.own()
    await until(lambda: (box.folder / "log").read_text().count("The engines are owned") == 2, seconds=30)
    await asyncio.sleep(2)
    await box.settled("shipped", "shipped", "first")
    assert await box.redis.hget("model:canary", "url") == box.urls[1]
    await box.redis.delete("model:canary")
    await box.settled("shipped", "shipped", "")
