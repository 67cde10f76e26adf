"""Every sentence that Dolly says is in the catalogue of every language, and nothing is said past them."""

import re
from importlib.resources import files
from pathlib import Path
from string import Formatter

import pytest
from babel import Locale

from bot import errors
from bot.words import Languages, Sentence, Words, catalogue, languages
from tests.bot.catalogue_scan import TO_OPERATORS_OR_MODELS, keys_asked_for, literals, said_past_the_catalogue, sources

OTHERS = [language for language in languages() if language != "en"]
KEPT = re.compile(r"`[^`]*`|<[^>]*>|:\w+:")
"""What a translation leaves as it is: code, links, emoji."""
LABEL = re.compile(r"\|[^|>]*>")

MOST_CHARACTERS = {
    "home_title": 150,
    "home_about": 150,
    "home_change": 75,
    "settings_title": 24,
    "form_save": 24,
    "form_cancel": 24,
    "forget_button": 30,
    "forget_keep": 30,
    "forget_all_button": 75,
    "forget_confirm_title": 100,
    "forget_confirm": 300,
    "forget_all_confirm": 300,
    "thinking": 50,
    "review_title": 24,
    "review_next": 24,
    "review_close": 24,
    "review_done": 24,
    "review_approve": 75,
    "review_reject": 75,
    "review_skip": 75,
}
"""What Slack takes of them: headers, buttons, forms, dialogs (docs.slack.dev/reference/block-kit)."""


def test_every_key_that_is_asked_for_is_in_the_catalogue() -> None:
    asked_for = {key for path, source in sources().items() for key in keys_asked_for(source)}
    assert {"command_help", "thinking_steps"} <= asked_for
    named = [(getattr(e, "words_key", None), getattr(e, "waiting_key", None)) for e in vars(errors).values()]
    assert asked_for | {key for pair in named for key in pair if key} <= set(catalogue("en"))


def test_every_sentence_of_the_catalogue_is_used() -> None:
    assert set(catalogue("en")) - {literal for source in sources().values() for literal in literals(source)} == set()


# --- nothing is said past the catalogue -----------------------------------------------------------------------------


def test_nothing_is_said_past_the_catalogue() -> None:
    read = {path: source for path, source in sources().items() if not path.startswith(TO_OPERATORS_OR_MODELS)}
    assert {"slack/commands/slash.py", "slack/commands/forget_list.py", "responder.py"} <= set(read)
    assert {path: found for path, source in read.items() if (found := said_past_the_catalogue(source))} == {}


@pytest.mark.parametrize(
    "source",
    [
        'await ack("Done.")',
        'await ack("Done" if well else words.say("stopped"))',
        'await respond(text=f"Hi {name}")',
        'await reply.finish("Sorry, that went wrong.")',
        'client.chat_postMessage(channel=channel, text="Hello")',
        'block = {"type": "plain_text", "text": "Save"}',
        'blocks.section(f"*{count} questions*")',
        'sentence = "I have forgotten it."',
        'client.assistant_threads_setStatus(loading_messages=["Thinking…"])',
    ],
)
def test_a_sentence_in_the_code_is_found(source: str) -> None:
    assert said_past_the_catalogue(source)


@pytest.mark.parametrize(
    "source",
    [
        'await ack(words.say("command_help", mention=f"<@{bot_user_id}>"))',
        'blocks.button(words.say("forget_button"), "forget_me", value=str(conversation))',
        'log.warning("not_understood", reason="An event has no type.")',
        'raise ValueError(f"This is {none}, of no use.")',
        '"""It says what it does."""',
        'is_followed = rest == "follow on" or rest in ("follow", "follow always")',
        'block = {"type": "mrkdwn", "text": text}',
        'METHODS = "chat.update chat.delete"',
    ],
)
def test_what_nobody_reads_in_slack_is_not(source: str) -> None:
    assert said_past_the_catalogue(source) == []


# --- all languages say the same -------------------------------------------------------------------------------------


def forms(sentence: Sentence) -> list[str]:
    if isinstance(sentence, dict):
        return list(sentence.values())
    return [sentence] if isinstance(sentence, str) else sentence


def placeholders(sentence: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(sentence) if name is not None}


def kept(sentence: str) -> list[str]:
    """What must stand in every translation, a link's label aside."""
    return sorted(KEPT.findall(LABEL.sub(">", sentence)))


def test_there_are_other_languages() -> None:
    assert "hi" in OTHERS


