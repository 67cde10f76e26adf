"""Who may talk to whom on a cluster, computed from the network policies: only the bot reaches outside."""

from typing import Any

import pytest

from tests.deploy.chart import End, Object, allows, named, objects, pod, templates, texts, values_of

INGRESS = End({"app": "ingress-nginx"}, "ingress-nginx")
EVENTS = {"eventsFrom": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ingress-nginx"}}}]}
EVERYTHING: Object = {
    "trainer": {"schedule": "0 2 * * 6", "gpus": 8, "tune": {"run": "one", "nodes": 2}},
    "watching": {"serviceMonitor": True},
}
VALUES: dict[str, Object] = {
    "defaults": EVERYTHING,
    "dev": values_of("values-dev.yaml"),
    "prod": values_of("values-prod.yaml"),
    "http": {**EVERYTHING, "bot": {"slack": "http"}, "network": EVENTS},
    "cilium": {**EVERYTHING, "network": {"cilium": True}},
}

DNS = End({"k8s-app": "kube-dns"}, "kube-system")
PROMETHEUS = End({"app": "prometheus"}, "monitoring")
STRANGER = End({"app": "other"}, "default")
NEIGHBOUR = End({"app": "other"})
SLACK = End(address="3.68.124.95")
OUTSIDE = [
    SLACK,
    End(address="93.184.215.14"),
    End(address="8.8.8.8"),
    End(address="169.254.169.254"),
    End(address="192.168.7.7"),
]
"""Slack, somebody else, a resolver, the cloud's metadata, the company's network."""
PORTS = [22, 53, 80, 443, 3000, 6379, 6443, 8080, 9464, 29500]


@pytest.fixture(params=VALUES)
def found(request: pytest.FixtureRequest) -> list[Object]:
    return objects(VALUES[request.param])


def reached(found: list[Object], target: End, port: int, protocol: str = "TCP") -> set[str]:
    """The parts that may reach `target`."""
    return {part for part in templates(found) if allows(found, pod(found, part), target, port, protocol)}


def test_engines_reach_nobody(found: list[Object]) -> None:
    others = [pod(found, part) for part in templates(found)] + [DNS, PROMETHEUS, STRANGER, NEIGHBOUR, *OUTSIDE]
    for engine in (pod(found, "engine-a"), pod(found, "engine-b")):
        for other in others:
            for port in PORTS:
                assert not allows(found, engine, other, port)
                assert not allows(found, engine, other, port, "UDP")


def test_engines_are_asked_by_bot_owner_and_trainer_alone(found: list[Object]) -> None:
    askers = {"bot", "check", "owner", "trainer", "retrain"} & set(templates(found))
    for name in ("engine-a", "engine-b"):
        assert reached(found, pod(found, name), 8080) == askers
        for stranger in (STRANGER, NEIGHBOUR, INGRESS):
            assert not allows(found, stranger, pod(found, name), 8080)
        assert not reached(found, pod(found, name), 22)


def test_only_the_bot_reaches_beyond_the_cluster(found: list[Object]) -> None:
    by_name = any(each["kind"] == "CiliumNetworkPolicy" for each in found)
    assert reached(found, SLACK, 443) == (set() if by_name else {"bot", "check"})
    for target in OUTSIDE:
        for port in set(PORTS) - {443, 6443}:
            assert not reached(found, target, port)
            assert not reached(found, target, port, "UDP")
    assert not reached(found, End(address="169.254.169.254"), 443), "who answers there hands out credentials"
    assert reached(found, End(address="192.168.7.7"), 443) <= {"owner"}, "and it only where the API may lie there"


def test_who_looks_names_up(found: list[Object]) -> None:
    mute = {"engine-a", "engine-b", "store"}
    assert not reached(found, DNS, 53, "UDP") & mute
    by_name = any(each["kind"] == "CiliumNetworkPolicy" for each in found)
    rest = set(templates(found)) - mute - ({"bot", "check"} if by_name else set())
    assert reached(found, DNS, 53, "UDP") == rest == reached(found, DNS, 53)
    assert not reached(found, STRANGER, 53, "UDP")


def test_the_store_is_reached_by_its_users_and_reaches_nobody(found: list[Object]) -> None:
    users = {"bot", "check", "owner", "trainer", "retrain"} & set(templates(found))
    if "store" not in templates(found):
        assert reached(found, End(address="10.1.2.7"), 6379) == users
        assert not reached(found, End(address="10.1.3.7"), 6379)
        return
    store = pod(found, "store")
    assert reached(found, store, 6379) == users
    assert not allows(found, STRANGER, store, 6379)
    assert not allows(found, PROMETHEUS, store, 6379)
    for other in (DNS, SLACK, pod(found, "bot")):
        assert not any(allows(found, store, other, port) for port in PORTS)


def test_the_owner_alone_reaches_kubernetes_api(found: list[Object]) -> None:
    by_name = any(each["kind"] == "CiliumNetworkPolicy" for each in found)
    assert reached(found, End(address="10.0.0.1"), 6443) == (set() if by_name else {"owner"})


def test_prometheus_reads_figures_and_nothing_else(found: list[Object]) -> None:
    is_watched = any(each["kind"] == "ServiceMonitor" for each in found)
    ends = [(part, port) for part in templates(found) for port in PORTS]
    reads = {(part, port) for part, port in ends if allows(found, PROMETHEUS, pod(found, part), port)}
    figures = {("bot", 9464), ("check", 9464)} | ({("engine-a", 8080), ("engine-b", 8080)} if is_watched else set())
    assert reads == figures


def test_nodes_that_tune_together_reach_each_other_and_nobody_else() -> None:
    found = objects(EVERYTHING)
    tune = pod(found, "tune")
    assert all(allows(found, tune, tune, port) for port in PORTS)
    for part in set(templates(found)) - {"tune"}:
        assert not any(allows(found, tune, pod(found, part), port) for port in PORTS)


def test_a_node_that_tunes_alone_reaches_nobody() -> None:
    found = objects({"trainer": {"tune": {"run": "one"}}})
    tune = pod(found, "tune")
    ends = [pod(found, part) for part in templates(found)] + [DNS, PROMETHEUS, STRANGER, NEIGHBOUR, *OUTSIDE]
    assert not [end for end in ends for port in PORTS if allows(found, tune, end, port)]
    assert not [end for end in ends for port in PORTS if end.labels and allows(found, end, tune, port)]


def test_events_come_from_the_ingress_alone() -> None:
    found = objects(VALUES["http"])
    bot = pod(found, "bot")
    assert allows(found, INGRESS, bot, 3000)
    assert not any(allows(found, other, bot, 3000) for other in (STRANGER, NEIGHBOUR, PROMETHEUS))
    found = objects(VALUES["defaults"])
    assert not allows(found, INGRESS, pod(found, "bot"), 3000)


def test_with_cilium_only_slacks_names_are_known() -> None:
    found = objects(VALUES["cilium"])
    names, slack = named(found, "CiliumNetworkPolicy", "bot")["spec"]["egress"]
    asked = names["toPorts"][0]["rules"]["dns"]
    hosts: list[Any] = [{"matchName": "slack.com"}, {"matchPattern": "*.slack.com"}]
    assert asked == [*hosts, {"matchPattern": "*.dolly.svc.cluster.local"}]
    assert slack == {"toFQDNs": hosts, "toPorts": [{"ports": [{"port": "443", "protocol": "TCP"}]}]}
    assert named(found, "CiliumNetworkPolicy", "owner")["spec"]["egress"] == [{"toEntities": ["kube-apiserver"]}]


def test_a_proxy_takes_slacks_place() -> None:
    proxy = {"cidrs": ["10.9.9.9/32"], "port": 3128}
    found = objects({"bot": {"httpsProxy": "http://10.9.9.9:3128"}, "network": {"slack": proxy}})
    assert reached(found, End(address="10.9.9.9"), 3128) == {"bot", "check"}
    assert not reached(found, SLACK, 443)


def test_without_policies_the_notes_say_so() -> None:
    found = objects({"network": {"policies": False}})
    assert not [each for each in found if "NetworkPolicy" in each["kind"]]
    (notes,) = (text for path, text in texts({"network": {"policies": False}}).items() if path.endswith("NOTES.txt"))
    assert "network.policies is false" in notes
