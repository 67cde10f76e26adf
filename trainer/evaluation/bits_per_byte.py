"""How well a model foresees what people answered: bits per UTF-8 byte of the answer, in the model's own template.

Bytes, because models cut text into tokens of their own; the end token and the template's blank lines around an answer
are left out, so that a format costs nothing in itself.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import torch
from torch.nn import functional

from trainer.errors import BadInput
from trainer.evaluation.local_model import LocalModel
from trainer.records import Record
from trainer.template import Encoded

BATCH_TOKENS = 2048
"""Of a batch, padding included: what bounds the memory of its logits."""


@dataclass(frozen=True, slots=True)
class AnswerBits:
    """One answer of a record, as a model foresees it."""

    record_id: str
    category: str | None
    turn: int
    """0 for the first answer of the conversation."""
    bits: float
    size_bytes: int

    @property
    def is_later(self) -> bool:
        return self.turn > 0


@dataclass(frozen=True, slots=True)
class _Known:
    """A record as tokens, with where its answers lie in them."""

    record: Record
    encoded: Encoded
    answers: tuple[tuple[range, int], ...]
    """Positions of the tokens of each answer, and its bytes."""


def answer_bits(
    local: LocalModel, records: Sequence[Record], *, scored: Callable[[int], None] = lambda records: None
) -> tuple[list[AnswerBits], int]:
    """Bits and bytes of every answer, and how many records were left out: too long, or refused by the template.

    `scored` is told how many records each step has done.
    """
    known = [found for record in records if (found := _known(record, local))]
    scored(len(records) - len(known))
    results: list[AnswerBits] = []
    for batch in _batches(sorted(known, key=lambda one: len(one.encoded.input_ids))):
        for one, losses in zip(batch, _token_bits(local.model, batch), strict=True):
            for turn, (place, size_bytes) in enumerate(one.answers):
                bits = math.fsum(losses[position] for position in place)
                results.append(AnswerBits(one.record.id, one.record.category, turn, bits, size_bytes))
        scored(len(batch))
    return results, len(records) - len(known)


def _known(record: Record, local: LocalModel) -> _Known | None:
    try:
        encoded = local.template.encode(record.messages)
    except BadInput:
        return None
    if len(encoded.input_ids) > local.context_tokens:
        return None
    texts = [
        "\n\n".join(message.content for message in neighbours).strip()
        for role, neighbours in groupby(record.messages, key=lambda message: message.role)
        if role == "assistant"
    ]
    places = [_trimmed(place, encoded.input_ids, local.tokenizer) for place in _learned(encoded.loss_mask)]
    return _Known(
        record,
        encoded,
        tuple((place, len(text.encode())) for place, text in zip(places, texts, strict=True)),
    )


def _learned(mask: Sequence[bool]) -> Iterator[range]:
    """The runs of learned positions: one an answer, its end token included."""
    start = 0
    for learned, run in groupby(mask):
        length = len(list(run))
        if learned:
            yield range(start, start + length)
        start += length


def _trimmed(place: range, ids: Sequence[int], tokenizer: Any) -> range:
    """Without the end token, and without tokens at either end that are blank."""
    first, last = place.start, place.stop - 1
    while last > first and not tokenizer.decode([ids[last - 1]]).strip():
        last -= 1
    while first < last and not tokenizer.decode([ids[first]]).strip():
        first += 1
    return range(first, last)


def _batches(known: Sequence[_Known]) -> Iterator[list[_Known]]:
    """Of neighbours in length, so that little is padded."""
    batch: list[_Known] = []
    for one in known:
        if batch and len(one.encoded.input_ids) * (len(batch) + 1) > BATCH_TOKENS:
            yield batch
            batch = []
        batch.append(one)
    if batch:
        yield batch


@torch.inference_mode()
def _token_bits(model: Any, batch: Sequence[_Known]) -> list[list[float]]:
    """For each record, position by position, the bits of that token after all before it (0 where none is learned).

    Padding stands behind, where no causal model looks. The head runs only where some record of the batch learns.
    """
    longest = max(len(one.encoded.input_ids) for one in batch)
    ids = torch.zeros(len(batch), longest, dtype=torch.long)
    wanted = torch.zeros(len(batch), longest, dtype=torch.bool)
    for row, one in enumerate(batch):
        ids[row, : len(one.encoded.input_ids)] = torch.tensor(one.encoded.input_ids)
        for place, _ in one.answers:
            wanted[row, place.start : place.stop] = True
    positions = wanted.any(0).nonzero().squeeze(1)  # the tokens; what foresees them stands one before
    logits = model(
        input_ids=ids.to(model.device), use_cache=False, logits_to_keep=(positions - 1).to(model.device)
    ).logits
    bits = torch.zeros(len(batch), longest)
    for row in range(len(batch)):
        targets = ids[row, positions].to(model.device)
        losses = functional.cross_entropy(logits[row].float(), targets, reduction="none")
        bits[row, positions] = losses.cpu() / math.log(2)
    return bits.tolist()
