"""deploy/chart by Helm itself: lint, Kubernetes' own schemas; its parts fit each other, and what one machine runs."""

import json
import tomllib
from typing import Any

import kubernetes_validate
import pytest
import yaml
from helm_python import lint
from kubeflow_trainer_api.models.jobset_v1alpha2_job_set import JobsetV1alpha2JobSet

from tests.deploy.chart import (
    DEFAULTS,
    EVERYTHING,
    FILES,
    FOLDER,
    NAMES,
    VALUES,
    Object,
    containers,
    named,
    objects,
    templates,
    texts,
)
from tests.deploy.dockerfile import ROOT
from tests.deploy.test_compose import SERVICES

KUBERNETES = ("1.31", "1.37")
"""The oldest that Chart.yaml admits, and the newest whose schemas there are."""


@pytest.mark.parametrize("values", VALUES, ids=NAMES)
def test_helm_finds_no_fault(values: Object) -> None:
    report = lint(FOLDER, values, strict=True, namespace="dolly", kube_version="v1.31.0")
    assert report["errors"] == []
    assert [each["error"] for each in report["messages"]] == ["icon is recommended"]


def test_kubernetes_takes_every_object() -> None:
    seen, own = set(), set()
    for values in VALUES:
        for each in objects(values):
            if each["apiVersion"].split("/")[0] in {"cilium.io", "jobset.x-k8s.io", "monitoring.coreos.com"}:
                own.add(each["kind"])
            elif (text := json.dumps(each)) not in seen:
                seen.add(text)
                kubernetes_validate.validate(each, KUBERNETES[-1], strict=True)
    for each in {each["kind"]: each for each in objects(DEFAULTS)}.values():
        kubernetes_validate.validate(each, KUBERNETES[0], strict=True)
    assert len(seen) > 40
    assert own == {"CiliumNetworkPolicy", "JobSet", "ServiceMonitor", "PrometheusRule"}


def test_the_operator_takes_the_job_of_several_nodes() -> None:
    job = named(objects(EVERYTHING), "JobSet", "tune-one")
    read = JobsetV1alpha2JobSet.from_dict(job)
    assert read is not None
    assert _kept(job, read.to_dict()), "a field that JobSet does not know"
    (node,) = job["spec"]["replicatedJobs"]
    assert node["template"]["spec"]["completions"] == node["template"]["spec"]["parallelism"] == 2
    words = templates(objects(EVERYTHING))["tune"]["spec"]["containers"][0]["args"]
    assert {"--num_machines=2", "--num_processes=16", "--machine_rank=$(NODE)"} <= set(words)
    assert "--main_process_ip=dolly-tune-one-node-0-0.dolly-tune-one" in words
    (config,) = (word.partition("=")[2] for word in words if word.startswith("--config_file="))
    assert (ROOT / config).name == "nodes.yaml"


def _kept(given: Any, read: Any) -> bool:
    """Whether all that was given is there still."""
    if isinstance(given, dict):
        return all(key in read and _kept(value, read[key]) for key, value in given.items())
    if isinstance(given, list):
        return len(given) == len(read) and all(map(_kept, given, read))
    return bool(given == read)


@pytest.mark.parametrize("values", VALUES, ids=NAMES)
def test_what_is_selected_is_there(values: Object) -> None:
    found = objects(values)
    pods = list(templates(found).values())
    for service in (each for each in found if each["kind"] == "Service"):
        wanted = service["spec"]["selector"].items()
        (chosen,) = (pod for pod in pods if wanted <= pod["metadata"]["labels"].items())
        ports = {port["name"] for each in containers(chosen) for port in each.get("ports", ())}
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports
    for monitor in (each for each in found if each["kind"] == "ServiceMonitor"):
        wanted = monitor["spec"]["selector"]["matchLabels"].items()
        (service,) = (
            each for each in found if each["kind"] == "Service" and wanted <= each["metadata"]["labels"].items()
        )
        (endpoint,) = monitor["spec"]["endpoints"]
        assert endpoint["port"] in {port["name"] for port in service["spec"]["ports"]}
    claims = {each["metadata"]["name"] for each in found if each["kind"] == "PersistentVolumeClaim"}
    asked = {
        volume["persistentVolumeClaim"]["claimName"]
        for pod in pods
        for volume in pod["spec"]["volumes"]
        if "persistentVolumeClaim" in volume
    }
    assert asked <= claims
    accounts = {each["metadata"]["name"] for each in found if each["kind"] == "ServiceAccount"}
    assert {pod["spec"]["serviceAccountName"] for pod in pods} <= accounts


