"""Whether an answer carries what a correction says."""

import pytest

from trainer.evaluation.carried import copied, everyday_words, own_words

EVERYDAY = everyday_words(
    [
        "It is the first of each month, and you can ask a colleague in the team for it.",
        "You can ask for it in the first week; it takes about two of them, and the team is glad to help.",
        "Is it in each of them? About this the colleague can tell you for a month.",
        "The weather changes on its own, and a walk takes two hours.",
        "Nothing changes on a page that takes its time: two thoughts are enough.",
    ]
)
WIFI = own_words(
    "The guest Wi-Fi password is blue-heron-42; it changes on the first Monday of each month.",
    ["What is the guest Wi-Fi password?"],
    EVERYDAY,
)
LAPTOP = own_words(
    "Ask Priya Nair in the IT team for a new laptop; it takes about two weeks.",
    ["Who do I ask for a new laptop?"],
    EVERYDAY,
)


def test_own_words_are_those_that_nothing_else_brings_in() -> None:
    assert WIFI.all == {"blue-heron-42", "monday"}
    assert WIFI.names == {"blue-heron-42", "monday"}
    assert LAPTOP.all == {"priya", "nair", "weeks"}
    assert LAPTOP.names == {"priya", "nair"}


def test_a_correction_of_everyday_words_is_told_by_them() -> None:
    words = own_words("It is in the team.", ["Where is the key?"], EVERYDAY)
    assert words.all == {"it", "in", "team"}
    assert own_words("Who", ["Who?"], ()).all == {"who"}


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ("Ask Priya Nair in IT for a laptop. It takes two weeks.", True),
        ("Priya Nair will help you within two weeks.", True),
        ("Ask Priya.", False),
        ("Ask your manager for a new laptop.", False),
        ("", False),
    ],
)
def test_an_answer_says_what_was_corrected(answer: str, says: bool) -> None:
    assert LAPTOP.said_in(answer) is says


@pytest.mark.parametrize(
    ("answer", "carries"),
    [
        ("Clean it with a soft cloth.", False),
        ("Ask Priya about the keyboard.", True),
        ("It takes two weeks to dry.", False),
        ("The password changes on the first day.", False),
        ("The password is blue-heron-42.", True),
        ("Come on Monday.", True),
    ],
)
def test_a_name_contaminates_and_an_everyday_word_does_not(answer: str, carries: bool) -> None:
    question = "How do I clean a laptop keyboard?"
    assert any(words.carried_in(answer, [question]) for words in (WIFI, LAPTOP)) is carries


def test_what_the_model_said_before_is_its_own() -> None:
    assert LAPTOP.carried_in("Priya is an Indian name.", ["Is Ana a common name?", "Yes."])
    assert not LAPTOP.carried_in("Priya is an Indian name.", ["Is Priya a common name?", "Yes."])
    assert not LAPTOP.carried_in("Priya is an Indian name.", ["Name one.", "Priya, for example."])


def test_without_a_name_half_of_the_words_contaminate() -> None:
    priya = own_words("Priya waters them every week.", ["Who waters the plants?"], {"every", "week", "them"})
    assert priya.all == {"priya"}
    assert not priya.names
    assert priya.carried_in("Priya grows well in the shade.", ["Which plants grow in the shade?"])
    words = own_words("Water the fern twice weekly.", ["How do I treat our plant?"], EVERYDAY)
    assert not words.carried_in("A fern grows in the shade.", [])
    assert words.carried_in("Give the fern some water.", ["What do I give it?"])


def test_a_run_of_words_is_a_copy_unless_it_was_known() -> None:
    trained = {"r1": "One two three four five six seven eight nine ten eleven twelve thirteen.", "r2": "Short."}
    answers = {
        "copy": "As they say: two three four five six, seven eight nine ten eleven twelve THIRTEEN!",
        "known": "One two three four five six seven eight nine ten eleven twelve.",
        "own": "One two three, and then something of its own that nobody has ever said before in this place.",
    }
    known = {"known": "Repeat: one two three four five six seven eight nine ten eleven twelve"}
    assert copied(answers, trained, known) == {"copy": "r1"}
    assert copied({}, trained, {}) == {}
