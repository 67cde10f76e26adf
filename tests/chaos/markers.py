"""What a question is known by wherever it turns up: in a thread, in a prompt, in an answer.

Question 42 says `q00042`; its answer begins with `a00042` and ends with `z00042`, so that a half of it is told
from the whole. A question that says `poison` breaks the engine at every attempt.
"""

import re

POISON = "poison"
_QUESTION = re.compile(r"\bq(\d{5})(?!\d)")
_ANSWER_BEGINS = re.compile(r"\ba(\d{5})(?!\d)")
_ANSWER_ENDS = re.compile(r"\bz(\d{5})(?!\d)")
_WORDS = ("the", "river", "runs", "past", "mill", "and", "meadow", "until", "it", "meets", "the", "sea")


def question_text(number: int, *, is_poison: bool = False) -> str:
    words = " ".join(_WORDS[: 3 + number % 7])
    return f"q{number:05d} {POISON if is_poison else ''} {words}"


def answer_text(number: int) -> str:
    words = " ".join(_WORDS[(number + step) % len(_WORDS)] for step in range(5 + number % 12))
    return f"a{number:05d} {words} z{number:05d}"


def questions_in(text: str) -> list[int]:
    return [int(number) for number in _QUESTION.findall(text)]


def answers_in(text: str) -> list[int]:
    """The questions that `text` begins to answer."""
    return [int(number) for number in _ANSWER_BEGINS.findall(text)]


def whole_answers_in(text: str) -> list[int]:
    ended = {int(number) for number in _ANSWER_ENDS.findall(text)}
    return [number for number in answers_in(text) if number in ended]
