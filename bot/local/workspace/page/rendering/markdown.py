"""Markdown, as models write it, as HTML: CommonMark with tables, without raw HTML, images as plain links."""

import re
from collections.abc import Sequence
from html import escape
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict

from bot.local.workspace.page.rendering import emoji, references
from bot.local.workspace.page.rendering.names import Names

LIMIT_CHARACTERS = 60_000
"""Longer text is shown as it was typed: Slack's own limits lie below."""


def to_html(text: str, names: Names, *, partial: bool = False) -> str:
    """`partial` says that the text is still being written: what its end leaves open is closed or held back."""
    text = text.replace("\0", "")
    if len(text) > LIMIT_CHARACTERS:
        return f"<pre>{escape(text)}</pre>"
    return str(_markdown.render(settle(text) if partial else text, {"names": names}))


def settle(text: str) -> str:
    """Text that is cut anywhere, changed at its end so that no half a marker shows.

    An open fence needs nothing: CommonMark closes it at the end.
    """
    if _in_fence(text):
        return re.sub(r"\n[`~]{1,2}$", "\n", text)
    start = text.rfind("\n\n") + 1
    settled, last = text[:start], text[start:]
    last = re.sub(r"(?:^|\n)(?:[`~]{1,2}|#{1,6}|[-*+>]|[-=]{2,}|\d{1,3}[.)]?) *$", "", last)
    lines = last.rstrip().split("\n")
    if lines[-1].lstrip().startswith("|") and sum(line.lstrip().startswith("|") for line in lines) <= 2:
        last = "\n".join(line for line in lines if not line.lstrip().startswith("|"))
    last = re.sub(r"!?\[[^\[\]\n]{0,300}(?:\](?:\([^()\n]{0,2000})?)?$", _label_only, last)
    last = re.sub(r"<[@#!hm][^<>\n]{0,300}$|<$", "", last)
    return settled + _close_emphasis(last)


def _in_fence(text: str) -> bool:
    opened = ""
    for fence in re.findall(r"^ {0,3}(```+|~~~+)", text, re.MULTILINE):
        if not opened:
            opened = fence
        elif fence[0] == opened[0] and len(fence) >= len(opened):
            opened = ""
    return bool(opened)


def _label_only(match: re.Match[str]) -> str:
    return match[0].lstrip("!").partition("](")[0].strip("[]")


def _close_emphasis(text: str) -> str:
    if text.count("`") % 2:
        head, _, code = text.rpartition("`")
        return f"{head}`{code}`" if code.strip() else head
    prose = re.sub(r"`[^`]*`", "", text)
    for marker in ("**", "~~", "*"):
        without_longer = prose.replace("**", "") if marker == "*" else prose
        opening = r"(?<![\w*])\*(?=[^\s*])|(?<=[^\s*])\*" if marker == "*" else re.escape(marker)
        if len(re.findall(opening, without_longer)) % 2:
            bare = text.rstrip()
            text = bare.removesuffix(marker) if bare.endswith(marker) else bare + marker
    return text


def _reference(state: StateInline, silent: bool) -> bool:
    """Slack's `<@U…>`, `<#C…>`, `<!here>` and `<https://…|label>` inside Markdown."""
    match = references.REFERENCE.match(state.src, state.pos)
    if match is None:
        return False
    if not silent:
        state.push("reference", "", 0).content = match[1]
    state.pos = match.end()
    return True


class _Renderer(RendererHTML):
    """The HTML of the tokens that Slack, or this page's security policy, wants otherwise than CommonMark."""

    def reference(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        return references.to_html(tokens[idx].content, env["names"])

    def text(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        return emoji.replace(escape(tokens[idx].content))

    def image(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        url = str(tokens[idx].attrGet("src") or "")
        return references.link(url, escape(tokens[idx].content or url))

    def link_open(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        return references.link(str(tokens[idx].attrGet("href") or ""), "").removesuffix("</a>")

    def heading_open(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        return f'<p class="heading" role="heading" aria-level="{int(tokens[idx].tag[1]) + 2}">'

    def heading_close(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        return "</p>"

    def table_open(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        return '<div class="table" tabindex="0" role="region" aria-label="Table"><table>'

    def table_close(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        return "</table></div>"

    def td_open(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        align = str(tokens[idx].attrGet("style") or "").removeprefix("text-align:")
        return f'<{tokens[idx].tag} class="align-{align}">' if align else f"<{tokens[idx].tag}>"

    th_open = td_open

    # CommonMark takes code literally; Slack's escapes stand for their signs there as everywhere.

    def code_inline(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        return f"<code>{escape(references.unescape(tokens[idx].content))}</code>"

    def fence(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        return code_block(references.unescape(tokens[idx].content), tokens[idx].info.strip().split(" ")[0])

    def code_block(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        return code_block(references.unescape(tokens[idx].content), "")


def code_block(code: str, language: str) -> str:
    """A block of code with the name of its language and a button that copies it."""
    label = f'<span class="language">{escape(language[:40])}</span>' if language else ""
    copy = '<button type="button" class="copy" data-copy>Copy</button>'
    return f'<div class="code">{label}{copy}<pre><code>{escape(code)}</code></pre></div>'


def _build() -> MarkdownIt:
    options: dict[str, Any] = {"html": False, "linkify": False, "breaks": True, "maxNesting": 20}
    markdown = MarkdownIt("commonmark", options, renderer_cls=_Renderer).enable(["table", "strikethrough"])
    markdown.inline.ruler.before("autolink", "reference", _reference)
    markdown.validateLink = references.is_safe_url  # type: ignore[method-assign]
    return markdown


_markdown = _build()
