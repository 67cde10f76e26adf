"""Other wordings of a question: turned around where the form is known, never the question itself."""

import pytest

from trainer.wordings import wordings


@pytest.mark.parametrize(
    ("question", "among"),
    [
        ("What is our VPN address?", ["Our VPN address?", "Can you tell me what our VPN address is?"]),
        ("What's the guest password?", ["Do you know what the guest password is?", "what's the guest password"]),
        ("Who do I ask for a laptop?", ["Can you tell me whom to ask for a laptop?"]),
        ("How can we book a room", ["Please explain how to book a room."]),
        ("When does the office open?", ["Tell me: when does the office open?", "Hi Dolly, when does the office open?"]),
        ("IT desk hours", ["Hi Dolly! IT desk hours?", "it desk hours"]),
        ("Wo steht der Drucker?", ["wo steht der drucker"]),
        ("प्रिंटर कहाँ है?", ["Dolly, प्रिंटर कहाँ है?"]),
        ("Summarise this:\n\nA long text.", ["Hi Dolly!\n\nSummarise this:\n\nA long text."]),
    ],
)
def test_a_question_is_asked_otherwise(question: str, among: list[str]) -> None:
    found = wordings(question)
    assert set(among) <= set(found)
    assert question not in found
    assert len(found) == len(set(found))
    assert all(wording.strip() for wording in found)


def test_a_text_to_work_on_is_left_as_it_is() -> None:
    text = "Fix this:\n\n  def f(x):\n      return x"
    assert all("  def f(x):\n      return x" in wording for wording in wordings(text))


@pytest.mark.parametrize("question", ["", "?", "  \n ", "a" * 5_000, "What is what is what is?"])
def test_odd_questions_have_odd_wordings_or_none(question: str) -> None:
    assert all(isinstance(wording, str) for wording in wordings(question))
