"""Engines that are Deployments of Kubernetes: its API is asked for so many pods of each, and for the model they serve.

The container `engine` of each has the model's directory in the environment variable MODEL. Needed are the verbs
`get` and `patch` on these Deployments, and no others.
"""

import asyncio
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aiohttp
import structlog

from bot.engine_owner.address import Address
from bot.errors import LocalPartError

log = structlog.get_logger(__name__)

API = "https://kubernetes.default.svc"
ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where a pod finds its token, its namespace and the API's CA."""
CONTAINER, VARIABLE = "engine", "MODEL"
LOOK_SECONDS = 1.0
START_SECONDS = 1800.0
"""A node that has to be found, an image and a model of many gigabytes."""
STOP_SECONDS = 300.0
TIMEOUT = aiohttp.ClientTimeout(total=10.0)

Json = Mapping[str, Any]


class Cluster:
    """The API, as this pod's service account may use it."""

    def __init__(self, api: str = API, account: Path = ACCOUNT) -> None:
        self._api = api
        self._account = account

    async def get(self, name: str) -> Json:
        """The Deployment. Raises LocalPartError."""
        return await self._ask("GET", name)

    async def patch(self, name: str, change: Json) -> Json:
        """The Deployment with this changed. Raises LocalPartError."""
        return await self._ask("PATCH", name, change)

    async def _ask(self, method: str, name: str, change: Json | None = None) -> Json:
        try:  # read anew each time: tokens are replaced within the hour
            token, namespace = [(self._account / part).read_text().strip() for part in ("token", "namespace")]
            ca = self._account / "ca.crt"
            tls = ssl.create_default_context(cafile=str(ca)) if self._api.startswith("https:") else False
        except (OSError, ssl.SSLError) as error:
            raise LocalPartError(
                f"The service account in {self._account} cannot be read ({error}); ENGINE_DEPLOYMENTS works in a pod "
                "of Kubernetes with automountServiceAccountToken, elsewhere use ENGINE_SLOTS."
            ) from None
        url = f"{self._api}/apis/apps/v1/namespaces/{namespace}/deployments/{name}"
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/strategic-merge-patch+json"}
        try:
            async with (
                aiohttp.ClientSession(timeout=TIMEOUT, headers=headers) as session,
                session.request(method, url, json=change, ssl=tls, allow_redirects=False) as response,
            ):
                if response.status == 200:
                    told: Json = await response.json()
                    return told
                raise LocalPartError(_refused(response.status, method.lower(), namespace, name))
        except (aiohttp.ClientError, TimeoutError) as error:
            raise LocalPartError(
                f"Kubernetes' API at {self._api} does not answer ({type(error).__name__}); a NetworkPolicy has to "
                "let the engines' owner reach it."
            ) from None


def _refused(status: int, verb: str, namespace: str, name: str) -> str:
    if status == 401:
        return "Kubernetes does not accept the service account's token; has the account been deleted?"
    if status == 403:
        return (
            f"The service account may not {verb} the Deployment {name} in {namespace}: its Role lacks "
            f"apiGroups [apps], resources [deployments], resourceNames [{name}], verbs [{verb}]."
        )
    if status == 404:
        return f"There is no Deployment {name} in {namespace}, which ENGINE_DEPLOYMENTS names."
    if status == 422:
        return f"Kubernetes refuses to change the Deployment {name} in {namespace}; has it a container {CONTAINER}?"
    return f"Kubernetes refused to {verb} the Deployment {name} in {namespace} (HTTP {status})."


class EngineDeployment:
    """The engines at one address (bot.engine_owner.pool.Place); so many `replicas` of it while it serves."""

    def __init__(self, cluster: Cluster, name: str, address: Address, replicas: int) -> None:
        self._cluster = cluster
        self._name = name
        self._address = address
        self._replicas = replicas

    @property
    def url(self) -> str:
        return self._address.url

    async def serving(self) -> Path | None:
        found = await self._cluster.get(self._name)
        model = _model(found)
        return Path(model) if model and found["spec"].get("replicas", 1) else None

    async def serve(self, path: Path) -> None:
        if await self.serving() != path:
            await self._empty()  # else pods of both models would answer here for a while
        env = [{"name": VARIABLE, "value": str(path)}]
        template = {"spec": {"containers": [{"name": CONTAINER, "env": env}]}}
        await self._cluster.patch(self._name, {"spec": {"replicas": self._replicas, "template": template}})
        if not await self._until(self._replicas, START_SECONDS):
            raise LocalPartError(
                f"The Deployment {self._name} did not become available with {path} within {START_SECONDS:g} s; "
                f"`kubectl describe deployment {self._name}` says more."
            )
        await self._address.until_healthy(STOP_SECONDS, str(path))

    async def clear(self) -> None:
        try:
            await self._empty()
        except LocalPartError as error:
            log.error("deployment_not_cleared", reason=str(error))

    async def requests(self) -> int:
        return await self._address.requests()

    async def _empty(self) -> None:
        await self._cluster.patch(self._name, {"spec": {"replicas": 0}})
        if not (await self._until(0, STOP_SECONDS) and await self._address.until_silent(STOP_SECONDS)):
            raise LocalPartError(
                f"The Deployment {self._name} still answers at {self.url} though it is to have no pods; does another "
                "Deployment have that address, or an autoscaler this one?"
            )

    async def _until(self, pods: int, seconds: float) -> bool:
        """Whether there are as many pods, all of them as they are wanted now, after so long at most."""
        try:
            async with asyncio.timeout(seconds):
                while True:
                    if _has(await self._cluster.get(self._name), pods):
                        return True
                    await asyncio.sleep(LOOK_SECONDS)
        except TimeoutError:
            return False


def _model(deployment: Json) -> str:
    """The directory that its container serves; empty where there is none."""
    containers = deployment["spec"]["template"]["spec"]["containers"]
    variables = [
        each for container in containers if container["name"] == CONTAINER for each in container.get("env", ())
    ]
    return next((str(each.get("value", "")) for each in variables if each["name"] == VARIABLE), "")


def _has(deployment: Json, pods: int) -> bool:
    status = deployment.get("status", {})
    counts = [status.get(name, 0) for name in ("replicas", "updatedReplicas", "availableReplicas")]
    return status.get("observedGeneration", 0) >= deployment["metadata"]["generation"] and counts == [pods] * 3
