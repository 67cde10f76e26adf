"""GPT-J 6B on one card, as dolly-v1-gptj-6b tunes it: `python -m tests.benchmarks.trainer.gpu PART --out DIR`.

    base      make the 6B weights on the card from a seed, and write them to DIR/base
    train     load them, compile, 10 + 150 steps of 64 seeded-random Alpaca records in one row, save
    lora      the same with the recipe lora-8b's adapters
    trl       TRL's SFTTrainer, unpacked, grouped by length, flash attention 2: 60 steps of 64
    report    read what the parts have written; the figures

Each part is meant to end within 8 minutes and writes DIR/PART.jsonl line by line as it goes, so what was cut off still
counts. Without a GPU a part says that it was not run; `--small` runs it on a CPU with a tiny GPT-J, to see that it can.
"""

import argparse
import json
import random
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from tokenizers import AddedToken
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

from tests.benchmarks.trainer.records import ALPACA, batches
from trainer.recipe import load_recipe
from trainer.records import Record
from trainer.sources import read_source
from trainer.template import DOLLY_KEYS, Encoded, dolly_source, dolly_template
from trainer.tuning.adapters import add_adapters
from trainer.tuning.families import matmul_flops_per_token, prepare
from trainer.tuning.loss import row_loss
from trainer.tuning.optimizer import make_optimizer
from trainer.tuning.packing import Row, fill_length, fill_lengths, row_of

SEED = 42
EPOCH_TOKENS = 5_519_697
"""Of Dolly v1's text over Alpaca: facts that tests/trainer holds the data set to."""
MATMUL_RATE = 790e12
"""FLOP/s of dense bf16 matrix products, measured on an H100."""
TINY = {"n_embd": 64, "n_layer": 2, "n_head": 4, "n_positions": 2048, "rotary_dim": 8, "vocab_size": 50432}
GPT2 = ALPACA.parents[1] / "tokenizers" / "gpt2" / "tokenizer.json"


@dataclass(frozen=True)
class Card:
    """What it runs on, and how much of it."""

    device: str
    dtype: torch.dtype
    config: Any
    warm_up: int
    steps: int
    records_a_step: int

    @classmethod
    def chosen(cls, small: bool) -> "Card":
        own: dict[str, Any] = {"activation_function": "gelu_pytorch_tanh"} | (TINY if small else {"vocab_size": 50432})
        config = AutoConfig.for_model("gptj", **own)
        if small:
            return cls("cpu", torch.float32, config, warm_up=1, steps=2, records_a_step=4)
        return cls("cuda", torch.bfloat16, config, warm_up=10, steps=150, records_a_step=64)

    def wait(self) -> float:
        """The time once all that was asked of the card is done."""
        if self.device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()

    @property
    def peak_gib(self) -> float:
        return torch.cuda.max_memory_allocated() / 2**30 if self.device == "cuda" else 0.0


class Log:
    """Lines of one part, written as they come."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.write_text("")

    def write(self, **facts: Any) -> None:
        with self._path.open("a") as file:
            file.write(json.dumps(facts) + "\n")
        print(facts, flush=True)

    def timed(self, card: Card, what: str, work: Callable[[], Any]) -> Any:
        began = card.wait()
        result = work()
        self.write(what=what, seconds=card.wait() - began)
        return result


def examples(number: int) -> list[Encoded]:
    """Alpaca records in Dolly's text by GPT-2's tokenizer, which is GPT-J's; seeded-random."""
    tokenizer: Any = PreTrainedTokenizerFast(tokenizer_file=str(GPT2), eos_token="<|endoftext|>")
    tokenizer.add_tokens([AddedToken(key, special=True, normalized=False) for key in DOLLY_KEYS], special_tokens=True)
    tokenizer.chat_template = dolly_source(tokenizer)
    template = dolly_template(tokenizer)
    found = [entry for entry in read_source(f"alpaca:{ALPACA}").entries if isinstance(entry, Record)]
    drawn = random.Random(SEED).sample(found, min(number, len(found)))
    return [template.encode(record.messages) for record in drawn]