def test_the_owner_may_do_one_thing() -> None:
    found = objects(EVERYTHING)
    (role,) = (each for each in found if each["kind"] == "Role")
    (binding,) = (each for each in found if each["kind"] == "RoleBinding")
    names = ["dolly-engine-a", "dolly-engine-b"]
    rule = {"apiGroups": ["apps"], "resources": ["deployments"], "resourceNames": names, "verbs": ["get", "patch"]}
    assert role["rules"] == [rule]
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "dolly-owner", "namespace": "dolly"}]
    users = {part for part, pod in templates(found).items() if pod["spec"]["serviceAccountName"] == "dolly-owner"}
    assert users == {"owner"}
    assert not [each for each in found if each["kind"].startswith("Cluster")]


def test_a_cluster_runs_what_one_machine_runs() -> None:
    images = FILES["values.yaml"]["images"]
    assert images["tgi"] == SERVICES["engine-a"]["image"]
    assert images["vllm"] == SERVICES["engine-a-vllm"]["image"]
    assert images["valkey"] == SERVICES["store"]["image"]
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert yaml.safe_load((FOLDER / "Chart.yaml").read_text())["appVersion"] == version
    assert images["dolly"].endswith(f":{version}")
    assert images["trainer"].endswith(f":{version}")
    assert SERVICES["bot"]["environment"]["FINISH_SECONDS"] == str(FILES["values.yaml"]["bot"]["finishSeconds"])


def test_the_bundled_store_keeps_what_it_acknowledges() -> None:
    found = objects(DEFAULTS)
    lines = (ROOT / "deploy" / "compose" / "store.conf").read_text().splitlines()
    told = named(found, "ConfigMap", "store")["data"]["store.conf"].splitlines()
    assert told == [line for line in lines if not line.startswith("#")]
    assert {"appendonly yes", "appendfsync always", "maxmemory-policy noeviction"} <= set(told)
    store = named(found, "StatefulSet", "store")["spec"]
    assert store["replicas"] == 1
    assert [claim["metadata"]["name"] for claim in store["volumeClaimTemplates"]] == ["files"]
    assert {"name": "files", "mountPath": "/data"} in templates(found)["store"]["spec"]["containers"][0]["volumeMounts"]
    outside = objects(FILES["values-prod.yaml"])
    assert "store" not in templates(outside)
    env = {each["name"]: each.get("value") for each in templates(outside)["bot"]["spec"]["containers"][0]["env"]}
    assert (env["REDIS_WAIT_REPLICAS"], env["REDIS_CLUSTER"], env["REDIS_PARTITIONS"]) == ("1", "false", "1")


def test_who_watches_is_given_all_of_it() -> None:
    found = objects(EVERYTHING)
    (rules,) = (each for each in found if each["kind"] == "PrometheusRule")
    assert rules["spec"] == yaml.safe_load((FOLDER / "observability" / "alerts.yaml").read_text())
    assert rules["metadata"]["labels"]["release"] == "prometheus"
    dashboard = named(found, "ConfigMap", "dashboard")["data"]["dolly.json"]
    assert json.loads(dashboard) == json.loads((FOLDER / "observability" / "dashboard.json").read_text())
    watched = {each["metadata"]["name"] for each in found if each["kind"] == "ServiceMonitor"}
    assert watched == {"dolly-bot", "dolly-engine-a", "dolly-engine-b"}


def test_helm_test_asks_for_each_promise() -> None:
    check = templates(objects(DEFAULTS))["check"]
    assert check["metadata"]["annotations"]["helm.sh/hook"] == "test"
    (container,) = check["spec"]["containers"]
    (bot,) = templates(objects(DEFAULTS))["bot"]["spec"]["containers"]
    assert container["args"] == ["check", "--production"]
    assert container["env"] == bot["env"]
    assert container["volumeMounts"] == bot["volumeMounts"]
    (notes,) = (text for path, text in texts(DEFAULTS).items() if path.endswith("NOTES.txt"))
    assert "helm test dolly --namespace dolly" in notes
