"""Compares what the workspace sends with samples of what Slack sends.

A sample is the union of what was seen of a method or event: a key that it lacks is invented, a key that it has
may be optional; types count, values do not. Lists in a sample hold one element of each kind.
"""

import json
from collections.abc import Iterable
from functools import reduce
from pathlib import Path
from typing import Any


def load_sample(path: Path) -> Any:
    """One sample. Asserts that it is there, so that no comparison passes for want of a file."""
    assert path.is_file(), f"there is no sample {path.name}"
    return json.loads(path.read_text())


def compare(answer: Any, sample: Any, place: str = "$") -> list[str]:
    """A sentence for each key of `answer` that the sample lacks, and each value of another type. None fits all."""
    if answer is None or sample is None:
        return []
    if isinstance(answer, dict) and isinstance(sample, dict):
        return _compare_objects(answer, sample, place)
    if isinstance(answer, list) and isinstance(sample, list):
        return [
            fault for index, item in enumerate(answer) for fault in _compare_item(item, sample, f"{place}[{index}]")
        ]
    if _kind(answer) != _kind(sample):
        return [f"{place} is {_kind(answer)}, Slack's is {_kind(sample)}"]
    return []


def missing(answer: Any, paths: Iterable[str]) -> list[str]:
    """Those of `paths` ("message.bot_profile.name", "messages.0.ts") that the answer lacks."""
    return [path for path in paths if not _has(answer, path.split("."))]


def _compare_objects(answer: dict[str, Any], sample: dict[str, Any], place: str) -> list[str]:
    if not sample:  # an open map: metadata's event_payload, a view's state
        return []
    faults = []
    for key, value in answer.items():
        if key in sample:
            faults += compare(value, sample[key], f"{place}.{key}")
        else:
            faults.append(f"{place}.{key} is invented")
    return faults


def _compare_item(item: Any, samples: list[Any], place: str) -> list[str]:
    """One item of a list. Blocks and elements of types that came after the samples are passed over."""
    if isinstance(item, dict) and isinstance(item.get("type"), str) and item["type"] != "message":
        samples = [other for other in samples if isinstance(other, dict) and other.get("type") == item["type"]]
    if not samples:
        return []
    return compare(item, reduce(union, samples), place)


def union(one: Any, other: Any) -> Any:
    """What either of two samples holds."""
    if isinstance(one, dict) and isinstance(other, dict):
        shared = {key: union(one[key], other[key]) for key in one.keys() & other.keys()}
        return {**one, **other, **shared}
    if isinstance(one, list) and isinstance(other, list):
        return one + other
    return one if other is None else other


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, str):
        return "a string"
    return "a list" if isinstance(value, list) else "an object"


def _has(value: Any, path: list[str]) -> bool:
    if not path:
        return True
    name, *rest = path
    if isinstance(value, list):
        return name.isdigit() and int(name) < len(value) and _has(value[int(name)], rest)
    return isinstance(value, dict) and name in value and _has(value[name], rest)
