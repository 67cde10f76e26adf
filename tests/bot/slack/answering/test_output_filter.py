"""What a model may not make Slack render. Pieces of it are in test_output_filter_splits.py."""

import re
from urllib.parse import unquote

import pytest
from hypothesis import given, settings
from linkify_it.tlds import TLDS
from markdown_it import MarkdownIt
from markdown_it.token import Token

from bot.slack.answering.addresses import FILE_ENDINGS
from bot.slack.answering.output_filter import OutputFilter
from bot.slack.mrkdwn import unescape
from tests.bot.slack.answering.test_output_filter_splits import HOSTS, MANY, TEXTS, whole
from tests.bot.test_metrics import Growth

MAY_STAY = {
    *("https://heard.example/a?b=1", "https://heard.example/x", "http://bare.com", "mailto:mail@bare.com"),
    "http://good.example",
}


def filtered(text: str, *heard: str, hosts: tuple[str, ...] = ()) -> str:
    output = OutputFilter(hosts)
    output.hear(heard)
    output.write(text)
    return output.whole()


# --- links --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://evil.com/?q=secret", "https[:]//evil[.]com/?q=secret"),
        ("HTTPS://EVIL.COM", "HTTPS[:]//EVIL[.]COM"),
        ("www.evil.com", "www[.]evil[.]com"),
        ("www.x.evil.com.हिन्दी", "www[.]x[.]evil[.]com[.]हिन्दी"),
        ("evil.com and evil.com/secret.", "evil[.]com and evil[.]com/secret."),
        ("secret.evil.zip", "secret[.]evil[.]zip"),
        ("//evil.com/x", "//evil[.]com/x"),
        ("[good](https://evil.com)", "good (https[:]//evil[.]com)"),
        ("[https://good.com](https://evil.com)", "https[:]//good[.]com (https[:]//evil[.]com)"),
        ('[a `b` **c**](<https://evil.com/a b> "title")', "a `b` **c** (https[:]//evil[.]com/a%20b)"),
        ("[![alt](https://evil.com/1)](https://evil.com/2)", "alt (https[:]//evil[.]com/1) (https[:]//evil[.]com/2)"),
        ("![alt](https://evil.com/i.png)", "alt (https[:]//evil[.]com/i[.]png)"),
        ("![](https://evil.com/)", "https[:]//evil[.]com/"),
        ("[empty]()", "empty"),
        ("[x](javascript:alert(1))", "x (javascript[:]alert(1))"),
        ("[over\nlines](\nhttps://evil.com)", "[over\nlines] (\nhttps[:]//evil[.]com)"),
        ("[x][ref]\n\n[ref]: https://evil.com 'title'", "[x][ref]\n\n[ref] : https[:]//evil[.]com 'title'"),
        ("[ref]:\nhttps://evil.com", "[ref] :\nhttps[:]//evil[.]com"),
        ("<https://evil.com>", "https[:]//evil[.]com"),
        ("<https://evil.com|good.com>", "good[.]com (https[:]//evil[.]com)"),
        ('<a href="https://evil.com">x</a>', '&lt;a href="https[:]//evil[.]com"&gt;x&lt;/a&gt;'),
        ("<img src=https://evil.com/x>", "&lt;img src=https[:]//evil[.]com/x&gt;"),
        ("mailto:a@evil.com a@evil.com <a@evil.com>", "mailto[:]a@evil[.]com a@evil[.]com a@evil[.]com"),
        ("tel:+123 slack://open sms:1", "tel[:]+123 slack[:]//open sms[:]1"),
        ("ftp://evil.com git+ssh://evil.com", "ftp[:]//evil[.]com git+ssh[:]//evil[.]com"),
        ("https://good.com@evil.com/", "https[:]//good[.]com@evil[.]com/"),
        (
            "https://1.2.3.4/x 1.2.3.4/x http://2130706433",
            "https[:]//1[.]2[.]3[.]4/x 1[.]2[.]3[.]4/x http[:]//2130706433",
        ),
        ("7.com:// x.https://good.com", "7[.]com[:]// x[.]https[:]//good[.]com"),
        ("https://[::1]/x", "https[:]//[::1]/x"),
        ("xn--e1afmkfd.xn--p1ai пример.рф", "xn--e1afmkfd[.]xn--p1ai пример[.]рф"),
        ("https://еvil.com", "https[:]//еvil[.]com"),
        ("हिन्दी.com", "हिन्दी[.]com"),
        ("ht\u200btps\u2060://ev\u00adil\ufeff.com", "https[:]//evil[.]com"),
        ("e\u200dvil\u200c.com", "evil[.]com"),
        ("https\\://evil\\.com", "https[:]//evil[.]com"),
        ("https&#58;//evil&#x2e;com &amp;#104;ttps://evil.com", "https[:]//evil[.]com https[:]//evil[.]com"),
        ("`https://evil.com` `evil.com/x`", "`https[:]//evil[.]com` `evil[.]com/x`"),
        ("```\ncurl https://evil.com/x\n```", "```\ncurl https[:]//evil[.]com/x\n```"),
        ("|https://evil.com|\n|-|", "|https[:]//evil[.]com|\n|-|"),
        ("a,https://evil.com,b", "a,https[:]//evil[.]com,b"),
        ("看https://evil.com吧", "看https[:]//evil[.]com吧"),
    ],
)
def test_an_address_that_nobody_wrote_is_no_link(text: str, shown: str) -> None:
    assert filtered(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        *(
            "3.5 kg, v1.2.3, e.g. this, i.e. that, and/or… 10:30",
            "README.md bot/slack/app.py deploy.sh",
            "Wait...what?",
        ),
        *(
            "`app.run()` and `np.linalg.inv`",
            "```js\nwindow.open(url)\n```",
            "Node.js",
            "a: b",
            "std::vector",
            "1.2.3.4",
        ),
        *("**bold** _it_ ~~no~~ `code`", "# Heading\n\n- a\n  - b\n\n1. c\n\n---", "| a | b |\n|---|---|\n| 1 | 2 |"),
        *(
            "> quote\n> > more",
            "- [ ] open\n- [x] done",
            "array[0] = (1)",
            "f(x)[0]",
            "[1, 2] and [3]",
            "é 🤔 हिन्दी क्‍ष",
        ),
        "```python\nx = [a](b)\n```",
    ],
)
def test_what_is_no_address_stays_as_it_is(text: str) -> None:
    assert filtered(text) == text


