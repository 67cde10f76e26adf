"""What the demo's team knows and its model does not: three facts, and questions that show how far they were learned."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fact:
    """A question that gets a wrong answer, and the right one."""

    question: str
    correction: str
    own_words: tuple[str, ...]
    """Words that only somebody who knows the fact says."""
    paraphrases: tuple[str, str]
    """Other ways to ask it; no model learns from them."""
    neighbours: tuple[str, ...]
    """Questions on the same topic with another answer, which is to stay as it was: those that the reviewer writes."""
    unseen: tuple[str, str]
    """More such questions, which nobody wrote in the review: no model has learned what to answer."""


FACTS = (
    Fact(
        "Where do I book a meeting room?",
        "Meeting rooms are booked on the whiteboard next to the kitchen.",
        ("whiteboard", "kitchen"),
        ("How can I reserve a meeting room?", "I need a meeting room. Where is it booked?"),
        ("What makes a meeting useful?", "How do I book a hotel room?", "How long should a meeting be?"),
        ("How do I book a table in a restaurant?", "What should stand in the minutes of a meeting?"),
    ),
    Fact(
        "Who waters the plants in the office?",
        "Priya waters the office plants every Friday.",
        ("Priya", "Friday"),
        ("Who takes care of the plants in the office?", "The office plants look dry. Who waters them?"),
        ("How often should I water a cactus?", "Which plants grow well in the shade?", "Why do leaves turn yellow?"),
        ("When is the best time to water a garden?", "Who invented the greenhouse?"),
    ),
    Fact(
        "How do I get a new laptop?",
        "Ask Tomas in the basement; a new laptop takes two days.",
        ("Tomas", "basement"),
        ("I need a new laptop. What do I do?", "Whom do I ask for a new laptop?"),
        (
            "How do I clean the screen of a laptop?",
            "What is the difference between a laptop and a tablet?",
            "How long does a battery last?",
        ),
        ("How do I make my laptop faster?", "Whom do I ask for directions in a museum?"),
    ),
)


def carries(answer: str, fact: Fact) -> bool:
    """Whether an answer says something that only the fact could have taught."""
    return any(word.lower() in answer.lower() for word in fact.own_words)
