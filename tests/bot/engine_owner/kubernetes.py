"""Deployments as Kubernetes' API has them: read, patched, and followed by a controller, with a process for each pod.

Of a Deployment's update only what an engine's owner meets is here: generation and status, and pods of the new template
beside those of the old one until they are available.
"""

import asyncio
import contextlib
import copy
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import aiohttp
from aiohttp import web

Json = dict[str, Any]
PATH = "/apis/apps/v1/namespaces/{namespace}/deployments/{name}"


def deployment(name: str, **changed: Any) -> Json:
    """One that runs nothing yet; its engine has other variables besides."""
    env = [{"name": "HF_HUB_OFFLINE", "value": "1"}, {"name": "MODEL", "value": ""}]
    containers = [{"name": "engine", "image": "engine", "env": env}, {"name": "sidecar", "image": "sidecar"}]
    spec = {"replicas": 0, "template": {"spec": {"containers": containers}}} | changed
    return {"metadata": {"name": name, "generation": 1, "resourceVersion": "1"}, "spec": spec, "status": {}}


@dataclass
class Pod:
    template: Json
    process: asyncio.subprocess.Process
    url: str

    @property
    def runs(self) -> bool:
        return self.process.returncode is None

    async def is_available(self) -> bool:
        with contextlib.suppress(aiohttp.ClientError):
            async with aiohttp.ClientSession() as http, http.get(f"{self.url}/health") as response:
                return response.status == 200
        return False


@dataclass
class Kubernetes:
    """The server, and its controller. A Deployment's pods answer at the address that `addresses` names: one, here."""

    account: Path
    addresses: dict[str, tuple[str, int]]
    forbidden: set[str] = field(default_factory=set)
    """Verbs that the Role lacks."""

    def __post_init__(self) -> None:
        self.token = "first"
        self.deployments = {name: deployment(name) for name in self.addresses}
        self.pods: dict[str, list[Pod]] = {name: [] for name in self.addresses}
        self.most_pods = 0
        self.calls: list[str] = []
        self.url = ""
        self.write_account()

    def write_account(self, token: str = "first") -> None:
        """The service account's files as a pod has them; tokens are replaced from time to time."""
        self.token = token
        for name, text in (("token", token), ("namespace", "team\n"), ("ca.crt", "")):
            (self.account / name).write_text(text)

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_get(PATH, self._get)
        app.router.add_patch(PATH, self._patch)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        self._controller = asyncio.create_task(self._control())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._controller.cancel()
        await asyncio.gather(self._controller, return_exceptions=True)
        for pod in [pod for pods in self.pods.values() for pod in pods if pod.runs]:
            pod.process.kill()
            await pod.process.wait()
        await self._runner.cleanup()

    # --- the API ----------------------------------------------------------------------------------------------------

    async def _get(self, request: web.Request) -> web.Response:
        return self._refusal(request, "get") or web.json_response(self.deployments[request.match_info["name"]])

    async def _patch(self, request: web.Request) -> web.Response:
        if refusal := self._refusal(request, "patch"):
            return refusal
        if request.content_type != "application/strategic-merge-patch+json":
            return web.json_response({"kind": "Status", "code": 415}, status=415)
        found = self.deployments[request.match_info["name"]]
        before = copy.deepcopy(found["spec"])
        wanted = merged(found["spec"], (await request.json())["spec"])
        if any("image" not in container for container in wanted["template"]["spec"]["containers"]):
            return web.json_response({"kind": "Status", "code": 422}, status=422)
        found["spec"] = wanted
        if found["spec"] != before:
            found["metadata"]["generation"] += 1
            self._count(found)
        return web.json_response(found)

    def _refusal(self, request: web.Request, verb: str) -> web.Response | None:
        name, namespace = request.match_info["name"], request.match_info["namespace"]
        self.calls.append(f"{verb} {name}")
        code = 0
        if request.headers.get("Authorization") != f"Bearer {self.token}":
            code = 401
        elif verb in self.forbidden or namespace != "team":
            code = 403
        elif name not in self.deployments:
            code = 404
        return web.json_response({"kind": "Status", "code": code}, status=code) if code else None

    @staticmethod
    def _count(found: Json) -> None:
        found["metadata"]["resourceVersion"] = str(int(found["metadata"]["resourceVersion"]) + 1)

    # --- the controller ---------------------------------------------------------------------------------------------

    async def _control(self) -> None:
        while True:
            await asyncio.sleep(0.1)
            for name, found in self.deployments.items():
                await self._follow(name, found)

    async def _follow(self, name: str, found: Json) -> None:
        generation, spec = found["metadata"]["generation"], copy.deepcopy(found["spec"])
        pods = self.pods[name] = [pod for pod in self.pods[name] if pod.runs]
        new = [pod for pod in pods if pod.template == spec["template"]]
        if len(new) < spec["replicas"]:
            new.append(await self._start(name, spec["template"]))
            pods.append(new[-1])
        available = [pod for pod in new if await pod.is_available()]
        for pod in new[spec["replicas"] :] + ([] if len(available) < spec["replicas"] else pods):
            if pod not in new[: spec["replicas"]] and pod.runs:
                with contextlib.suppress(ProcessLookupError):
                    pod.process.terminate()
        self.most_pods = max(self.most_pods, len(pods))
        counts = {"replicas": len(pods), "updatedReplicas": len(new), "availableReplicas": len(available)}
        status = {"observedGeneration": generation} | {key: count for key, count in counts.items() if count}
        if status != found["status"]:
            found["status"] = status
            self._count(found)

    async def _start(self, name: str, template: Json) -> Pod:
        (engine,) = (each for each in template["spec"]["containers"] if each["name"] == "engine")
        model = next(each["value"] for each in engine["env"] if each["name"] == "MODEL")
        host, port = self.addresses[name]
        command = [sys.executable, "-m", "tests.bot.engine_owner.model_server", model, host, str(port)]
        return Pod(template, await asyncio.create_subprocess_exec(*command), f"http://{host}:{port}")


def merged(value: Any, change: Any) -> Any:
    """A strategic merge: objects by key; lists of named things (containers, env) by name, and else replaced."""
    if isinstance(value, dict) and isinstance(change, dict):
        return value | {key: merged(value.get(key), each) for key, each in change.items()}
    if isinstance(value, list) and all("name" in each for each in (*value, *change)):
        by_name = {each["name"]: each for each in value}
        by_name |= {each["name"]: merged(by_name.get(each["name"], {}), each) for each in change}
        return list(by_name.values())
    return change
