"""Files, directories and the hub's library as sources of records; licences; bad lines named and kept."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.trainer import superni
from trainer.duplicates import in_evaluation
from trainer.errors import BadInput
from trainer.readers import INPUT_KEY, Reject
from trainer.records import Message, Record
from trainer.sources import Source, read_evaluation, read_source
from trainer.task_files import read_tasks

DATA = Path(__file__).parents[3] / "shared" / "data"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="needs ../shared/data, the public data sets")

ALPACA = {"instruction": "Name a colour.", "input": "", "output": "Red."}
CHAT = {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello."}]}


def written(path: Path, *values: Any) -> Path:
    path.write_text("".join(json.dumps(value) + "\n" for value in values), encoding="utf-8")
    return path


def kept(source: Source) -> list[Record]:
    return [entry for entry in source.entries if isinstance(entry, Record)]


def rejected(source: Source) -> list[Reject]:
    return [entry for entry in source.entries if isinstance(entry, Reject)]


def test_bad_lines_are_named_and_the_rest_is_read(tmp_path: Path) -> None:
    path = tmp_path / "mixed.jsonl"
    good = json.dumps(CHAT).encode()
    path.write_bytes(
        b"\xef\xbb\xbf" + good + b"\r\n\n{oops\n" + b'{"messages": "\xff"}\n' + b"[" * 100_000 + b"\n" + b"7\n"
        b"1" + b"0" * 5000 + b"\n" + good
    )
    source = read_source(str(path))
    assert [record.id for record in kept(source)] == ["mixed.jsonl:1", "mixed.jsonl:8"]
    assert [(reject.file, reject.line, reject.why) for reject in rejected(source)] == [
        ("mixed.jsonl", line, "bad_line") for line in (3, 4, 5, 6, 7)
    ]
    reasons = [reject.reason for reject in rejected(source)]
    assert reasons[0].startswith("is no JSON: Expecting property name")
    assert reasons[1:] == [
        "is not UTF-8",
        "is no JSON: nested too deeply",
        "a record is an object, and this is a number",
        "is no JSON: a number of too many digits",
    ]
    assert rejected(source)[0].text == "{oops"


def test_items_of_a_list_are_known_by_their_lines(tmp_path: Path) -> None:
    path = tmp_path / "list.json"
    path.write_text(json.dumps([ALPACA, ALPACA | {"output": ""}, ALPACA], indent=4))
    source = read_source(str(path))
    assert [record.id for record in kept(source)] == ["list.json:2", "list.json:12"]
    assert [(reject.line, reject.why) for reject in rejected(source)] == [(7, "empty_answer")]
    assert json.loads(rejected(source)[0].text)["instruction"] == "Name a colour."


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('[{"a": 1},\n{"b": }\n]', r"broken\.json, line 2: is no JSON"),
        ('[{"a": 1}\n{"b": 2}]', r"broken\.json, line 2: .*a comma or the end of the list is missing"),
        ('[\n{"a": 1},\n', r"broken\.json, line 3: is no JSON"),
        ("", "is empty"),
        ("\n\n", "is empty"),
        ("[]", "is empty"),
        ('{"text": "a"}', "holds no record that Dolly knows"),
        ("no json", "holds no record that Dolly knows"),
    ],
)
def test_what_holds_no_records_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "broken.json").write_text(text)
    with pytest.raises(BadInput, match=reason):
        read_source(str(tmp_path / "broken.json"))


def test_what_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"none\.json cannot be read: No such file"):
        read_source(f"alpaca:{tmp_path}/none.json")


def test_two_files_of_one_name_give_other_ids(tmp_path: Path) -> None:
    first = read_source(str(written(tmp_path / "a.jsonl", CHAT)))
    second = read_source(f"chat:{tmp_path / 'a.jsonl'}", [first.name])
    assert (kept(first)[0].id, kept(second)[0].id) == ("a.jsonl:1", "a.jsonl-2:1")
    assert first.sha256 == second.sha256


def test_a_parquet_file_and_a_directory_are_read_by_the_hubs_library(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    arrow = pytest.importorskip("pyarrow")
    folder = tmp_path / "mine"
    folder.mkdir()
    parquet.write_table(arrow.Table.from_pylist([ALPACA, ALPACA | {"output": ""}]), folder / "train.parquet")
    alone = read_source(str(folder / "train.parquet"))
    assert [record.id for record in kept(alone)] == ["train.parquet:1"]
    assert alone.licence.non_commercial
    (folder / "README.md").write_text("---\nlanguage: en\nlicense: mit\n---\n# Mine\n")
    for spec in (str(folder), f"hub:{folder}"):
        source = read_source(spec)
        assert (source.name, source.kind, len(kept(source)), len(rejected(source))) == ("mine", "alpaca", 1, 1)
        assert (source.licence.name, source.licence.non_commercial) == ("mit", False)
    (folder / "README.md").write_text("---\nlicense: cc-by-nc-4.0\n---\n")
    assert read_source(str(folder)).licence.non_commercial


def test_a_directory_without_data_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="cannot be read as a data set"):
        read_source(f"hub:{tmp_path}")


def test_licences_by_shape(tmp_path: Path) -> None:
    alpaca = read_source(str(written(tmp_path / "a.jsonl", ALPACA))).licence
    assert alpaca.non_commercial
    assert alpaca.note.startswith("Presumed")
    dolly = read_source(str(written(tmp_path / "d.jsonl", {"instruction": "a", "response": "b"}))).licence
    assert (dolly.name, dolly.non_commercial) == ("CC BY-SA 3.0", False)
    assert read_source(str(written(tmp_path / "c.jsonl", CHAT))).licence.name == "not stated"


def test_the_evaluation_set_is_no_source(tmp_path: Path) -> None:
    task = {"id": "t", "instruction": "Write.", "instances": [{"input": "x", "output": "y"}]}
    path = written(tmp_path / "tasks.jsonl", task)
    with pytest.raises(BadInput, match="never trained"):
        read_source(str(path))
    assert read_evaluation(path) == [("Write.", "x")]
    assert read_evaluation(written(tmp_path / "chat.jsonl", CHAT)) == [("Hi", "")]
    with pytest.raises(BadInput, match=r"odd\.jsonl, line 2: .*is read whole"):
        read_evaluation(written(tmp_path / "odd.jsonl", task, {"instruction": "a"}))
    (tmp_path / "bad.jsonl").write_text("{")
    with pytest.raises(BadInput, match=r"bad\.jsonl, line 1: is no JSON"):
        read_evaluation(tmp_path / "bad.jsonl")


@needs_data
def test_the_public_files_are_read_whole() -> None:
    alpaca = read_source(str(DATA / "alpaca" / "alpaca_data.json"))
    assert (len(alpaca.entries), len(kept(alpaca)), alpaca.kind) == (52_002, 51_974, "alpaca")
    assert {reject.why for reject in rejected(alpaca)} == {"empty_answer"}
    assert (alpaca.licence.name, alpaca.licence.non_commercial) == ("CC BY-NC 4.0", True)
    assert not alpaca.licence.note.startswith("Presumed")
    dolly = read_source(str(DATA / "dolly" / "databricks-dolly-15k.jsonl"))
    assert (len(kept(dolly)), len(rejected(dolly)), dolly.kind) == (15_011, 0, "dolly15k")
    assert sum(record.category == "open_qa" for record in kept(dolly)) == 3_742
    assert not dolly.licence.note.startswith("Presumed")
    assert len(read_evaluation(DATA / "self-instruct" / "user_oriented_instructions.jsonl")) == 252


def test_superni_tasks_are_kept_out_as_they_stand_and_as_they_are_asked(tmp_path: Path) -> None:
    path = superni.written(tmp_path / "tasks", "a", superni.task())
    (read,) = read_tasks(path)
    items = read_evaluation(path.parent)
    assert items == read_evaluation(path)
    assert len(items) == 4
    asked = (
        f"Turn the word around{INPUT_KEY}abc",
        read.prompt(read.instances[1]),
        f"Turn the word around{INPUT_KEY}no",
    )
    records = [Record(text, (Message("user", text), Message("assistant", "x")), "s") for text in asked]
    assert in_evaluation(records, items) == {0, 1}
    path.write_text(path.read_text().replace('"Definition"', '"Definitions"'))
    with pytest.raises(BadInput, match=r"a\.json: Definition is missing"):
        read_evaluation(path.parent)
