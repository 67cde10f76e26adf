"""A retrain from end to end on a tiny model: what it leaves, what it refuses, and that a kill changes nothing."""

import errno
import json
import multiprocessing
import os
import random
import time
from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from tests.trainer import tiny_loop
from tests.trainer.team_feedback import correction_line, record_id, write_lines
from trainer import retrain as retraining
from trainer.artifacts import read_manifest, sha256_of
from trainer.asked import retrain_file
from trainer.errors import BadInput, DiskFull, OutOfMemory, TrainerError
from trainer.following import Following
from trainer.options import Options
from trainer.retrain import Order, Outcome, retrain
from trainer.workplace import Workplace

QUIET = Console(quiet=True)
OF_FACTS = sorted(record_id(question) for question, *_ in tiny_loop.FACTS)


def by_hand(options: Options, feedback: Path) -> Outcome:
    outcome, _ = retrain_file(options, feedback, yes=False, console=QUIET)
    return outcome


def ordered(
    options: Options, feedback: Path, withdrawn: Callable[[Collection[str]], Collection[str]], name: str = "one"
) -> Outcome:
    order = Order(
        id=name,
        recipe=tiny_loop.recipe(),
        lines=lambda: feedback.read_text().splitlines(),
        withdrawn=withdrawn,
        replay=options.replay,
        base=options.base,
    )
    following = Following(QUIET)
    return retrain(order, work=options.work_folder, registry=options.registry, following=following, console=QUIET)[0]


def work_folder(options: Options) -> Path:
    """Of the one retrain that there was."""
    (folder,) = (path for path in options.work_folder.iterdir() if path.name.startswith("hand-"))
    return folder


@pytest.mark.timeout(240)
def test_a_candidate_comes_of_feedback(made_loop: Path, tmp_path: Path) -> None:
    options, feedback = tiny_loop.options(tmp_path, made_loop), tiny_loop.feedback(tmp_path / "feedback.jsonl")
    outcome = by_hand(options, feedback)
    assert (outcome.verdict, outcome.sentence) == ("passed", f"Revision {outcome.revision}: The smoke gate is passed.")

    registry = options.registry
    manifest = registry.manifest(outcome.revision, check=True)
    folder = registry.folder_of(outcome.revision)
    assert outcome.revision == f"0001-{sha256_of(folder / 'model.safetensors')[:8]}"
    told = manifest["registry"]
    assert told["dataset"]["feedback"] == OF_FACTS
    assert (told["dataset"]["counts"]["corrections"], told["dataset"]["withdrawn_since"]) == (2, [])
    assert (told["parent"], told["recipe"]["name"], told["gate"]["passed"]) == (None, "tiny-loop", True)
    assert told["evaluation"]["corrections"]["asked"] == 2
    assert registry.current() is None  # to promote is another act
    neighbours = told["dataset"]["counts"]
    assert neighbours["neighbours"] + neighbours["neighbours_held_out"] >= 2

    left = work_folder(options)
    assert {path.name for path in left.iterdir()} == {"state.json", "plot.png"}
    assert (left / "plot.png").read_bytes().startswith(b"\x89PNG")
    assert "office" not in (left / "state.json").read_text()
    assert left.stat().st_mode & 0o777 == options.work_folder.stat().st_mode & 0o777 == 0o700

    assert by_hand(options, feedback) == outcome
    assert registry.revisions() == [outcome.revision]


