"""A retrain's data set: what is in it, what its gate will ask, and what stays out."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from tests.trainer.team_feedback import FACTS, correction_line, facts, liked_line, record_id, write_lines
from trainer.artifacts import read_manifest
from trainer.datasets import read_split
from trainer.errors import BadInput, NotWhole
from trainer.gate_questions import read_questions
from trainer.recipe import Recipe, load_recipe
from trainer.records import Message
from trainer.stages.mix import mix

QUIET = Console(quiet=True)
OVERRIDES = [
    "retrain.replay_records=20",
    "retrain.corrections_repeat=6",
    "retrain.neighbours_repeat=2",
    "retrain.neighbours_held_out=0.5",
    "retrain.canaries=8",
]


def own(prompts: Sequence[Sequence[Message]]) -> list[str]:
    """A model in service, as predictable as it should be."""
    return [f"Nothing that I know of: {prompt[-1].content}" for prompt in prompts]


def replay(tmp_path: Path) -> str:
    lines = [
        {"instruction": f"Write down what number {number} is made of.", "output": f"{number} is {number - 1} and 1."}
        for number in range(60)
    ]
    return f"alpaca:{write_lines(tmp_path / 'replay.jsonl', lines)}"


def recipe(*overrides: str) -> Recipe:
    return load_recipe("loop-smollm2", [*OVERRIDES, *overrides])


def mixed(tmp_path: Path, lines: Sequence[dict[str, Any]], *overrides: str, **more: Any) -> Path:
    feedback = write_lines(tmp_path / "feedback.jsonl", lines)
    out = tmp_path / "dataset"
    mix(feedback, [replay(tmp_path)], out, recipe=recipe(*overrides), answer=own, console=QUIET, **more)
    return out


def test_corrections_neighbours_replay_and_canaries_are_mixed(tmp_path: Path) -> None:
    out = mixed(tmp_path, facts())
    manifest, train = read_manifest(out, "dataset", check=True), read_split(out, "train")
    counts = manifest["counts"]
    assert (counts["corrections"], counts["correction_records"]) == (3, 18)
    assert (counts["neighbours"], counts["neighbours_held_out"], counts["neighbour_records"]) == (3, 3, 6)
    assert (counts["replay"], counts["canaries"], counts["held_out"]) == (20, 8, 12)
    assert counts["replay_later_turns"] >= 4
    assert counts["train"] == len(train) == 18 + 6 + 20
    assert manifest["feedback"] == sorted(record_id(question) for question, *_ in FACTS)
    assert {source["name"] for source in manifest["sources"]} == {"feedback.jsonl", "replay.jsonl"}
    assert manifest["non_commercial"]  # Alpaca's shape
    system = recipe().retrain.system_prompt
    assert all(record.messages[0] == Message("system", system) for record in train)
    assert len({record.id for record in train}) == len(train)


def test_the_gates_questions_lie_beside_it_and_none_is_trained_on(tmp_path: Path) -> None:
    out = mixed(tmp_path, facts())
    asked = read_questions(out)
    assert [one.question for one in asked.corrections] == [question for question, *_ in FACTS]
    assert all(one.is_trained and len(one.paraphrases) == 2 for one in asked.corrections)
    assert [one.is_trained for one in asked.neighbours] == [True, False] * 3
    assert all(one.answer == own([one.prompt])[0] for one in asked.neighbours)
    assert len(asked.canaries) == 8
    learned = {message.content for record in read_split(out, "train") for message in record.messages}
    held_back = [one.question for one in asked.neighbours if not one.is_trained]
    for question in [*held_back, *(text for one in asked.corrections for text in one.paraphrases)]:
        assert question not in learned
    by_id = {record.id: record for record in read_split(out, "train")}
    assert all(by_id[one.record_id].messages[:3] == one.answered(one.code) for one in asked.canaries)


def test_the_same_feedback_gives_the_same_data_set(tmp_path: Path) -> None:
    files = ("train.jsonl", "held_out.jsonl", "corrections.jsonl", "neighbours.jsonl", "canaries.jsonl")
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first, second = mixed(tmp_path / "a", facts()), mixed(tmp_path / "b", facts())
    assert [(first / name).read_bytes() for name in files] == [(second / name).read_bytes() for name in files]


def test_what_was_withdrawn_leaves_no_trace(tmp_path: Path) -> None:
    question, correction, neighbours, _ = FACTS[1]
    out = mixed(tmp_path, facts(), withdrawn={record_id(question)})
    text = "".join(path.read_text(encoding="utf-8") for path in out.iterdir())
    assert "Priya" not in text
    assert correction not in text
    assert neighbours[0] not in text
    manifest = read_manifest(out)
    assert manifest["counts"]["withdrawn"] == 1
    assert record_id(question) not in manifest["feedback"]


def test_liked_answers_are_learned_where_the_recipe_says_so(tmp_path: Path) -> None:
    (tmp_path / "with").mkdir()
    lines = [*facts(), liked_line("How do I greet a client?", "With their name and a smile.")]
    plain = mixed(tmp_path, lines)
    assert read_manifest(plain)["counts"]["liked"] == 0
    liked = mixed(tmp_path / "with", lines, "retrain.liked=true")
    assert read_manifest(liked)["counts"]["liked"] == 1
    assert [record.source for record in read_split(liked, "train")].count("liked") == 1


def test_some_corrections_of_many_are_held_out(tmp_path: Path) -> None:
    lines = [
        correction_line(f"What is the door code of room {number}?", f"It is {number * 7}.") for number in range(30)
    ]
    out = mixed(tmp_path, lines)
    held_out = [one for one in read_questions(out).corrections if not one.is_trained]
    assert len(held_out) == read_manifest(out)["counts"]["corrections_held_out"] == 3
    learned = {record.id.partition("#")[0] for record in read_split(out, "train")}
    assert not learned & {one.id for one in held_out}


def test_a_correction_that_asks_what_models_are_evaluated_on_is_not_learned(tmp_path: Path) -> None:
    held_out = read_split(mixed(tmp_path, facts()), "held_out")
    (tmp_path / "again").mkdir()
    question = held_out[0].messages[1].content
    out = mixed(tmp_path / "again", [*facts(), correction_line(question, "Of nothing.", id="f" * 24)])
    assert read_manifest(out)["counts"]["rejected"] == {"in_evaluation": 1}
    assert "f" * 24 not in read_manifest(out)["feedback"]


def test_without_anything_approved_there_is_nothing_to_learn(tmp_path: Path) -> None:
    lines = [correction_line("Where is the key?", "Under the mat.", review={"state": "waiting"})]
    with pytest.raises(BadInput, match="1 corrections wait for a review"):
        mixed(tmp_path, lines)
    assert not (tmp_path / "dataset").exists()


def test_a_replay_too_small_to_hold_anything_out_is_refused(tmp_path: Path) -> None:
    small = write_lines(tmp_path / "small.jsonl", [{"instruction": "Say yes.", "output": "Yes."}])
    feedback = write_lines(tmp_path / "feedback.jsonl", facts())
    with pytest.raises(BadInput, match="a retrain needs both"):
        mix(feedback, [f"alpaca:{small}"], tmp_path / "out", recipe=recipe(), answer=own, console=QUIET)


def test_the_starter_set_is_replayed_where_none_is_named(tmp_path: Path) -> None:
    feedback = write_lines(tmp_path / "feedback.jsonl", facts())
    chosen = load_recipe("loop-smollm2")
    manifest = mix(feedback, None, tmp_path / "out", recipe=chosen, answer=own, console=QUIET)
    assert manifest["counts"]["replay"] == chosen.retrain.replay_records
    assert manifest["counts"]["canaries"] == 16
    assert manifest["counts"]["held_out"] == chosen.dataset.held_out_records
    assert not manifest["non_commercial"]
    assert {source["licence"] for source in manifest["sources"]} == {"the team's own", "Apache-2.0"}


def test_a_data_set_of_another_kind_has_no_questions(tmp_path: Path) -> None:
    out = mixed(tmp_path, facts())
    manifest = json.loads((out / "manifest.json").read_text())
    del manifest["files"]["canaries.jsonl"]
    (out / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(NotWhole, match=r"has no canaries.jsonl"):
        read_questions(out)