def rows(steps: int, records_a_step: int) -> Iterator[Row]:
    """A row for each step, filled up to one of four lengths."""
    steps_of = list(batches(examples(steps * records_a_step), records_a_step))
    sizes = [sum(len(example.input_ids) for example in step) for step in steps_of]
    lengths = fill_lengths(sizes)
    for step, size in zip(steps_of, sizes, strict=True):
        yield row_of(step, fill_to=fill_length(size, lengths))


def make_base(card: Card, out: Path) -> None:
    log = Log(out / "base.jsonl")
    torch.manual_seed(SEED)
    with torch.device(card.device):
        model: Any = log.timed(card, "make", lambda: AutoModelForCausalLM.from_config(card.config, dtype=card.dtype))
    log.timed(card, "save", lambda: model.save_pretrained(out / "base", max_shard_size="5GB"))


def train(card: Card, out: Path, *, lora: bool) -> None:
    part = "lora" if lora else "train"
    log = Log(out / f"{part}.jsonl")
    recipe = load_recipe("lora-8b" if lora else "dolly-v1-gptj-6b")
    choice = recipe.tune if card.device == "cuda" else replace(recipe.tune, optimizer="adamw", precision="fp32")
    model: Any = log.timed(card, "load", lambda: _load(card, out / "base"))
    prepare(model)
    model.train()
    if card.device == "cuda":
        for block in model.transformer.h:
            block.compile(dynamic=False)
    if lora:
        assert recipe.lora is not None
        model = add_adapters(model, recipe.lora, [])
    optimizer = make_optimizer(model.named_parameters(), choice)
    for number, row in enumerate(rows(card.warm_up + card.steps, card.records_a_step)):
        began = card.wait()
        loss, learned = row_loss(model, row)
        (loss / learned).backward()
        if choice.max_grad_norm:
            torch.nn.utils.clip_grad_norm_(model.parameters(), choice.max_grad_norm)
        optimizer.step(choice.learning_rate)
        seconds = card.wait() - began
        log.write(
            step=number,
            steady=number >= card.warm_up,
            useful=row.useful_tokens,
            filled=len(row.input_ids),
            learned=learned,
            seconds=seconds,
            loss=loss.item() / learned,
            peak_gib=card.peak_gib,
        )
    log.timed(card, "save", lambda: model.save_pretrained(out / f"{part}-saved", max_shard_size="5GB"))


def _load(card: Card, folder: Path) -> Any:
    return AutoModelForCausalLM.from_pretrained(folder, dtype=card.dtype, device_map=card.device)