@pytest.mark.parametrize(
    ("heard", "text", "is_link"),
    [
        ("see https://a.com/x?y=1", "https://a.com/x?y=1", True),
        ("see https://a.com/x?y=1", "HTTPS://A.com/x?y=1.", True),
        ("see (https://a.com/x)", "**https://a.com/x**", True),
        ("see (https://a.com/x)", "[the page](https://a.com/x)", True),
        ("see https://a.com", "https://a.com/", True),
        ("a.com", "a.com", True),
        ("write to me@a.com", "me@a.com", True),
        ("see https://a.com/x", "https://a.com/x?q=secret", False),
        ("see https://a.com/x", "https://a.com/X", False),
        ("see https://a.com/x", "https://a.com/", False),
        ("see https://a.com/x", "https://secret.a.com/x", False),
        ("see https://a.com/x", "https://a.com/x\u3000secret", False),
        ("see https://a.com/x", "https://a.com/x<secret", False),
        ("see https://a.com/x", "https://a.com/x`secret`", False),
        ("see https://a.com/x", "https://a.com/x\\secret", False),
        ("see https://a.com/x", "http://a.com/x", False),
        ("https://me:pass@a.com/x", "https://me:pass@a.com/x", False),
        ("mailto:me@a.com slack://open", "mailto:me@a.com", False),
        ("slack://open", "slack://open", False),
    ],
)
def test_only_exactly_what_people_wrote_stays_a_link(heard: str, text: str, is_link: bool) -> None:
    assert ("[.]" not in filtered(text, heard) and "[:]" not in filtered(text, heard)) is is_link


