"""Where messages end: between blocks, with code and tables closed and opened again."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from bot.slack.answering.markdown import MARKDOWN_CHARACTERS, ended, pieces

READER = MarkdownIt("commonmark").enable("table")
WORDS = "word " * 40
MANY = MARKDOWN_CHARACTERS // len(WORDS) + 20


def kinds(text: str) -> set[str]:
    return {token.type for token in READER.parse(text)}


@pytest.mark.parametrize("text", ["", "short", "word " * (MARKDOWN_CHARACTERS // 5)])
def test_what_fits_is_one_message(text: str) -> None:
    assert pieces(text) == ([text] if text else [])


def test_paragraphs_stay_whole_and_headings_stay_with_theirs() -> None:
    text = "".join(f"## Part {number}\n\n{WORDS}\n\n" for number in range(MANY))
    parts = pieces(text)
    assert "".join(parts) == text
    assert len(parts) == 2
    assert all(part.startswith("## Part") and part.endswith("\n\n") for part in parts)


def test_list_items_stay_whole() -> None:
    text = "".join(f"{number}. {WORDS}\n   - nested\n" for number in range(1, MANY))
    parts = pieces(text)
    assert "".join(parts) == text
    assert all(re.match(r"\d+\. ", part) and part.endswith("nested\n") for part in parts)


@pytest.mark.parametrize(
    ("before", "fence", "inside"), [("", "```python", ""), ("", "~~~~", ""), ("> ", "> ```c", "> ")]
)
def test_code_is_closed_and_opened_again(before: str, fence: str, inside: str) -> None:
    code = "".join(f"{inside}{WORDS}{number}\n" for number in range(MANY))
    marker = fence.removeprefix(before)[:4].rstrip("pyc")
    text = f"Some code:\n\n{fence}\n{code}{inside}{marker}\n\nThat was it."
    first, second = pieces(text)
    assert max(len(first), len(second)) <= MARKDOWN_CHARACTERS
    assert second.startswith(fence.replace("> ", ">"))
    assert first.endswith(f"\n{inside}{marker}")
    for part in (first, second):
        assert [token.type for token in READER.parse(part)].count("fence") == 1
    contents = [token.content for part in (first, second) for token in READER.parse(part) if token.type == "fence"]
    assert "".join(contents).split("\n") == [f"{WORDS}{number}" for number in range(MANY)] + [""]
    assert READER.parse(second)[-2].content == "That was it."


def test_a_table_goes_on_with_its_head() -> None:
    rows = [f"| {number} | {WORDS}|\n" for number in range(MANY)]
    head = "| number | words |\n|---|---|\n"
    first, second = pieces(head + "".join(rows))
    assert second.startswith(head)
    assert first + second.removeprefix(head) == head + "".join(rows)
    assert kinds(first) == kinds(second)


def test_a_long_paragraph_ends_after_a_sentence_or_a_word() -> None:
    first, second = pieces("This is a sentence. " * (MARKDOWN_CHARACTERS // 18))
    assert first.endswith("sentence. ")
    assert second.startswith("This")
    assert pieces("x" * (MARKDOWN_CHARACTERS + 1)) == ["x" * MARKDOWN_CHARACTERS, "x"]
    assert pieces("x" * (MARKDOWN_CHARACTERS - 2) + "&lt;")[1] == "&lt;"
    assert pieces("。".join(["字" * 100] * 200))[0].endswith("。")


@pytest.mark.parametrize(("inside", "fence"), [("", "```json"), ("> ", "> ~~~"), ("", "`````")])
def test_one_long_line_of_code_is_closed_and_opened_again(inside: str, fence: str) -> None:
    line = '{"k":"some-host.com","v":"&lt;"},' * 1_000
    marker = fence.removeprefix(inside).removesuffix("json")
    parts = pieces(f"Here:\n\n{fence}\n{inside}{line}\n{inside}{marker}\n\nThat is **all**.\n")
    assert len(parts) > 2
    assert max(len(part) for part in parts) <= MARKDOWN_CHARACTERS
    tokens = [READER.parse(part) for part in parts]
    contents = [token.content for part in tokens for token in part if token.type == "fence"]
    assert "".join(contents).replace("\n", "") == line
    assert len(contents) == len(parts)
    assert [token.content for part in tokens for token in part if token.type == "inline"] == [
        "Here:",
        "That is **all**.",
    ]
    assert all(part.count("&") == part.count("&lt;") for part in parts)


def test_code_of_backticks_does_not_end_itself_where_it_is_cut() -> None:
    parts = pieces("```\nx" + "`" * (MARKDOWN_CHARACTERS + 100) + "\nsome-host.com\n```\n\nThe end.")
    assert READER.parse(parts[-1])[-2].content == "The end."
    assert not any("some-host" in token.content for token in READER.parse(parts[-1]) if token.type == "inline")


@pytest.mark.parametrize("ticks", ["`", "``"])
@pytest.mark.parametrize("before", ["Here it is. ", "words " * 1_800])
def test_code_in_a_line_goes_on_as_code(before: str, ticks: str) -> None:
    code = "word some-host.com " * 500
    parts = pieces(f"{before}{ticks}{code}{ticks} the end")
    assert max(len(part) for part in parts) <= MARKDOWN_CHARACTERS
    children = [child for part in parts for token in READER.parse(part) for child in token.children or []]
    assert not any("some-host" in child.content for child in children if child.type == "text")
    assert "".join(child.content for child in children if child.type == "code_inline").split() == code.split()


def test_a_sentence_stands_outside_of_open_code() -> None:
    assert ended("```py\nx", "_The end._") == "```py\nx\n```\n\n_The end._"
    assert ended("```py\nx\n", None) == "```py\nx\n```"
    assert ended("```py\nx\n```", "_The end._") == "```py\nx\n```\n\n_The end._"
    assert ended("- a\n  ~~~~\n  x", "s") == "- a\n  ~~~~\n  x\n  ~~~~\n\ns"
    assert ended("text", "s") == "text\n\ns"
    assert ended("", "s") == "s"
    assert ended("", None) == ""


PARTS = ["word " * 300, "a. " * 700, "x" * 2000, "```python\n", "```\n", "\n", "\n\n", "- ", "  - ", "1. ", "> ", "# "]
PARTS += ["| a | b |\n|---|---|\n", "| c | d |\n" * 300, "&lt;" * 500, "~" * 4000, "code\n" * 400, "    "]


@settings(max_examples=300)
@given(st.lists(st.sampled_from(PARTS), max_size=40).map("".join))
def test_pieces_fit_and_lose_nothing(text: str) -> None:
    parts = pieces(text)
    assert all(len(part) <= MARKDOWN_CHARACTERS for part in parts)
    for letter in "wxcd;":
        assert sum(part.count(letter) for part in parts) >= text.count(letter)
    if "```" not in text and "|" not in text:
        assert "".join(parts) == text


@settings(max_examples=100)
@given(st.lists(st.sampled_from(PARTS), max_size=40).map("".join), st.sampled_from(PARTS))
def test_a_message_that_is_full_stays_as_it_is(text: str, more: str) -> None:
    parts = pieces(text)[:-1]
    assert pieces(text + more)[: len(parts)] == parts
