"""What each pod of the chart is given, told and may do."""

import base64
import importlib.util
import json
import os
import re
import subprocess
from pathlib import Path

import pytest
import typer

from bot.__main__ import app as dolly
from bot.engine_owner.deployments import CONTAINER, START_SECONDS, VARIABLE
from bot.settings import Settings
from tests.deploy.chart import (
    DEFAULTS,
    EVERYTHING,
    FILES,
    FOLDER,
    HTTP,
    NAMES,
    VALUES,
    VLLM,
    Object,
    containers,
    named,
    objects,
    templates,
)
from tests.deploy.dockerfile import ROOT
from tests.deploy.test_compose import TGI_FLAGS, VLLM_FLAGS
from tests.deploy.test_compose import flags as flags_in_compose
from trainer.__main__ import app as dolly_trainer
from trainer.worker import ACT_SECONDS, PATIENCE_SECONDS

SECRETS = {
    "bot": {"slack_bot_token", "slack_app_token", "dolly_memory_key", "retrain_key", "engine_api_key", "redis_url"},
    "check": {"slack_bot_token", "slack_app_token", "dolly_memory_key", "retrain_key", "engine_api_key", "redis_url"},
    "owner": {"redis_url"},
    "store": {"store_users"},
    "trainer": {"redis_url", "retrain_key", "engine_api_key"},
    "export": {"redis_url", "dolly_memory_key"},
    "retrain": {"redis_url", "retrain_key"},
}
"""What each container finds in /run/secrets; the others nothing."""
OURS = {"bot", "check", "owner", "export"}
"""Containers that read bot/settings.py."""
BESIDES = {"POD_NAME", "HTTPS_PROXY"}


@pytest.mark.parametrize("values", VALUES, ids=NAMES)
def test_every_pod_is_contained(values: Object) -> None:
    found = objects(values)
    for part, pod in templates(found).items():
        spec = pod["spec"]
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert spec["automountServiceAccountToken"] is (part == "owner")
        assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys()
        assert {kind for volume in spec["volumes"] for kind in volume if kind != "name"} <= {
            *("secret", "configMap", "emptyDir", "persistentVolumeClaim"),
        }
        for each in containers(pod):
            context = each["securityContext"]
            assert context["readOnlyRootFilesystem"] is True
            assert context["allowPrivilegeEscalation"] is False
            assert context["capabilities"] == {"drop": ["ALL"]}
            is_tgi = "text-generation-inference" in each["image"]
            assert ("runAsUser" in context) is is_tgi, "TGI's image alone works as root only"
            assert re.fullmatch(r"\S+:v?\d+\.\d+\.\d+", each["image"])


@pytest.mark.parametrize("values", VALUES, ids=NAMES)
def test_each_container_holds_its_own_secrets(values: Object) -> None:
    by_http = values.get("bot", {}).get("slack") == "http"
    for pod in templates(objects(values)).values():
        for each in containers(pod):
            prefix = "/run/secrets/"
            mounts = [mount["mountPath"] for mount in each["volumeMounts"] if mount["mountPath"].startswith(prefix)]
            wanted = SECRETS.get(each["name"], set())
            if by_http:
                wanted = {"slack_signing_secret" if name == "slack_app_token" else name for name in wanted}
            assert {mount.removeprefix(prefix) for mount in mounts} == wanted
            for variable in each.get("env", ()):
                if re.search("KEY$|TOKEN$|PASSWORD|SECRET|REDIS_URL", variable["name"]):
                    assert "value" not in variable, "a secret is named, never written"
    assert not [each for each in objects(values) if each["kind"] == "Secret"]


