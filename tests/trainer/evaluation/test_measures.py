"""Stops, loops and leaks are told from good answers."""

import pytest

from trainer.evaluation.measures import Mean, leaks, loops

PROSE = (
    "Rivers begin as small streams in the hills, fed by rain, springs and melting snow. As they run down they join "
    "others, grow wider and slower, and carry sand and stones with them. Near the sea they drop what they carry and "
    "build a delta, where many birds and fish live. People have always settled beside them, for water, for food and "
    "for trade, and have built mills and dams to use their strength. A river may also flood its valley, which makes "
    "the fields rich but drives people out of their houses. Engineers therefore raise dykes and leave room for water."
)


@pytest.mark.parametrize(
    "text",
    [
        "It is good. " * 12,
        "The answer is that the answer is that the answer is that the answer is that the answer is that the ans",
        PROSE + " And so on, and so on, and so on, and so on, and so on, and so on, and so on, and so on",
        "\n".join(f"{number}. Use a good password for the account." for number in range(1, 20)),
        "".join(f"The {bird} is a bird of the forest and it sings a song. " for bird in ("crow", "jay", "owl") * 9),
        "今天天气很好我们去公园玩" * 8,
    ],
)
def test_a_repetition_at_the_end_is_a_loop(text: str) -> None:
    assert loops(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Yes.",
        "ha ha ha ha",
        "-" * 200,
        "| a | b |\n|---|---|\n| 1 | 2 |\n| 3 | 4 |\n| 5 | 6 |",
        PROSE,
        "1. Red\n2. Blue\n3. Green\n4. Yellow\n5. White\n6. Black\n7. Grey",
        "It is good. It is good. " + PROSE,
    ],
)
def test_an_answer_that_goes_on_is_no_loop(text: str) -> None:
    assert not loops(text)


@pytest.mark.parametrize(
    "text",
    ["Paris.\n\n### Instruction:\nNext", "Paris.<|im_end|>", "Paris [INST]", "Paris. ### End", "Paris <|turn|>"],
)
def test_a_key_in_an_answer_leaks(text: str) -> None:
    assert leaks(text)


def test_a_models_own_key_leaks_and_a_quoted_one_does_not() -> None:
    assert leaks("Paris %%bot%%", ("%%bot%%",))
    assert not leaks("Paris %%bot%%")
    assert not leaks("A heading: ## Instruction, a tag <b> and ### Introduction.")
    assert leaks("Write <|im_end|> last.")
    assert not leaks("Write <|im_end|> last.", allowed="How does <|im_end|> work?")


def test_a_mean_tells_how_sure_it_is() -> None:
    assert Mean.of([]) is None
    assert Mean.of([2.0]) == Mean(2.0, 0.0, 1)
    found = Mean.of([0.0, 1.0] * 50)
    assert found is not None
    assert (found.mean, found.number) == (0.5, 100)
    assert found.margin == pytest.approx(0.0985, abs=1e-4)
