"""Revisions without a real model in them, and an owner of engines that only says what an owner says."""

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from redis import Redis

from trainer.artifacts import write_artifact, write_manifest
from trainer.registry import Registry
from trainer.serving import AMEND

PASSED: dict[str, Any] = {"size": "smoke", "passed": True, "not_enough_evidence": False, "refusals": [], "figures": {}}
REFUSED = PASSED | {"passed": False, "refusals": [{"check": "stops", "sentence": "It stops less."}]}
LACKING = PASSED | {
    "size": "full",
    "passed": False,
    "not_enough_evidence": True,
    "refusals": [{"check": "evidence", "sentence": "There is not enough evidence: 3 corrections were held out."}],
}
KEYS = ["<|im_start|>", "<|im_end|>"]
SHIPPED: dict[Any, str] = {
    "revision": "shipped",
    "name": "small",
    "path": "/nowhere/small.gguf",
    "sha256": "0" * 64,
    "since": "1",
}


def write_export(out: Path, weights: str = "weights", *, gguf: Path | None = None, keys: list[str] = KEYS) -> Path:
    """A directory that looks like what `dolly-trainer export` writes; `gguf` is linked into it as its q8_0."""
    with write_artifact(out) as folder:
        (folder / "model.safetensors").write_text(weights)
        (folder / "tokenizer.json").write_text("{}")
        if gguf is None:
            (folder / "model-q8_0.gguf").write_text(f"GGUF {weights}")
        else:
            (folder / "model-q8_0.gguf").symlink_to(gguf)
        facts = {"name": "export", "base": {"name": "team/small"}, "keys": keys}
        write_manifest(folder, "export", facts | {"gguf": {"q8_0": "model-q8_0.gguf"}})
    return out


def add(
    registry: Registry, weights: str, *, gate: Mapping[str, Any] | None = PASSED, gguf: Path | None = None, **facts: Any
) -> str:
    """Register an export with these weights; its revision."""
    export = write_export(registry.folder.parent / "exports" / weights, weights, gguf=gguf)
    dataset = {"sha256": "d" * 64, "counts": {"corrections": 3, "replay": 48}, "feedback": ["a1", "b2"]}
    recipe = {"name": "loop-smollm2", "evaluate": {"gguf": "q8_0"}}
    return registry.add(export, {"dataset": dataset, "recipe": recipe, "gate": gate, "by": "U1"} | facts)


class Owner:
    """Starts nothing: says of each candidate what `states` says, and that it answers at `url`."""

    def __init__(self, client: Redis, url: str, *, holds: int = 2, serves: str = "gguf") -> None:
        self.client = client
        self.url = url
        self.states = ["starting", "ready"]
        self.reason = ""
        self.told = {"holds": holds, "serves": serves}
        self.wanted: list[dict[Any, Any]] = []
        """The candidates, as they were when they were first seen."""
        self.at_ready: Callable[[], None] = lambda: None

    def live(self) -> None:
        """One look at what is wanted."""
        self.client.set("model:owner", json.dumps(self.told), ex=15)
        found: dict[Any, Any] = self.client.hgetall("model:candidate")
        if found.get("state") != "wanted":
            return
        self.wanted.append(found)
        before = "wanted"
        for state in self.states:  # unless whoever wanted it has gone meanwhile
            expected, said = ("id", found["id"], "state", before), ("url", self.url, "reason", self.reason)
            self.client.eval(AMEND, 1, "model:candidate", *expected, "", "", "state", state, *said)
            before = state
        self.at_ready()


@contextmanager
def owning(owner: Owner) -> Iterator[Owner]:
    """It lives in a thread while the context lasts."""
    ended = threading.Event()

    def run() -> None:
        while not ended.is_set():
            owner.live()
            time.sleep(0.01)

    thread = threading.Thread(target=run)
    owner.live()
    thread.start()
    try:
        yield owner
    finally:
        ended.set()
        thread.join()
        owner.client.delete("model:owner")
