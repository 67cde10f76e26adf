"""deploy/chart as Helm renders it, and who may reach whom by its network policies."""

import ipaddress
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import yaml
from helm_python import Chart

from tests.deploy.dockerfile import ROOT

FOLDER = ROOT / "deploy" / "chart"
RELEASE = NAMESPACE = "dolly"

Object = dict[str, Any]


def values_of(name: str) -> Object:
    """A values file of the chart: `values-prod.yaml`; the chart's own are there besides."""
    read: Object = yaml.safe_load((FOLDER / name).read_text(encoding="utf-8"))
    return read


def texts(values: Object) -> dict[str, str]:
    """By each template's path what Helm makes of it, the notes among them."""
    with Chart.load(FOLDER) as chart:
        return chart.render(values, name=RELEASE, namespace=NAMESPACE)


def objects(values: Object) -> list[Object]:
    """Everything that would be there. Raises HelmError, with the sentence, where the values are refused."""
    return _objects(json.dumps(values))


@cache
def _objects(values: str) -> list[Object]:
    rendered = [text for path, text in texts(json.loads(values)).items() if path.endswith(".yaml")]
    found = [each for text in rendered for each in yaml.load_all(text, yaml.CSafeLoader) if each]
    assert len(found) > 10
    return found


def named(found: list[Object], kind: str, name: str) -> Object:
    (one,) = (each for each in found if each["kind"] == kind and each["metadata"]["name"] == f"{RELEASE}-{name}")
    return one


def templates(found: list[Object]) -> dict[str, Object]:
    """The pods that the objects have made, by their part: bot, engine-a, check …"""
    pods = {}
    for each in found:
        match each["kind"], each.get("spec", {}):
            case "Pod", _:
                pod = each
            case "Deployment" | "StatefulSet" | "Job", spec:
                pod = spec["template"]
            case "CronJob", spec:
                pod = spec["jobTemplate"]["spec"]["template"]
            case "JobSet", spec:
                (job,) = spec["replicatedJobs"]
                pod = job["template"]["spec"]["template"]
            case _:
                continue
        pods[pod["metadata"]["labels"]["app.kubernetes.io/component"]] = pod
    return pods


def containers(pod: Object) -> list[Object]:
    return [*pod["spec"].get("initContainers", ()), *pod["spec"]["containers"]]


DEFAULTS: Object = {}
EVERYTHING: Object = {
    "trainer": {"schedule": "0 2 * * 6", "gpus": 8, "tune": {"run": "one", "nodes": 2}},
    "watching": {"serviceMonitor": True, "rules": True, "dashboard": True, "labels": {"release": "prometheus"}},
    "network": {"cilium": True},
}
VLLM: Object = {"engine": {"kind": "vllm", "numShard": 4, "extraArgs": ["--enforce-eager"]}, "trainer": {"gpus": 0}}
HTTP: Object = {
    "bot": {
        "slack": "http",
        "settings": {"allowedUsers": ["U0123ABCD", "U0123ABCE"], "tokensPerDay": 12_000_000, "redactNames": True},
    },
    "network": {"eventsFrom": [{"namespaceSelector": {}}]},
    "trainer": {"tune": {"run": "one"}},
}
FILES = {name: values_of(name) for name in ("values.yaml", "values-dev.yaml", "values-prod.yaml")}
VALUES: list[Object] = [*FILES.values(), EVERYTHING, VLLM, HTTP]
NAMES = [*FILES, "everything", "vllm", "http"]


@dataclass(frozen=True)
class End:
    """One end of a connection: a pod by its labels and its namespace's, or an address outside of all pods."""

    labels: Mapping[str, str] | None = None
    namespace: str = NAMESPACE
    address: str = ""


def pod(found: list[Object], part: str) -> End:
    return End(templates(found)[part]["metadata"]["labels"])


def allows(found: list[Object], source: End, target: End, port: int, protocol: str = "TCP") -> bool:
    """Whether the NetworkPolicies let `source` open a connection to `target`; of its ends, each pod has a say."""
    leaves = _lets(found, source, target, "egress", port, protocol)
    return leaves and _lets(found, target, source, "ingress", port, protocol)


def _lets(found: list[Object], end: End, peer: End, way: str, port: int, protocol: str) -> bool:
    """As Kubernetes has it: whom no policy selects does as it likes; else one rule of one policy has to allow it."""
    policies = [each["spec"] for each in found if each["kind"] == "NetworkPolicy" and _selects(each["spec"], end)]
    about = [policy for policy in policies if way.title() in policy["policyTypes"]]
    return not about or any(_allows(rule, way, peer, port, protocol) for spec in about for rule in spec.get(way) or ())


def _selects(policy: Object, end: End) -> bool:
    return end.labels is not None and end.namespace == NAMESPACE and _matches(policy["podSelector"], end.labels)


def _allows(rule: Object, way: str, peer: End, port: int, protocol: str) -> bool:
    peers = rule.get("to" if way == "egress" else "from")
    at = rule.get("ports")
    is_port = at is None or any(each["port"] == port and each.get("protocol", "TCP") == protocol for each in at)
    return is_port and (not peers or any(_is(each, peer) for each in peers))


def _is(rule: Object, peer: End) -> bool:
    if block := rule.get("ipBlock"):
        if peer.labels is not None:
            return False
        inside, *outside = (_within(peer.address, cidr) for cidr in (block["cidr"], *block.get("except", ())))
        return inside and not any(outside)
    if peer.labels is None:
        return False
    space = rule.get("namespaceSelector")
    here = peer.namespace == NAMESPACE if space is None else _matches(space, _labels_of(peer.namespace))
    return here and _matches(rule.get("podSelector", {}), peer.labels)


def _within(address: str, cidr: str) -> bool:
    return ipaddress.ip_address(address) in ipaddress.ip_network(cidr)


def _labels_of(namespace: str) -> dict[str, str]:
    return {"kubernetes.io/metadata.name": namespace}


def _matches(selector: Object, labels: Mapping[str, str]) -> bool:
    return all(_agree(selector, labels))


def _agree(selector: Object, labels: Mapping[str, str]) -> Iterator[bool]:
    assert selector.keys() <= {"matchLabels", "matchExpressions"}
    for key, value in (selector.get("matchLabels") or {}).items():
        yield labels.get(key) == value
    for each in selector.get("matchExpressions") or ():
        assert each["operator"] == "In"
        yield labels.get(each["key"]) in each["values"]
