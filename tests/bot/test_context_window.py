"""Whole exchanges go, oldest first; the system prompt and the question never do."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.context_window import fit
from bot.conversation import Exchange, Message
from bot.errors import QuestionTooLong

SYSTEM = Message("system", "You are Dolly.")
QUESTION = Message("user", "And now?")


def exchange(number: int, tokens: int) -> Exchange:
    return Exchange(f"{number}.000100", "U1", f"question {number}", f"answer {number}", tokens)


def test_everything_that_fits_is_kept_in_its_order() -> None:
    first, second = exchange(1, 10), exchange(2, 10)
    prompt = fit(SYSTEM, [first, second], QUESTION, required_tokens=5, token_budget=25)
    assert prompt == [SYSTEM, *first.messages, *second.messages, QUESTION]


def test_the_oldest_exchange_goes_as_a_whole() -> None:
    prompt = fit(SYSTEM, [exchange(1, 11), exchange(2, 10)], QUESTION, required_tokens=5, token_budget=25)
    assert prompt == [SYSTEM, *exchange(2, 10).messages, QUESTION]


def test_nothing_older_is_kept_than_what_was_dropped() -> None:
    """A hole in a conversation would make answers refer to what is not there."""
    exchanges = [exchange(1, 1), exchange(2, 100), exchange(3, 1)]
    prompt = fit(SYSTEM, exchanges, QUESTION, required_tokens=5, token_budget=25)
    assert prompt == [SYSTEM, *exchange(3, 1).messages, QUESTION]


def test_the_question_alone_fills_the_budget_to_the_last_token() -> None:
    prompt = fit(SYSTEM, [exchange(1, 1)], QUESTION, required_tokens=25, token_budget=25)
    assert prompt == [SYSTEM, QUESTION]


@pytest.mark.parametrize("budget", [24, 0, -100])
def test_a_question_too_long_by_itself_is_told(budget: int) -> None:
    with pytest.raises(QuestionTooLong, match=f"take 25 tokens, and {max(budget, 0)} fit") as raised:
        fit(SYSTEM, [], QUESTION, required_tokens=25, token_budget=budget)
    assert QUESTION.content not in str(raised.value)


@given(
    tokens=st.lists(st.integers(0, 50), max_size=30),
    required=st.integers(1, 50),
    spare=st.integers(0, 500),
)
def test_the_longest_tail_that_fits_is_chosen(tokens: list[int], required: int, spare: int) -> None:
    exchanges = [exchange(number, count) for number, count in enumerate(tokens)]
    prompt = fit(SYSTEM, exchanges, QUESTION, required_tokens=required, token_budget=required + spare)
    kept = (len(prompt) - 2) // 2
    tail = tokens[len(tokens) - kept :]
    assert prompt[0] == SYSTEM
    assert prompt[-1] == QUESTION
    assert prompt[1:-1] == [one for part in exchanges[len(tokens) - kept :] for one in part.messages]
    assert sum(tail) <= spare
    assert kept == len(tokens) or sum(tail) + tokens[-kept - 1] > spare
