"""Examples side by side in rows, with nothing between them: no padding, and no token sees another example.

A row is one sequence of tokens to a model, and its `lengths` say where one example ends and the next begins. What is
computed for an example in a row equals what is computed for it alone.
"""

from bisect import bisect_left, insort
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from trainer.errors import BadInput
from trainer.template import Encoded

IGNORED = -100
"""Label of a position from which nothing is learned."""


@dataclass(frozen=True, slots=True)
class Row:
    """Examples one after the other. All tensors int64, of shape (tokens,)."""

    input_ids: torch.Tensor
    labels: torch.Tensor
    """The token after each position, of the same example, where it is learned; IGNORED elsewhere. Already shifted."""
    position_ids: torch.Tensor
    """Counted from 0 in each example."""
    lengths: tuple[int, ...]
    """Tokens of each example, the filler as the last one; they add up to the row."""
    filler: int = 0
    """Tokens at the end that are no one's example."""

    @property
    def useful_tokens(self) -> int:
        return len(self.input_ids) - self.filler

    def to(self, device: torch.device | str) -> "Row":
        """The same row on the device; the copy does not wait for it."""
        return replace(
            self,
            input_ids=self.input_ids.to(device, non_blocking=True),
            labels=self.labels.to(device, non_blocking=True),
            position_ids=self.position_ids.to(device, non_blocking=True),
        )


def pack(lengths: Sequence[int], row_tokens: int) -> list[list[int]]:
    """Share examples among as few rows of at most `row_tokens` as best-fit decreasing finds.

    Returns the examples' indices, row by row; equal lengths give equal rows. Raises BadInput for an example that no row
    holds.
    """
    rows: list[list[int]] = []
    room: list[tuple[int, int]] = []  # what is free in each row, and the row: sorted
    for index in sorted(range(len(lengths)), key=lambda index: (-lengths[index], index)):
        length = lengths[index]
        if length > row_tokens:
            raise BadInput(
                f"An example of {length} tokens does not fit a row of {row_tokens}; raise tune.row_tokens, "
                "or lower dataset.max_tokens and build the data set anew."
            )
        place = bisect_left(room, (length, -1))
        if place == len(room):
            rows.append([index])
            insort(room, (row_tokens - length, len(rows) - 1))
        else:
            free, row = room.pop(place)
            rows[row].append(index)
            insort(room, (free - length, row))
    return rows


def row_of(examples: Sequence[Encoded], *, fill_to: int | None = None, filler_id: int = 0) -> Row:
    """Put examples into one row; with `fill_to`, filler of `filler_id` makes it that long.

    The filler is an example of its own that carries no loss, so a step has one of few lengths and is compiled once for
    each. Raises BadInput for an example without tokens, and for a row already longer than `fill_to`.
    """
    lengths = [len(example.input_ids) for example in examples]
    tokens = sum(lengths)
    filler = 0 if fill_to is None else fill_to - tokens
    if not lengths or not all(lengths):
        raise BadInput("A row needs examples, and each of them a token.")
    if filler < 0:
        raise BadInput(f"Examples of {tokens} tokens do not fit a row filled up to {fill_to}.")
    ids = [token for example in examples for token in example.input_ids] + [filler_id] * filler
    labels = [label for example in examples for label in _shifted(example)] + [IGNORED] * filler
    if filler:
        lengths.append(filler)
    positions = torch.cat([torch.arange(length) for length in lengths])
    return Row(torch.tensor(ids), torch.tensor(labels), positions, tuple(lengths), filler)


def _shifted(example: Encoded) -> list[int]:
    learned = zip(example.input_ids[1:], example.loss_mask[1:], strict=True)
    return [token if learn else IGNORED for token, learn in learned] + [IGNORED]


def fill_lengths(tokens: Sequence[int], *, most: int = 4, multiple_of: int = 64) -> list[int]:
    """Choose at most `most` lengths to fill rows of these sizes up to, so that little filler is needed.

    The longest row sets the last length; the others are the quantiles of the rest that waste the least among a grid of
    multiples. Rounded up to `multiple_of`.
    """
    if not tokens:
        raise BadInput("There are no rows to choose lengths for.")
    rounded = sorted(-(-count // multiple_of) * multiple_of for count in tokens)
    # waste(i, j): filler if rows i..j-1 are all filled to the longest of them. Dynamic programming over few candidates.
    ends = sorted({max(1, round(len(rounded) * part / 64)) for part in range(1, 65)})
    sums = [0]
    for count in rounded:
        sums.append(sums[-1] + count)
    best: dict[int, tuple[int, list[int]]] = {0: (0, [])}
    for _ in range(most):
        options = dict(best)
        for end in ends:
            for start, (waste, chosen) in best.items():
                if start < end:
                    top = rounded[end - 1]
                    total = waste + top * (end - start) - (sums[end] - sums[start])
                    if end not in options or total < options[end][0]:
                        options[end] = (total, [*chosen, top])
        best = options
    return sorted(set(best[len(rounded)][1]))


def fill_length(tokens: int, lengths: Sequence[int]) -> int:
    """The least of the ascending lengths that holds so many tokens. Raises BadInput where none does."""
    place = bisect_left(lengths, tokens)
    if place == len(lengths):
        raise BadInput(f"A row of {tokens} tokens is longer than any of {list(lengths)}.")
    return lengths[place]
