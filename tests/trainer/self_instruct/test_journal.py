"""What was written stays, whatever ends the writer."""

import json
from pathlib import Path

import pytest

from trainer.errors import BadInput
from trainer.self_instruct.journal import JOURNAL, Journal, Task
from trainer.self_instruct.seeds import Instance


def filled(folder: Path) -> Journal:
    journal = Journal(folder)
    journal.add_tasks(journal.begin(), [Task("", "Sort these."), Task("", "Name one.")], [("too_short", "Go.")])
    task = journal.waiting.popleft()
    journal.add_classification(journal.begin(), task, True)
    journal.add_instances(journal.begin(), task, [Instance("a", "b"), Instance("c", "d")], [("empty", "")])
    return journal


def test_what_is_read_is_what_was_written(tmp_path: Path) -> None:
    with filled(tmp_path) as journal:
        tasks, rejected = dict(journal.tasks), dict(journal.rejected)
    with Journal(tmp_path) as again:
        assert again.tasks == tasks
        assert again.tasks["machine-00001"] == Task(
            "machine-00001", "Sort these.", True, (Instance("a", "b"), Instance("c", "d"))
        )
        assert [task.id for task in again.waiting] == ["machine-00002"]
        assert dict(again.rejected) == rejected == {"too_short": 1, "empty": 1}
        assert (again.instances, again.requests, again.begin()) == (2, 3, 4)


def test_at_every_byte_at_which_a_line_may_be_torn_the_lines_before_it_stay(tmp_path: Path) -> None:
    with filled(tmp_path) as journal:
        tasks = list(journal.tasks)
    whole = (tmp_path / JOURNAL).read_bytes()
    last = whole[:-1].rfind(b"\n") + 1
    for size in range(last, len(whole)):
        (tmp_path / JOURNAL).write_bytes(whole[:size])
        with Journal(tmp_path) as again:
            assert list(again.tasks) == tasks
            assert again.instances == 0
            assert len(again.waiting) == 2
        assert (tmp_path / JOURNAL).read_bytes() == whole[:last]


def test_one_process_writes(tmp_path: Path) -> None:
    with filled(tmp_path), pytest.raises(BadInput, match="is being written by another process"):
        Journal(tmp_path)


@pytest.mark.parametrize("line", ["what", "[]", '{"request": 1}', '{"request": 1, "step": "instances", "id": "x"}'])
def test_another_file_is_no_journal(line: str, tmp_path: Path) -> None:
    (tmp_path / JOURNAL).write_text(line + "\n")
    with pytest.raises(BadInput, match=r"line 1: was not written by self-instruct"):
        Journal(tmp_path)


def test_texts_of_any_kind_are_lines(tmp_path: Path) -> None:
    odd = "half \ud83d of a character, a \u2028 separator,\nand \x00"
    with Journal(tmp_path) as journal:
        journal.add_tasks(journal.begin(), [Task("", odd)], [("nonsense", odd * 900)])
    [line] = (tmp_path / JOURNAL).read_bytes().splitlines()
    assert json.loads(line)["tasks"][0]["instruction"].startswith("half ")
    with Journal(tmp_path) as again:
        assert len(again.tasks) == 1