@pytest.mark.parametrize(
    ("text", "is_link"),
    [
        ("https://wiki.team.com/a?b=c#d", True),
        ("http://WIKI.team.com:8080", True),
        ("wiki.team.com/a", True),
        ("https://a.docs.team.com/", True),
        ("https://team.com", False),
        ("https://docs.team.com", False),
        ("https://evil-docs.team.com.evil.com", False),
        ("https://wiki.team.com.evil.com/", False),
        ("https://evil.com/wiki.team.com", False),
        ("https://wiki.team.com@evil.com", False),
        ("https://evil.com\\@wiki.team.com", False),
        ("https://wiki.team.com\\@evil.com", False),
        ("https://wiki.team.com/,https://evil.com/", False),
        ("https://wiki.team.com,evil.com/", False),
        ("ftp://wiki.team.com/", False),
        ("javascript://wiki.team.com/%0aalert(1)", False),
        ("https://wiki\u0131.team.com", False),
    ],
)
def test_hosts_that_the_admin_allows(text: str, is_link: bool) -> None:
    assert ("[.]" not in filtered(text, hosts=("wiki.team.com", "*.docs.team.com"))) is is_link


# --- mentions and escapes -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "control", ["<!channel>", "<!here|here>", "<!everyone>", "<!subteam^S1|@crew>", "<@U1>", "<#C1>"]
)
def test_slacks_own_sequences_are_text(control: str) -> None:
    for text in (control, f"`{control}`", f"```\n{control}\n```", f"[{control}](x)", control.replace("<", "&lt;")):
        assert "<" not in filtered(text)
        assert control in unescape(filtered(text))


def test_broadcasts_without_brackets_are_none() -> None:
    assert filtered("@here @channel, @Everyone @hereby") == "@\u2060here @\u2060channel, @\u2060Everyone @hereby"


def test_escapes() -> None:
    assert filtered("a < b && c > d\n> quote > more\n- > in a list\n`x > y`") == (
        "a &lt; b &amp;&amp; c &gt; d\n> quote &gt; more\n- > in a list\n`x &gt; y`"
    )
    assert filtered("&copy; 2026 &lt;b&gt; `&lt;`") == "© 2026 &lt;b&gt; `&amp;lt;`"


def test_what_shows_nothing_is_dropped() -> None:
    assert filtered("a\x00b\x1b[1m\u202ec\U000e0041\r\n\ud800d\u2028e") == "ab[1mc\nd\ne"


# --- as another reader sees it ------------------------------------------------------------------------------------


def _reader() -> MarkdownIt:
    """GitHub's Markdown, which makes links of everything that looks like one."""
    reader = MarkdownIt("gfm-like", {"html": False})
    assert reader.linkify is not None
    reader.linkify.tlds([name.lower() for name in TLDS])
    return reader


READER = _reader()


def links(tokens: list[Token]) -> list[tuple[str, str]]:
    """Address and label of each link."""
    found = []
    for token in tokens:
        children = token.children or []
        for index, child in enumerate(children):
            if child.type == "link_open":
                found.append((str(child.attrGet("href")), children[index + 1].content))
            if child.type == "image":
                found.append((str(child.attrGet("src")), "image"))
    return found


def bare(address: str) -> str:
    return re.sub(r"^(mailto:|https?://)", "", unquote(address), flags=re.IGNORECASE).rstrip("/").lower()


def forbidden(shown: str) -> list[tuple[str, str]]:
    """Links that Slack may not have made of it, whether it undoes its escapes before it reads Markdown, or after."""
    found = []
    for text in (shown, unescape(shown)):
        for url, label in links(READER.parse(text)):
            host, shown_as = re.sub(r"[/\W]+$", "", re.split("[/?#]", bare(url))[0]), bare(label)
            if not re.fullmatch(r"(.*@)?[\w\-]+(\.[\w\-]+)*(:\d*)?", host):
                continue  # no such host can be
            is_file = host.rpartition(".")[2] in FILE_ENDINGS and host.count(".") == 1 and host == bare(url)
            is_allowed = re.sub(r"[\W_]{1,4}$", "", unquote(url)) in MAY_STAY or host in HOSTS
            if not ((is_allowed or is_file) and shown_as == bare(url)):
                found.append((url, label))
    return found


