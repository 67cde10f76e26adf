"""Blocks, messages and views as HTML: every kind is drawn, and nothing that an app sends gets out of its place."""

import json
from html.parser import HTMLParser
from typing import Any

import pytest

from bot.local.workspace.page.rendering import blocks, messages, views
from bot.local.workspace.page.rendering.messages import Told
from bot.local.workspace.page.rendering.names import Names
from bot.local.workspace.records import TEAM

NAMES = Names({"U1": "Asha", "U2": "Ben"}, {"C1": "general"}, viewer_id="U1")
EVIL = '"><script>alert(1)</script>'


def plain(text: str) -> dict[str, str]:
    return {"type": "plain_text", "text": text}


def option(value: str) -> dict[str, Any]:
    return {"text": plain(f"Option {value}"), "value": value}


def element(kind: str, **more: Any) -> dict[str, Any]:
    return {"type": kind, "action_id": "act", **more}


ELEMENTS = [
    element("button", text=plain("Go"), value="v", style="primary", confirm={"title": plain("Sure?")}),
    element("static_select", options=[option("1"), option("2")], initial_option=option("2")),
    element("static_select", option_groups=[{"label": plain("G"), "options": [option("1")]}]),
    element("external_select", placeholder=plain("Find")),
    element("users_select", initial_user="U2"),
    element("conversations_select"),
    element("channels_select", initial_channel="C1"),
    element("multi_static_select", options=[option("1")]),
    element("multi_users_select", initial_users=["U1"]),
    element("overflow", options=[option("1")]),
    element("datepicker", initial_date="2026-01-31"),
    element("timepicker"),
    element("datetimepicker"),
    element("checkboxes", options=[option("1")], initial_options=[option("1")]),
    element("radio_buttons", options=[option("1")]),
    element("plain_text_input", multiline=True, initial_value="text"),
    element("email_text_input"),
    element("url_text_input"),
    element("number_input", is_decimal_allowed=True, min_value="1"),
    element("feedback_buttons", positive_button={"text": plain("Good"), "value": "good"},
            negative_button={"text": plain("Bad"), "value": "bad"}),
    element("icon_button", icon="trash", text=plain("Delete")),
]  # fmt: skip


def rich(text: str) -> dict[str, Any]:
    part = {"type": "rich_text_section", "elements": [{"type": "text", "text": text, "style": {"bold": True}}]}
    return {"type": "rich_text", "elements": [part]}


BLOCKS = [
    {"type": "section", "text": {"type": "mrkdwn", "text": "*hi*"}, "fields": [plain("f")], "accessory": ELEMENTS[0]},
    {"type": "header", "text": plain("Head")},
    {"type": "divider"},
    {"type": "context", "elements": [plain("c"), {"type": "image", "image_url": "https://x.y/z.png", "alt_text": "i"}]},
    {"type": "actions", "elements": ELEMENTS},
    {"type": "context_actions", "elements": ELEMENTS[-2:]},
    *({"type": "input", "block_id": "b", "label": plain("L"), "hint": plain("H"), "element": e}
      for e in ELEMENTS[1:19]),
    {"type": "image", "image_url": "https://x.y/z.png", "alt_text": "a chart"},
    {"type": "markdown", "text": "**m**"},
    rich("r"),
    {"type": "task_card", "title": "T", "status": "in_progress", "details": rich("d"),
     "sources": [{"type": "url", "url": "https://x.y", "text": "s"}]},
    {"type": "plan", "title": "P", "tasks": [{"title": "T", "status": "complete"}]},
    {"type": "table", "rows": [[{"type": "raw_text", "text": "a"}, rich("b")]],
     "column_settings": [{"align": "right"}]},
]  # fmt: skip


