"""SuperNI's task files are read as published, and what is not as published is named with its file and field."""

from pathlib import Path
from typing import Any

import pytest

from tests.trainer.superni import task, written
from trainer.errors import BadInput
from trainer.task_files import TEST_INSTANCES, is_task, read_tasks


def test_a_task_as_published(tmp_path: Path) -> None:
    (found,) = read_tasks(written(tmp_path, "task9_turn", task()))
    assert (found.name, found.definition, found.category) == ("task9_turn", "Turn the word around", "Word Analogy")
    first, second = found.instances
    assert (first.id, first.input, first.outputs) == ("task9-a", "abc", ("cba", "c b a"))
    assert second.id == "task9_turn-1"
    assert found.is_english


def test_a_prompt_is_the_public_codes_own(tmp_path: Path) -> None:
    instances = [{"input": text, "output": ["y"]} for text in (" abc ", "x!", "")]
    (found,) = read_tasks(written(tmp_path, "t", task(Instances=instances, Definition=" Turn it around. ")))
    head = "Definition: Turn it around.\n\nNow complete the following example -\nInput: "
    assert [found.prompt(one) for one in found.instances] == [
        head + end for end in ("abc.\nOutput: ", "x!\nOutput: ", ".\nOutput: ")
    ]


def test_the_published_test_is_the_first_hundred(tmp_path: Path) -> None:
    many = [{"input": str(number), "output": ["y"]} for number in range(130)] + ["no instance, and not read"]
    (found,) = read_tasks(written(tmp_path, "t", task(Instances=many)))
    assert [instance.input for instance in found.instances] == [str(number) for number in range(TEST_INSTANCES)]


def test_where_a_list_of_test_tasks_is_those_are_read(tmp_path: Path) -> None:
    for name in ("train", "test_b", "test_a"):
        written(tmp_path / "tasks", name, task())
    assert [one.name for one in read_tasks(tmp_path / "tasks")] == ["test_a", "test_b", "train"]
    names = tmp_path / "splits" / "default" / "test_tasks.txt"
    names.parent.mkdir(parents=True)
    names.write_text("test_b\ntest_a\n\n")
    assert [one.name for one in read_tasks(tmp_path)] == ["test_b", "test_a"]
    assert [one.name for one in read_tasks(tmp_path / "tasks")] == ["test_b", "test_a"]
    names.write_text("test_b\nelsewhere\n")
    with pytest.raises(BadInput, match=r"names 2 test tasks, and 1 of them are not in .*tasks; the first is elsewhere"):
        read_tasks(tmp_path)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("{", "is no JSON"),
        ("[1]", "is no task"),
        (task(Definition=[]), "Definition is missing or empty"),
        (task(Definition=7), "Definition should be a list of strings"),
        (task(Categories=[" "]), "Categories is missing or empty"),
        (task(Output_language=[None]), "Output_language should be a list of strings"),
        (task(Instances=[]), "Instances should be a list that is not empty"),
        (task(Instances=["x"]), r"Instances\[0\] should be an object"),
        (task(Instances=[{"input": "a", "output": ["b"]}, {"output": ["b"]}]), r"Instances\[1\]\.input should be a s"),
        (task(Instances=[{"input": "a", "output": "b"}]), r"Instances\[0\]\.output should be a list of strings"),
        (task(Instances=[{"input": "a", "output": []}]), r"Instances\[0\]\.output should be a list of strings that is"),
        (task(Instances=[{"input": "half \ud83d", "output": ["b"]}]), r"Instances\[0\]\.input should be a string"),
    ],
)
def test_what_is_not_as_published_is_named(tmp_path: Path, value: Any, said: str) -> None:
    path = written(tmp_path, "task9_turn", value)
    with pytest.raises(BadInput, match=rf"The task file .*task9_turn\.json:? {said}"):
        read_tasks(path)


def test_a_folder_without_tasks_and_none_at_all(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="holds no task files"):
        read_tasks(tmp_path)
    with pytest.raises(BadInput, match="There is no folder of task files"):
        read_tasks(tmp_path / "none")


def test_a_task_is_told_by_its_keys() -> None:
    assert is_task(task())
    assert not is_task([task()])
    assert not is_task({"instruction": "a", "instances": []})
