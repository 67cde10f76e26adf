"""One run of one contestant, in a process of its own: `python -m tests.benchmarks.trainer.contestants NAME …`.

    padded        a loop of Dolly v1's kind: 8 records padded to the longest, sdpa, default AdamW, all logits
    dolly         Dolly's path with the same 8 records a step
    trl           TRL's SFTTrainer, packing=True (bfd), sdpa, use_cache False, fused AdamW, no checkpointing
    dolly_as_trl  Dolly's path with TRL's rows in TRL's order, and the same optimizer

Each step's loss is the mean over its learned tokens. The first step warms up and is not timed. Prints one line of JSON.
"""

import argparse
import hashlib
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM

from tests.benchmarks.trainer.records import batches, read_records
from trainer.recipe import load_recipe
from trainer.template import Encoded
from trainer.tuning.families import prepare
from trainer.tuning.loss import row_loss
from trainer.tuning.optimizer import make_optimizer
from trainer.tuning.packing import IGNORED, row_of

BATCH = 8
ROW_TOKENS = 1024
LEARNING_RATE = 2e-5
WEIGHT_DECAY = 0.01
"""AdamW's own default: the padded loop takes it as it is."""


@dataclass
class Measured:
    """What a run found; the warm-up step is in no number but `fingerprint`."""

    contestant: str
    useful_tokens: int = 0
    computed_tokens: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    """Of all cores: what `seconds` times the cores would be on a machine that does nothing else."""
    losses: list[float] = field(default_factory=list)
    learned: list[int] = field(default_factory=list)
    fingerprint: str = ""
    leak: float | None = None
    """Largest difference between packed and unpacked logits, where it was looked at."""

    @property
    def tokens_per_second(self) -> float:
        return self.useful_tokens / self.seconds

    @property
    def loss(self) -> float:
        """Mean over all learned tokens."""
        weighted = sum(loss * number for loss, number in zip(self.losses, self.learned, strict=True))
        return weighted / sum(self.learned)


Step = Callable[[list[Encoded]], tuple[float, int]]


def measure(name: str, base: Path, examples: list[Encoded]) -> Measured:
    """Tune on the examples, the first step unmeasured."""
    if name == "trl":
        return _trl(base, examples)
    if name == "padded":
        return _loop(name, _padded_step(_model(base)), list(batches(examples, BATCH)), padded=True)
    steps = _rows_of_trl(examples) if name == "dolly_as_trl" else list(batches(examples, BATCH))
    return _loop(name, _dolly_step(_model(base)), steps)


def _model(base: Path) -> Any:
    model: Any = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32, attn_implementation="sdpa")
    return model.train()


def _loop(name: str, step: Step, steps: Sequence[list[Encoded]], *, padded: bool = False) -> Measured:
    measured = Measured(name, fingerprint=_fingerprint(id for batch in steps for one in batch for id in one.input_ids))
    step(steps[0])
    began, cpu_began = time.perf_counter(), time.process_time()
    for batch in steps[1:]:
        loss, learned = step(batch)
        lengths = [len(example.input_ids) for example in batch]
        measured.losses.append(loss)
        measured.learned.append(learned)
        measured.useful_tokens += sum(lengths)
        measured.computed_tokens += max(lengths) * len(lengths) if padded else sum(lengths)
    measured.seconds, measured.cpu_seconds = time.perf_counter() - began, time.process_time() - cpu_began
    return measured


def _dolly_step(model: Any) -> Step:
    prepare(model)
    choice = replace(load_recipe("laptop-smollm2").tune, method="full", weight_decay=WEIGHT_DECAY)
    optimizer = make_optimizer(model.named_parameters(), choice)

    def step(batch: list[Encoded]) -> tuple[float, int]:
        loss, learned = row_loss(model, row_of(batch))
        (loss / learned).backward()
        optimizer.step(LEARNING_RATE)
        return loss.item() / learned, learned

    return step


def _padded_step(model: Any) -> Step:
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE)

    def step(batch: list[Encoded]) -> tuple[float, int]:
        longest = max(len(example.input_ids) for example in batch)
        shape = (len(batch), longest)
        ids, mask = torch.zeros(shape, dtype=torch.long), torch.zeros(shape, dtype=torch.long)
        labels = torch.full(shape, IGNORED)
        for place, example in enumerate(batch):
            tokens = torch.tensor(example.input_ids)
            ids[place, : len(tokens)] = tokens
            mask[place, : len(tokens)] = 1
            labels[place, : len(tokens)] = tokens.masked_fill(~torch.tensor(example.loss_mask), IGNORED)
        loss = model(input_ids=ids, attention_mask=mask, labels=labels, use_cache=False).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss.item(), int((labels[:, 1:] != IGNORED).sum())

    return step


