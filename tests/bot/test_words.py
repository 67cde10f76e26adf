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
    keys = {key for source in sources for key in re.findall(r'words\.(?:say|choices)\(\s*"(\w+)"', source)}
    return keys | {error.words_key for error in vars(errors).values() if hasattr(error, "words_key")}


def test_the_catalogue_is_complete_and_has_nothing_unused() -> None:
    catalogue = tomllib.loads((BOT / "words" / "en.toml").read_text(encoding="utf-8"))
    assert set(catalogue) == asked_for()


def test_a_sentence_is_filled_in() -> None:
    assert "<@U1>" in Words().say("command_help", mention="<@U1>")
    assert len(Words().choices("thinking_steps")) > 1
