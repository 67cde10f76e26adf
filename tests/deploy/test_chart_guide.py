"""docs/production.md, "On a cluster": the lines that an operator copies."""

import os
import re
import subprocess
from pathlib import Path

import yaml

from tests.deploy.chart import DEFAULTS, FILES, named, objects, texts
from tests.deploy.dockerfile import ROOT
from tests.deploy.test_chart_pods import SECRETS

GUIDE = (ROOT / "docs" / "production.md").read_text(encoding="utf-8").partition("## On a cluster\n")[2]
KUBECTL = """#!/bin/sh
echo "$@" >>"$SAID"
for word; do case $word in --from-file=*) test -f "${word#*=}" || exit 1 ;; esac; done
"""


def blocks(section: str) -> list[str]:
    """The indented lines of a section, which are to be typed or to be values."""
    text = GUIDE.partition(f"### {section}\n")[2].partition("\n### ")[0]
    found = re.findall(r"(?:^ {4}.*\n)+", text, re.MULTILINE)
    assert found
    return [re.sub("^ {4}", "", block, flags=re.MULTILINE) for block in found]


def test_the_guide_makes_every_secret(tmp_path: Path) -> None:
    (lines,) = blocks("Secrets")
    (tmp_path / "kubectl").write_text(KUBECTL)
    (tmp_path / "kubectl").chmod(0o755)
    env = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "SAID": str(tmp_path / "said")}
    env["TMPDIR"] = str(tmp_path)
    subprocess.run(["sh", "-euc", lines], cwd=ROOT, env=env, check=True, timeout=30)
    made = {}
    for line in (tmp_path / "said").read_text().splitlines():
        if found := re.search(r"create secret generic dolly-(\w+) (.*)", line):
            made[found[1]] = {Path(word.partition("=")[2]).name for word in found[2].split()}
    wanted = {part: SECRETS[part] for part in ("bot", "owner", "store", "trainer")}
    assert made == {**wanted, "engine": {"engine_api_key"}}
    assert {f"dolly-{part}" for part in made} == {
        FILES["values.yaml"][part]["existingSecret"] for part in ("bot", "engine", "owner", "store", "trainer")
    }
    (folder,) = (path for path in tmp_path.iterdir() if path.is_dir())
    store = named(objects(DEFAULTS), "Service", "store")
    address = f"@{store['metadata']['name']}:{store['spec']['ports'][0]['port']}"
    for part in ("bot", "owner", "trainer"):
        assert (folder / part / "redis_url").read_text().endswith(address)
    assert "CHANGE-ME" not in (folder / "store_users").read_text()
    assert re.fullmatch("[0-9a-f]{64}", (folder / "engine_api_key").read_text())


def test_the_values_that_the_guide_shows_are_taken() -> None:
    (store,) = blocks("The store")
    assert objects(yaml.safe_load(store))
    retrain, tune = blocks("Training")
    assert named(objects(yaml.safe_load(tune)), "JobSet", "tune-alpaca-1")
    (cronjob,) = (each for each in objects(FILES["values-prod.yaml"]) if each["kind"] == "CronJob")
    assert f"--from=cronjob/{cronjob['metadata']['name']} " in retrain


def test_the_guide_names_what_there_is() -> None:
    (start,) = blocks("First start")
    assert "app.kubernetes.io/component=trainer" in start
    assert named(objects(DEFAULTS), "Deployment", "trainer")
    (notes,) = (text for path, text in texts(DEFAULTS).items() if path.endswith("NOTES.txt"))
    assert "helm test dolly --namespace dolly --logs" in start
    assert "helm test dolly --namespace dolly --logs" in notes
