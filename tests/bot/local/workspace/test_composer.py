"""What is typed becomes the text that Slack keeps."""

import pytest

from bot.local.workspace.people.composer import wire_text
from bot.local.workspace.records import BOT_USER_ID, TEAM, opening_channels

CHANNELS = opening_channels()


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("plain words", "plain words"),
        ("a < b & c > d", "a &lt; b &amp; c &gt; d"),
        ("@dolly hello", f"<@{BOT_USER_ID}> hello"),
        ("@Dolly, hello", f"<@{BOT_USER_ID}>, hello"),
        ("(@ben)", "(<@U0BEN000001>)"),
        ("@nobody @dollyx", "@nobody @dollyx"),
        ("write to ben@dolly.example", "write to ben@dolly.example"),
        ("ask in #general.", "ask in <#C0GENERAL01|general>."),
        ("issue #12 and a#general", "issue #12 and a#general"),
        ("@here @channel @everyone", "<!here> <!channel> <!everyone>"),
        ("see https://x.example/a?b=1&c=2.", "see <https://x.example/a?b=1&amp;c=2>."),
        ("<https://x.example>", "&lt;<https://x.example>&gt;"),
        ("`@ben` and ```\n#general https://x.example\n```", "`@ben` and ```\n#general https://x.example\n```"),
        ("<@U0BEN000001>", "&lt;@U0BEN000001&gt;"),
        ("<!channel>", "&lt;!channel&gt;"),
        ("😀 नमस्ते @asha", "😀 नमस्ते <@U0ASHA00001>"),
    ],
)
def test_typed_text(typed: str, kept: str) -> None:
    assert wire_text(typed, TEAM, CHANNELS) == kept


def test_a_command_gets_names_with_its_mentions() -> None:
    text = wire_text("ask @ben in #general", TEAM, CHANNELS, named=True)
    assert text == "ask <@U0BEN000001|ben> in <#C0GENERAL01|general>"


def test_long_text_takes_no_time() -> None:
    assert len(wire_text("@" * 25_000 + "#" * 25_000, TEAM, CHANNELS)) == 50_000
    assert len(wire_text("`" * 50_001, TEAM, CHANNELS)) == 50_001
