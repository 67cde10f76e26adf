"""Seeds of every shape, and what is said of one that is none."""

import hashlib
import json
from pathlib import Path

import pytest

from tests.trainer.evaluation.stand_in import standing_in
from trainer.artifacts import MANIFEST
from trainer.errors import BadInput
from trainer.readers import INPUT_KEY
from trainer.recipe import DatasetChoice
from trainer.self_instruct import seeds as seeds_module
from trainer.self_instruct.seeds import Instance, Seed, read_seeds
from trainer.stages.build_dataset import build_dataset

PUBLIC = Path(__file__).resolve().parents[4] / "shared/data/self-instruct/seed_tasks.jsonl"


def write(path: Path, *lines: object) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    return path


def test_the_public_seeds() -> None:
    if not PUBLIC.exists():
        pytest.skip(f"needs the public seeds, {PUBLIC.name}")
    seeds = read_seeds(PUBLIC)
    assert len(seeds) == 175
    assert sum(seed.is_classification is True for seed in seeds) == 26
    assert all(seed.instances and "\n" not in seed.instruction for seed in seeds)


def test_the_public_seeds_by_name_are_the_published_file_or_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    line = json.dumps({"instruction": "Do it well.", "instances": [{"input": "", "output": "x"}]})
    with standing_in() as server:
        server.page = line
        monkeypatch.setattr(seeds_module, "PUBLIC_URL", server.url)
        with pytest.raises(BadInput, match="gave another file"):
            read_seeds(seeds_module.PUBLIC)
        monkeypatch.setattr(seeds_module, "PUBLIC_SHA256", hashlib.sha256(line.encode()).hexdigest())
        assert read_seeds(seeds_module.PUBLIC) == [Seed("Do it well.", (Instance("", "x"),))]
    with pytest.raises(BadInput, match="could not be fetched"):
        read_seeds(seeds_module.PUBLIC)


def test_records_of_one_turn_are_seeds(tmp_path: Path) -> None:
    lines = (
        {"instruction": "Sort\nthese.", "input": "b, a", "output": "a, b"},
        {"messages": [{"role": "user", "content": f"Count.{INPUT_KEY}x x"}, {"role": "assistant", "content": "2"}]},
    )
    assert read_seeds(write(tmp_path / "a.jsonl", lines[0])) == [Seed("Sort these.", (Instance("b, a", "a, b"),))]
    assert read_seeds(write(tmp_path / "c.jsonl", lines[1])) == [Seed("Count.", (Instance("x x", "2"),))]


def test_approved_questions_are_seeds_and_others_are_none(tmp_path: Path) -> None:
    def line(question: str, state: str) -> dict[str, object]:
        return {
            "id": question,
            "conversation": f"T/{question}",
            "ts": "1.0",
            "channel": "C1",
            "messages": [{"role": "user", "content": question}],
            "answer": "No.",
            "rating": "down",
            "correction": "Yes.",
            "consent": True,
            "at": 1.0,
            "review": {"state": state},
        }

    path = write(tmp_path / "feedback.jsonl", line("Is it open?", "approved"), line("Who is ill?", "waiting"))
    assert read_seeds(path) == [Seed("Is it open?", (Instance("", "Yes."),))]


def test_a_data_set_is_read_for_what_it_trains_on(tmp_path: Path) -> None:
    lines = [{"instruction": f"Name {word}.", "input": "", "output": word} for word in ("one", "two", "three")]
    source = write(tmp_path / "own.jsonl", *lines)
    build_dataset([str(source)], tmp_path / "set", settings=DatasetChoice(near_duplicates=False), licence="the team's")
    assert (tmp_path / "set" / MANIFEST).is_file()
    assert {seed.instruction for seed in read_seeds(tmp_path / "set")} == {"Name one.", "Name two.", "Name three."}
    with pytest.raises(BadInput, match="is no data set"):
        read_seeds(tmp_path)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ({"instances": [{"output": "x"}]}, "line 2: instruction is missing"),
        ({"instruction": "Do it."}, "line 2: instances is missing"),
        ({"instruction": "Do it.", "instances": [{"input": "x"}]}, r"line 2: instances\[0\]: output is missing"),
        ({"instruction": "Do it.", "instances": [{"input": 3, "output": "x"}]}, "input is no text"),
        ({"instruction": "Do it.", "instances": [{"output": "x"}], "is_classification": "yes"}, "is_classification is"),
        ({"instruction": "Do it.", "output": ""}, "line 2: output is empty"),
        (["Do it."], "line 2: a seed is an object"),
        ({"instruction": "x", "motivation_app": "Y", "instances": [{"output": "x"}]}, "Models are judged by those"),
    ],
)
def test_a_line_that_is_no_seed_is_named(line: object, said: str, tmp_path: Path) -> None:
    good = {"instruction": "Do it well.", "instances": [{"input": "", "output": "x"}]}
    with pytest.raises(BadInput, match=said):
        read_seeds(write(tmp_path / "seeds.jsonl", good, line))


def test_files_that_hold_no_seed(tmp_path: Path) -> None:
    for text, said in (("", "holds no seed"), ("{", "line 1: is no JSON")):
        (tmp_path / "seeds.jsonl").write_text(text)
        with pytest.raises(BadInput, match=said):
            read_seeds(tmp_path / "seeds.jsonl")
    with pytest.raises(BadInput, match="cannot be read"):
        read_seeds(tmp_path / "nothing.jsonl")
