"""What an instruction asks for: its root verb and that verb's direct noun object, such as `write` and `story`.

The paper parsed its instructions (the Berkeley neural parser in spaCy, whose weights come from the network). An English
instruction is nearly always an imperative, and an imperative shows its verb by where it stands: at a clause's start, or
behind "you need to" and "can you". So words and their order suffice here: short lists of words, and a noun phrase's
last word as its head. How often that is right is measured (docs/figures.md). Questions ask for no verb, and have none.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from trainer.self_instruct.english import ADJECTIVE, base_form, singular, words

SENTENCE = re.compile(r"(?<=[.!?;])[\"”)]?\s+(?=[A-Z\"“(<])|(?<=:)\s+|\n+")
TOKEN = re.compile(r"<\w+>|[^\W\d_][\w'&+/-]*|\d+(?:[.,]\d+)*[\w%-]*|\.\.\.|[^\w\s]")
NO_LATIN = re.compile(r"[^\u0000-\u024f]")
BREAKS = frozenset(",;:()-–—")
QUOTES = frozenset('"“”')
ASKED = re.compile(  # you need to … · I want you to … · the task is to … · you should …
    r"\b(?:(?:you(?:'ll| will| would| should)?|we(?: will)?|and) (?:also )?(?:need|have|have been|be|are)"
    r"(?: (?:asked|required|expected|supposed|going|tasked))?"
    r"|(?:want|need|like|ask|asking) you|(?:task|job|goal|aim|challenge|objective) (?:here )?(?:is|will be)) to "
    r"|\byou (?:should|must|shall|will) (?!be\b|need\b|have\b|see\b|find\b)"
)
CAN_YOU = ("can you", "could you", "would you", "will you", "can we", "let us", "let's")

VERBS, SETTING_UP, OF_VERBS = words("verbs"), words("setting_up"), words("of_verbs")
GIVING, INDIRECT, TRYING, PARTICLES = words("giving"), words("indirect"), words("trying"), words("particles")
LEAD_INS, ENDING_IN_LY = words("lead_ins"), words("ending_in_ly")
DETERMINERS, QUANTITIES, POINTING = words("determiners"), words("quantities"), words("pointing")
ORDERING, NO_NOUNS = words("ordering"), words("no_nouns")
FUNCTION_WORDS = words("pronouns", "prepositions", "conjunctions", "auxiliaries")
AFTER_NOUNS = frozenset(("of", "for", "in", "between", "and", "or"))
"""Before them a word in -ing is a noun, a rating for; elsewhere it goes on as verbs do, words rhyming with."""


@dataclass(frozen=True, slots=True)
class Root:
    """Lemmas in lower case. `object` is None where the verb has no noun as its direct object."""

    verb: str
    object: str | None


def root_of(instruction: str) -> Root | None:
    """The first that is asked for; None where nothing is, as in most questions."""
    set_up: Root | None = None
    for sentence in SENTENCE.split(instruction.replace("’", "'")):
        for clause in _asking(sentence):
            verb = _lower(clause[0])
            root = Root(verb, _object(verb, clause[1:]))
            if verb not in SETTING_UP:
                return root
            set_up = set_up or root
    return set_up or _of_gerund(instruction)


def _asking(sentence: str) -> Iterator[Sequence[str]]:
    """From each verb that asks, the words up to the sentence's end."""
    tokens = TOKEN.findall(sentence)
    is_question = sentence.rstrip().endswith("?")
    breaks = [place for place, token in enumerate(tokens) if token in BREAKS]
    for start, end in zip([0, *(place + 1 for place in breaks)], [*breaks, len(tokens)], strict=True):
        start = _past_lead_ins(tokens, start, end)
        clause = " ".join(tokens[start:end]).lower()
        if asked := next((opening for opening in CAN_YOU if clause.startswith(opening + " ")), None):
            place = _past_lead_ins(tokens, start + len(asked.split()), len(tokens))
        elif is_question:
            continue
        elif start < end and _is_verb(tokens[start:end]) and (end - start > 1 or end - start == len(tokens)):
            place = start
        elif found := ASKED.search(clause):
            place = _past_lead_ins(tokens, start + len(clause[: found.end()].split()), len(tokens))
        else:
            continue
        if _is_verb(tokens[place:]):
            yield tokens[place:]


def _past_lead_ins(tokens: Sequence[str], place: int, end: int) -> int:
    """Please, then, briefly: before a verb, and not it."""
    while place < end:
        word = tokens[place].lower()
        is_adverb = word.endswith("ly") and word not in VERBS and word not in ENDING_IN_LY
        if not (word in LEAD_INS or is_adverb or not word[0].isalnum()):
            break
        place += 1
    return place


def _lower(word: str) -> str:
    """Re-write is rewrite."""
    return re.sub(r"^re-(?=\w)", "re", word.lower())


