"""Slack's text to plain text and back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.slack.mrkdwn import escape, excerpt, mentions, one_line, time_token, to_plain, unescape


@pytest.mark.parametrize(
    ("slack", "plain"),
    [
        ("<@UBOT> what is 2 &lt; 3 &amp;&amp; 4?", "what is 2 < 3 && 4?"),
        ("hey <@UBOT|dolly>, hello", "hey , hello"),
        ("<@UBOT>", ""),
        ("ask <@U2|Ben> and <@U3>", "ask @Ben and @U3"),
        ("in <#C1|general> and <#C2>", "in #general and #C2"),
        ("<!here> <!subteam^S1|@crew> <!subteam^S2> <!date^1^{date}|today>", "@here @crew @subteam today"),
        (
            "see <https://a.example/x|the page> and <https://b.example>",
            "see the page (https://a.example/x) and https://b.example",
        ),
        ("<https://a.example|https://a.example>", "https://a.example"),
        ("<mailto:a@b.example|a@b.example>", "a@b.example"),
        ("&lt;@UBOT&gt; is literal", "<@UBOT> is literal"),
        ("a < b > c", "a < b > c"),
        ("🤔", "🤔"),
    ],
)
def test_what_people_write_becomes_plain(slack: str, plain: str) -> None:
    assert to_plain(slack, "UBOT") == plain


def test_a_mention_is_found_with_and_without_its_label() -> None:
    assert mentions("hi <@UBOT>", "UBOT")
    assert mentions("hi <@UBOT|dolly>", "UBOT")
    assert not mentions("hi <@UBOTTOM> &lt;@UBOT&gt;", "UBOT")


@given(st.text())
def test_escaping_leaves_nothing_that_slack_would_read_and_can_be_undone(text: str) -> None:
    escaped = escape(text)
    assert "<" not in escaped
    assert unescape(escaped) == text


@given(st.text(), st.text())
def test_escaping_piece_by_piece_is_escaping_the_whole(first: str, second: str) -> None:
    assert escape(first) + escape(second) == escape(first + second)


def test_a_time_is_each_readers_own_and_utc_where_slack_cannot_say_it() -> None:
    token = time_token(1_763_820_225)
    assert token == "<!date^1763820225^{time_secs}|14:03:45 UTC>"
    assert to_plain(token, "UBOT") == "14:03:45 UTC"


@given(st.text(st.sampled_from("ab<>&;… l"), max_size=60), st.integers(min_value=1, max_value=60))
def test_an_excerpt_fits_as_it_is_sent_and_breaks_no_escape(text: str, most_characters: int) -> None:
    shown = excerpt(text, most_characters)
    assert len(shown) <= most_characters
    assert shown == escape(text) or text.startswith(unescape(shown.removesuffix("…")))
    assert "&" not in shown.replace("&amp;", "").replace("&lt;", "")


def test_one_line_is_one() -> None:
    assert one_line(" a\n\n<b>  c ", 80) == "a &lt;b> c"
