"""Root verbs and their objects: what the rules are for, and how often they are right on hand-labelled instructions."""

import json
from pathlib import Path

import pytest

from tests.trainer.self_instruct.labelled_roots import SEEDS, USER_252, labels
from trainer.self_instruct.english import singular
from trainer.self_instruct.verbs import Root, root_of

ASKED = {
    "Write a story about a dragon.": Root("write", "story"),
    "please briefly describe the three main causes of the war": Root("describe", "cause"),
    "Given a list of numbers, 1-10, find the largest even number.": Root("find", "number"),
    "In this task, you are given two words, and you need to write their synonyms.": Root("write", "synonym"),
    "I am tired. Can you give me some tips?": Root("give", "tip"),
    "Could you tell them the time?": Root("tell", "time"),
    "Come up with a short, funny story.": Root("come", "story"),
    "Give the brand a motto.": Root("give", "motto"),
    "Re-write some of the following sentences using a synonym": Root("rewrite", "sentence"),
    'Replace the "TODO" comment in the code.': Root("replace", "comment"),
    "Explain how a rainbow comes about.": Root("explain", None),
    "Given the numbers, add them up.": Root("add", None),
    "Fill in the blanks": Root("fill", "blank"),
    "Frobnicate the widgets.": Root("frobnicate", "widget"),
    "Suppose you are a pirate.": Root("suppose", None),
    "Converting the sentence to French": Root("convert", "sentence"),
    "Generate the next three letters of the series.": Root("generate", "letter"),
    "Write words rhyming with cat.": Root("write", "word"),
    "Provide a rating for the film.": Root("provide", "rating"),
    "Translate हिन्दी to English.": Root("translate", None),
    "Review my résumé.": Root("review", "résumé"),
}
NOTHING = (
    "What is the capital of France?",
    "How do I write a letter?",
    "A list of fruits",
    "",
    "?!",
    "हिन्दी में एक कविता लिखो",
    "Answer:",
    "Vaccinations are important.",
)


@pytest.mark.parametrize("instruction", ASKED)
def test_verb_and_object(instruction: str) -> None:
    assert root_of(instruction) == ASKED[instruction]


@pytest.mark.parametrize("instruction", NOTHING)
def test_nothing_is_asked_for(instruction: str) -> None:
    assert root_of(instruction) is None


def test_singulars() -> None:
    plurals = (
        "stories",
        "boxes",
        "sentences",
        "lyrics",
        "series",
        "bias",
        "syllabus",
        "people",
        "classes",
        "glass",
        "analysis",
    )
    singulars = [
        "story",
        "box",
        "sentence",
        "lyric",
        "series",
        "bias",
        "syllabus",
        "person",
        "class",
        "glass",
        "analysis",
    ]
    assert [singular(noun) for noun in plurals] == singulars


@pytest.mark.parametrize(
    ("name", "file", "listed", "verbs", "both"),
    [
        ("seeds", "seed_tasks.jsonl", SEEDS, 0.99, 0.97),
        ("user_252", "user_oriented_instructions.jsonl", USER_252, 0.99, 0.96),
    ],
)
def test_as_people_read_them(shared_data: Path, name: str, file: str, listed: str, verbs: float, both: float) -> None:
    """`-s` shows the figures."""
    said = labels(listed)
    right_verbs = right = number = 0
    for line in (shared_data / "self-instruct" / file).read_text(encoding="utf-8").splitlines():
        task = json.loads(line)
        place = int(task["id"].rsplit("_", 1)[1])
        if place not in said and name != "seeds":
            continue
        root = root_of(task["instruction"])
        expected = said.get(place, (None, None))
        number += 1
        right_verbs += (root.verb if root else None) == expected[0]
        right += ((root.verb, root.object) if root else (None, None)) == expected
    print(f"\nfigure: roots.verbs_{name} {right_verbs} of {number}\nfigure: roots.both_{name} {right} of {number}")
    assert number > 80
    assert right_verbs / number >= verbs
    assert right / number >= both
