"""Engines that are Deployments: Kubernetes' API stands in, the engines are processes."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from redis.asyncio import Redis

from bot.engine_owner import Configured, EngineOwner
from bot.engine_owner.address import Address
from bot.engine_owner.deployments import Cluster, EngineDeployment
from bot.engine_owner.pool import Pool
from bot.errors import LocalPartError
from bot.store.served_models import ServedModels
from tests.bot.engine_owner.kubernetes import Kubernetes, deployment
from tests.bot.engine_owner.test_containers import model_directory, sha256_of
from tests.promotion import Promoter, told_of


@pytest.fixture
async def kubernetes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Kubernetes]:
    monkeypatch.setattr("bot.engine_owner.deployments.LOOK_SECONDS", 0.05)
    monkeypatch.setattr("bot.engine_owner.address.LOOK_SECONDS", 0.05)
    monkeypatch.setattr("bot.engine_owner.owner.LOOK_SECONDS", 0.05)
    monkeypatch.setattr("bot.engine_owner.own_engines.SHORTEST_DRAIN_SECONDS", 0.5)
    monkeypatch.setattr("bot.engine_owner.own_engines.QUIET_SECONDS", 0.2)
    account = tmp_path / "account"
    account.mkdir()
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    async with Kubernetes(account, {"engine-a": ("127.0.0.1", port), "engine-b": ("127.0.0.2", port)}) as kubernetes:
        yield kubernetes


def places(kubernetes: Kubernetes) -> list[EngineDeployment]:
    cluster = Cluster(kubernetes.url, kubernetes.account)
    return [
        EngineDeployment(cluster, name, Address(f"http://{host}:{port}"), 1)
        for name, (host, port) in kubernetes.addresses.items()
    ]


def models_of(kubernetes: Kubernetes) -> list[str]:
    """What is to run, by Deployment."""
    found = []
    for each in kubernetes.deployments.values():
        env = each["spec"]["template"]["spec"]["containers"][0]["env"]
        model = next(variable["value"] for variable in env if variable["name"] == "MODEL")
        found.append(Path(model).name if each["spec"]["replicas"] else "")
    return found


@pytest.mark.parametrize("at_once", [pytest.param(1, marks=pytest.mark.chaos), 2])
async def test_promoted_and_back_with_the_owner_restarted_between(
    kubernetes: Kubernetes, redis: Redis, tmp_path: Path, at_once: int
) -> None:
    shipped, first = (model_directory(tmp_path, name) for name in ("shipped", "first"))
    promoter, urls = Promoter(redis), [place.url for place in places(kubernetes)]

    @asynccontextmanager
    async def owned() -> AsyncIterator[None]:
        pool = Pool(places(kubernetes))
        owner = EngineOwner(
            ServedModels(redis),
            pool.open,
            Configured(shipped),
            has_room_for=lambda _: at_once > 1,
            find_engines=pool.running,
        )
        async with asyncio.timeout(60), owner.running():
            yield

    async def settled(revision: str, *models: str) -> None:
        async with asyncio.timeout(20):
            while await redis.hget("model:current", "revision") != revision or models_of(kubernetes) != list(models):
                await asyncio.sleep(0.05)

    async with owned():
        await settled("shipped", "shipped", "")
        model = told_of(first, "0001-00000000", sha256=sha256_of(first / "manifest.json"))
        done = await promoter.promote(model)
        assert (done["state"], done["url"]) == ("promoted", urls[1])
        await settled("0001-00000000", "", "first")
    kubernetes.write_account("second")
    pods = [pod.process.pid for pods in kubernetes.pods.values() for pod in pods if pod.runs]
    async with owned():
        await settled("0001-00000000", "", "first")
        assert pods == [pod.process.pid for pods in kubernetes.pods.values() for pod in pods if pod.runs]
        assert await redis.hget("model:current", "url") == urls[1]
        assert (await promoter.roll_back())["state"] == "promoted"
        await settled("shipped", "shipped", "")
    engine = kubernetes.deployments["engine-a"]["spec"]["template"]["spec"]["containers"][0]
    assert engine["image"] == "engine"
    assert {"name": "HF_HUB_OFFLINE", "value": "1"} in engine["env"]
    assert kubernetes.most_pods == 1, "two models never answer at one address"
    assert {call.partition(" ")[0] for call in kubernetes.calls} == {"get", "patch"}


async def test_what_kubernetes_refuses_is_said_with_what_to_do(kubernetes: Kubernetes, tmp_path: Path) -> None:
    place, _ = places(kubernetes)
    kubernetes.forbidden = {"patch"}
    with pytest.raises(LocalPartError, match=r"lacks apiGroups \[apps\].*\[engine-a\], verbs \[patch\]"):
        await place.serve(tmp_path)
    kubernetes.forbidden = {"get"}
    with pytest.raises(LocalPartError, match=r"may not get the Deployment engine-a in team"):
        await place.serving()
    kubernetes.forbidden = set()
    kubernetes.token = "another"
    with pytest.raises(LocalPartError, match="does not accept the service account's token"):
        await place.serving()
    kubernetes.write_account()
    with pytest.raises(LocalPartError, match="There is no Deployment engine-c in team, which ENGINE_DEPLOYMENTS names"):
        await EngineDeployment(Cluster(kubernetes.url, kubernetes.account), "engine-c", Address(place.url), 1).serving()
    containers = [{"name": "tgi", "image": "tgi"}]
    kubernetes.deployments["engine-a"] = deployment("engine-a", template={"spec": {"containers": containers}})
    with pytest.raises(LocalPartError, match="has it a container engine"):
        await place.serve(tmp_path)
    (kubernetes.account / "token").unlink()
    with pytest.raises(LocalPartError, match="automountServiceAccountToken"):
        await place.serving()
    kubernetes.write_account()
    with pytest.raises(LocalPartError, match=r"Kubernetes' API at http://127\.0\.0\.1:9 does not answer"):
        await EngineDeployment(Cluster("http://127.0.0.1:9", kubernetes.account), "a", Address(place.url), 1).serving()


async def test_deployments_that_were_made_just_now_run_nothing_by_themselves(kubernetes: Kubernetes) -> None:
    for found in kubernetes.deployments.values():
        found["spec"]["replicas"] = 1  # as a manifest has it that does not say how many
    assert await Pool(places(kubernetes)).running() == []
    assert [found["spec"]["replicas"] for found in kubernetes.deployments.values()] == [0, 0]


async def test_a_model_that_does_not_come_up_is_given_up(
    kubernetes: Kubernetes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.engine_owner.deployments.START_SECONDS", 1.0)
    place, _ = places(kubernetes)
    with pytest.raises(LocalPartError, match=r"did not become available with .*broken within 1 s; `kubectl describe"):
        await place.serve(tmp_path / "broken")
    await place.clear()
    assert models_of(kubernetes) == ["", ""]