def test_the_other_reader_sees_links() -> None:
    for text in ("https://evil.com", "evil.com", "a@evil.com", "[a](https://evil.com)", "![a](b)", "www.evil.com"):
        assert forbidden(text), text
    assert not forbidden("https://heard.example/x https://good.example README.md")


@settings(MANY)
@given(TEXTS)
def test_no_reader_makes_a_link_that_may_not_be(text: str) -> None:
    shown = whole(text)
    assert "<" not in shown
    assert forbidden(shown) == []


LOGIN = "https://heard.example/x"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"[the company wiki]\\({LOGIN})", f"[the company wiki] ({LOGIN})"),
        (f"[see {LOGIN} now]\\({LOGIN})", f"[see {LOGIN} now] ({LOGIN})"),
        (f"[wiki]&#40;{LOGIN})", f"[wiki] ({LOGIN})"),
        (f"[r]\\:{LOGIN}\n\n[wiki][r]", f"[r] :{LOGIN}\n\n[wiki][r]"),
    ],
)
def test_an_escape_that_is_dropped_leaves_no_link_behind_a_label(text: str, shown: str) -> None:
    assert whole(text) == shown
    assert forbidden(shown) == []


@pytest.mark.parametrize(
    "text",
    [
        "| x ` evil-host.com | ` y |\n|---|---|",
        "| ` | ` b ` evil-host.com ` |\n|---|---|",
        "[`a|b`](x) c ` | ` evil-host.com ` d",
        "[a](x`y) ` evil-host.com ` `",
        "&#96; ` evil-host.com `",
        "&#96;\nx ` evil-host.com `",
        "\\`evil.com ` evil-host.com `",
        f"{'`' * 100} evil-host.com {'`' * 100}",
        f"{'~' * 100}\nevil-host.com\n{'~' * 100}",
    ],
)
def test_code_ends_where_a_cell_ends_and_turns_round_at_a_backtick_that_stands_alone(text: str) -> None:
    assert "evil-host[.]com" in whole(text)
    assert forbidden(whole(text)) == []


@pytest.mark.parametrize(
    "text",
    [
        "&#96;&#96;&#96;\n\n```\nevil-host.com\n```",
        "[```](x)\n\n```\nevil-host.com\n```",
        "[](<~~~>)\n\n~~~\nevil-host.com\n~~~",
        "\\~~~evil.com/a\n\n~~~\nevil-host.com\n~~~",
        "&#45; a\n\n    evil-host.com",
        "1&#46; a\n\n    evil-host.com",
        "- [&#45; a](x)\n\n      evil-host.com",
        '| a [x](y "|") |\n|---|---|\n    evil-host.com',
        '| a [x](y "|") |\n|---|---|\n10000. a\n       ~~~\n       evil-host.com\n       ~~~',
        "[r]: x\n10000. a\n       ~~~\n       evil-host.com\n       ~~~",
    ],
)
def test_what_is_shown_has_the_blocks_that_were_judged(text: str) -> None:
    assert forbidden(whole(text)) == []


# --- what is counted ----------------------------------------------------------------------------------------------


def test_each_break_is_counted_once() -> None:
    grown = Growth()
    output = OutputFilter()
    for delta in ("https://evil.com <!chan", "nel>\n", "www.evil.com @here", " fine"):
        output.write(delta)
        assert output.so_far is not None
    assert grown("dolly_filter_hits_total") == 0
    output.whole()
    assert grown("dolly_filter_hits_total") == 4


def test_an_indent_at_the_beginning_makes_no_code_where_it_will_not_be_shown() -> None:
    output = OutputFilter()
    output.write("\n    see evil-host.com")
    assert output.whole() == "see evil-host[.]com"