def trl(card: Card, out: Path) -> None:
    """As people run it: unpacked, since packed GPT-J leaks there; grouped by length; the fused optimizer of torch."""
    from datasets import Dataset
    from transformers import TrainerCallback
    from trl import SFTConfig, SFTTrainer

    log = Log(out / "trl.jsonl")
    steps = 60 if card.device == "cuda" else 2
    drawn = examples(steps * card.records_a_step)
    labels = [
        [token if learn else -100 for token, learn in zip(one.input_ids, one.loss_mask, strict=True)] for one in drawn
    ]
    micro_batch = min(16, card.records_a_step)
    attention = "flash_attention_2" if card.device == "cuda" else "eager"
    model: Any = AutoModelForCausalLM.from_pretrained(
        out / "base", dtype=card.dtype, device_map=card.device, attn_implementation=attention
    )
    settings = SFTConfig(
        output_dir=str(out / "trl"),
        per_device_train_batch_size=micro_batch,
        gradient_accumulation_steps=card.records_a_step // micro_batch,
        gradient_checkpointing=False,
        max_length=None,
        bf16=card.device == "cuda",
        optim="adamw_bnb_8bit" if card.device == "cuda" else "adamw_torch_fused",
        train_sampling_strategy="group_by_length",
        max_steps=steps,
        logging_steps=1,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        use_cpu=card.device != "cuda",
    )
    began = card.wait()

    class Watch(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            nonlocal began
            now = card.wait()
            log.write(
                step=state.global_step, steady=state.global_step > 10, seconds=now - began, peak_gib=card.peak_gib
            )
            began = now

    tokenizer: Any = PreTrainedTokenizerFast(
        tokenizer_file=str(GPT2), eos_token="<|endoftext|>", pad_token="<|endoftext|>"
    )
    data = Dataset.from_dict({"input_ids": [one.input_ids for one in drawn], "labels": labels})
    trainer = SFTTrainer(
        model=model, args=settings, train_dataset=data, processing_class=tokenizer, callbacks=[Watch()]
    )
    trainer.train()
    log.write(what="tokens", useful=sum(len(one.input_ids) for one in drawn), steps=steps)


def report(card: Card, out: Path) -> list[str]:
    """The figures of what parts have written so far; parts that are not there are named."""
    found = {path.stem: [json.loads(line) for line in path.read_text().splitlines()] for path in out.glob("*.jsonl")}
    lines = [f"{part}: not run" for part in ("train", "lora", "trl") if part not in found]
    minutes = _minutes_of_an_epoch(found.get("train", ()))
    if minutes:
        steady = [one for one in found["train"] if one.get("steady")]
        share = sum(one["learned"] for one in steady) / sum(one["useful"] for one in steady)
        per_token = matmul_flops_per_token(card.config, learned_share=share)
        rate = EPOCH_TOKENS * per_token / (statistics.median(minutes) * 60)
        once = [one["seconds"] for one in found["train"] if "what" in one]
        warm = sum(one["seconds"] for one in found["train"] if one.get("steady") is False)
        median = statistics.median(minutes)
        lines += [
            f"an epoch: {median:.2f} min ({minutes[0]:.2f} to {minutes[-1]:.2f} by tenths of {len(steady)} steps)",
            _figure("epoch_minutes", median, "min", 9.0),
            _figure("to_files_minutes", median + (sum(once) + warm) / 60, "min", 13.0),
            _figure("mfu_share", rate / MATMUL_RATE, "share", 0.45, at_least=True),
            _figure("peak_gib", max(one["peak_gib"] for one in steady), "GiB", 76.0),
        ]
    if any(one.get("steady") for one in found.get("lora", ())):
        lines.append(_figure("lora_peak_gib", max(one.get("peak_gib", 0) for one in found["lora"]), "GiB", 24.0))
    other = [one["seconds"] for one in found.get("trl", ()) if one.get("steady")]
    totals = [one for one in found.get("trl", ()) if one.get("what") == "tokens"]
    if minutes and other and totals:
        tokens_a_second = totals[0]["useful"] / totals[0]["steps"] / statistics.mean(other)
        ratio = EPOCH_TOKENS / (statistics.median(minutes) * 60) / tokens_a_second
        lines.append(_figure("gpu_useful_vs_trl", ratio, "times", 1.5, at_least=True))
    return lines


def _minutes_of_an_epoch(lines: Sequence[dict[str, Any]]) -> list[float]:
    """Extrapolated from each tenth of the steady steps, ascending."""
    steady = [line for line in lines if line.get("steady")]
    tenth = max(1, len(steady) // 10)
    pieces = [steady[start : start + tenth] for start in range(0, len(steady), tenth)]
    seconds = [sum(one["seconds"] for one in piece) / sum(one["useful"] for one in piece) for piece in pieces]
    return sorted(each * EPOCH_TOKENS / 60 for each in seconds)


def _figure(name: str, value: float, unit: str, goal: float, *, at_least: bool = False) -> str:
    met = value >= goal if at_least else value <= goal
    return f"figure: trainer.{name} {value:.3g} {unit} goal {goal:g} {'ok' if met else 'short'}"


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("part", choices=["base", "train", "lora", "trl", "report"])
    arguments.add_argument("--out", type=Path, required=True)
    arguments.add_argument("--small", action="store_true")
    chosen = arguments.parse_args()
    if chosen.part != "report" and not chosen.small and not torch.cuda.is_available():
        print(f"{chosen.part}: not run, there is no GPU here.")
        return
    chosen.out.mkdir(parents=True, exist_ok=True)
    run(chosen.part, Card.chosen(chosen.small), chosen.out)


def run(part: str, card: Card, out: Path) -> None:
    if part == "base":
        make_base(card, out)
    elif part == "trl":
        trl(card, out)
    elif part == "report":
        print("\n".join(report(card, out)))
    else:
        train(card, out, lora=part == "lora")


if __name__ == "__main__":
    main()