@pytest.mark.timeout(240)
def test_a_kill_after_the_candidate_was_kept_adds_no_second_one(
    made_loop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options, feedback = tiny_loop.options(tmp_path, made_loop), tiny_loop.feedback(tmp_path / "feedback.jsonl")

    def killed(self: Workplace, facts: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Workplace, "end", killed)
        with pytest.raises(KeyboardInterrupt):
            by_hand(options, feedback)
    (kept,) = options.registry.revisions()
    assert by_hand(options, feedback).revision == kept
    assert options.registry.revisions() == [kept]


@pytest.mark.timeout(240)
def test_what_the_gate_refuses_is_kept_and_said(made_loop: Path, tmp_path: Path) -> None:
    options = tiny_loop.options(
        tmp_path, made_loop, overrides=("tune.learning_rate=1e-9", "gate.corrections_learned=1.0")
    )
    outcome = by_hand(options, tiny_loop.feedback(tmp_path / "feedback.jsonl"))
    assert outcome.verdict == "refused"
    assert "The smoke gate refuses this model:" in outcome.sentence
    gate = options.registry.manifest(outcome.revision)["registry"]["gate"]
    assert [refusal["check"] for refusal in gate["refusals"]] == ["corrections"]
    assert options.registry.current() is None


def test_nothing_is_learned_of_what_nobody_approved(made_loop: Path, tmp_path: Path) -> None:
    waiting = correction_line("When does the office open?", "At nine.", review={"state": "waiting"})
    options = tiny_loop.options(tmp_path, made_loop)
    with pytest.raises(BadInput, match="1 corrections wait for a review"):
        by_hand(options, write_lines(tmp_path / "feedback.jsonl", [waiting]))
    assert options.registry.revisions() == []


@pytest.mark.timeout(240)
def test_what_is_withdrawn_is_left_out_or_said_to_be_in_it(made_loop: Path, tmp_path: Path) -> None:
    options = tiny_loop.options(tmp_path, made_loop)
    first, second = (record_id(question) for question, *_ in tiny_loop.FACTS)
    withdrawn = {first}
    outcome = ordered(
        options, tiny_loop.feedback(tmp_path / "feedback.jsonl"), lambda records: withdrawn & set(records)
    )
    told = options.registry.manifest(outcome.revision)["registry"]["dataset"]
    assert (told["feedback"], told["withdrawn_since"]) == ([second], [])

    asked: list[Collection[str]] = []

    def later(records: Collection[str]) -> Collection[str]:
        """Nothing while it is mixed, then one."""
        asked.append(records)
        return {second} & set(records) if len(asked) > 1 else ()

    outcome = ordered(options, tiny_loop.feedback(tmp_path / "feedback.jsonl"), later, name="another")
    told = options.registry.manifest(outcome.revision)["registry"]["dataset"]
    assert (told["feedback"], told["withdrawn_since"]) == (sorted([first, second]), [second])


@pytest.mark.timeout(240)
def test_a_retrain_can_start_from_what_is_in_service(made_loop: Path, tmp_path: Path) -> None:
    options = tiny_loop.options(tmp_path, made_loop)
    first = by_hand(options, tiny_loop.feedback(tmp_path / "feedback.jsonl")).revision
    options.registry.set_current(first, "promote", "test")
    second = by_hand(
        replace(options, overrides=("retrain.start=current",)), tiny_loop.feedback(tmp_path / "feedback.jsonl")
    ).revision
    told = options.registry.manifest(second)["registry"]
    assert (told["parent"], told["evaluation"]["models"]["current"]["gguf_sha256"]) == (
        first,
        read_manifest(options.registry.folder_of(first))["files"]["model-f16.gguf"]["sha256"],
    )
    assert second.partition("-")[2] != first.partition("-")[2]


@pytest.mark.parametrize(
    ("fault", "error", "said"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), DiskFull, "The disk of .* is full"),
        (MemoryError(), OutOfMemory, "too little memory"),
        (
            RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9"),
            OutOfMemory,
            "too little",
        ),
    ],
)
def test_what_disk_and_memory_do_is_said(
    made_loop: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    fault: Exception,
    error: type[Exception],
    said: str,
) -> None:
    options = tiny_loop.options(tmp_path, made_loop)

    def fails(*_: object, **__: object) -> None:
        raise fault

    monkeypatch.setattr(retraining, "mix", fails)
    with pytest.raises(error, match=said):
        by_hand(options, tiny_loop.feedback(tmp_path / "feedback.jsonl"))
    assert (work_folder(options) / "feedback.jsonl").exists()  # the same command goes on


