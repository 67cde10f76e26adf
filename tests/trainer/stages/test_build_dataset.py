"""From files to a data set, with everything that was left out counted, named and written down."""

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from tests.trainer import superni
from trainer.artifacts import read_manifest, sha256_of
from trainer.datasets import read_split
from trainer.errors import BadInput
from trainer.recipe import DatasetChoice, load_recipe
from trainer.sources import ALPACA, KNOWN
from trainer.stages.build_dataset import build_dataset

DATA = Path(__file__).parents[4] / "shared" / "data"
SETTINGS = DatasetChoice(held_out_records=2)


def chat(question: str, answer: str = "Fine.") -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]}


def written(path: Path, *values: Any) -> str:
    path.write_text("".join(value if isinstance(value, str) else json.dumps(value) + "\n" for value in values))
    return str(path)


def shown() -> tuple[Console, io.StringIO]:
    out = io.StringIO()
    return Console(file=out, width=200), out


def test_everything_left_out_is_counted_and_named(tmp_path: Path) -> None:
    rated = {"rating": "up", "answer": "Up there.", "consent": True, "conversation": "t", "ts": "1"}
    chats = written(
        tmp_path / "chats.jsonl",
        *(chat(f"How is number {number} today?") for number in range(20)),
        "{oops\n",
        chat("Empty?", " "),
        chat("how is   number 7 today"),
        chat("Name five museums of Paris that are open on Mondays."),
    )
    feedback = written(
        tmp_path / "feedback.jsonl",
        rated | {"messages": [{"role": "user", "content": "Where?"}]},
        rated | {"messages": [{"role": "user", "content": "Where to?"}], "rating": "down"},
        rated | {"messages": [{"role": "user", "content": "Where from?"}], "consent": False},
    )
    evaluation = tmp_path / "tasks.jsonl"
    instruction = "Name five museums of Paris that are open on mondays"
    written(evaluation, {"instruction": instruction, "instances": [{"input": "", "output": ""}]})
    console, said = shown()
    manifest = build_dataset(
        [chats, f"feedback:{feedback}"], tmp_path / "set", settings=SETTINGS, evaluation=[evaluation], console=console
    )
    assert manifest["counts"] == {
        "lines": 27,
        "records": 21,
        "train": 19,
        "held_out": 2,
        "not_drawn": 0,
        "rejected": {
            "bad_line": 1,
            "empty_answer": 1,
            "in_evaluation": 1,
            "near_duplicate": 1,
            "no_consent": 1,
            "nothing_to_learn": 1,
        },
    }
    assert manifest == read_manifest(tmp_path / "set", "dataset", check=True)
    assert [source["records"] for source in manifest["sources"]] == [22, 1]
    assert manifest["evaluation"][0]["name"] == "tasks.jsonl"
    assert manifest["non_commercial"] is False
    assert len(read_split(tmp_path / "set", "train")) == 19
    rejects = [json.loads(line) for line in (tmp_path / "set" / "rejects.jsonl").read_text().splitlines()]
    assert {(reject["file"], reject["line"], reject["why"]) for reject in rejects} == {
        ("chats.jsonl", 21, "bad_line"),
        ("chats.jsonl", 22, "empty_answer"),
        ("chats.jsonl", 23, "near_duplicate"),
        ("chats.jsonl", 24, "in_evaluation"),
        ("feedback.jsonl", 2, "nothing_to_learn"),
        ("feedback.jsonl", 3, "no_consent"),
    }
    assert "chats.jsonl, line 21: is no JSON" in said.getvalue()
    assert "NOT FOR COMMERCIAL USE" not in said.getvalue()


def test_a_licence_is_told_where_it_would_be_presumed(tmp_path: Path) -> None:
    alpaca_shaped = {"instruction": "Name a colour.", "input": "", "output": "Red."}
    source = written(tmp_path / "ours.jsonl", alpaca_shaped)
    console, said = shown()
    presumed = build_dataset([source], tmp_path / "presumed", settings=SETTINGS, console=console)
    assert presumed["non_commercial"] is True
    assert "--licence" in said.getvalue()
    console, said = shown()
    told = build_dataset([source], tmp_path / "told", settings=SETTINGS, licence="ours", console=console)
    assert told["non_commercial"] is False
    assert (told["sources"][0]["licence"], told["sources"][0]["note"]) == ("ours", "As told on the command line.")
    assert "NOT FOR COMMERCIAL USE" not in said.getvalue()
    told = build_dataset([source], tmp_path / "nc", settings=SETTINGS, licence="CC BY-NC 4.0", console=console)
    assert told["non_commercial"] is True


