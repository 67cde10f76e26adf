"""deploy/compose: a Compose file by the specification; who reaches whom and holds what; its store, for real."""

import base64
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from compose_spec import PyCompose, parse_duration
from redis.exceptions import AuthenticationError, NoPermissionError

from bot.preflight import check_store
from bot.settings import Settings
from tests.bot.store.servers import Server, debians_redis, running, valkey
from tests.deploy.dockerfile import ROOT
from trainer.worker import ACT_SECONDS, PATIENCE_SECONDS

FOLDER = ROOT / "deploy" / "compose"
EXAMPLE = dict(re.findall(r"^([A-Z_]+)=(.*)$", (FOLDER / ".env.example").read_text(), re.MULTILINE))
GUIDE = ROOT / "docs" / "production.md"
ENGINES = ("engine-a", "engine-b", "engine-a-vllm", "engine-b-vllm")
TGI_FLAGS = re.findall(
    r"\S+",
    """
    adapter-id api-key cors-allow-origin cuda-graphs cuda-memory-fraction disable-custom-kernels disable-grammar-support
    disable-usage-stats dtype env graceful-termination-timeout hostname huggingface-hub-cache json-output kv-cache-dtype
    lora-adapters master-addr master-port max-batch-prefill-tokens max-batch-size max-batch-total-tokens max-best-of
    max-client-batch-size max-concurrent-requests max-input-length max-input-tokens max-stop-sequences max-top-n-tokens
    max-total-tokens max-waiting-tokens model-id ngrok num-shard otlp-endpoint otlp-service-name payload-limit port
    prometheus-port quantize revision rope-factor rope-scaling shard-uds-path sharded speculate tokenizer-config-path
    trust-remote-code usage-stats validation-workers waiting-served-ratio watermark-delta watermark-gamma
    weights-cache-override
    """,
)
"""text-generation-launcher's, of its reference at 3.3.7."""
VLLM_FLAGS = ["served-model-name", "host", "port", "max-model-len", "max-num-seqs", "gpu-memory-utilization"]
"""Of `vllm serve`'s engine arguments, those that are used."""
WHO_HOLDS = {
    "bot": {"slack_bot_token", "slack_app_token", "dolly_memory_key", "retrain_key", "engine_api_key", "redis_url"},
    "store": {"store_users"},
    "owner": {"redis_url"},
    "trainer": {"retrain_key", "engine_api_key", "redis_url"},
    **{name: {"engine_api_key"} for name in ENGINES},
}


def filled(values: dict[str, str]) -> dict[str, Any]:
    """The file as Compose reads it, with `values` for its variables or else what it says itself."""
    text = (FOLDER / "compose.yaml").read_text(encoding="utf-8")
    text = re.sub(r"\$\{(\w+):-([^}]*)\}", lambda found: values.get(found[1], found[2]), text)
    assert "$" not in text.replace("$$", ""), "a variable without a default"
    read: dict[str, Any] = PyCompose.from_json(json.dumps(yaml.safe_load(text.replace("$$", "$")))).to_dict()
    return read


COMPOSE = filled({})
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]


def networks(name: str) -> set[str]:
    return set(SERVICES[name]["networks"])


def secrets(name: str) -> dict[str, str]:
    """What a service finds in /run/secrets, and of which secret each is."""
    given = SERVICES[name].get("secrets", [])
    pairs = [(one, one) if isinstance(one, str) else (one["target"], one["source"]) for one in given]
    return {Path(target).name: source for target, source in pairs}


def flags(name: str) -> dict[str, str]:
    words = [word for word in SERVICES[name]["command"] if word.startswith("--")]
    return {flag: value for flag, _, value in (word.removeprefix("--").partition("=") for word in words)}


def mounts(name: str) -> dict[str, dict[str, Any]]:
    return {volume["target"]: volume for volume in SERVICES[name]["volumes"]}


def test_what_the_example_sets_is_what_the_file_says_itself() -> None:
    assert filled(EXAMPLE) == COMPOSE
    asked = set(re.findall(r"\$\{(\w+)", (FOLDER / "compose.yaml").read_text()))
    of_the_bot = {name.upper() for name in Settings.model_fields}
    assert asked <= EXAMPLE.keys() <= asked | of_the_bot | {"COMPOSE_PROFILES"}


def test_only_the_bot_reaches_beyond_this_machine() -> None:
    assert {name for name in SERVICES if networks(name) != {"inside"}} == {"bot"}
    assert networks("bot") == {"inside", "outside"}
    inside = COMPOSE["networks"]["inside"]
    assert inside["internal"] is True
    assert inside["driver_opts"] == {"com.docker.network.bridge.gateway_mode_ipv4": "isolated"}
    assert {name for name in SERVICES if SERVICES[name].get("ports")} == {"bot"}
    assert all("127.0.0.1" in str(port) for port in SERVICES["bot"]["ports"])
    assert "docker.sock" not in (FOLDER / "compose.yaml").read_text()


