"""The prompt: what stands around the messages of a conversation, as text and as tokens.

The text comes from a Jinja chat template that travels with the model: rendered here by the tokenizer, in serving by the
engine. The tokens are those that an engine makes of that text, with one difference: what users, files and records say
never becomes a control token here, whatever it holds. (An engine cannot know; there a bot breaks `Template.keys` in
what people say before it is sent.)
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from pathlib import Path
from typing import Literal

from jinja2.exceptions import TemplateError

from trainer.errors import BadInput
from trainer.records import Message
from trainer.segments import Segments, Tokenizer

END_KEY = "### End"
INSTRUCTION_KEY = "### Instruction:"
RESPONSE_KEY = "### Response:\n"
DOLLY_KEYS = (END_KEY, INSTRUCTION_KEY, RESPONSE_KEY)
"""Dolly's control tokens. The newline belongs to the third: some tokenizers merge it into what follows (dolly#4)."""

DOLLY_SOURCE = Path(__file__).with_name("dolly.jinja")

PRIVATE_AREA = ("\U000f0000", "\U0010fffe")
"""Characters to which nobody gave a meaning."""

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Encoded:
    """A conversation as tokens."""

    input_ids: list[int]
    loss_mask: list[bool]
    """Of the same length; True where the token is learned."""


class Template:
    """The chat template of one tokenizer."""

    def __init__(self, tokenizer: Tokenizer, name: Literal["own", "dolly"], chat_template: str) -> None:
        self.name = name
        self.chat_template = chat_template
        """Jinja source; it travels with the model."""
        self._tokenizer = tokenizer
        self._segments = Segments(tokenizer)
        self.keys: tuple[str, ...] = tuple(self._segments.control)
        """The text of every control token of the tokenizer, those that this template does not use included."""
        self.end_id: int = self._probed_end()
        """The token that ends an answer."""
        eos_id = tokenizer.eos_token_id
        self.stop_ids: tuple[int, ...] = (self.end_id,) if eos_id in (None, self.end_id) else (self.end_id, int(eos_id))
        """Tokens at which an engine stops."""

    def encode(self, messages: Sequence[Message]) -> Encoded:
        """For training: all turns, each answer learned with the key that ends it.

        Raises BadInput where the template refuses the conversation, or does not say where an answer begins and ends.
        """
        turns = self._arranged(messages)
        text, contents = self._rendered(turns, add_generation_prompt=False)
        controls = self._controls(text, contents)
        learned = list(self._answers(turns, text, contents, controls))
        ids: list[int] = []
        mask: list[bool] = []
        # A segment ends where the opening of an answer ends: an engine has made tokens of what is before it by then.
        cuts = {begin for begin, _ in learned}
        for begin, end, tokens in self._tokens(text, contents, controls, cuts):
            is_learned = any(start <= begin and end <= stop for start, stop in learned)
            ids.extend(tokens)
            mask.extend([is_learned] * len(tokens))
        return Encoded(ids, mask)

    def encode_prompt(self, messages: Sequence[Message]) -> list[int]:
        """For generation: all turns and the opening of an answer. Raises BadInput as `encode` does."""
        text, contents = self._rendered(self._arranged(messages), add_generation_prompt=True)
        pieces = self._tokens(text, contents, self._controls(text, contents), set())
        return [token for _, _, tokens in pieces for token in tokens]

    def render(self, messages: Sequence[Message], *, add_generation_prompt: bool) -> str:
        """The text that an engine's Jinja makes of the conversation. Raises BadInput where the template refuses it."""
        return self._render(self._arranged(messages), add_generation_prompt)

    def _arranged(self, messages: Sequence[Message]) -> list[Message]:
        """Neighbours of one role joined, as templates want them; for Dolly's, all that the system says first."""
        if not messages:
            raise BadInput("A conversation without messages cannot be a prompt.")
        if self.name == "dolly":
            messages = sorted(messages, key=lambda message: message.role != "system")
        return [_joined(list(same)) for _, same in groupby(messages, key=lambda message: message.role)]

    def _render(self, turns: Sequence[Message], add_generation_prompt: bool) -> str:
        conversation = [{"role": turn.role, "content": turn.content} for turn in turns]
        try:
            text: str = self._tokenizer.apply_chat_template(
                conversation,
                chat_template=self.chat_template,
                add_generation_prompt=add_generation_prompt,
                tokenize=False,
            )
        except TemplateError as error:
            raise BadInput(
                f"The chat template refuses this conversation: {error.message or type(error).__name__}. "
                'Leave it out, or tune with template = "dolly".'
            ) from None
        return text

    def _rendered(self, turns: Sequence[Message], *, add_generation_prompt: bool) -> tuple[str, list[Span]]:
        """The text, and where in it the turns' contents stand.

        Contents are found by rendering once more with marks around them. Templates may look into a content or trim it,
        so the marks go inside its blank ends or, where the text would then differ, around all of it.
        """
        text = self._render(turns, add_generation_prompt)
        opening, closing = _unused_characters(turns)
        for mark in (_marked_inside, _marked_around):
            marked = self._render([mark(turn, opening, closing) for turn in turns], add_generation_prompt)
            contents = _spans(marked, opening, closing)
            if contents is not None and marked.replace(opening, "").replace(closing, "") == text:
                return text, contents
        raise BadInput(
            "The chat template changes what a message says, so that the message cannot be told from the template. "
            'Leave the conversation out, or tune with template = "dolly".'
        )

    def _controls(self, text: str, contents: Sequence[Span]) -> list[tuple[int, int, str]]:
        """Begin, end and text of each control token, in order: what the template wrote, never what is in a content."""
        found = []
        for (_, begin), (end, _) in pairwise([(0, 0), *contents, (len(text), len(text))]):
            found += [
                (begin + at, begin + at + len(key), key) for at, key in self._segments.controls_in(text[begin:end])
            ]
        return found

    def _answers(
        self, turns: Sequence[Message], text: str, contents: Sequence[Span], controls: Sequence[tuple[int, int, str]]
    ) -> Iterator[Span]:
        """Where each answer stands in the text: from the end of its opening to the end of its end key."""
        for place, turn in enumerate(turns):
            if turn.role != "assistant":
                continue
            opened = self._render(turns[:place], add_generation_prompt=True)
            if not text.startswith(opened):
                raise BadInput(
                    "The chat template writes earlier turns differently once an answer follows, so what would be "
                    'learned is not what is served. Tune with template = "dolly".'
                )
            begin = len(opened)
            said = next((end for start, end in contents if start >= begin), begin) if turn.content.strip() else begin
            end = next((stop for start, stop, _ in controls if start >= said), None)
            if end is None:
                raise BadInput(
                    "The chat template writes no control token after an answer, so the model could not learn to stop. "
                    'Tune with template = "dolly".'
                )
            yield begin, end

    def _tokens(
        self, text: str, contents: Sequence[Span], controls: Sequence[tuple[int, int, str]], cuts: set[int]
    ) -> Iterator[tuple[int, int, list[int]]]:
        """Begin, end and tokens of each piece of the text: control tokens, and segments between them or `cuts`."""
        at, after = 0, ""
        for begin, end, key in [*controls, (len(text), len(text), "")]:
            bounds = sorted({at, begin, *(cut for cut in cuts if at < cut < begin)})
            for start, stop in pairwise(bounds):
                before = key if stop == begin else ""
                yield (
                    start,
                    stop,
                    self._segments.encode(text[start:stop], after=after, before=before, at_start=not start),
                )
                after = ""
            if key:
                yield begin, end, [self._segments.control[key]]
            at, after = end, key

    def _probed_end(self) -> int:
        probe = [Message("user", "a"), Message("assistant", "b")]
        encoded = self.encode(probe)
        return [token for token, is_learned in zip(encoded.input_ids, encoded.loss_mask, strict=True) if is_learned][-1]


