"""Other wordings of a question, made by rule: what is learned from a correction should hold however it is asked."""

import re

MOST_WORDS = 30
"""A longer question is only greeted or asked for, not turned around."""

LATIN = re.compile(r"^[A-Za-zÀ-ɏ]")
ENGLISH = re.compile(
    r"^(?:what|who|whom|whose|where|when|why|how|which|is|are|was|were|do|does|did|can|could|may|should|will|would)\b",
    re.IGNORECASE,
)
CONTRACTED = re.compile(r"^(what|who|where|when|how)['’]s\b", re.IGNORECASE)
OF_BEING = re.compile(r"^(what|who|where|when) (is|are|was|were) (.+)$", re.IGNORECASE)
OF_DOING = re.compile(r"^(how|where|when|who|what) (?:do|can|should|could|must) (?:i|we|you|one) (.+)$", re.IGNORECASE)


def wordings(question: str) -> list[str]:
    """Other ways to ask the same, the most different first; none of them is the question itself.

    English questions are turned around; of others only what greets, ends or stands around them changes.
    """
    if "\n" in question.strip():  # a text to work on stands below it
        return [f"Hi Dolly!\n\n{question.strip()}", f"{question.strip()}\n\nThank you!"]
    asked = " ".join(question.split()).rstrip("?!. ")
    spelled = CONTRACTED.sub(lambda found: f"{found[1]} is", asked)
    found: list[str] = []
    if ENGLISH.match(asked) and "?" not in asked and len(asked.split()) <= MOST_WORDS:
        found += _turned(spelled)
        found += [
            f"Can you answer this: {_lower_first(spelled)}?",
            asked.lower(),
            f"Quick question: {_lower_first(spelled)}?",
            f"{spelled}, please?",
            f"Hi Dolly, {_lower_first(asked)}?",
        ]
    elif LATIN.match(asked):
        found += [asked.lower(), f"Hi Dolly! {asked}?", f"Dolly: {asked}"]
    else:
        found += [asked, f"Dolly, {asked}?", f"{asked} ??"]
    different = {_plain(wording): wording for wording in reversed(found)}  # of equal ones the first stays
    return [
        wording for wording in found if different[_plain(wording)] is wording and _plain(wording) != _plain(question)
    ]


def _turned(question: str) -> list[str]:
    """The question within another, and as keywords, where its form is known: "What is X" → "Do you know what X is?"."""
    if of_being := OF_BEING.match(question):
        word, verb, thing = of_being[1].lower(), of_being[2].lower(), of_being[3]
        inside = f"{word} {thing} {verb}"
        return [
            f"{_upper_first(thing)}?",
            f"Can you tell me {inside}?",
            f"Tell me {inside}.",
            f"I would like to know {inside}.",
            f"Do you know {inside}?",
        ]
    if of_doing := OF_DOING.match(question):
        word, rest = of_doing[1].lower(), of_doing[2]
        if word == "who":  # "who do I ask" is "whom to ask"
            word = "whom"
        return [
            f"{_upper_first(rest)}: {word}?",
            f"Can you tell me {word} to {rest}?",
            f"I need to know {word} to {rest}.",
            f"Please explain {word} to {rest}.",
        ]
    return [f"Tell me: {_lower_first(question)}?", f"I would like to know: {_lower_first(question)}?"]


def _plain(text: str) -> str:
    """What makes two wordings the same to a reader: letters and digits; case counts."""
    return " ".join(re.findall(r"\w+", text))


def _lower_first(text: str) -> str:
    """Unless it is a name or an abbreviation."""
    first = text.split(" ", 1)[0]
    return text if first != first.capitalize() or first == "I" else text[:1].lower() + text[1:]


def _upper_first(text: str) -> str:
    return text[:1].upper() + text[1:]
