"""What people see of the revisions: what each learned from, what the gate said, and what is in service."""

import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from rich.console import Console

from bot.local.store import LocalStore
from tests.trainer.evaluation.stand_in import completion, standing_in
from tests.trainer.revisions import LACKING, PASSED, REFUSED, SHIPPED, Owner, add, owning
from trainer.__main__ import main
from trainer.connection import connect
from trainer.registry import Registry
from trainer.serving import Serving
from trainer.stages.models import models
from trainer.stages.promote import promote

FIGURES = {
    "suite": {"candidate": 0.312, "current": 0.301, "questions": 48},
    "stops": {"stopped": {"candidate": 0.94, "current": 0.92}},
    "replay_bits": {"candidate": 0.585, "current": 0.61, "answers": 64},
    "corrections": {"asked": 3, "as_typed": 3, "paraphrases": 6, "paraphrased": 4},
    "neighbours": {"asked": 6, "contaminated": 1},
    "leaks": {"mean_bits": 1.4},
}


@pytest.fixture
def client(local_store: LocalStore) -> Iterator[Redis]:
    client = connect(local_store.url)
    client.flushall()
    client.hset("model:current", mapping=SHIPPED)
    yield client
    client.close()


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path / "models")


def shown(registry: Registry, serving: Serving | None, width: int = 160) -> str:
    console = Console(width=width, record=True, file=io.StringIO())
    models(registry, serving, console=console)
    return console.export_text()


def test_each_revision_is_told_with_its_state(registry: Registry, client: Redis) -> None:
    serving = Serving(client)
    first = add(registry, "first", gate=PASSED | {"figures": FIGURES})
    second, third = add(registry, "second", gate=REFUSED, parent=first), add(registry, "third", gate=LACKING)
    fourth = add(registry, "fourth", dataset={"counts": {"corrections": 9}, "feedback": ["c3"]})
    with standing_in(completion("Hello!")) as engine, owning(Owner(client, engine.url)):
        promote(registry, serving, first, by="U1")
        promote(registry, serving, fourth, canary=["C1"], by="U1")
    client.sadd("retrain:withdrawn", "a1", "b2", "zz")
    (registry.folder_of(third) / "model.safetensors").write_text("cut")
    found = {one.revision: one for one in models(registry, serving, console=Console(quiet=True))}
    assert list(found) == [first, second, third, fourth]
    assert [one.verdict for one in found.values()] == ["passed", "refused", "damaged", "passed"]
    assert [one.state for one in found.values()] == [("current",), (), (), ("canary",)]
    assert [one.withdrawn for one in found.values()] == [2, 2, 2, 0]
    assert found[fourth].channels == ("C1",)
    assert found[second].parent == first
    assert found[second].reasons == ("It stops less.",)
    assert "3 bytes" in found[third].reasons[0]
    text = shown(registry, serving)
    for words in (
        *(first, f"from {first}", "loop-smollm2", "team/small", "3 corrections", "48 replay", "2 taken back since"),
        *("ROUGE-L 0.312 (0.301)", "stopped 0.940 (0.920)", "as typed 3 of 3", "in other words 4 of 6"),
        *("contaminated 1 of 6", "exposed by 1.40 bits", "damaged", "current", "C1"),
        f"{second}: It stops less.",
    ):
        assert words in text, words
    assert first in shown(registry, serving, width=80)


def test_without_the_store_the_registry_tells_what_it_knows(registry: Registry) -> None:
    assert "No revision lies in" in shown(registry, None)
    first, second = add(registry, "first"), add(registry, "second")
    registry.set_current(first, "promote", "U1")
    registry.set_current(second, "promote", "U1")
    states = [one.state for one in models(registry, None, console=Console(quiet=True))]
    assert states == [("previous",), ("current",)]


def typed(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["dolly-trainer", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert isinstance(ended.value.code, int)
    return ended.value.code


def test_the_commands_in_a_terminal(
    registry: Registry,
    client: Redis,
    local_store: LocalStore,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    first, second = add(registry, "first"), add(registry, "second", gate=REFUSED)
    where = ("--models", str(registry.folder), "--redis-url", local_store.url)
    said: list[Any] = []
    with standing_in(completion("Hello!")) as engine, owning(Owner(client, engine.url)):
        assert typed(monkeypatch, "promote", "0001", *where) == 0
        said.append(capsys.readouterr().err)
        assert typed(monkeypatch, "promote", second, *where) == 1
        said.append(capsys.readouterr().err)
        assert typed(monkeypatch, "models", "--json", *where) == 0
        listed = json.loads(capsys.readouterr().out)
        assert typed(monkeypatch, "rollback", *where) == 0
        said.append(capsys.readouterr().err)
        assert typed(monkeypatch, "promote", "0001", "--canary", "C1", "--canary", "C2", *where) == 0
        said.append(capsys.readouterr().err)
    assert said[0].splitlines()[-1] == f"{first} is in service; before it was the model that Dolly was configured with."
    assert said[1].startswith(f"Error: The gate refused {second}. It stops less.")
    assert said[2].splitlines()[-1].endswith(f"is in service again; before it was {first}.")
    assert f"{first} answers in C1, C2" in said[3]
    assert [one["state"] for one in listed] == [["current"], []]


def test_a_store_that_is_away_is_a_sentence(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    first = add(registry, "first")
    where = ("--data", str(tmp_path))
    assert typed(monkeypatch, "promote", first, *where) == 1
    shown = capsys.readouterr()
    assert shown.err.startswith("Error: No store answers at ")
    assert "Traceback" not in shown.err + shown.out
    assert typed(monkeypatch, "models", *where) == 0
    shown = capsys.readouterr()
    assert "So this is what the registry alone knows." in shown.err
    assert first in shown.out.replace("\n", "")
    assert typed(monkeypatch, "models", "--redis-url", "nonsense://x", *where) == 2
    assert "REDIS_URL is no address of a store" in capsys.readouterr().err
