"""Which records each step learns from, in which rows, and at which rate: the recipe decides, not the machine.

The records of a step are the same for any number of processes and any length of rows; so is the step's loss, the mean
over all its learned tokens.
"""

import math
from collections.abc import Sequence
from functools import lru_cache

import torch

from trainer.errors import BadInput
from trainer.recipe import TuneChoice
from trainer.template import Encoded
from trainer.tuning.packing import Row, fill_length, pack, row_of


class Plan:
    """The steps of a run over examples. A step is counted from 0."""

    def __init__(self, examples: Sequence[Encoded], choice: TuneChoice, processes: int = 1) -> None:
        self._examples = examples
        self._choice = choice
        self._processes = processes
        self.steps_per_epoch = -(-len(examples) // choice.global_batch_size)
        self.steps = max(1, math.ceil(choice.epochs * self.steps_per_epoch - 1e-9))
        self._order = lru_cache(maxsize=2)(self._shuffled)
        if choice.step_in_backward and (most := max(len(self.rows(step, 0)) for step in range(self.steps))) > 1:
            raise BadInput(
                f"tune.step_in_backward needs each step in one row, and some take {most}: raise tune.row_tokens, or "
                "lower tune.global_batch_size."
            )

    def batch(self, step: int) -> list[int]:
        """The examples of a step, in their order."""
        epoch, place = divmod(step, self.steps_per_epoch)
        size = self._choice.global_batch_size
        return self._order(epoch)[place * size : (place + 1) * size]

    def learned_tokens(self, step: int) -> int:
        """Of all rows and processes: what the step's loss is divided by."""
        return sum(learned_tokens(self._examples[index]) for index in self.batch(step))

    def rows(self, step: int, process: int) -> list[Row]:
        """What one process computes. Every process has as many; those with fewer examples get empty ones."""
        examples = [self._examples[index] for index in self.batch(step)]
        return rows_of_process(examples, self._choice, self._processes, process)

    def learning_rate(self, step: int) -> float:
        """Of the recipe's schedule."""
        choice, highest = self._choice, self._choice.learning_rate
        if step < choice.warmup_steps:
            return highest * (step + 1) / choice.warmup_steps
        done = (step - choice.warmup_steps) / max(1, self.steps - choice.warmup_steps)
        if choice.schedule == "cosine":
            return highest * 0.5 * (1 + math.cos(math.pi * done))
        return highest * (1 - done) if choice.schedule == "linear" else highest

    def _shuffled(self, epoch: int) -> list[int]:
        if not self._choice.shuffle:
            return list(range(len(self._examples)))
        generator = torch.Generator().manual_seed(self._choice.seed + epoch)
        return torch.randperm(len(self._examples), generator=generator).tolist()


def learned_tokens(example: Encoded) -> int:
    """The first token of an example follows nothing, so it is never learned."""
    return sum(example.loss_mask[1:])


def rows_of_process(examples: Sequence[Encoded], choice: TuneChoice, processes: int, process: int) -> list[Row]:
    """What one of several processes computes of these examples; all get as many rows, some of them empty."""
    shares = share([len(example.input_ids) for example in examples], processes)
    packed = [packed_rows([examples[index] for index in indices], choice) for indices in shares]
    return packed[process] + [empty_row()] * (max(map(len, packed)) - len(packed[process]))


def share(lengths: Sequence[int], processes: int) -> list[list[int]]:
    """Indices for each process: the longest first, each to the one that has the fewest tokens. In ascending order."""
    shares: list[list[int]] = [[] for _ in range(processes)]
    tokens = [0] * processes
    for index in sorted(range(len(lengths)), key=lambda index: (-lengths[index], index)):
        least = tokens.index(min(tokens))
        shares[least].append(index)
        tokens[least] += lengths[index]
    return [sorted(indices) for indices in shares]


def packed_rows(examples: Sequence[Encoded], choice: TuneChoice) -> list[Row]:
    """The examples in rows as the recipe wants them."""
    longest = min(choice.row_tokens, max(choice.fill_lengths, default=choice.row_tokens))
    rows = []
    for indices in pack([len(example.input_ids) for example in examples], longest):
        chosen = [examples[index] for index in indices]
        tokens = sum(len(example.input_ids) for example in chosen)
        fill_to = fill_length(tokens, sorted(choice.fill_lengths)) if choice.fill_lengths else None
        rows.append(row_of(chosen, fill_to=fill_to))
    return rows


def empty_row() -> Row:
    """Nothing is learned from it; a process of several computes it because the others wait for its part."""
    return row_of([Encoded([0, 0], [False, False])])
