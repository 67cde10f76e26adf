"""Classes of English words, from english.toml, and the singular of nouns."""

import re
import tomllib
from importlib import resources

_FILE = tomllib.loads((resources.files(__package__) / "english.toml").read_text(encoding="utf-8"))
_SINGULARS: dict[str, str] = _FILE["singulars"]


def words(*classes: str) -> frozenset[str]:
    """All of these classes."""
    return frozenset(word for name in classes for word in _FILE[name].split())


ADJECTIVE = re.compile(r"(?:ive|ous|ful|ic|ical|al|able|ible|ent|ant|less|ish|y)$")
"""How most of those end that are joined by "and"."""


def singular(noun: str) -> str:
    """Of a plural in lower case; any other word as it is."""
    if noun in _SINGULARS:
        return _SINGULARS[noun]
    if noun.endswith("ies") and len(noun) > 4:
        return noun[:-3] + "y"
    if noun.endswith(("sses", "shes", "ches", "xes", "zzes", "oes")):
        return noun[:-2]
    if noun.endswith("s") and not noun.endswith(("ss", "us", "is")) and len(noun) > 3:
        return noun[:-1]
    return noun


def base_form(gerund: str, verbs: frozenset[str]) -> str | None:
    """Of solving: solve, where that is one of the verbs."""
    stem = gerund.removesuffix("ing")
    return next((verb for verb in (stem, stem + "e", stem[:-1]) if verb in verbs), None) if stem != gerund else None
