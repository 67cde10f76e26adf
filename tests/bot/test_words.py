"""Every sentence that the code asks for is in the catalogue, and every one in it is asked for."""

import re
import tomllib
from pathlib import Path

from bot import errors
from bot.words import Words

BOT = Path(__file__).resolve().parents[2] / "bot"


def asked_for() -> set[str]:
    sources = [path.read_text(encoding="utf-8") for path in BOT.rglob("*.py")]
    assert len(sources) > 20
    keys = {
        key for source in sources for key in re.findall(r'(?:words|responder)\.(?:say|choices)\([^")]*"(\w+)"', source)
    }
    named = [(getattr(e, "words_key", None), getattr(e, "waiting_key", None)) for e in vars(errors).values()]
    return keys | {key for pair in named for key in pair if key}


def test_the_catalogue_is_complete_and_has_nothing_unused() -> None:
    catalogue = tomllib.loads((BOT / "words" / "en.toml").read_text(encoding="utf-8"))
    assert set(catalogue) == asked_for()


def test_a_sentence_is_filled_in() -> None:
    assert "<@U1>" in Words().say("command_help", mention="<@U1>")
    assert len(Words().choices("thinking_steps")) > 1
