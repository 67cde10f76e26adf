"""Which questions are on the topic of another one, and what is read of a model's list of them."""

import pytest

from bot.neighbours import asks_the_same, lines, listed, nearest

POOL = (
    "Who approves a holiday request?",
    "How many days of holiday do I have?",
    "Where is the office in Pune?",
    "When does the office open on Fridays?",
    "Which printer takes A3 paper?",
)


def test_the_nearest_come_first_and_the_same_question_never() -> None:
    found = nearest("How do I request a holiday?", (*POOL, "How do I request a holiday ?"), 2)
    assert found == ["Who approves a holiday request?", "How many days of holiday do I have?"]
    assert nearest("When does the office close?", POOL, 4)[0] == "When does the office open on Fridays?"


@pytest.mark.parametrize("question", ["Wie viele Urlaubstage habe ich?", "???", ""])
def test_what_has_no_neighbour_gets_none(question: str) -> None:
    assert nearest(question, POOL, 4) == []
    assert nearest(question, (), 4) == []


def test_words_of_another_script_are_words() -> None:
    pool = ("छुट्टी कौन मंज़ूर करता है?", "कार्यालय कब खुलता है?")
    assert nearest("मेरी कितनी छुट्टी बाक़ी है?", pool, 1) == ["छुट्टी कौन मंज़ूर करता है?"]


def test_two_that_ask_the_same_are_one_and_a_text_is_no_question() -> None:
    pool = ("Who approves holiday?", "who approves holiday", "Who approves " + "holiday " * 60)
    assert nearest("Who takes holiday in May?", pool, 4) == ["Who approves holiday?"]


def test_endings_do_not_make_another_question() -> None:
    assert asks_the_same("Where are the printers?", "where are the Printer?")
    assert asks_the_same("When is the office open?", "When does the office open?")
    assert not asks_the_same("When does the office open?", "When does the office close in May?")
    assert not asks_the_same("Where are the printers?", "When are the printers mended?")


def test_what_a_model_lists_is_read_line_by_line() -> None:
    written = """Here are some questions:
1. How old are looms?
 - "Who invented the loom?"
3) **What is a loom?**
Of course!
* Where are looms used, and by whom, and since when, and what for, and at what price?
(4) How old are looms ?"""
    assert listed(written, "What is a loom?", 5, 75) == ["How old are looms?", "Who invented the loom?"]
    assert listed(written, "What is a loom?", 1, 75) == ["How old are looms?"]


def test_what_a_person_lists_is_taken_as_it_is() -> None:
    assert lines("  Who  knows? \n\nAsk Asha\nWho knows?\nAnd?", 2) == ["Who knows?", "Ask Asha"]
    assert len(lines("x" * 1_000, 1)[0]) == 300
