"""Reads the bot's sources for what is said to people: the keys asked for, and the sentences that stand in the code."""

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

BOT = Path(__file__).resolve().parents[2] / "bot"

SAYING = {"say", "choices", "tell_privately"}
"""Functions that are given a key of the catalogue."""

TO_OPERATORS_OR_MODELS = (
    *(
        "engine_owner",
        "local",
        "model_client",
        "store",
        "__main__.py",
        "access.py",
        "admin.py",
        "erasures.py",
        "errors.py",
        "forget.py",
    ),
    *("metrics.py", "preflight", "service.py", "setting_types.py", "settings.py", "telemetry.py"),
    *("attachments.py", "conversation.py", "file_text", "preferences.py", "prompts.py", "reviewing.py"),
    *("configured.py", "export_feedback.py", "exports.py", "owning.py", "redaction"),
    *("slack/hearing/http_events.py", "slack/unreadable.py"),
)
"""What speaks to who runs Dolly, to Slack's servers or to a model: in English."""

LOGGED_OR_PROMPTED = {"Slack's answer is unreadable (", " [attached, not read: "}
"""Pieces of sentences that look as if people read them: a log line's reason; what a model reads of a thread."""

SHOWN = {"text", "title", "label", "placeholder", "hint", "submit", "close", "deny", "description", "sentence"}
SHOWN |= {"status", "loading_messages", "markdown_text", "alt_text", "accessibility_label"}
"""Arguments, and fields of Slack's blocks, that people read."""

SHOWING = {"ack", "respond", "notice", "finish", "stop", "section", "header", "context", "button", "option", "field"}
"""Functions whose first argument people read."""

SENTENCE = re.compile(r"(?<![\w.])[^\W\d_]{2,}[,.:;!?…'’]?\s+[^\W\d_]")
WORD = re.compile(r"[^\W\d_]{2}")


def sources() -> dict[str, str]:
    """All modules of the bot by their path below bot/."""
    return {path.relative_to(BOT).as_posix(): path.read_text(encoding="utf-8") for path in sorted(BOT.rglob("*.py"))}


def keys_asked_for(source: str) -> set[str]:
    """Keys that stand as literals, or as a choice of two, in the calls of functions that say something."""
    calls = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call))
    arguments = [argument for call in calls if _name(call.func) in SAYING for argument in call.args]
    arguments += [
        each for argument in arguments if isinstance(argument, ast.IfExp) for each in (argument.body, argument.orelse)
    ]
    return {each.value for each in arguments if isinstance(each, ast.Constant) and isinstance(each.value, str)}


def literals(source: str) -> set[str]:
    """All strings that stand in a module."""
    constants = (node.value for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Constant))
    return {constant for constant in constants if isinstance(constant, str)}


def said_past_the_catalogue(source: str) -> list[str]:
    """Sentences anywhere but in docstrings, log lines, errors and comparisons; and single words where people read."""
    tree = ast.parse(source)
    parents = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
    return [
        f"line {node.lineno}: {node.value!r}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and not _is_not_said(node, parents)
        if node.value not in LOGGED_OR_PROMPTED
        if SENTENCE.search(node.value) or (WORD.search(node.value) and _is_shown(node, parents))
    ]


def _ancestors(node: ast.AST, parents: Mapping[ast.AST, ast.AST]) -> Iterator[ast.AST]:
    while node in parents:
        node = parents[node]
        yield node


def _is_not_said(node: ast.AST, parents: Mapping[ast.AST, ast.AST]) -> bool:
    """Whether it is a docstring, an error's or log line's text, or what people type."""
    if isinstance(parents[node], ast.Expr):
        return True
    return any(
        isinstance(each, ast.Raise | ast.Assert | ast.Compare | ast.MatchValue)
        or (isinstance(each, ast.Call) and ast.unparse(each.func).startswith(("log.", "re.compile", "metrics.")))
        for each in _ancestors(node, parents)
    )


def _is_shown(node: ast.AST, parents: Mapping[ast.AST, ast.AST]) -> bool:
    """Whether the literal, or the f-string, choice or sum that it is a part of, is given to something that shows it."""
    while isinstance(parents[node], ast.JoinedStr | ast.BinOp | ast.IfExp | ast.BoolOp | ast.List):
        node = parents[node]
    parent = parents[node]
    if isinstance(parent, ast.keyword):
        return parent.arg in SHOWN
    if isinstance(parent, ast.Call):
        return _name(parent.func) in SHOWING and parent.args[:1] == [node]
    if isinstance(parent, ast.Dict) and node in parent.values:
        key = parent.keys[parent.values.index(node)]
        return isinstance(key, ast.Constant) and key.value in SHOWN
    return False


def _name(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
