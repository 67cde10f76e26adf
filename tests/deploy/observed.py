"""What whoever watches Dolly is given: alert rules and a dashboard, and Prometheus' own tools to read them with."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.metrics import MetricWrapperBase

from bot import metrics

ROOT = Path(__file__).resolve().parents[2]
OBSERVABILITY = ROOT / "deploy" / "chart" / "observability"
ALERTS = OBSERVABILITY / "alerts.yaml"
DASHBOARD = OBSERVABILITY / "dashboard.json"

OF_PROCESSES = {
    *("process_cpu_seconds_total", "process_resident_memory_bytes", "process_start_time_seconds"),
    *("process_open_fds", "process_max_fds"),
}
"""Of those that prometheus_client tells of every process."""
OF_ENGINES = {
    *("tgi_queue_size", "tgi_batch_current_size"),
    *("vllm:num_requests_waiting", "vllm:num_requests_running", "vllm:kv_cache_usage_perc"),
    *("llamacpp:requests_deferred", "llamacpp:requests_processing"),
}
"""Figures of TGI 3.3.7, vLLM's v1 engine and llama.cpp's server, on their own ports."""
OF_PROMETHEUS = {"up", "ALERTS"}

NAME = re.compile(r"(?<![\w:\"~$])((?:dolly|process|tgi)_\w+|(?:vllm|llamacpp):\w+|up|ALERTS)\b(?!\()")
QUOTED_NAME = re.compile(r"__name__=~?\"([^\"]+)\"")


def promtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Prometheus' own reader of rules; the test is skipped where it is not installed."""
    path = shutil.which("promtool")
    if path is None:
        pytest.skip("needs promtool (apt-get install prometheus)")
    return subprocess.run([path, *map(str, arguments)], capture_output=True, text=True, check=False)


def alerts() -> list[dict[str, Any]]:
    """Every alert rule."""
    groups = yaml.safe_load(ALERTS.read_text(encoding="utf-8"))["groups"]
    found = [rule for group in groups for rule in group["rules"]]
    assert len(found) > 20
    return found


def panels() -> list[dict[str, Any]]:
    """Every panel of the dashboard, rows among them."""
    found: list[dict[str, Any]] = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
    assert len(found) > 20
    return found


def questions() -> list[str]:
    """Every expression of the dashboard, its variables filled in."""
    told = [target["expr"] for panel in panels() for target in panel.get("targets", [])]
    assert len(told) > 40
    return [expr.replace("$__rate_interval", "1m").replace("$job", ".*") for expr in told]


def names(expr: str) -> set[str]:
    """The metrics that an expression reads."""
    quoted = {name for group in QUOTED_NAME.findall(expr) for name in group.split("|")}
    bare = re.sub(r"\"[^\"]*\"", '""', expr)
    bare = re.sub(r"\b(?:by|on) \([^)]*\)", "", bare)
    return quoted | set(NAME.findall(bare))


def known() -> set[str]:
    """Every series that there may be: Dolly's own as they are exposed, and those of processes, engines, Prometheus."""
    own: set[str] = set()
    for metric in vars(metrics).values():
        if isinstance(metric, MetricWrapperBase):
            name, kind = metric._name, metric._type
            endings = {"counter": ("_total",), "info": ("_info",), "histogram": ("_bucket", "_sum", "_count")}
            own |= {name + ending for ending in endings.get(str(kind), ("",))}
    assert len(own) > 40
    return own | OF_PROCESSES | OF_ENGINES | OF_PROMETHEUS
