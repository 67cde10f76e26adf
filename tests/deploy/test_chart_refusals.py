"""Values that would not work are refused before anything is changed, in words that say what to do."""

import pytest
from helm_python import HelmError

from tests.deploy.chart import Object, objects

CLAIM = {"accessModes": ["ReadWriteOnce"]}
REFUSED: list[tuple[Object, str]] = [
    ({"bot": {"replicas": 6}}, "bot.replicas is 6, and Slack allows an app ten Socket Mode connections"),
    ({"bot": {"existingSecret": ""}}, "bot.existingSecret is empty; name the Secret that you have made for it"),
    ({"engine": {"existingSecret": ""}}, "engine.existingSecret is empty"),
    ({"owner": {"existingSecret": ""}}, "owner.existingSecret is empty"),
    ({"store": {"existingSecret": ""}}, "store.existingSecret is empty"),
    ({"trainer": {"existingSecret": ""}}, "trainer.existingSecret is empty"),
    ({"engine": {"maxInputTokens": 2000}}, "are more than engine.maxTotalTokens (2048)"),
    ({"engine": {"maxBatchPrefillTokens": 1024}}, "TGI would not start; raise it"),
    ({"engine": {"enabled": False}}, "bot.settings.engineUrl is not set; name the engine"),
    ({"bot": {"settings": {"engineUrl": "http://mine:8080"}}}, "set engine.enabled to false, or take the address out"),
    ({"store": {"external": {"waitReplicas": 1}}}, "the bundled store has no replicas"),
    ({"store": {"bundled": False}}, "store.external.to is empty"),
    ({"store": {"bundled": False, "external": {"cluster": True, "to": [{}]}}}, "a cluster wants 16 or more"),
    ({"bot": {"slack": "http"}}, "network.eventsFrom is empty"),
    ({"data": CLAIM}, "data.accessModes lacks ReadWriteMany, and bot.replicas is 2"),
    ({"bot": {"volume": CLAIM}}, "bot.volume.accessModes lacks ReadWriteMany"),
    ({"trainer": {"gpus": 0, "tune": {"run": "a", "nodes": 2}}}, "trainer.gpus is 0"),
]
MISTYPED: list[tuple[Object, str]] = [
    ({"engine": {"enginesAtOnce": 3}}, "/engine/enginesAtOnce"),
    ({"engine": {"kind": "sglang"}}, "/engine/kind"),
    ({"engine": {"replicas": "two"}}, "/engine/replicas"),
    ({"engine": {"gpuShare": 1.5}}, "/engine/gpuShare"),
    ({"bot": {"replica": 3}}, "replica"),
    ({"bot": {"settings": {"maxToken": 3}}}, "maxToken"),
    ({"bot": {"settings": {"slackBotToken": "xoxb-1"}}}, "slackBotToken"),
    ({"bot": {"settings": {"redisUrl": "redis://u:p@h"}}}, "redisUrl"),
    ({"bot": {"httpsProxy": "http://user:word@proxy:3128"}}, "/bot/httpsProxy"),
    ({"images": {"dolly": "registry.example/dolly:latest"}}, "/images/dolly"),
    ({"store": {"size": "10"}}, "/store/size"),
    ({"trainer": {"tune": {"run": "My Run"}}}, "/trainer/tune/run"),
]


@pytest.mark.parametrize(("values", "sentence"), REFUSED + MISTYPED, ids=[text for _, text in REFUSED + MISTYPED])
def test_it_is_refused(values: Object, sentence: str) -> None:
    with pytest.raises(HelmError) as refused:
        objects(values)
    assert sentence in str(refused.value)


@pytest.mark.parametrize(
    "values",
    [
        {"bot": {"replicas": 5}},
        {"bot": {"replicas": 6, "slack": "http"}, "network": {"eventsFrom": [{"podSelector": {}}]}},
        {"engine": {"enabled": False}, "bot": {"settings": {"engineUrl": "http://mine:8080"}}},
        {"engine": {"enginesAtOnce": 1}, "images": {"dolly": "r.example:5000/dolly@sha256:" + "0" * 64}},
        {"store": {"bundled": False, "external": {"cluster": True, "partitions": 16, "to": [{"podSelector": {}}]}}},
        {"trainer": {"worker": False, "existingSecret": ""}},
        {"bot": {"settings": {"engineManifest": None}}},
    ],
    ids=lambda values: str(values)[:60],
)
def test_what_would_work_is_not(values: Object) -> None:
    objects(values)