def test_bots_are_replaced_singly_and_given_the_time_to_end() -> None:
    for values in VALUES:
        bot = named(objects(values), "Deployment", "bot")["spec"]
        assert bot["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
        (container,) = bot["template"]["spec"]["containers"]
        told = {each["name"]: each.get("value") for each in container["env"]}
        assert bot["template"]["spec"]["terminationGracePeriodSeconds"] > float(told["FINISH_SECONDS"])
        assert container["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": "admin"}
        assert container["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "admin"}
        assert {"name": "admin", "containerPort": int(told["ADMIN_PORT"])} in container["ports"]
        assert named(objects(values), "PodDisruptionBudget", "bot")["spec"]["maxUnavailable"] == 1
    five = named(objects({"bot": {"replicas": 5}}), "Deployment", "bot")["spec"]
    assert five["strategy"]["rollingUpdate"] == {"maxUnavailable": 1, "maxSurge": 0}, "never a sixth"
    trainer = templates(objects(DEFAULTS))["trainer"]["spec"]
    assert trainer["terminationGracePeriodSeconds"] > PATIENCE_SECONDS + ACT_SECONDS


def test_the_engines_are_the_owners() -> None:
    for values in (DEFAULTS, VLLM):
        for name in ("engine-a", "engine-b"):
            deployment = named(objects(values), "Deployment", name)["spec"]
            assert "replicas" not in deployment
            (engine,) = deployment["template"]["spec"]["containers"]
            assert engine["name"] == CONTAINER
            assert VARIABLE not in {each["name"] for each in engine["env"]}
            assert any(f"$({VARIABLE})" in word for word in engine["args"])
            startup = engine["startupProbe"]
            assert startup["periodSeconds"] * startup["failureThreshold"] >= START_SECONDS
            assert deployment["progressDeadlineSeconds"] > START_SECONDS
            (data,) = (mount for mount in engine["volumeMounts"] if mount["mountPath"] == "/data")
            assert data["readOnly"] is True
            assert {"HF_HUB_OFFLINE", "DO_NOT_TRACK", "VLLM_NO_USAGE_STATS"} <= {each["name"] for each in engine["env"]}


def test_engines_are_asked_for_what_they_know() -> None:
    def words(values: Object) -> tuple[dict[str, str], Object]:
        (engine,) = templates(objects(values))["engine-a"]["spec"]["containers"]
        pairs = (word.removeprefix("--").partition("=") for word in engine["args"] if word.startswith("--"))
        return {flag: value for flag, _, value in pairs}, engine

    tgi, engine = words(FILES["values-prod.yaml"])
    assert tgi.keys() <= set(TGI_FLAGS)
    assert tgi["usage-stats"] == "off"
    assert tgi["num-shard"] == "2" == str(engine["resources"]["limits"]["nvidia.com/gpu"])
    assert tgi.keys() == flags_in_compose("engine-a").keys()
    vllm, engine = words(VLLM)
    assert vllm.keys() <= {*VLLM_FLAGS, "tensor-parallel-size", "enforce-eager"}
    assert vllm["tensor-parallel-size"] == "4" == str(engine["resources"]["limits"]["nvidia.com/gpu"])
    assert vllm["served-model-name"] == flags_in_compose("engine-a-vllm")["served-model-name"]


@pytest.mark.parametrize("values", [DEFAULTS, HTTP, FILES["values-prod.yaml"]], ids=["socket", "http", "prod"])
@pytest.mark.parametrize("name", ["bot", "owner"])
def test_dolly_reads_what_it_is_told(
    name: str, values: Object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (container,) = templates(objects(values))[name]["spec"]["containers"]
    env = {each["name"]: str(each.get("value", "")) for each in container["env"]}
    secrets = {
        "slack_bot_token": "xoxb-1",
        "slack_app_token": "xapp-1",
        "slack_signing_secret": "s",
        "redis_url": "redis://u:p@dolly-store:6379",
        "engine_api_key": "k",
        **{key: base64.b64encode(os.urandom(32)).decode() for key in ("dolly_memory_key", "retrain_key")},
    }
    for mount in container["volumeMounts"]:
        if mount["mountPath"].startswith("/run/secrets/"):
            (tmp_path / mount["subPath"]).write_text(secrets[mount["subPath"]])
    for variable in list(os.environ):
        if variable.lower() in Settings.model_fields:
            monkeypatch.delenv(variable)
    if "ENGINE_MANIFEST" in env:
        env["ENGINE_MANIFEST"] = str(tmp_path / "redis_url")  # a file that there is
    for variable, value in env.items():
        monkeypatch.setenv(variable, value)
    read = Settings.read(tmp_path / ".env", secrets=tmp_path, needs_slack=name == "bot", owns_engines=name == "owner")
    if name == "owner":
        deployments = [(f"dolly-engine-{slot}", f"http://dolly-engine-{slot}:8080") for slot in "ab"]
        assert list(read.engine_deployments) == deployments
        assert read.engine_replicas == values.get("engine", {}).get("replicas", 1)
    else:
        assert read.engine_url == "http://dolly-engine-a:8080"
        assert (read.slack_app_token is None) is (values is HTTP)
    if values is HTTP and name == "bot":
        assert read.allowed_users == {"U0123ABCD", "U0123ABCE"}
        assert read.tokens_per_day == 12_000_000
        assert read.redact_names is True


def test_what_is_told_are_settings() -> None:
    schema = json.loads((FOLDER / "values.schema.json").read_text())
    offered = schema["properties"]["bot"]["properties"]["settings"]["propertyNames"]["enum"]
    snakes = {re.sub(r"[A-Z]", lambda found: f"_{found[0].lower()}", name) for name in offered}
    assert snakes <= set(Settings.model_fields)
    told: set[str] = set()
    for values in VALUES:
        for pod in templates(objects(values)).values():
            told |= {each["name"] for one in containers(pod) if one["name"] in OURS for each in one["env"]}
    assert {name.lower() for name in told - BESIDES} <= set(Settings.model_fields)
    of_one_machine = {"model_path", "context_tokens", "dolly_port", "dolly_engine_port", "engine_slots", "slots_dir"}
    unsaid = {"http_host", "http_port", "dolly_memory_plaintext"}
    chosen = snakes | {name.lower() for name in told} | SECRETS["bot"] | {"slack_signing_secret"}
    assert chosen | of_one_machine | unsaid >= set(Settings.model_fields), "a setting that nobody can make"


def test_the_commands_are_dollys() -> None:
    for values in VALUES:
        for pod in templates(objects(values)).values():
            for each in containers(pod):
                if "/dolly" in each["image"]:
                    words = each["args"]
                    if each["name"] == "tune":
                        words = words[words.index("trainer") + 1 :]
                    program = dolly_trainer if "dolly-trainer" in each["image"] else dolly
                    command = typer.main.get_command(program).commands[words[0]]  # type: ignore[attr-defined]
                    flags = {flag for param in command.params for flag in param.opts}
                    assert {word.partition("=")[0] for word in words if word.startswith("--")} <= flags


@pytest.mark.parametrize("values", [EVERYTHING, HTTP], ids=["several nodes", "one"])
def test_accelerate_knows_its_words(values: Object) -> None:
    (tune,) = templates(objects(values))["tune"]["spec"]["containers"]
    words = tune["args"][: tune["args"].index("-m")]
    assert words[:2] == ["accelerate", "launch"]
    spec = importlib.util.find_spec("accelerate")  # not imported, as torch would be with it
    assert spec is not None
    assert spec.origin is not None
    source = Path(spec.origin).with_name("commands").joinpath("launch.py").read_text(encoding="utf-8")
    assert not [word for word in words[2:] if f'"{word.partition("=")[0]}"' not in source]
    (config,) = (word.partition("=")[2] for word in words if word.startswith("--config_file="))
    assert (ROOT / config).is_file()


@pytest.mark.parametrize("checkpoint", [False, True])
def test_a_run_that_was_stopped_goes_on(checkpoint: bool, tmp_path: Path) -> None:
    (tune,) = templates(objects(HTTP))["tune"]["spec"]["containers"]
    if checkpoint:
        (tmp_path / "checkpoints" / "step-000010").mkdir(parents=True)
    words = [*tune["command"], "echo", *tune["args"]]
    env = {**os.environ, "RUN": str(tmp_path)}
    said = subprocess.run(words, env=env, capture_output=True, text=True, check=True, timeout=10).stdout
    assert said.split()[:2] == ["accelerate", "launch"]
    assert said.split()[-1] == ("--resume" if checkpoint else "--out=$(RUN)")
