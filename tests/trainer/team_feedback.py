"""Feedback as the bot exports it, for tests: three facts of a company, reviewed."""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

FACTS = (
    (
        "What is the guest Wi-Fi password?",
        "The guest Wi-Fi password is blue-heron-42; it changes on the first Monday of each month.",
        ["How do I choose a strong password?", "How does Wi-Fi work?"],
        ["A visitor needs to get on our wireless network. What do they type in?", "Which password do visitors use?"],
    ),
    (
        "Who do I ask for a new laptop?",
        "Ask Priya Nair in the IT team for a new laptop; it takes about two weeks.",
        ["Who invented the laptop?", "How do I clean a laptop keyboard?"],
        ["My laptop is broken and I need another one. Who can help me?", "Where do I get a new computer?"],
    ),
    (
        "When is the deploy freeze?",
        "The deploy freeze is every Thursday from 16:00 until Monday 08:00; only Tomas can lift it.",
        ["What is a deployment?", "When does water freeze?"],
        ["From when until when may nothing be deployed?", "Can I deploy on a Friday?"],
    ),
)


def record_id(question: str) -> str:
    return hashlib.sha256(question.encode()).hexdigest()[:24]


def correction_line(
    question: str, correction: str, neighbours: Iterable[str] = (), paraphrases: Iterable[str] = (), **other: Any
) -> dict[str, Any]:
    """A line of an export: a correction that was approved, unless `other` says otherwise."""
    review = {"state": "approved", "neighbours": list(neighbours), "paraphrases": list(paraphrases)}
    line = {
        "id": record_id(question),
        "conversation": f"T1/C1/{record_id(question)[:6]}",
        "ts": "1700000000.000200",
        "channel": "C1",
        "messages": [{"role": "user", "content": question}],
        "answer": "I do not know that.",
        "rating": "down",
        "correction": correction,
        "correction_is_cut": False,
        "model": "shipped",
        "prompt_hash": "0" * 16,
        "consent": True,
        "at": 1700000000.0,
        "comment": "",
        "redacted": {},
        "review": review,
    }
    return line | other


def liked_line(question: str, answer: str, **other: Any) -> dict[str, Any]:
    return correction_line(question, "", answer=answer, rating="up", review={"state": "waiting"}) | other


def facts() -> list[dict[str, Any]]:
    """The three facts as lines."""
    return [correction_line(*fact) for fact in FACTS]


def write_lines(path: Path, lines: Iterable[Any]) -> Path:
    path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), encoding="utf-8")
    return path
