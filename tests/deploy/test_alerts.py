"""The alert rules: Prometheus reads them, they fire when they should, and each is explained to who is woken by it."""

import re
from pathlib import Path

from tests.deploy.observed import ALERTS, ROOT, alerts, known, names, promtool

RUNBOOK = ROOT / "docs" / "runbook.md"
UNIT_TESTS = sorted(Path(__file__).parent.glob("alerts_*test.yaml"))


def test_prometheus_reads_the_rules() -> None:
    checked = promtool("check", "rules", ALERTS)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert f"{len(alerts())} rules found" in checked.stdout


def test_they_fire_when_they_should_and_not_otherwise() -> None:
    assert len(UNIT_TESTS) == 2
    tested = promtool("test", "rules", *UNIT_TESTS)
    assert tested.returncode == 0, tested.stdout + tested.stderr


def test_every_alert_is_made_to_fire_by_a_test() -> None:
    written = "".join(path.read_text(encoding="utf-8") for path in UNIT_TESTS)
    missing = [rule["alert"] for rule in alerts() if not re.search(rf'alertname(=|: ?)"?{rule["alert"]}\b', written)]
    assert not missing, f"no test in {UNIT_TESTS[0].parent} has these fire: {missing}"


def test_they_ask_for_figures_that_there_are() -> None:
    for rule in alerts():
        asked = names(rule["expr"])
        assert asked, rule["alert"]
        assert asked <= known(), f"{rule['alert']} asks for {sorted(asked - known())}, which nobody counts"


def test_each_says_how_urgent_it_is_and_in_words_what_it_is() -> None:
    for rule in alerts():
        assert rule["labels"]["severity"] in ("critical", "warning", "info"), rule["alert"]
        assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}, rule["alert"]
        for text in rule["annotations"].values():
            assert text.strip(), rule["alert"]
        assert rule["annotations"]["runbook_url"] == f"docs/runbook.md#{rule['alert'].lower()}"


def test_the_runbook_has_a_section_for_each_and_for_no_other() -> None:
    text = RUNBOOK.read_text(encoding="utf-8")
    sections = re.split(r"^## ", text, flags=re.MULTILINE)[1:]
    assert [section.split("\n", 1)[0] for section in sections] == [rule["alert"] for rule in alerts()]
    for section in sections:
        for part in ("**For people:**", "**Look:**", "**Do:**", "**Over when**"):
            assert part in section, f"{section.split()[0]} does not say {part}"
