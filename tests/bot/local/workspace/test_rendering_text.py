"""mrkdwn and Markdown as HTML: what Slack's people and models write, and what an attacker would."""

import time
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.local.workspace.page.rendering import markdown, mrkdwn
from bot.local.workspace.page.rendering.names import Names

NAMES = Names({"U1": "Asha", "U2": "<Ben>"}, {"C1": "general"}, viewer_id="U1")
VOID = {"br", "hr", "img", "input"}


class Tags(HTMLParser):
    """Collects what a browser would make of HTML, and whether every tag is closed in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.faults: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in VOID:
            return
        if not self.open or self.open.pop() != tag:
            self.faults.append(f"</{tag}> closes nothing")


def assert_harmless(html: str) -> None:
    tags = Tags(html)
    assert not tags.faults
    assert not tags.open
    for tag, attributes in tags.seen:
        assert tag not in {"script", "iframe", "img", "object", "embed", "style", "svg", "form", "base"}
        for name, value in attributes.items():
            assert not name.startswith("on")
            assert name != "style"
            if name in ("href", "src"):
                assert (value or "").startswith(("http://", "https://", "mailto:"))
                assert "noopener" in (attributes["rel"] or "")


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("*bold* _it_ ~no~", "<strong>bold</strong> <em>it</em> <s>no</s>"),
        ("*bold _both_*", "<strong>bold <em>both</em></strong>"),
        ("2*3*4 a_b_c", "2*3*4 a_b_c"),
        ("* not bold *", "* not bold *"),
        ("*a _b* c_", "<strong>a _b</strong> c_"),
        ("`*x* <b>`", "<code>*x* &lt;b&gt;</code>"),
        ("a &lt; b &amp;amp; c", "a &lt; b &amp;amp; c"),
        ("one\ntwo", "one<br>two"),
        ("&gt; q1\n&gt; *q2*\nafter", "<blockquote>q1<br><strong>q2</strong></blockquote>after"),
        ("&gt;&gt;&gt; a\nb", "<blockquote>a<br>b</blockquote>"),
        ("x\n```\n*no*\n&lt;b&gt;\n```\ny", "x<pre><code>*no*\n&lt;b&gt;</code></pre>y"),
        (":tada: :no_such_one:", "🎉 :no_such_one:"),
        ("<@U1>", '<span class="mention mention-me">@Asha</span>'),
        ("<@U2>", '<span class="mention">@&lt;Ben&gt;</span>'),
        ("<!channel>", '<span class="mention mention-me">@channel</span>'),
        ("<!date^1^{date}|long ago>", "<time>long ago</time>"),
        ("", ""),
    ],
)
def test_mrkdwn(text: str, html: str) -> None:
    assert mrkdwn.to_html(text, NAMES) == html


def test_mrkdwn_links() -> None:
    html = mrkdwn.to_html("<https://a.example/x_y_z?a=1&amp;b=2|see *it*> and https://b.example/p_q_r.", NAMES)
    assert 'href="https://a.example/x_y_z?a=1&amp;b=2"' in html
    assert ">see *it*</a>" in html
    assert 'href="https://b.example/p_q_r"' in html
    assert html.endswith("</a>.")


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("**b** *i* ~~s~~ `c`", "<p><strong>b</strong> <em>i</em> <s>s</s> <code>c</code></p>\n"),
        ("<b>x</b>", "<p>&lt;b&gt;x&lt;/b&gt;</p>\n"),
        ("hi <@U1>", '<p>hi <span class="mention mention-me">@Asha</span></p>\n'),
        ("&lt;@U1&gt;", "<p>&lt;@U1&gt;</p>\n"),
        ("# T", '<p class="heading" role="heading" aria-level="3">T</p>'),
    ],
)
def test_markdown(text: str, html: str) -> None:
    assert markdown.to_html(text, NAMES) == html


def test_markdown_images_become_links() -> None:
    html = markdown.to_html("![secret](https://evil.example/?q=1)", NAMES)
    assert "<img" not in html
    assert ">secret</a>" in html


def test_markdown_code_has_its_language() -> None:
    html = markdown.to_html("```python extra\nx < 1\n```", NAMES)
    assert '<span class="language">python</span>' in html
    assert "<pre><code>x &lt; 1\n</code></pre>" in html


def test_markdown_table_is_aligned_without_inline_style() -> None:
    html = markdown.to_html("| a | b |\n|---|--:|\n| 1 | 2 |", NAMES)
    assert '<td class="align-right">2</td>' in html
    assert "style=" not in html


HOSTILE = [
    "<script>alert(1)</script>",
    "<javascript:alert(1)|click>",
    "[x](javascript:alert(1)) [y](JaVaScRiPt:alert(1)) [z](data:text/html,x) [w](vbscript:x)",
    '<https://x" onmouseover=alert(1)>',
    '<https://a.example/"onclick="alert(1)|*<b>*>',
    "[a](<https://a.example/' onclick='x>)",
    '![x](javascript:alert(1)) ![y](https://a.example/"onerror="x)',
    "<!channel|<script>> <!subteam^S1|@<img>> <@U1|<script>>",
    "*_~`*_~`",
    "*a _b* ~c_ d~ &gt; `*`",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "```</code></pre><script>alert(1)</script>```",
    '```"><script>\nx\n```',
    "\x000\x00 \x00",
    "<<@U1>> <@U1 <@U1>",
    "https://a.example/<script>",
    ":<script>: :tada",
    "&gt; *a\n&gt; b* _c\nd_",
    "[x]: javascript:alert(1)\n\n[x]",
    "<https://a.example|b\n> <mailto:a@b?subject=<script>|m>",
    "\ud800 lone",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_harmless(text: str) -> None:
    assert_harmless(mrkdwn.to_html(text, NAMES))
    assert_harmless(markdown.to_html(text, NAMES))
    for end in range(len(text)):
        assert_harmless(markdown.to_html(text[:end], NAMES, partial=True))


MARKS = st.sampled_from(
    ["*", "**", "_", "~~", "`", "```", "<", ">", "&gt;", "[", "](", ")", "!", "|", "#", "\n", "\n\n", "- ", "1. ",
     ":tada:", "<@U1>", "<https://a.b|", "javascript:", "'", '"', "&", ";", "\\", "\0", "a", "b c", "é", "👍",
     "<script>"]
)  # fmt: skip


@settings(max_examples=400)
@given(st.lists(MARKS, max_size=30).map("".join))
def test_any_mixture_of_marks_is_harmless(text: str) -> None:
    assert_harmless(mrkdwn.to_html(text, NAMES))
    assert_harmless(markdown.to_html(text, NAMES))
    assert_harmless(markdown.to_html(text, NAMES, partial=True))


@pytest.mark.parametrize(
    "pattern",
    ["[", "*", "> ", "`a", "<", "[a](b", "*a _b ~c ", "a\n", "|a", "- ", "![[", "<@U", ":a", "https://", "_a_", "&lt;"],
)
def test_forty_thousand_characters_are_quick(pattern: str) -> None:
    text = (pattern * 40_000)[:40_000]
    start = time.process_time()
    mrkdwn.to_html(text, NAMES)
    markdown.to_html(text, NAMES, partial=True)
    assert time.process_time() - start < 8


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("**bo", "<p><strong>bo</strong></p>\n"),
        ("**bold*", "<p><strong>bold</strong></p>\n"),
        ("an *it", "<p>an <em>it</em></p>\n"),
        ("run `ls", "<p>run <code>ls</code></p>\n"),
        ("see [lab", "<p>see lab</p>\n"),
        ("see [lab](http://x", "<p>see lab</p>\n"),
        ("see [lab](http://x.y) [1]", None),
        ("| a | b", ""),
        ("| a | b |\n", ""),
        ("| a | b |\n|--", ""),
        ("## ", ""),
        ("- a\n- ", "<ul>\n<li>a</li>\n</ul>\n"),
        ("hey <@U", "<p>hey</p>\n"),
        ("2 * 3 = 6", "<p>2 * 3 = 6</p>\n"),
    ],
)
def test_half_written_markdown_shows_no_half_markers(text: str, html: str | None) -> None:
    shown = markdown.to_html(text, NAMES, partial=True)
    if html is None:
        assert "</a>" in shown
    else:
        assert shown == html


def test_an_open_fence_is_code_from_its_first_line() -> None:
    for end in ("", "\n", "\nprint(1)", "\nprint(1)\n``"):
        html = markdown.to_html(f"Try:\n\n```python{end}", NAMES, partial=True)
        assert '<span class="language">python</span>' in html
        assert "``" not in html


@pytest.mark.parametrize(
    "text", ["`a &lt; b &amp;&amp; c`", "```\na &lt; b &amp;&amp; c\n```", "    a &lt; b &amp;&amp; c"]
)
def test_slacks_escapes_are_undone_in_code_too(text: str) -> None:
    html = markdown.to_html(text, NAMES)
    assert "a &lt; b &amp;&amp; c" in html
    assert "&amp;lt;" not in html


@pytest.mark.parametrize("text", ["[]()", "[label]()", "![]()"])
def test_a_link_to_nowhere_is_none(text: str) -> None:
    assert "href" not in markdown.to_html(text, NAMES)