def _columns(examples: list[Encoded]) -> Any:
    from datasets import Dataset

    labels = [
        [token if learn else IGNORED for token, learn in zip(one.input_ids, one.loss_mask, strict=True)]
        for one in examples
    ]
    return Dataset.from_dict({"input_ids": [one.input_ids for one in examples], "labels": labels})


def _rows_of_trl(examples: list[Encoded]) -> list[list[Encoded]]:
    """The examples as TRL packs and orders them."""
    from trl import pack_dataset

    rows = []
    for packed in pack_dataset(_columns(examples), seq_length=ROW_TOKENS, strategy="bfd"):
        row, start = [], 0
        for length in packed["seq_lengths"]:
            ids, labels = (packed[name][start : start + length] for name in ("input_ids", "labels"))
            row.append(Encoded(ids, [label != IGNORED for label in labels]))
            start += length
        rows.append(row)
    return rows


def _trl(base: Path, examples: list[Encoded]) -> Measured:
    from transformers import AutoTokenizer, TrainerCallback
    from trl import SFTConfig, SFTTrainer

    measured = Measured("trl")
    ends: list[tuple[float, float]] = []
    seen: list[int] = []
    learned: list[int] = []

    class Watch(TrainerCallback):
        def on_step_end(self, *_: Any, **__: Any) -> None:
            ends.append((time.perf_counter(), time.process_time()))

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
            if logs and "loss" in logs:
                measured.losses.append(logs["loss"])

    with tempfile.TemporaryDirectory() as folder:
        settings = SFTConfig(
            output_dir=folder,
            packing=True,
            max_length=ROW_TOKENS,
            per_device_train_batch_size=1,
            gradient_checkpointing=False,
            bf16=False,
            learning_rate=LEARNING_RATE,
            lr_scheduler_type="constant",
            weight_decay=WEIGHT_DECAY,
            max_grad_norm=0.0,
            optim="adamw_torch_fused",
            num_train_epochs=1,
            train_sampling_strategy="sequential",
            logging_steps=1,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            dataloader_pin_memory=False,
            use_cpu=True,
        )
        model = _model(base)
        trainer = SFTTrainer(
            model=model,
            args=settings,
            train_dataset=_columns(examples),
            processing_class=AutoTokenizer.from_pretrained(base),
            callbacks=[Watch()],
        )
        collate = trainer.data_collator
        measured.leak = _leak(model, collate([trainer.train_dataset[0]]))

        def watched(rows: list[Any]) -> Any:
            batch = collate(rows)
            seen.extend(batch["input_ids"].flatten().tolist())
            learned.append(int((batch["labels"][:, 1:] != IGNORED).sum()))
            return batch

        trainer.data_collator = watched
        lengths = [len(row["input_ids"]) for row in trainer.train_dataset]
        trainer.train()
    measured.fingerprint = _fingerprint(iter(seen))
    measured.seconds, measured.cpu_seconds = (last - first for first, last in zip(ends[0], ends[-1], strict=True))
    measured.useful_tokens = measured.computed_tokens = sum(lengths[1:])
    measured.losses, measured.learned = measured.losses[1 : len(lengths)], learned[1:]
    return measured


def _leak(model: Any, batch: dict[str, Any]) -> float:
    """The largest difference between the row's logits, called as TRL calls it, and each example's alone."""
    given = {name: value for name, value in batch.items() if name != "labels"}
    worst, ids = 0.0, batch["input_ids"][0]
    starts = [*(batch["position_ids"][0] == 0).nonzero().flatten().tolist(), len(ids)]
    with torch.no_grad():
        together = model(**given, use_cache=False).logits[0]
        for start, end in pairwise(starts):
            alone = model(ids[None, start:end], use_cache=False).logits[0]
            worst = max(worst, (together[start:end] - alone).abs().max().item())
    return worst


def _fingerprint(ids: Iterator[int]) -> str:
    return hashlib.sha256(json.dumps(list(ids)).encode()).hexdigest()


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("contestant", choices=["padded", "dolly", "trl", "dolly_as_trl"])
    arguments.add_argument("base", type=Path)
    arguments.add_argument("records", type=Path)
    arguments.add_argument("--first", type=int, required=True)
    arguments.add_argument("--number", type=int, required=True)
    chosen = arguments.parse_args()
    examples = read_records(chosen.records)[chosen.first : chosen.first + chosen.number]
    out, sys.stdout = sys.stdout, sys.stderr  # whatever others print, the JSON stands alone
    measured = measure(chosen.contestant, chosen.base, examples)
    print(json.dumps(asdict(measured)), file=out)


if __name__ == "__main__":
    main()