@pytest.mark.parametrize("language", languages())
def test_a_catalogue_has_the_plural_forms_of_its_language(language: str) -> None:
    wanted = {"other", *Locale.parse(language, sep="-").plural_form.tags}
    plurals = {key: set(sentence) for key, sentence in catalogue(language).items() if isinstance(sentence, dict)}
    assert plurals, "no sentence has plural forms"
    assert {key: found for key, found in plurals.items() if found != wanted} == {}
    assert [key for key in plurals if not all("{count}" in form for form in forms(catalogue(language)[key]))] == []


@pytest.mark.parametrize("language", OTHERS)
def test_a_catalogue_has_every_sentence_and_the_same_in_it(language: str) -> None:
    english, other = catalogue("en"), catalogue(language)
    assert set(other) == set(english)
    for key, sentence in english.items():
        assert type(other[key]) is type(sentence), key
        whole = forms(sentence)[0]
        for form in forms(other[key]):
            assert placeholders(form) == placeholders(whole), key
            assert kept(form) == kept(whole), key
            assert (form[0] == "_", form[-1] == "_") == (whole[0] == "_", whole[-1] == "_"), key
            assert form.count("*") == whole.count("*"), key
            assert form.strip(), key
            assert form != whole, f"{key} is not translated"


@pytest.mark.parametrize("language", languages())
def test_slack_takes_the_short_ones(language: str) -> None:
    sentences = catalogue(language)
    too_long = {
        key: most for key, most in MOST_CHARACTERS.items() for form in forms(sentences[key]) if len(form) > most
    }
    assert too_long == {}


# --- the sentence that is said --------------------------------------------------------------------------------------


def test_a_sentence_is_filled_in() -> None:
    assert "<@U1>" in Words().say("command_help", mention="<@U1>")
    assert len(Words().choices("thinking_steps")) > 1
    with pytest.raises(KeyError):
        Words().say("no_such_key")


@pytest.mark.parametrize(
    ("locale", "language"),
    [("hi-IN", "hi"), ("hi", "hi"), ("en-GB", "en"), ("de-DE", "en"), ("", "en"), ("HI-in", "en"), ("../hi", "en")],
)
def test_a_locale_has_its_language_or_english(locale: str, language: str) -> None:
    assert Languages().of(locale).language == language


FEW: dict[str, dict[str, Sentence]] = {
    "en": {
        "stopped": "Stopped.",
        "steps": ["reads", "thinks"],
        "kept": {"one": "{count} day", "other": "{count} days"},
    },
    "hi": {"kept": {"one": "{count} दिन", "other": "{count} दिनों"}},
    "mr": {"stopped": "थांबले."},
}


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small catalogues, of which only the English one is complete."""
    monkeypatch.setattr("bot.words.catalogue", lambda language: FEW[language])


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize(
    ("language", "count", "said"),
    [
        ("en", 0, "0 days"),
        ("en", 1, "1 day"),
        ("en", 1.0, "1 day"),
        ("en", 0.5, "0.5 days"),
        ("en", 30.0, "30 days"),
        ("en", 12345, "12,345 days"),
        ("hi", 0, "0 दिन"),
        ("hi", 1, "1 दिन"),
        ("hi", 2, "2 दिनों"),
        ("hi", 123456, "1,23,456 दिनों"),
        ("mr", 0, "0 days"),
    ],
)
def test_a_number_has_its_form(language: str, count: float, said: str) -> None:
    """CLDR's rules: Hindi says 0 as it says 1; what is said in English for want of Marathi goes by those of English."""
    assert Words(language).say("kept", count=count) == said


@pytest.mark.usefixtures("few")
def test_what_a_catalogue_lacks_is_said_in_english() -> None:
    words = Words("mr")
    assert words.say("stopped") == "थांबले."
    assert words.choices("steps") == ["reads", "thinks"]
    for ask in (words.say, words.choices):
        with pytest.raises(KeyError):
            ask("no_such_key")


def test_a_language_is_added_by_one_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for language in languages():
        (tmp_path / f"{language}.toml").write_text(files("bot.words").joinpath(f"{language}.toml").read_text("utf-8"))
    (tmp_path / "pt-BR.toml").write_text('stopped = "_Parado._"')
    monkeypatch.setattr("bot.words.resources.files", lambda _: tmp_path)
    added = Languages()
    assert added.of("pt-BR").say("stopped") == "_Parado._"
    assert added.of("pt-BR").say("forget_keep") == added.english.say("forget_keep")
    assert added.of("hi-IN").language == "hi"
