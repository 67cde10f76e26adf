"""What a model wrote is read whatever stands in it."""

import random

import pytest

from trainer.self_instruct.filters import formatted, kept_instances, refusal
from trainer.self_instruct.prompts import CHAT, RAW, PromptSet, whole_task
from trainer.self_instruct.replies import (
    WholeTask,
    instances_by_input,
    instances_by_output,
    listed_instructions,
    whole_tasks,
    yes_or_no,
)
from trainer.self_instruct.seeds import Instance, Seed
from trainer.self_instruct_choices import SelfInstructChoice

SEED = Seed("Sort the parts.", (Instance("bolt, nut", "nut, bolt"), Instance("a, b", "b, a")), False)


def test_a_list_goes_on_from_the_number_in_the_prompt() -> None:
    reply = " Write a poem.\n10) Count the\n   chairs.\n\nThe chairs are many.\n11. Half a ta"
    assert listed_instructions(reply, begins_inside=True, is_cut=True, most=7) == ["Write a poem.", "Count the chairs."]
    assert listed_instructions(reply, begins_inside=True, is_cut=False, most=1) == ["Write a poem."]
    chat = "Here are more:\n9. Write a poem.\n10. Count."
    assert listed_instructions(chat, begins_inside=False, is_cut=False, most=7) == ["Write a poem.", "Count."]
    assert listed_instructions("Sure, what is it?", begins_inside=False, is_cut=False, most=7) == []


@pytest.mark.parametrize(
    ("reply", "said"), [(" Yes", True), ("no.", False), ("**No**", False), ("Maybe", None), ("Notes", None), ("", None)]
)
def test_yes_or_no(reply: str, said: bool | None) -> None:
    assert yes_or_no(reply) is said


def test_instances_with_inputs_and_without() -> None:
    reply = "Example 1\nInput: a\nOutput: b\nExample 2\nInput: c\nd\nOutput: e\n\nTask: another\nOutput: f"
    assert instances_by_input(reply, is_cut=False) == [Instance("a", "b"), Instance("c\nd", "e")]
    assert instances_by_input(reply, is_cut=True) == [Instance("a", "b")], "the last may be half of one"
    assert instances_by_input("Output: all of it", is_cut=False) == [Instance("", "all of it")]
    assert instances_by_input("Input: none\nOutput: x", is_cut=False) == [Instance("", "x")]
    assert instances_by_input("I cannot do that.", is_cut=False) == []


def test_class_labels_come_before_their_inputs() -> None:
    reply = "Class label: good\nInput: I like it.\nClass label: bad\nInput: I do not.\n"
    assert instances_by_output(reply, is_cut=False) == [Instance("I like it.", "good"), Instance("I do not.", "bad")]
    assert instances_by_output(reply, is_cut=True) == [Instance("I like it.", "good")]
    assert instances_by_output(" yes\nClass label: no", is_cut=False) == [Instance("", "yes"), Instance("", "no")]


def test_whole_tasks_are_read_as_they_are_shown() -> None:
    shown = "".join(whole_task(number, seed) for number, seed in enumerate((SEED, SEED), 4))
    reply = shown.removeprefix("###\n4. Instruction:") + "###\nwhat?"
    read = list(whole_tasks(reply, begins_inside=True, is_cut=False, most=9))
    assert read == [WholeTask(SEED.instruction, SEED.instances[0])] * 2 + ["what?"]
    assert len(list(whole_tasks(reply, begins_inside=True, is_cut=True, most=9))) == 2


@pytest.mark.parametrize("prompts", [RAW, CHAT])
def test_prompts_show_examples_and_are_cut_where_the_next_would_begin(prompts: PromptSet) -> None:
    listed = prompts.for_instructions(["One {brace} stays.", "Two."], 3)
    assert "1. One {brace} stays.\n2. Two.\n" in listed.text
    assert "3" in listed.text
    assert listed.stops == ("\n6.",)
    asked = prompts.for_instances("Do it.", [SEED], is_classification=False)
    assert "Example 2\nInput: a, b\nOutput: b, a\n" in asked.text
    assert "Task: Do it.\n" in asked.text
    assert "Class label: nut, bolt\nInput: bolt, nut" in prompts.for_instances("x", [SEED], is_classification=True).text
    assert "Is it classification? No\n" in prompts.for_classification("Do it.", [SEED]).text
    assert "{" not in prompts.for_whole_tasks([SEED], 2).text


@pytest.mark.parametrize(
    ("instruction", "why"),
    [
        ("Describe the way to our office.", None),
        ("Say it twice.", "too_short"),
        ("word " * 151, "too_long"),
        ("Describe this Picture in a few words.", "blacklisted"),
        ("Describe a picturesque village by the sea.", None),
        ("Go to the shop and buy some milk.", "blacklisted"),
        ("Write a program that sorts numbers.", "writes_program"),
        ("- describe the way to our office", "punctuation"),
        ("Über das Wetter in dieser Stadt schreiben", "non_ascii_start"),
        ("", "empty"),
        ("say it again and again " * 9, "repeats"),
    ],
)
def test_instructions_are_left_out_by_name(instruction: str, why: str | None) -> None:
    assert refusal(instruction, SelfInstructChoice()) == why


def test_instances_that_teach_nothing_are_left_out_by_name() -> None:
    given = [
        *(Instance("a", "b"), Instance("a", "b"), Instance("c", "c"), Instance("d", "")),
        *(Instance("e", "as follows:"), Instance("f", "one"), Instance("f", "two"), Instance("g", "h")),
        *(Instance("i", "tick tock " * 20), Instance("j", "k")),
    ]
    kept, rejected = kept_instances(given, 2)
    assert kept == [Instance("a", "b"), Instance("g", "h")]
    assert [why for why, _ in rejected] == [
        *("twice", "echoes", "empty", "colon", "contradicts", "contradicts", "repeats", "too_many")
    ]


def test_the_name_of_a_single_field_goes_half_of_the_time() -> None:
    rng = random.Random(0)
    found = [formatted(Instance("Sentence: It rains.", "a\n\nb"), 0.5, rng) for _ in range(400)]
    assert 160 < sum(one.input == "It rains." for one in found) < 240
    assert 160 < sum(one.output == "a\nb" for one in found) < 240
    assert formatted(Instance("Time: 10:30", "x"), 1.0, rng).input == "10:30"
    assert formatted(Instance("A: 1\nB: 2", "x"), 1.0, rng).input == "A: 1\nB: 2", "two fields keep their names"
