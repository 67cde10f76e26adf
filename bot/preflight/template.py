"""Template parity: the engine makes the prompt of a conversation that the model learned from.

`dolly-trainer export` writes an example into the manifest: messages, the text that training made of them, its tokens.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bot.conversation import Message
from bot.model_client.dialects import EngineReport
from bot.model_client.examiner import EngineExaminer, Rendered
from bot.preflight.finding import Finding, Verdict


@dataclass(frozen=True, slots=True)
class Example:
    """A conversation, and the prompt that training made of it."""

    messages: tuple[Message, ...]
    text: str
    input_ids: tuple[int, ...]
    keys: tuple[str, ...]
    """The model's control tokens."""

    def matches(self, rendered: Rendered) -> bool:
        """Whether the engine's prompt is the same."""
        if rendered.text is None:
            return rendered.input_ids == self.input_ids
        if rendered.may_lack_beginning and rendered.text != self.text:
            return self.text.removesuffix(rendered.text) in self.keys
        return rendered.text == self.text


async def check_template(examiner: EngineExaminer, report: EngineReport, manifest: Path | None) -> Finding:
    """Compare what the engine renders with the manifest's example. Raises bot.errors.Engine*."""

    def found(verdict: Verdict, sentence: str) -> Finding:
        return Finding("Engine", "template", verdict, sentence)

    if manifest is None:
        sentence = (
            "Without the model's manifest.json nobody knows what it was trained with; name it in ENGINE_MANIFEST."
        )
        return found("cannot tell", sentence)
    example = read_example(manifest)
    if example is None:
        sentence = f"{manifest} holds no rendered example; export the model again with this version's dolly-trainer."
        return found("cannot tell", sentence)
    rendered = await examiner.rendered(report, example.messages)
    if rendered is None:
        sentence = (
            f"{report.dialect} does not show the prompt that it makes; ask it something, and look for texts of the "
            "template in its answer."
        )
        return found("cannot tell", sentence)
    if not example.matches(rendered):
        sentence = (
            f"The engine makes another prompt of a conversation than the model learned from, as {manifest} has it, and "
            "answers get worse without an error. Serve the exported directory as it is, and without a chat template of "
            "the engine's own (--chat-template)."
        )
        return found("unsafe", sentence)
    kind = "letter for letter" if rendered.text is not None else "token for token"
    return found("safe", f"The engine makes the prompt that the model learned from, {kind}.")


def read_example(manifest: Path) -> Example | None:
    """None where there is none, or it cannot be read."""
    try:
        told: dict[str, Any] = json.loads(manifest.read_bytes())
        rendered = told["rendered"]
        messages = tuple(Message(one["role"], one["content"]) for one in rendered["messages"])
        return Example(messages, str(rendered["text"]), tuple(rendered["input_ids"]), tuple(told["keys"]))
    except (OSError, ValueError, TypeError, KeyError):
        return None
