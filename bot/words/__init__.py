"""Every word that Dolly itself says, one TOML file per language. A new language is a new file: see en.toml."""

import tomllib
from collections.abc import Mapping
from importlib import resources

from babel import Locale, negotiate_locale
from babel.numbers import format_decimal

Sentence = str | list[str] | dict[str, str]
"""One sentence; several to choose from; or the forms of one, by CLDR's names for plurals (`one`, `other`, …)."""

ENGLISH = "en"
SUFFIX = ".toml"


class Words:
    """The sentences of one language, by key. What a catalogue lacks is said in English.

    Raises KeyError for a key that is in no catalogue: a mistake in the code, found by the tests.
    """

    def __init__(self, language: str = ENGLISH) -> None:
        self.language = language
        self._locale = Locale.parse(language, sep="-")
        self._sentences = catalogue(language)
        self._fallback = Words() if language != ENGLISH else None

    def say(self, key: str, **values: object) -> str:
        """The sentence for `key`, with its {…} filled in from `values`; numbers as the language writes them.

        Of a sentence with plural forms, the number under `count` chooses one.
        """
        sentence = self._sentences.get(key)
        if sentence is None and self._fallback is not None:
            return self._fallback.say(key, **values)
        if isinstance(sentence, dict):
            sentence = self._form(sentence, values["count"])
        if sentence is None:
            raise KeyError(key)
        assert isinstance(sentence, str), f"{key} is a list; ask for it with choices()"
        return sentence.strip().format(**{name: self._written(value) for name, value in values.items()})

    def choices(self, key: str) -> list[str]:
        """The sentences of a key that has several."""
        sentences = self._sentences.get(key)
        if sentences is None and self._fallback is not None:
            return self._fallback.choices(key)
        if sentences is None:
            raise KeyError(key)
        assert isinstance(sentences, list), f"{key} is one sentence; ask for it with say()"
        return list(sentences)

    def _form(self, forms: Mapping[str, str], count: object) -> str:
        assert isinstance(count, int | float), "count is a number"
        # CLDR tells "1" from "1.0"; what is said here are counts of whole things, where they are whole.
        form = self._locale.plural_form(int(count) if count == int(count) else count)
        return forms.get(form, forms["other"])

    def _written(self, value: object) -> object:
        return format_decimal(value, locale=self._locale) if isinstance(value, int | float) else value


class Languages:
    """The words of every language that has a catalogue, read once."""

    def __init__(self) -> None:
        self._words = {language: Words(language) for language in languages()}

    @property
    def english(self) -> Words:
        """What is said where no locale is known."""
        return self._words[ENGLISH]

    def of(self, locale: str) -> Words:
        """The words for a locale as Slack writes it, such as "hi-IN"; English where there are none."""
        language = negotiate_locale([locale], list(self._words), sep="-")
        return self._words.get(language or ENGLISH, self.english)


def languages() -> list[str]:
    """The languages that have a catalogue: its file's name is a locale's, such as `hi` or `pt-BR`."""
    names = [entry.name for entry in resources.files(__name__).iterdir()]
    return sorted(name.removesuffix(SUFFIX) for name in names if name.endswith(SUFFIX))


def catalogue(language: str) -> dict[str, Sentence]:
    """What stands in the file of one language."""
    text = resources.files(__name__).joinpath(language + SUFFIX).read_text(encoding="utf-8")
    return tomllib.loads(text)