def test_each_service_holds_its_own_secrets() -> None:
    assert {name: set(secrets(name)) for name in SERVICES} == WHO_HOLDS
    urls = [secrets(name)["redis_url"] for name in ("bot", "owner", "trainer")]
    assert len(set(urls)) == 3, "each has a user of its own"
    assert {source for name in SERVICES for source in secrets(name).values()} == set(COMPOSE["secrets"])
    for name, service in SERVICES.items():
        told = json.dumps(service.get("environment", {}))
        assert not re.search("KEY|TOKEN|PASSWORD|SECRET", told), name
    assert set(secrets("bot")) <= set(Settings.model_fields)


@pytest.mark.parametrize("name", SERVICES)
def test_it_is_contained(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert not {"cap_add", "privileged", "pid", "ipc", "network_mode"} & {
        key for key, value in service.items() if value
    }
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["restart"] == "unless-stopped"
    assert service["init"] is True
    assert set(service["logging"]["options"]) == {"max-size", "max-file"}
    user, group = service["user"].split(":")
    assert group == "10001"
    is_tgi = "text-generation-inference" in service["image"]
    assert user == ("0" if is_tgi else "10001")
    assert re.fullmatch(r"\S+:v?\d+\.\d+\.\d+", service["image"])


def test_engines_serve_the_slots_as_their_owner_fills_them() -> None:
    owner = SERVICES["owner"]["environment"]
    slots = owner["ENGINE_SLOTS"].split(",")
    for name in ENGINES:
        host = name.removesuffix("-vllm")
        assert SERVICES[name]["entrypoint"][-1] == f"/slots/{host}"
        assert f"http://{host}:8080" in slots
        assert flags(name)["port"] == "8080"
        assert "{model}" in " ".join(SERVICES[name]["command"])
        assert f"/slots/{host} ]" in str(SERVICES[name]["healthcheck"]["test"])
        assert mounts(name)["/slots"]["read_only"]
        assert mounts(name)["/data"]["read_only"]
        if host != name:
            assert SERVICES[name]["networks"]["inside"]["aliases"] == [host]
        assert SERVICES[name]["profiles"] == ["vllm" if host != name else "tgi"]
    assert SERVICES["bot"]["environment"]["ENGINE_URL"] == slots[0]
    assert mounts("owner")["/data"]["read_only"]
    assert (
        mounts("owner")["/data"]["source"]
        == mounts("trainer")["/data"]["source"]
        == mounts("engine-a")["/data"]["source"]
    )
    assert owner["SLOTS_DIR"] == "/slots"
    assert not mounts("owner")["/slots"].get("read_only")


@pytest.mark.parametrize("name", ENGINES)
def test_an_engine_is_given_its_key(name: str, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("k-1\n")
    (tmp_path / "serve-slot.sh").write_text('printf "%s\\n" "$API_KEY" "$VLLM_API_KEY" "$@"')
    words = [*SERVICES[name]["entrypoint"], "serve", "{model}"]
    here = {"/run/secrets/engine_api_key": str(tmp_path / "key"), "/serve-slot.sh": str(tmp_path / "serve-slot.sh")}
    for there, path in here.items():
        words = [word.replace(there, path) for word in words]
    said = subprocess.run(words, capture_output=True, text=True, check=True, timeout=10).stdout.splitlines()
    assert said == ["k-1", "k-1", f"/slots/{name.removesuffix('-vllm')}", "serve", "{model}"]
    (tmp_path / "key").unlink()
    assert subprocess.run(words, capture_output=True, check=False, timeout=10).returncode != 0, (
        "none runs without a key"
    )


def test_engines_are_asked_for_what_they_know_and_tell_nobody() -> None:
    tgi, vllm = flags("engine-a"), flags("engine-a-vllm")
    assert tgi.keys() <= set(TGI_FLAGS)
    assert vllm.keys() <= set(VLLM_FLAGS)
    assert tgi["usage-stats"] == "off"
    assert int(tgi["max-input-tokens"]) + int(EXAMPLE["MAX_TOKENS"]) <= int(tgi["max-total-tokens"])
    assert int(tgi["max-batch-prefill-tokens"]) >= int(tgi["max-input-tokens"])
    assert float(tgi["cuda-memory-fraction"]) * int(EXAMPLE["ENGINES_AT_ONCE"]) < 1
    assert vllm["max-model-len"] == tgi["max-total-tokens"]
    for name in ENGINES:
        said = SERVICES[name]["environment"]
        for switch in ("HF_HUB_OFFLINE", "HF_HUB_DISABLE_TELEMETRY", "DO_NOT_TRACK", "VLLM_NO_USAGE_STATS"):
            assert str(said[switch]) == "1"


def test_whoever_is_told_to_stop_is_given_the_time_to() -> None:
    grace = {name: parse_duration(str(SERVICES[name]["stop_grace_period"])) for name in ("bot", "trainer", "engine-a")}
    assert grace["bot"] > float(SERVICES["bot"]["environment"]["FINISH_SECONDS"])
    assert grace["trainer"] > PATIENCE_SECONDS + ACT_SECONDS
    assert grace["engine-a"] > float(flags("engine-a")["graceful-termination-timeout"])


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of secrets, by the guide's own lines."""
    folder = tmp_path_factory.mktemp("dolly")
    (folder / "secrets").mkdir()
    (lines,) = re.findall(r"^ {4}\(\n(?: {4}.*\n)+? {4}\)$", GUIDE.read_text(), re.MULTILINE)
    lines = lines.replace("chown 10001:10001", "true")  # which takes root
    subprocess.run(["sh", "-euc", lines], cwd=ROOT, env={**os.environ, "DOLLY": str(folder)}, check=True, timeout=30)
    return folder / "secrets"


def url_of(made: Path, who: str, server: Server) -> str:
    return (made / f"redis_url_of_{who}").read_text().replace("store:6379", f"127.0.0.1:{server.port}")


def test_the_guide_makes_every_secret(made: Path) -> None:
    assert {path.name for path in made.iterdir()} == set(COMPOSE["secrets"])
    assert "CHANGE-ME" not in (made / "store_users").read_text()
    assert {path.stat().st_mode & 0o777 for path in made.iterdir()} == {0o440}
    keys = {name: (made / name).read_text().strip() for name in ("dolly_memory_key", "retrain_key")}
    assert {len(base64.b64decode(key)) for key in keys.values()} == {32}


@pytest.fixture(params=["valkey", "redis"])
def store(request: pytest.FixtureRequest, tmp_path: Path, made: Path) -> Iterator[Server]:
    """A server by store.conf, but for its port and where its files lie, with users as the guide makes them."""
    binary = valkey() if request.param == "valkey" else debians_redis()
    here = {"dir": str(tmp_path / "store"), "aclfile": str(made / "store_users"), "bind": "127.0.0.1"}
    shipped = dict(re.findall(r"^([a-z-]+) (.*)$", (FOLDER / "store.conf").read_text(), re.MULTILINE))
    assert here.keys() <= shipped.keys()
    options = {name: value.strip('"') for name, value in (shipped | here).items()}
    url = (made / "redis_url_of_bot").read_text().replace("store:6379", "{host}:{port}")
    server = running(binary, tmp_path / "store", url=url, maxmemory="64mb", **options)
    with server as started:
        yield started


async def test_the_store_that_is_shipped_is_found_safe(store: Server) -> None:
    findings = await check_store(store.url)
    assert findings
    assert {finding.verdict for finding in findings} == {"safe"}, [finding.sentence for finding in findings]


def test_the_stores_users_are_kept_to_their_own(store: Server, made: Path) -> None:
    def ask(who: str, *command: str) -> Any:
        return Server(url_of(made, who, store), store.process, store.port).ask(*command)

    assert ask("bot", "SET", "dolly:{T1/B1}:x", "1") == "OK"
    assert ask("trainer", "SET", "model:x", "1") == "OK"
    assert ask("owner", "GET", "model:x") == "1"
    for who, *command in (
        ("bot", "SET", "other:x", "1"),
        ("bot", "FLUSHALL"),
        ("trainer", "GET", "dolly:{T1/B1}:x"),
        ("trainer", "CONFIG", "GET", "save"),
        ("owner", "GET", "dolly:{T1/B1}:x"),
        ("owner", "GET", "retrain:x"),
    ):
        with pytest.raises(NoPermissionError):
            ask(who, *command)
    with pytest.raises(AuthenticationError):
        Server(f"redis://127.0.0.1:{store.port}", store.process, store.port).ask("PING")


def test_the_health_check_hears_a_server_that_wants_a_password(store: Server) -> None:
    client = shutil.which("redis-cli")  # valkey-cli in the image
    if client is None:
        pytest.skip("needs redis-cli: apt-get install redis-tools")
    command = [client, "-p", str(store.port), "ping"]
    said = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    assert "NOAUTH" in said.stdout
