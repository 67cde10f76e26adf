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
from trainer.segments import Segments, Tokenizer, special_tokens

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


@dataclass(frozen=True, slots=True)
class _Rendered:
    """A conversation's text, and where in it stand what people said and what the template wrote."""

    text: str
    contents: list[Span]
    """Of the turns, blank ones left out; without the blank characters at their ends where the template trims."""
    controls: list[tuple[int, int, str]]
    """Begin, end and text of each control token, in order; never one in a content."""


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
        self._opening = ""
        question, answer = Message("user", "a"), Message("assistant", "b")
        learned = self.encode([question, answer])
        self.end_id = [id for id, is_learned in zip(learned.input_ids, learned.loss_mask, strict=True) if is_learned][
            -1
        ]
        """The token that ends an answer."""
        eos_id = tokenizer.eos_token_id
        self.stop_ids: tuple[int, ...] = (self.end_id,) if eos_id in (None, self.end_id) else (self.end_id, eos_id)
        """Tokens at which this template's answers end; `stops_of` has the model's own besides."""
        asked, opened = (self._render([question], add_generation_prompt) for add_generation_prompt in (False, True))
        self._opening = opened.removeprefix(asked)

    def encode(self, messages: Sequence[Message]) -> Encoded:
        """For training: all turns, each answer learned with the key that ends it.

        Raises BadInput where the template refuses the conversation, or does not say where an answer begins and ends.
        """
        turns = self._arranged(messages)
        rendered = self._rendered(turns, add_generation_prompt=False)
        answers = list(self._answers(turns, rendered))
        ids: list[int] = []
        mask: list[bool] = []
        # A segment ends where the opening of an answer ends: an engine has made tokens of what is before it by then.
        for (begin, end), tokens in self._tokens(rendered, {begin for begin, _ in answers}):
            is_learned = any(start <= begin and end <= stop for start, stop in answers)
            ids.extend(tokens)
            mask.extend([is_learned] * len(tokens))
        return Encoded(ids, mask)

    def encode_prompt(self, messages: Sequence[Message]) -> list[int]:
        """For generation: all turns and the opening of an answer. Raises BadInput as `encode` does."""
        rendered = self._rendered(self._arranged(messages), add_generation_prompt=True)
        return [token for _, tokens in self._tokens(rendered, set()) for token in tokens]

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
        except (TemplateError, ValueError) as error:  # ValueError: transformers', of an empty conversation
            raise BadInput(
                f"The chat template refuses this conversation ({error or type(error).__name__}). "
                'Leave it out, or tune with template = "dolly".'
            ) from None
        return text

    def _rendered(self, turns: Sequence[Message], *, add_generation_prompt: bool) -> _Rendered:
        """Contents are found by marks around them. A base's template may look into a content, or trim it: marks go
        inside its blank ends or, where the text would then be another than without marks, around all of it.
        """
        opening, closing = _unused_characters(turns)
        text = None if self.name == "dolly" else self._render(turns, add_generation_prompt)
        for mark in (_marked_around,) if self.name == "dolly" else (_marked_inside, _marked_around):
            marked = self._render([mark(turn, opening, closing) for turn in turns], add_generation_prompt)
            contents = _spans(marked, opening, closing)
            unmarked = marked.replace(opening, "").replace(closing, "")
            if contents is not None and text in (None, unmarked):
                return _Rendered(unmarked, contents, list(self._controls(unmarked, contents)))
        raise BadInput(
            "The chat template changes what a message says, so that the message cannot be told from the template. "
            'Leave the conversation out, or tune with template = "dolly".'
        )

    def _controls(self, text: str, contents: Sequence[Span]) -> Iterator[tuple[int, int, str]]:
        for (_, begin), (end, _) in pairwise([(0, 0), *contents, (len(text), len(text))]):
            for at, key in self._segments.controls_in(text[begin:end]):
                yield begin + at, begin + at + len(key), key

    def _answers(self, turns: Sequence[Message], rendered: _Rendered) -> Iterator[Span]:
        """Where each answer stands in the text: from the end of its opening to the end of its end key."""
        said = [place for place, turn in enumerate(turns) if turn.content.strip()]
        contents = dict(zip(said, rendered.contents, strict=True)) if len(said) == len(rendered.contents) else {}
        openings = (end for _, end, key in rendered.controls if key == RESPONSE_KEY)
        for place, turn in enumerate(turns):
            if turn.role != "assistant":
                continue
            begin = (
                next(openings)
                if self.name == "dolly"
                else self._begin(turns, place, rendered.text, contents.get(place))
            )
            said_until = contents[place][1] if place in contents else begin
            ends = (end for start, end, _ in rendered.controls if start >= said_until)
            if (end := next(ends, None)) is None:
                raise BadInput(
                    "The chat template writes no control token after an answer, so the model could not learn to stop. "
                    'Tune with template = "dolly".'
                )
            yield begin, end

    def _begin(self, turns: Sequence[Message], place: int, text: str, content: Span | None) -> int:
        """Where the answer begins that is the turn at `place`: where a prompt of the turns before it ends."""
        is_last = place == len(turns) - 1
        if is_last and content and self._opening and text.endswith(self._opening, 0, content[0]):
            return content[0]
        if place == 0:
            raise BadInput(
                "A conversation that begins with an answer cannot be learned in the base's own chat template."
            )
        opened = self._render(turns[:place], add_generation_prompt=True)
        if not text.startswith(opened):
            raise BadInput(
                "The chat template writes earlier turns differently once an answer follows, so what would be "
                'learned is not what is served. Tune with template = "dolly".'
            )
        return len(opened)

    def _tokens(self, rendered: _Rendered, cuts: set[int]) -> Iterator[tuple[Span, list[int]]]:
        """Place and tokens of each piece of the text: control tokens, and segments between them and `cuts`."""
        at, after = 0, ""
        length = len(rendered.text)
        for begin, end, key in [*rendered.controls, (length, length, "")]:
            for start, stop in pairwise(sorted({at, begin, *(cut for cut in cuts if at < cut < begin)})):
                segment = rendered.text[start:stop]
                before = key if stop == begin else ""
                yield (start, stop), self._segments.encode(segment, at_start=start == 0, after=after, before=before)
                after = ""
            if key:
                yield (begin, end), [self._segments.control[key]]
            at, after = end, key


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


