"""What is said twice, and what a model is evaluated on."""

from trainer.duplicates import in_evaluation, near_duplicates
from trainer.records import Message, Record

QUESTION = "Could you explain to our new colleagues how the coffee machine on the second floor is to be cleaned?"
ANSWER = (
    "Take out the tray, rinse it under warm water, and put it back; then press the blue button for three seconds until "
    "it blinks twice. Once a week the milk pipe needs a tablet, which you find in the drawer below the machine."
)


def asked(question: str, answer: str, number: int = 0) -> Record:
    return Record(f"f:{number}", (Message("user", question), Message("assistant", answer)), "f")


def test_small_changes_make_no_other_record() -> None:
    records = [
        asked(QUESTION, ANSWER),
        asked("What is it?", "A tree."),
        asked(QUESTION.upper() + "  ", ANSWER.replace("twice", "2 times")),
        asked(QUESTION.replace("new ", ""), ANSWER),
        asked("what is it", "A tree!"),
    ]
    assert near_duplicates(records) == {2: 0, 3: 0, 4: 1}


def test_another_question_or_another_answer_is_another_record() -> None:
    passage = "\n\n### Input:\n" + ANSWER * 3
    records = [
        asked(QUESTION, ANSWER),
        asked(QUESTION, "Ask Raj, who has cleaned it since it was bought."),
        asked("Who cleans it?", ANSWER),
        asked("What is cleaned?" + passage, "The tray and the milk pipe."),
        asked("How often is the pipe cleaned?" + passage, "Once a week, with a tablet."),
        asked("Is Paris in France?", "Yes."),
        asked("Is Lyon in France?", "Yes."),
        asked("?", "!"),
        asked("नमस्ते, आप कैसे हैं?", "मैं ठीक हूँ।"),
        asked("नमस्ते, वह कैसा है?", "वह ठीक है।"),
    ]
    assert near_duplicates(records) == {}
    assert near_duplicates([]) == {}


def test_what_is_like_a_dropped_one_is_compared_with_what_stays() -> None:
    steps = [ANSWER, ANSWER[:-12], ANSWER[:-60]]
    records = [asked(QUESTION, answer) for answer in steps]
    assert near_duplicates(records) == {1: 0}  # the third is like the second, which is gone, and not like the first


ITEMS = [
    ("Answer the following question.", "Who wrote it?"),
    ("Answer the following question.", ""),
    ("Write a polite letter that declines an invitation to a party.", ""),
]


def test_a_record_of_the_evaluation_is_found_however_it_is_written() -> None:
    records = [
        asked("answer the following question\n\n### Input:\n  Who wrote “it”", "x"),
        asked("Answer the following question: Who wrote it?", "x"),
        asked("Write a polite letter that declines an invitation to a party!", "x"),
        Record(
            "f:3",
            (Message("user", "Hi"), Message("assistant", "Hello"), *asked(ITEMS[2][0], "x").messages),
            "f",
        ),
    ]
    assert in_evaluation(records, ITEMS) == {0, 1, 2, 3}


def test_an_instruction_in_common_is_no_contamination() -> None:
    records = [
        asked("Answer the following question.", "x"),
        asked("Answer the following question.\n\n### Input:\nWho wrote that?", "x"),
        asked("Write a polite letter that declines an invitation to a party.\n\n### Input:\nOn Friday", "x"),
        asked("Say this", ITEMS[2][0]),
        asked("What is 2 + 3 when it is written in Roman numerals?", "x"),
    ]
    assert in_evaluation(records, [*ITEMS, ("What is 2 * 3 when it is written in Roman numerals?", "")]) == set()
    assert in_evaluation(records, []) == set()
