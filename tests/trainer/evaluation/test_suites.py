"""Questions are what stands before an answer; the 252 instructions keep their own references."""

import hashlib
import json
from pathlib import Path

import pytest

from tests.trainer.evaluation.stand_in import standing_in
from tests.trainer.superni import task, written
from trainer.errors import BadInput
from trainer.evaluation import suites
from trainer.records import Message, Record
from trainer.task_files import read_tasks

FILE = Path(__file__).resolve().parents[4] / "shared" / "data" / "self-instruct" / "user_oriented_instructions.jsonl"

TALK = (
    Message("system", "Be brief."),
    Message("user", "One?"),
    Message("assistant", "1"),
    Message("user", "Two?"),
    Message("assistant", "2"),
    Message("user", "Three?"),
    Message("assistant", "3"),
)


def test_a_conversation_is_asked_for_its_first_and_its_last_answer() -> None:
    first, last = suites.questions([Record("talk", TALK, "s", "counting")])
    assert (first.id, first.prompt, first.reference, first.is_later) == ("talk", TALK[:2], "1", False)
    assert (last.id, last.prompt, last.reference, last.is_later) == ("talk#6", TALK[:6], "3", True)
    assert first.category == last.category == "counting"
    assert [item.is_later for item in suites.questions([Record("short", TALK[:3], "s")])] == [False]


def test_a_sample_is_the_same_every_time_and_in_order() -> None:
    records = [Record(str(number), TALK, "s") for number in range(50)]
    drawn = suites.sample(records, 10, seed=7)
    assert drawn == suites.sample(records, 10, seed=7)
    assert drawn != suites.sample(records, 10, seed=8)
    assert [int(record.id) for record in drawn] == sorted(int(record.id) for record in drawn)
    assert suites.sample(records, 100, seed=7) == records


@pytest.mark.skipif(not FILE.exists(), reason=f"no {FILE.name} in {FILE.parent}")
def test_the_252_instructions() -> None:
    items = suites.instructions(FILE)
    assert len(items) == 252
    assert sum("\n\n### Input:\n" in item.prompt[0].content for item in items) == 208
    assert len({item.category for item in items}) == 71
    by_id = {item.id: item for item in items}
    same = by_id["user_oriented_task_89"], by_id["user_oriented_task_124"]
    assert same[0].prompt[0].content.split("\n")[0] == same[1].prompt[0].content.split("\n")[0]
    assert same[0].reference != same[1].reference
    assert hashlib.sha256(FILE.read_bytes()).hexdigest() == suites.INSTRUCTIONS_SHA256


def test_superni_asks_the_first_instances_of_english_tasks(tmp_path: Path) -> None:
    written(tmp_path, "a", task())
    written(tmp_path, "b", task(Instances=[{"id": f"b{number}", "input": "x", "output": ["y"]} for number in range(5)]))
    written(tmp_path, "c", task(Output_language=["Hindi"]))
    tasks = read_tasks(tmp_path)
    items, left_out = suites.superni(tasks, 3)
    assert [item.id for item in items] == ["task9-a", "a-1", "b0", "b1", "b2"]
    assert left_out == ["c"]
    first = items[0]
    assert first.prompt == (Message("user", tasks[0].prompt(tasks[0].instances[0])),)
    assert (first.suite, first.category, first.task) == ("superni", "Word Analogy", "a")
    assert first.references == ("cba", "c b a")
    with pytest.raises(BadInput, match="None of the 1 tasks is in English alone"):
        suites.superni(tasks[2:], 3)
    with pytest.raises(BadInput, match="Two instances have the id task9-a, in a and in a"):
        suites.superni(tasks[:1] * 2, 3)


def test_what_was_asked_has_a_hash(tmp_path: Path) -> None:
    items, _ = suites.superni(read_tasks(written(tmp_path, "a", task())), 2)
    said = suites.provenance(items, {"superni": tmp_path})
    assert said["superni"]["questions"] == 2
    assert said == suites.provenance(items, {"superni": tmp_path})
    assert said != suites.provenance(items[::-1], {"superni": tmp_path})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "holds no instructions"),
        ('{"id": "a", "instruction": "b", "instances": []}\n', ":1 is no user-oriented instruction"),
        ("not JSON\n", ":1 is no user-oriented instruction"),
    ],
)
def test_a_file_that_holds_something_else_is_named(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "other.jsonl"
    path.write_text(text)
    with pytest.raises(BadInput, match=said):
        suites.instructions(path)
    with pytest.raises(BadInput, match="cannot be read"):
        suites.instructions(tmp_path / "none.jsonl")


def test_a_download_is_the_published_file_or_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    line = json.dumps({"id": "a", "instruction": "b", "instances": [{"input": "", "output": "c"}]})
    with standing_in() as server:
        server.page = line
        monkeypatch.setattr(suites, "INSTRUCTIONS_URL", server.url)
        with pytest.raises(BadInput, match="another file"):
            suites.instructions(suites.DOWNLOAD)
        monkeypatch.setattr(suites, "INSTRUCTIONS_SHA256", hashlib.sha256(line.encode()).hexdigest())
        assert [item.reference for item in suites.instructions(suites.DOWNLOAD)] == ["c"]
    with pytest.raises(BadInput, match="could not be fetched"):
        suites.instructions(suites.DOWNLOAD)