class Sources(HTMLParser):
    """Collects the tags, and what would be loaded from elsewhere."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.loaded: list[str] = []
        self.handlers: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.loaded += [value or "" for name, value in attrs if name in ("src", "srcset", "poster", "action")]
        self.handlers += [name for name, _ in attrs if name.startswith("on") or name == "style"]


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block["type"])
def test_every_kind_of_block_is_drawn(block: dict[str, Any]) -> None:
    html = blocks.to_html([block], NAMES)
    assert "unknown" not in html
    seen = Sources(html)
    assert not seen.loaded
    assert not seen.handlers


def poisoned(value: Any) -> Any:
    """The same structure with every string that is not a type replaced by an attack."""
    if isinstance(value, dict):
        return {k: v if k == "type" else poisoned(v) for k, v in value.items()}
    if isinstance(value, list):
        return [poisoned(item) for item in value]
    return EVIL if isinstance(value, str) else value


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block["type"])
def test_no_text_of_an_app_becomes_markup(block: dict[str, Any]) -> None:
    seen = Sources(blocks.to_html([poisoned(block)], NAMES))
    assert "script" not in seen.tags
    assert not seen.handlers


@pytest.mark.parametrize("value", [None, "text", 3, [None], [{}], [{"type": EVIL}], [{"type": "section"}],
                                   [{"type": "actions", "elements": "x"}],
                                   [{"type": "table", "rows": [1, [2]]}]])  # fmt: skip
def test_malformed_blocks_are_shown_as_far_as_they_go(value: Any) -> None:
    assert "<script" not in blocks.to_html(value, NAMES)


def mutated(value: Any, seen: list[int], target: int, replacement: Any) -> Any:
    """The same structure with its value number `target` replaced."""
    seen[0] += 1
    if seen[0] == target:
        return replacement
    if isinstance(value, dict):
        return {key: mutated(item, seen, target, replacement) for key, item in value.items()}
    if isinstance(value, list):
        return [mutated(item, seen, target, replacement) for item in value]
    return value


@pytest.mark.parametrize("replacement", [None, 3, -1.5, True, "x", [], {}, [[1]], [{}], {"type": 1}, {"text": {}}])
def test_no_value_of_a_wrong_type_stops_the_page(replacement: Any) -> None:
    tried = 0
    for block in BLOCKS:
        size = [0]
        mutated(block, size, 0, None)
        for target in range(1, size[0] + 1):
            blocks.to_html([mutated(block, [0], target, replacement)], NAMES)
            tried += 1
    assert tried > 500


def test_an_option_is_sent_back_as_it_came() -> None:
    html = blocks.to_html([{"type": "actions", "elements": [ELEMENTS[1]]}], NAMES)

    class Options(HTMLParser):
        found: list[str] = []  # noqa: RUF012

        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            self.found += [value for name, value in attrs if name == "data-option" and value]

    parser = Options()
    parser.feed(html)
    assert [json.loads(found) for found in parser.found] == [option("1"), option("2")]


USERS = {user.id: user for user in TEAM}
ASHA, BEN, *_, DOLLY = TEAM


def shown(message: dict[str, Any], told: Told | None = None, viewer: str = ASHA.id) -> str:
    names = Names({user.id: user.name for user in TEAM}, {}, viewer)
    return messages.to_html({"ts": "1790000000.000100", **message}, told or Told(), USERS, names)


def test_only_ones_own_message_can_be_edited_and_deleted() -> None:
    message = {"user": ASHA.id, "text": "hi"}
    assert 'data-tool="edit"' in shown(message)
    assert 'data-tool="edit"' not in shown(message, viewer=BEN.id)
    assert 'data-tool="delete"' not in shown({"user": DOLLY.id, "bot_id": "B1", "text": "x"}, viewer=DOLLY.id)


def test_a_message_of_the_app_is_marked_and_its_blocks_replace_its_text() -> None:
    html = shown(
        {"user": DOLLY.id, "bot_id": "B1", "text": "fallback", "blocks": [{"type": "header", "text": plain("H")}]}
    )
    assert ">APP<" in html
    assert "fallback" not in html


def test_a_stream_is_markdown_settled_while_it_is_written() -> None:
    written = {"type": "markdown", "text": "**so far"}
    message = {"user": DOLLY.id, "bot_id": "B1", "text": "**so far", "blocks": [written]}
    html = shown(message, Told("markdown", "streaming"))
    assert 'class="message streaming"' in html
    assert "<strong>so far</strong>" in html
    html = shown(message | {"blocks": [written, BLOCKS[1]]}, Told("markdown", "stopped"))
    assert html.index("**so far") < html.index("Head")
    assert "Stopped." in shown(message, Told("markdown", "stopped_by_user"))


def test_reactions_threads_edits_and_ephemerals_are_told() -> None:
    html = shown(
        {"user": BEN.id, "text": "x", "edited": {"user": BEN.id}, "reply_count": 2, "reply_users": [ASHA.id],
         "reactions": [{"name": "tada", "users": [ASHA.id], "count": 1}]},
        Told(thread_status="is thinking…"),
    )  # fmt: skip
    for part in ("(edited)", "2 replies", 'aria-pressed="true"', "🎉", "is thinking…"):
        assert part in html
    html = shown({"user": DOLLY.id, "text": "x"}, Told(ephemeral=True))
    assert "Only visible to you" in html
    assert "toolbar" not in html


def test_no_field_of_a_message_becomes_markup() -> None:
    message = {"user": EVIL, "username": EVIL, "text": EVIL, "files": [{"name": EVIL}],
               "reactions": [{"name": EVIL, "users": [EVIL], "count": 1}],
               "reply_count": 1, "reply_users": [EVIL]}  # fmt: skip
    assert "script" not in Sources(shown(message, Told(thread_status=EVIL))).tags


def test_a_modal_has_a_field_fault_place_and_its_buttons() -> None:
    view = {"id": "V1", "title": plain("Fix it"), "submit": plain("Send"), "blocks": [BLOCKS[6]]}
    html = views.modal(view, NAMES, is_pushed=True)
    for part in ('data-view="V1"', ">Fix it<", ">Send<", ">Back<", 'data-fault="b"'):
        assert part in html
    assert "script" not in Sources(views.modal(poisoned(view), NAMES, is_pushed=False)).tags