def test_a_licence_that_is_known_is_not_told_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = written(tmp_path / "a.jsonl", chat("Hello there, how are you?"))
    monkeypatch.setitem(KNOWN, sha256_of(Path(source)), ALPACA)
    console, _ = shown()
    with pytest.raises(BadInput, match=r"here a\.jsonl is CC BY-NC 4\.0"):
        build_dataset([source], tmp_path / "set", settings=SETTINGS, licence="ours", console=console)


def test_near_duplicates_stay_where_counts_must_hold(tmp_path: Path) -> None:
    source = written(tmp_path / "a.jsonl", chat("Hello there, how are you?"), chat("Hello there, how are you?"))
    settings = replace(SETTINGS, near_duplicates=False)
    console, _ = shown()
    manifest = build_dataset([source], tmp_path / "set", settings=settings, console=console)
    assert manifest["counts"]["records"] == 2


def test_what_is_not_drawn_is_counted(tmp_path: Path) -> None:
    source = written(tmp_path / "a.jsonl", *(chat(f"How is number {number} today?") for number in range(20)))
    console, said = shown()
    settings = replace(SETTINGS, train_records=5)
    counts = build_dataset([source], tmp_path / "set", settings=settings, console=console)["counts"]
    assert (counts["train"], counts["held_out"], counts["not_drawn"]) == (5, 2, 13)
    assert "not drawn" in said.getvalue()


def test_an_empty_data_set_is_bad_input(tmp_path: Path) -> None:
    console, _ = shown()
    source = written(tmp_path / "a.jsonl", chat("Hello?", ""))
    with pytest.raises(BadInput, match=r"nothing to learn from in .*a\.jsonl, line 1: messages\[1\] .* is empty"):
        build_dataset([source], tmp_path / "set", settings=SETTINGS, console=console)
    assert not (tmp_path / "set").exists()


def test_superni_tasks_are_never_trained_on(tmp_path: Path) -> None:
    superni.written(tmp_path / "tasks", "a", superni.task())
    rows = [
        {"instruction": "Turn the word around.", "input": text, "output": "x"} for text in ("abc", "abd", "abe", "x!")
    ]
    manifest = build_dataset(
        [written(tmp_path / "a.jsonl", *rows)],
        tmp_path / "set",
        settings=replace(SETTINGS, held_out_records=1, near_duplicates=False),
        evaluation=[tmp_path / "tasks"],
        console=Console(quiet=True),
    )
    assert manifest["counts"]["rejected"] == {"in_evaluation": 2}
    assert manifest["evaluation"] == [{"name": "tasks", "sha256": None}]


def test_a_place_that_is_taken_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "mine.txt").write_text("mine")
    console, _ = shown()
    with pytest.raises(BadInput, match="exists already"):
        build_dataset([written(tmp_path / "a.jsonl", chat("Hi"))], tmp_path / "set", settings=SETTINGS, console=console)
    assert [path.name for path in (tmp_path / "set").iterdir()] == ["mine.txt"]


@pytest.mark.skipif(not DATA.is_dir(), reason="needs ../shared/data, the public data sets")
def test_alpacas_counts_hold_and_its_licence_is_said_loudly(tmp_path: Path) -> None:
    console, said = shown()
    manifest = build_dataset(
        [str(DATA / "alpaca" / "alpaca_data.json")],
        tmp_path / "set",
        settings=load_recipe("dolly-v1-gptj-6b").dataset,
        evaluation=[DATA / "self-instruct" / "user_oriented_instructions.jsonl"],
        console=console,
    )
    assert manifest["counts"] == {
        "lines": 52_002,
        "records": 51_974,
        "train": 50_974,
        "held_out": 1_000,
        "not_drawn": 0,
        "rejected": {"empty_answer": 28},
    }
    assert manifest["non_commercial"] is True
    assert manifest["sources"][0]["licence"] == "CC BY-NC 4.0"
    assert "NOT FOR COMMERCIAL USE" in said.getvalue()
    assert "line 1422: output is empty" in said.getvalue()
