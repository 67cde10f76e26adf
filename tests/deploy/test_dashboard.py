"""The dashboard: Grafana's JSON model, figures that there are, PromQL that Prometheus reads, panels side by side."""

import json
from itertools import combinations
from pathlib import Path

import yaml

from tests.deploy.observed import DASHBOARD, known, names, panels, promtool, questions

COLUMNS = 24
"""Of Grafana's grid."""


def test_every_figure_is_one_that_somebody_counts() -> None:
    asked = {name for question in questions() for name in names(question)}
    assert len(asked) > 35
    assert asked <= known(), f"nobody counts {sorted(asked - known())}"


def test_every_figure_of_dollys_is_shown() -> None:
    shown = {name.removesuffix("_bucket") for question in questions() for name in names(question)}
    all_of_them = {name.removesuffix("_bucket") for name in known() if name.startswith("dolly_")}
    missing = {name for name in all_of_them - shown if not name.endswith(("_sum", "_count"))}
    assert not missing, f"{DASHBOARD.name} does not show {sorted(missing)}"


def test_prometheus_reads_every_question(tmp_path: Path) -> None:
    rules = [{"record": f"asked:{number}", "expr": question} for number, question in enumerate(questions())]
    written = tmp_path / "questions.yaml"
    written.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}), encoding="utf-8")
    checked = promtool("check", "rules", written)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_panels_stand_side_by_side() -> None:
    places = [panel["gridPos"] for panel in panels()]
    for place in places:
        assert place["x"] >= 0
        assert place["w"] > 0
        assert place["x"] + place["w"] <= COLUMNS
    for one, other in combinations(places, 2):
        apart = (
            one["x"] + one["w"] <= other["x"]
            or other["x"] + other["w"] <= one["x"]
            or one["y"] + one["h"] <= other["y"]
            or other["y"] + other["h"] <= one["y"]
        )
        assert apart, (one, other)


def test_it_is_a_dashboard_that_grafana_imports() -> None:
    dashboard = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    assert dashboard["schemaVersion"] >= 39  # Grafana 11
    assert "id" not in dashboard, "an id is one installation's; who imports it gets their own"
    ids = [panel["id"] for panel in panels()]
    assert len(ids) == len(set(ids))
    variables = {variable["name"] for variable in dashboard["templating"]["list"]}
    assert variables == {"datasource", "job"}
    for panel in panels():
        assert panel["type"] in ("row", "stat", "timeseries"), panel["title"]
        if panel["type"] == "row":
            continue
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}, panel["title"]
        letters = [target["refId"] for target in panel["targets"]]
        assert letters == sorted(set(letters)), panel["title"]
        for target in panel["targets"]:
            assert 'job=~"$job"' in target["expr"] or not any(n.startswith("dolly_") for n in names(target["expr"]))