def test_what_always_ends_at_one_place_is_given_up(tmp_path: Path) -> None:
    for _ in range(3):
        with Workplace(tmp_path / "retrain", "one") as place:
            place.tried("tune step-000003", 3)
    with Workplace(tmp_path / "retrain", "one") as place, pytest.raises(TrainerError, match=r"ended 3 times .* memory"):
        place.tried("tune step-000003", 3)
    with Workplace(tmp_path / "retrain", "one") as place:
        place.tried("tune step-000006", 3)


def test_what_nobody_went_on_with_for_a_week_keeps_no_feedback(tmp_path: Path) -> None:
    for name, days in (("old", 8), ("new", 6)):
        with Workplace(tmp_path, name) as place:
            place.note({"recipe": {}})
        (tmp_path / name / "feedback.jsonl").write_text("said")
        (tmp_path / name / "run").mkdir()
        for path in (*(tmp_path / name).iterdir(), tmp_path / name):
            os.utime(path, (time.time() - days * 86_400,) * 2)
    with Workplace(tmp_path, "another"):
        pass
    assert {path.name for path in (tmp_path / "old").iterdir()} == {"state.json"}
    assert {path.name for path in (tmp_path / "new").iterdir()} == {"state.json", "feedback.jsonl", "run"}


def test_two_retrains_in_one_work_folder_are_refused(made_loop: Path, tmp_path: Path) -> None:
    options = tiny_loop.options(tmp_path, made_loop)
    with Workplace(options.work_folder, "another"), pytest.raises(BadInput, match="Another retrain runs"):
        by_hand(options, tiny_loop.feedback(tmp_path / "feedback.jsonl"))


@pytest.mark.timeout(600)
@pytest.mark.parametrize("kills", [3, pytest.param(20, marks=[pytest.mark.slow_trainer, pytest.mark.timeout(1800)])])
def test_whenever_it_is_killed_the_same_candidate_comes_of_it(made_loop: Path, tmp_path: Path, kills: int) -> None:
    feedback = tiny_loop.feedback(tmp_path / "feedback.jsonl")
    whole = tiny_loop.options(tmp_path / "whole", made_loop)
    began = time.monotonic()
    revision = run_alone(whole, feedback)
    took = time.monotonic() - began
    weights = revision.partition("-")[2]
    moments = [random.uniform(0.02, 1.0) for _ in range(kills)]
    for number, moment in enumerate(moments):
        options = tiny_loop.options(tmp_path / f"killed-{number}", made_loop)
        run_alone(options, feedback, kill_after=moment * took)
        half = [path.name for path in options.registry.folder.glob("*-*") if not (path / "manifest.json").is_file()]
        assert half == [], moment
        assert run_alone(options, feedback).partition("-")[2] == weights, f"killed after {moment:.3f} of {took:.1f} s"
        (kept,) = options.registry.revisions()
        options.registry.manifest(kept, check=True)
        assert {path.name for path in work_folder(options).iterdir()} == {"state.json", "plot.png"}, moment


def run_alone(options: Options, feedback: Path, *, kill_after: float | None = None) -> str:
    """The revision that comes of it; "" where it was killed before it ended."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.trainer.tiny_loop", "trainer.retrain"])
    process = context.Process(target=tiny_loop.retrain_alone, args=(options, str(feedback)))
    process.start()
    process.join(kill_after if kill_after is not None else 120)
    if process.is_alive():
        process.kill()
        process.join()
        assert kill_after is not None, "it hung"
        return ""
    assert process.exitcode == 0, (options.data / "log").read_text()
    told: str = json.loads((options.data / "outcome.json").read_text())["revision"]
    return told