def own_template(tokenizer: Tokenizer) -> Template:
    """The base's own chat template. Raises BadInput where it has none."""
    source = tokenizer.chat_template
    if isinstance(source, dict):
        source = source.get("default")
    if not source:
        raise BadInput('The base has no chat template of its own. Tune it with template = "dolly".')
    return Template(tokenizer, "own", source)


def dolly_template(tokenizer: Tokenizer) -> Template:
    """Dolly's, for a tokenizer that holds its keys (tuning.keys adds them). Raises BadInput where it does not."""
    if not has_dolly_keys(tokenizer):
        raise BadInput("The tokenizer does not hold Dolly's keys as control tokens.")
    return Template(tokenizer, "dolly", dolly_source(tokenizer))


def template_of(tokenizer: Tokenizer) -> Template:
    """What the tokenizer carries: Dolly's, or the base's own. Raises BadInput where it carries none."""
    source = tokenizer.chat_template
    if isinstance(source, str) and END_KEY in source and has_dolly_keys(tokenizer):
        return Template(tokenizer, "dolly", source)
    return own_template(tokenizer)


def has_dolly_keys(tokenizer: Tokenizer) -> bool:
    return set(DOLLY_KEYS) <= Segments(tokenizer).control.keys()


def dolly_source(tokenizer: Tokenizer) -> str:
    """Dolly's Jinja source for this tokenizer: with its token for the beginning of a text, where it writes one."""
    begins = tokenizer("").input_ids[:1] == [tokenizer.bos_token_id]
    return ("{{- bos_token -}}\n" if begins else "") + DOLLY_SOURCE.read_text(encoding="utf-8")


def _joined(same: Sequence[Message]) -> Message:
    """One message of neighbours of one role, a blank line between; with names where several people speak."""
    several = same[0].role == "user" and len({message.name for message in same if message.name}) > 1
    said = [f"{message.name}: {message.content}" if several and message.name else message.content for message in same]
    return Message(same[0].role, "\n\n".join(said))


def _unused_characters(turns: Sequence[Message]) -> tuple[str, str]:
    """Two characters of a private area that stand in none of the contents."""
    used = {character for turn in turns for character in turn.content if character >= PRIVATE_AREA[0]}
    unused = (character for character in map(chr, range(*map(ord, PRIVATE_AREA))) if character not in used)
    return next(unused), next(unused)


def _marked_inside(turn: Message, opening: str, closing: str) -> Message:
    said = turn.content.strip()
    if not said:
        return turn
    before, _, after = turn.content.partition(said)
    return Message(turn.role, f"{before}{opening}{said}{closing}{after}")


def _marked_around(turn: Message, opening: str, closing: str) -> Message:
    return Message(turn.role, f"{opening}{turn.content}{closing}")


def _spans(marked: str, opening: str, closing: str) -> list[Span] | None:
    """Where the marked pieces stand in the text without marks; None where marks were lost."""
    spans, length = [], 0
    begun = 0
    inside = False
    for piece in re.split(f"([{opening}{closing}])", marked):
        if piece not in (opening, closing):
            length += len(piece)
        elif (piece == opening) is inside:
            return None
        elif inside := piece == opening:
            begun = length
        else:
            spans.append((begun, length))
    return None if inside else spans
