"""mrkdwn as people write it, and the rich_text block that Slack makes of it."""

import pytest

from bot.local.workspace.records import Json
from bot.local.workspace.timeline.rich_text import rich_text_block


def text(words: str, **style: bool) -> Json:
    return {"type": "text", "text": words, **({"style": style} if style else {})}


@pytest.mark.parametrize(
    ("mrkdwn", "elements"),
    [
        ("plain", [text("plain")]),
        ("a &lt;b&gt; &amp; c", [text("a <b> & c")]),
        ("*b* _i_ ~s~", [text("b", bold=True), text(" "), text("i", italic=True), text(" "), text("s", strike=True)]),
        ("*b _bi_*", [text("b ", bold=True), text("bi", bold=True, italic=True)]),
        ("`*not bold*`", [text("*not bold*", code=True)]),
        ("2 * 3 * 4, snake_case_name", [text("2 * 3 * 4, snake_case_name")]),
        (
            "<@U1> <#C1|general>",
            [{"type": "user", "user_id": "U1"}, text(" "), {"type": "channel", "channel_id": "C1"}],
        ),
        ("<!here>", [{"type": "broadcast", "range": "here"}]),
        ("<!subteam^S1|@team>", [{"type": "usergroup", "usergroup_id": "S1"}]),
        ("<https://x.org/?a=1&amp;b=2>", [{"type": "link", "url": "https://x.org/?a=1&b=2"}]),
        ("<https://x.org|the site>", [{"type": "link", "url": "https://x.org", "text": "the site"}]),
        (":wave::skin-tone-3: at 10:30:00", [{"type": "emoji", "name": "wave"}, text(" at 10:30:00")]),
    ],
)
def test_inline(mrkdwn: str, elements: list[Json]) -> None:
    [section] = rich_text_block(mrkdwn, "b")["elements"]
    assert section == {"type": "rich_text_section", "elements": elements}


def test_quotes_and_preformatted_passages_stand_apart() -> None:
    block = rich_text_block("Look:\n&gt; a *quote*\n&gt; of two lines\n```\nx = &lt;1&gt; *2*\n```\nDone", "b")
    assert [(each["type"], [part["text"] for part in each["elements"]]) for each in block["elements"]] == [
        ("rich_text_section", ["Look:\n"]),
        ("rich_text_quote", ["a ", "quote", "\nof two lines"]),
        ("rich_text_preformatted", ["x = <1> *2*"]),
        ("rich_text_section", ["\nDone"]),
    ]


@pytest.mark.parametrize("hostile", ["*" * 40_000, "<" * 40_000, "`_~*" * 10_000, "&gt;" * 10_000, ":a" * 20_000])
def test_hostile_text_is_read_quickly(hostile: str) -> None:
    assert rich_text_block(hostile, "b")["elements"]
