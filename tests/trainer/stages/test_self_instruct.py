"""`dolly-trainer self-instruct` over HTTP: to its end, killed on the way, and with engines that are no good."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from tests.trainer.self_instruct.scripted import Reply, asked, good_model, scripted, text, write_seeds
from trainer.artifacts import read_manifest
from trainer.errors import BadInput, EngineFailed, NothingKept, TrainerError
from trainer.recipe import load_recipe
from trainer.self_instruct import writing
from trainer.self_instruct.journal import JOURNAL
from trainer.self_instruct.past_run import RUN
from trainer.self_instruct.prompts import RAW, whole_task
from trainer.self_instruct.replies import NO_INPUT
from trainer.self_instruct.seeds import Instance, Seed
from trainer.self_instruct_choices import SelfInstructChoice
from trainer.sources import read_source
from trainer.stages.self_instruct import TRAIN, self_instruct

QUIET = Console(quiet=True)


@pytest.fixture
def seeds(tmp_path: Path) -> Path:
    return write_seeds(tmp_path / "seeds.jsonl")


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def write(seeds: Path, url: str, target: int = 30, *, resume: bool = False, **choice: Any) -> Path:
    out = seeds.parent / "out"
    chosen = SelfInstructChoice(**{"patience_requests": 8, **choice})
    return self_instruct(seeds, out, target=target, choice=chosen, engine_url=url, resume=resume, console=QUIET)


def test_what_is_written_can_be_trained_on(seeds: Path) -> None:
    with scripted() as told:
        out = write(seeds, told.url)
    manifest = read_manifest(out, "self_instruct", check=True)
    train = lines(out / TRAIN)
    assert len(train) == manifest["instances"] >= 30
    assert manifest["engine"] == {"kind": "llama.cpp", "model": "model", "prompts": "raw"}
    assert len(read_source(str(out / TRAIN)).entries) == len(train)
    by_task = {line["instruction"]: line["id"] for line in train}
    assert len(by_task) == len(set(by_task.values()))
    sorted_ones = [line for line in train if line["instruction"].startswith("Sort")]
    assert {line["output"] for line in sorted_ones} <= {"light", "heavy"}, "a classification's labels come first"
    shown = [asked(body) for body in told.requests]
    lists = [prompt for prompt in shown if prompt.startswith(RAW.instructions[0])]
    known = {json.loads(line)["instruction"] for line in seeds.read_text().splitlines()}
    examples = [line.split(". ", 1)[1] for line in lists[-1].splitlines() if ". " in line]
    assert len(set(examples) & known) == 6, "six seeds, and two that the model wrote"
    assert len(examples) == 8


def test_engines_that_only_answer_are_asked_by_chat(seeds: Path) -> None:
    with scripted(has_completions=False) as told:
        out = write(seeds, told.url, 12)
    assert read_manifest(out)["engine"]["prompts"] == "chat"
    assert all("messages" in body for body in told.requests)
    with scripted(has_completions=False) as told, pytest.raises(BadInput, match="takes no raw prompts"):
        self_instruct(
            seeds, seeds.parent / "raw", target=1, choice=SelfInstructChoice(prompts="raw"), engine_url=told.url
        )


def test_alpacas_way_asks_once_for_a_whole_task(seeds: Path) -> None:
    def reply(body: dict[str, Any]) -> tuple[int, Any]:
        if asked(body) == "1.":
            return text(" Hello")
        listed = good_model({"prompt": RAW.instructions[0], "seed": body["seed"]})[1]["choices"][0]["text"]
        tasks = [line.strip().removeprefix(f"{number}.") for number, line in enumerate(listed.splitlines(), 9)]
        shown = [whole_task(at, Seed(task.strip(), (Instance("", f"done {at}"),))) for at, task in enumerate(tasks, 4)]
        return text("".join(shown).removeprefix("###\n4. Instruction:"))

    choice = load_recipe("alpaca-llama-7b").self_instruct
    with scripted(reply) as told:
        out = self_instruct(seeds, seeds.parent / "out", target=20, choice=choice, engine_url=told.url, console=QUIET)
    assert {line["step"] for line in lines(out / JOURNAL)} == {"instructions"}
    assert all(line["input"] == "" and line["output"].startswith("done") for line in lines(out / TRAIN))
    assert asked(told.requests[-1]).count("Instruction:") == 4
    assert told.requests[-1]["temperature"] == 1.0


def test_killed_again_and_again_nothing_is_lost_and_nothing_comes_twice(seeds: Path, tmp_path: Path) -> None:
    def slow(body: dict[str, Any]) -> tuple[int, Any]:
        time.sleep(0.02)
        return good_model(body)

    out, kills, before = tmp_path / "out", 0, b""
    with scripted(slow) as told:
        while True:
            words = ["self-instruct", "--seeds", str(seeds), "--target", "60", "--out", str(out)]
            words += ["--engine-url", told.url, *(["--resume"] if (out / RUN).exists() else [])]
            command = subprocess.Popen(
                [sys.executable, "-m", "trainer", *words], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
            )
            started = time.monotonic()
            grown = len(before) + 1_500
            while command.poll() is None and kills < 3:
                if (out / JOURNAL).exists() and (out / JOURNAL).stat().st_size > grown:
                    command.send_signal(signal.SIGKILL)
                    kills += 1
                    break
                assert time.monotonic() < started + 60
                time.sleep(0.005)
            said = command.communicate(timeout=60)[1]
            now = (out / JOURNAL).read_bytes()
            assert now.startswith(before[: before.rfind(b"\n") + 1])
            before = now
            if command.returncode != -signal.SIGKILL:
                assert command.returncode == 0, said
                break
    assert kills == 3
    requests = [line["request"] for line in lines(out / JOURNAL)]
    assert len(requests) == len(set(requests))
    tasks = [task for line in lines(out / JOURNAL) for task in line.get("tasks", ())]
    assert len({task["id"] for task in tasks}) == len({task["instruction"] for task in tasks}) == len(tasks)
    kept = [line["id"] for line in lines(out / JOURNAL) if line["step"] == "instances"]
    assert len(kept) == len(set(kept))
    assert len(lines(out / TRAIN)) >= 60


def test_told_to_end_it_says_how_to_go_on(seeds: Path, tmp_path: Path) -> None:
    def slow(body: dict[str, Any]) -> tuple[int, Any]:
        time.sleep(0.02)
        return good_model(body)

    out = tmp_path / "out"
    with scripted(slow) as told:
        words = ["self-instruct", "--seeds", str(seeds), "--target", "5000", "--out", str(out)]
        command = subprocess.Popen(
            [sys.executable, "-m", "trainer", *words, "--engine-url", told.url],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        deadline = time.monotonic() + 60
        while not ((out / JOURNAL).exists() and (out / JOURNAL).stat().st_size) and time.monotonic() < deadline:
            time.sleep(0.01)
        command.send_signal(signal.SIGTERM)
        said, failed = command.communicate(timeout=60)
    assert command.returncode == 130
    assert b"go on with it by --resume" in said
    assert b"Traceback" not in failed


def test_a_finished_run_goes_on_to_a_higher_target(seeds: Path) -> None:
    with scripted() as told:
        write(seeds, told.url, 10)
        first = lines(seeds.parent / "out" / TRAIN)
        with pytest.raises(BadInput, match="Go on with it by --resume"):
            write(seeds, told.url, 20)
        with pytest.raises(BadInput, match="begun with other settings"):
            write(seeds, told.url, 20, resume=True, seed=1)
        again = lines(write(seeds, told.url, 20, resume=True) / TRAIN)
    assert len(again) >= 20
    assert [line for line in again if line in first] == first


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (lambda body: text("I am sorry."), "too_short"),
        (lambda body: text("ha " * 80), "repeats"),
        (lambda body: text(" Describe the way to our office."), "too_similar"),
        (lambda body: text(""), "empty"),
        (lambda body: (200, "<html>"), "no_completion"),
        (lambda body: text("I have begun to wri", "length"), "cut_off"),
    ],
)
def test_an_engine_that_is_no_good_ends_it_with_a_sentence(reply: Reply, reason: str, seeds: Path) -> None:
    with scripted(reply) as told, pytest.raises(NothingKept, match=rf"nothing was kept \(rejected so far: .*{reason} "):
        write(seeds, told.url, instance_tokens=9)
    rejected = [one["reason"] for line in lines(seeds.parent / "out" / JOURNAL) for one in line["rejected"]]
    assert reason in rejected


def test_tasks_of_which_no_instance_comes_end_it_too(seeds: Path) -> None:
    def no_instances(body: dict[str, Any]) -> tuple[int, Any]:
        prompt = asked(body)
        return text("Well.") if prompt.startswith((RAW.inputs_first[0], RAW.outputs_first[0])) else good_model(body)

    with scripted(no_instances) as told, pytest.raises(NothingKept, match="Of the last 8 requests for instances"):
        write(seeds, told.url)


def test_an_engine_that_is_late_is_waited_for_no_longer(seeds: Path) -> None:
    def late(body: dict[str, Any]) -> tuple[int, Any]:
        time.sleep(0.3)
        return text(" late")

    with scripted(late) as told, pytest.raises(NothingKept, match="timed_out"):
        write(seeds, told.url, timeout_seconds=0.05, prompts="chat", patience_requests=4)


def test_an_engine_that_goes_away_leaves_what_was_kept(seeds: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "BUSY_PAUSES_SECONDS", (0.01,))
    left = [40]

    def going(body: dict[str, Any]) -> tuple[int, Any]:
        left[0] -= 1
        return good_model(body) if left[0] > 0 else (503, {})

    with scripted(going) as told, pytest.raises((EngineFailed, TrainerError)):
        write(seeds, told.url, 500)
    before = lines(seeds.parent / "out" / JOURNAL)
    with scripted() as told:
        write(seeds, told.url, 30, resume=True)
    assert lines(seeds.parent / "out" / JOURNAL)[: len(before)] == before


def test_one_of_two_engines_is_named(seeds: Path) -> None:
    with pytest.raises(BadInput, match="name one of the two"):
        self_instruct(seeds, seeds.parent / "out", target=1, choice=SelfInstructChoice())


def test_ways_to_say_that_there_is_no_input() -> None:
    assert all(NO_INPUT.match(said) for said in ("<noinput>", "None.", "N/A", "no input"))
    assert not NO_INPUT.match("none of them")