def stops_of(tokenizer: Tokenizer, template: Template | None, named: int | Sequence[int] | None) -> tuple[int, ...]:
    """Tokens at which an engine stops, what ends an answer first.

    Those of the template (of a base without one, its end of text), and those `named` by the model's generation config
    besides: Llama 3 has three.
    """
    own = template.stop_ids if template else (tokenizer.eos_token_id,)
    further = (named,) if named is None or isinstance(named, int) else named
    return tuple(dict.fromkeys(id for id in (*own, *further) if id is not None and id < len(tokenizer)))


def has_dolly_keys(tokenizer: Tokenizer) -> bool:
    """Whether they are control tokens of it."""
    return set(DOLLY_KEYS) <= {token.content for token in special_tokens(tokenizer).values()}


def dolly_source(tokenizer: Tokenizer) -> str:
    """Dolly's Jinja source for this tokenizer: with its token for the beginning of a text, where it writes one."""
    begins = tokenizer("").input_ids[:1] == [tokenizer.bos_token_id]
    return ("{{- bos_token -}}\n" if begins else "") + DOLLY_SOURCE.read_text(encoding="utf-8")


def _joined(same: Sequence[Message]) -> Message:
    """One message of neighbours of one role, a blank line between; with names where several people speak."""
    several = same[0].role == "user" and len({message.name for message in same if message.name}) > 1
    said = [f"{message.name}: {message.content}" if several and message.name else message.content for message in same]
    if same[0].role == "system":
        said = [text for text in said if text]
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
    if not turn.content.strip():
        return turn
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
