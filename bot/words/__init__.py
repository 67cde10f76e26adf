"""Every word that Dolly itself says, one TOML file per language."""

import tomllib
from importlib import resources


class Words:
    """The sentences of one language, by key.

    Raises KeyError for a key that is in no catalogue: a mistake in the code, found by the tests.
    """

    def __init__(self, language: str = "en") -> None:
        catalogue = resources.files(__name__).joinpath(f"{language}.toml").read_text(encoding="utf-8")
        self._sentences: dict[str, str | list[str]] = tomllib.loads(catalogue)

    def __contains__(self, key: str) -> bool:
        return key in self._sentences

    def say(self, key: str, **values: object) -> str:
        """The sentence for `key`, with its {…} filled in from `values`."""
        sentence = self._sentences[key]
        assert isinstance(sentence, str), f"{key} is a list; ask for it with choices()"
        return sentence.strip().format(**values)

    def choices(self, key: str) -> list[str]:
        """The sentences of a key that has several."""
        sentences = self._sentences[key]
        assert isinstance(sentences, list), f"{key} is one sentence; ask for it with say()"
        return list(sentences)