def _is_verb(clause: Sequence[str]) -> bool:
    """Whether the first word is one that asks. A word that no list has is one where an article or the like follows."""
    if not clause:
        return False
    word, after = _lower(clause[0]), clause[1].lower() if len(clause) > 1 else ""
    if after == "of" and word not in OF_VERBS:
        return False
    if word in VERBS or word in SETTING_UP:
        return after not in ("is", "are", "was", "were")
    if word in FUNCTION_WORDS or not word.isalpha() or re.search(r"(?:ing|ed|ly|[^s]s)$", word):
        return False
    return after in DETERMINERS


def _object(verb: str, tokens: Sequence[str]) -> str | None:
    """The head of the noun phrase behind a verb, past up with, me, and whom something is given."""
    read = [token.lower() for token in tokens]
    place = 0
    if read[:2] == ["up", "with"]:
        place = 2
    elif read and (read[0] in PARTICLES or (verb, read[0]) == ("fill", "in")):
        place = 1
    if place < len(read) and (read[place] in ("me", "us") or (verb in GIVING and read[place] in INDIRECT)):
        place += 1
    if verb in TRYING and place < len(read) and read[place].endswith("ing"):
        return None
    head, end = _noun_phrase(read, place)
    if verb in GIVING and end < len(read) and read[end] in DETERMINERS - {"that"}:  # give the brand a motto
        head = _noun_phrase(read, end)[0] or head
    return head


def _noun_phrase(read: Sequence[str], place: int) -> tuple[str | None, int]:
    """The head of the noun phrase that begins there, in the singular, and where the phrase ends."""
    place, determiner = _past_determiners(read, place)
    phrase: list[str] = []
    while place < len(read):
        word, rest = read[place], read[place + 1 :]
        if phrase and word in ("one", "ones"):
            return None, place
        if word in QUOTES and (quoted := _quoted(rest)):
            place += quoted
        elif _is_skipped(word, rest, phrase, determiner):
            place += 1
        elif _ends_phrase(word, rest[0] if rest else "", phrase):
            break
        else:
            phrase.append(word)
            place += 1
    if not phrase or phrase[-1] in NO_NOUNS or NO_LATIN.search(phrase[-1]):
        return None, place
    return singular(phrase[-1].removesuffix("'s").strip("<>'")), place


def _past_determiners(read: Sequence[str], place: int) -> tuple[int, str]:
    """And the first of them: the, some of the, all five of these, the given."""
    determiner = ""
    while place < len(read):
        word = read[place]
        if word in QUANTITIES and read[place + 1 : place + 2] == ["of"]:
            place += 2
        elif word in DETERMINERS or word in QUANTITIES or word[0].isdigit() or (word in POINTING and determiner):
            determiner = determiner or word
            place += 1
        else:
            break
    return place, determiner


def _quoted(rest: Sequence[str]) -> int:
    """How long a quotation is that stands before a noun, as in the "TODO" comment; 0 where none does."""
    end = next((place for place, word in enumerate(rest) if word in QUOTES), len(rest))
    after = rest[end + 1 : end + 2]
    return end + 2 if after and after[0][0].isalpha() and after[0] not in FUNCTION_WORDS else 0


def _is_skipped(word: str, rest: Sequence[str], phrase: Sequence[str], determiner: str) -> bool:
    """A number, as in the next three letters, and what joins adjectives."""
    if phrase and phrase[-1] in ORDERING and (word in QUANTITIES or word[0].isdigit()):
        return True
    return word in (",", "and", "or") and _joins_adjectives(phrase, determiner, rest)


def _joins_adjectives(phrase: Sequence[str], determiner: str, rest: Sequence[str]) -> bool:
    """A short, funny story; a fun and creative one; but not "a word and its meaning"."""
    rest = rest[1:] if rest and rest[0] in ("and", "or") else rest
    if len(phrase) != 1 or len(rest) < 2:
        return False
    goes_on = all(word[0].isalpha() and word not in FUNCTION_WORDS | DETERMINERS for word in rest[:2])
    is_verb = rest[0] in VERBS or rest[0].endswith("ing")
    return goes_on and bool(ADJECTIVE.search(phrase[0]) or (determiner in ("a", "an") and not is_verb))


def _ends_phrase(word: str, after: str, phrase: Sequence[str]) -> bool:
    if not (word[0].isalnum() or word[0] == "<") or word in FUNCTION_WORDS or word in DETERMINERS:
        return True
    if not phrase:
        return False
    if word.endswith("ly"):
        return word not in ENDING_IN_LY
    if word == "used" or (word.endswith("ed") and len(word) > 4 and not word.endswith("eed")):
        return not after or not after[0].isalpha() or after in FUNCTION_WORDS or after in DETERMINERS
    if word.endswith("ing") and len(word) > 4:
        return after in DETERMINERS or after in QUANTITIES or after in FUNCTION_WORDS - AFTER_NOUNS
    return False


def _of_gerund(instruction: str) -> Root | None:
    """Of what is written without a verb that asks: Converting miles to kilometres."""
    tokens = TOKEN.findall(instruction)
    verb = base_form(tokens[0].lower(), VERBS) if tokens and not instruction.rstrip().endswith("?") else None
    return Root(verb, _object(verb, tokens[1:])) if verb else None
