"""GPT-J 6B on one card, as `dolly-trainer tune` does it: `python -m tests.benchmarks.trainer.gpu PART --out DIR`.

    base      make the 6B weights on the card from a seed, and 10,240 seeded-random Alpaca records: DIR/base, DIR/data
    train     tune them by the recipe dolly-v1-gptj-6b: 10 + 150 steps of 64 records, and the checkpoint
    export    export that checkpoint to the files that engines serve
    lora      the same steps by the recipe lora-8b, of its 16 records
    trl       TRL's SFTTrainer, unpacked, grouped by length, flash attention 2, our optimizer: 60 steps of 64
    report    read what the parts have written; the figures

`make bench-trainer-gpu` runs all. A part has 8 minutes: tuning asks itself to end after six and saves what it has, and
what is not done by eight ends there; both are said. DIR/PART.jsonl and the run's own log are written line by line. trl
needs two packages more: `pip install 'trl>=1.16,<2'`, which make bench-trainer installs, and flash-attn or kernels.
Without a GPU a part says that it was not run; `--small` runs it on a CPU with a tiny GPT-J, to see that it can.
"""

import argparse
import json
import os
import random
import shutil
import signal
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast

from tests.benchmarks.trainer.records import ALPACA
from trainer.artifacts import write_manifest
from trainer.datasets import fit, read_split, write_dataset
from trainer.recipe import Recipe, load_recipe
from trainer.records import Record
from trainer.sources import read_source
from trainer.stages.export import export
from trainer.stages.tune import tune
from trainer.template import dolly_template
from trainer.tuning.checkpoint import checkpoints
from trainer.tuning.families import matmul_flops_per_token
from trainer.tuning.keys import add_keys
from trainer.tuning.optimizer import Optimizer, make_optimizer

PARTS = ("base", "train", "export", "lora", "trl", "report")
SEED = 42
LIMIT_SECONDS, SAVING_SECONDS = 480.0, 120.0
EPOCH_TOKENS, EPOCH_LEARNED = 5_519_697, 3_091_575
"""Of Dolly v1's text over Alpaca: facts that tests/trainer holds the data set to."""
MATMUL_RATE = 790e12
"""FLOP/s of dense bf16 matrix products, measured on an H100."""
TINY = {"n_embd": 64, "n_layer": 2, "n_head": 4, "n_positions": 2048, "rotary_dim": 8}
GPT2 = ALPACA.parents[1] / "tokenizers" / "gpt2" / "tokenizer.json"


@dataclass(frozen=True)
class Card:
    """What it runs on, and how much of it."""

    device: str
    dtype: torch.dtype
    config: Any
    warm_up: int
    steps: int
    trl_steps: int
    records_a_step: int

    @classmethod
    def chosen(cls, small: bool) -> "Card":
        own: dict[str, Any] = {"activation_function": "gelu_pytorch_tanh", "vocab_size": 50432}
        config = AutoConfig.for_model("gptj", **own | (TINY if small else {}))
        if small:
            return cls("cpu", torch.float32, config, warm_up=1, steps=2, trl_steps=2, records_a_step=4)
        return cls("cuda", torch.bfloat16, config, warm_up=10, steps=150, trl_steps=60, records_a_step=64)

    def wait(self) -> float:
        """The time once all that was asked of the card is done."""
        if self.device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()

    @property
    def peak_gib(self) -> float:
        return torch.cuda.max_memory_allocated() / 2**30 if self.device == "cuda" else 0.0

    @property
    def records(self) -> int:
        return (self.warm_up + self.steps) * self.records_a_step


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
        self.write(what=what, seconds=card.wait() - began, peak_gib=card.peak_gib)
        return result


@contextmanager
def limited(part: str, log: Log) -> Iterator[None]:
    """SIGTERM to itself while there is time to save, which `tune` heeds; the end where that was not enough."""

    def say_and_end() -> None:
        log.write(what="stopped", why=f"{part} was not done in {LIMIT_SECONDS / 60:.0f} minutes")
        os._exit(1)

    def too_early(*_: Any) -> None:
        raise SystemExit(f"{part}: the time was up before there was anything to save.")

    before = signal.signal(signal.SIGTERM, too_early)
    is_tuned = part in ("train", "lora")
    ask = threading.Timer(LIMIT_SECONDS - SAVING_SECONDS, lambda: os.kill(os.getpid(), signal.SIGTERM))
    timers = [threading.Timer(LIMIT_SECONDS, say_and_end), *([ask] if is_tuned else [])]
    try:
        for timer in timers:
            timer.daemon = True
            timer.start()
        yield
    finally:
        for timer in timers:
            timer.cancel()
        signal.signal(signal.SIGTERM, before)


def make_base(card: Card, out: Path, log: Log) -> None:
    torch.manual_seed(SEED)
    with torch.device(card.device):
        model: Any = log.timed(card, "make", lambda: AutoModelForCausalLM.from_config(card.config, dtype=card.dtype))
    log.timed(card, "save", lambda: model.save_pretrained(out / "base", max_shard_size="5GB"))
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(GPT2), eos_token="<|endoftext|>")
    tokenizer.save_pretrained(out / "base")
    write_manifest(out / "base", "base", {"source": f"seed {SEED}"})
    found = [entry for entry in read_source(f"alpaca:{ALPACA}").entries if isinstance(entry, Record)]
    drawn = random.Random(SEED).sample(found, card.records + card.records_a_step)
    facts = {"sources": [{"name": "alpaca", "licence": "CC BY-NC 4.0"}], "non_commercial": True}
    write_dataset(out / "data", drawn[card.records_a_step :], drawn[: card.records_a_step], [], facts)


def recipe_of(card: Card, part: str) -> Recipe:
    """The shipped recipe, on this base, for so many steps; it evaluates and samples at the end alone."""
    recipe = load_recipe("lora-8b" if part == "lora" else "dolly-v1-gptj-6b")
    choice = replace(recipe.tune, evaluate_every_steps=0, save_every_steps=0, sample_prompts=())
    if card.device != "cuda":
        small: dict[str, Any] = {"precision": "fp32", "optimizer": "adamw", "global_batch_size": card.records_a_step}
        choice = replace(choice, fill_lengths=(), row_tokens=2048, **small)
    steps = card.warm_up + card.steps
    choice = replace(choice, epochs=steps * choice.global_batch_size / card.records)
    return replace(recipe, base=replace(recipe.base, family="gptj", template="dolly"), tune=choice)


def tuned(card: Card, out: Path, part: str, log: Log) -> None:
    run = out / part
    recipe = recipe_of(card, part)
    log.timed(card, "tune", lambda: tune(recipe, out / "base", out / "data", run))
    if not (run / "manifest.json").exists():
        log.write(what="stopped", why="the time was up: fewer steps, saved as they are")


def exported(card: Card, out: Path, log: Log) -> None:
    (*_, last) = checkpoints(out / "train")
    log.timed(card, "export", lambda: export(last, out / "exported"))
    if card.device == "cuda":
        shutil.rmtree(out / "exported")  # the disk has room for one more, not for two


class Ours(torch.optim.Optimizer):
    """The trainer's optimizer as torch's interface has it, so that TRL steps with the same."""

    def __init__(self, optimizer: Optimizer, parameters: Sequence[torch.nn.Parameter], learning_rate: float) -> None:
        super().__init__(parameters, {"lr": learning_rate})
        self._optimizer = optimizer

    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        self._optimizer.step(self.param_groups[0]["lr"])


def trl(card: Card, out: Path, log: Log) -> None:
    """As people run it: unpacked, since packed GPT-J leaks there, and grouped by length."""
    from datasets import Dataset
    from transformers import TrainerCallback
    from trl import SFTConfig, SFTTrainer

    choice = recipe_of(card, "train").tune
    attention = "flash_attention_2" if card.device == "cuda" else "eager"
    model: Any = AutoModelForCausalLM.from_pretrained(
        out / "base", dtype=card.dtype, device_map=card.device, attn_implementation=attention
    )
    tokenizer: Any = AutoTokenizer.from_pretrained(out / "base")
    add_keys(model, tokenizer)
    tokenizer.pad_token = tokenizer.eos_token
    number = card.trl_steps * card.records_a_step
    drawn = fit(read_split(out / "data", "train")[:number], dolly_template(tokenizer), 2048, "drop").examples
    labels = [
        [token if learn else -100 for token, learn in zip(one.input_ids, one.loss_mask, strict=True)] for one in drawn
    ]
    micro_batch = min(16, card.records_a_step)
    settings = SFTConfig(
        output_dir=str(out / "trl"),
        per_device_train_batch_size=micro_batch,
        gradient_accumulation_steps=card.records_a_step // micro_batch,
        gradient_checkpointing=False,
        max_length=None,
        bf16=card.device == "cuda",
        learning_rate=choice.learning_rate,
        lr_scheduler_type="constant",
        max_grad_norm=choice.max_grad_norm,
        train_sampling_strategy="group_by_length",
        max_steps=card.trl_steps,
        logging_steps=1,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        use_cpu=card.device != "cuda",
    )
    first = began = card.wait()

    class Watch(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            nonlocal began
            now = card.wait()
            log.write(
                step=state.global_step,
                steady=state.global_step > card.warm_up,
                seconds=now - began,
                peak_gib=card.peak_gib,
            )
            began = now
            if now - first > LIMIT_SECONDS - SAVING_SECONDS:
                log.write(what="stopped", why="the time was up: fewer steps")
                control.should_training_stop = True

    optimizer = Ours(make_optimizer(model.named_parameters(), choice), list(model.parameters()), choice.learning_rate)
    trainer = SFTTrainer(
        model=model,
        args=settings,
        train_dataset=Dataset.from_dict({"input_ids": [one.input_ids for one in drawn], "labels": labels}),
        processing_class=tokenizer,
        callbacks=[Watch()],
        optimizers=(optimizer, None),
    )
    trainer.train()
    useful = sum(len(one.input_ids) for one in drawn)
    log.write(what="tokens", a_step=useful / card.trl_steps)


def missing(part: str, card: Card) -> str | None:
    """Why a part cannot be run, or None."""
    if card.device == "cuda" and not torch.cuda.is_available():
        return "there is no GPU here"
    if not (ALPACA.exists() and GPT2.exists()):
        return "there are no Alpaca records and GPT-2 tokenizer in ../shared/data"
    if part == "trl" and find_spec("trl") is None:
        return "trl is not installed (make bench-trainer installs it)"
    if part == "trl" and card.device == "cuda" and not (find_spec("flash_attn") or find_spec("kernels")):
        return "flash attention 2 is not installed: pip install kernels, or flash-attn"
    return None


def report(card: Card, out: Path) -> list[str]:
    """The figures of what parts have written so far; parts that are not there are named."""
    found = {part: _lines(out / f"{part}.jsonl") for part in PARTS}
    lines = [f"{part}: not run" for part in PARTS[1:-1] if not found[part]]
    for part, said in found.items():
        lines += [f"{part}: {one['why']}" for one in said if one.get("what") == "stopped"]
    steps = [line | {"seconds": line["tokens"] / line["tokens_per_second"]} for line in _steps(out / "train")]
    steady = steps[card.warm_up :]
    minutes = _minutes_of_an_epoch(steady)
    ran = [one for one in found["train"] if one.get("what") == "tune"]
    if minutes and ran:
        per_token = matmul_flops_per_token(card.config, learned_share=EPOCH_LEARNED / EPOCH_TOKENS)
        median = statistics.median(minutes)
        rate = EPOCH_TOKENS * per_token / (median * 60)
        once = ran[0]["seconds"] - sum(one["seconds"] for one in steady)
        lines += [
            f"an epoch: {median:.2f} min ({minutes[0]:.2f} to {minutes[-1]:.2f} by tenths of {len(steady)} steps); "
            f"once, to load, compile, warm up and save: {once / 60:.2f} min",
            _figure("epoch_minutes", median, "min", 9.0),
            _figure("mfu_share", rate / MATMUL_RATE, "share", 0.45, at_least=True),
            _figure("peak_gib", ran[0]["peak_gib"], "GiB", 76.0),
        ]
        lines += [
            _figure("to_files_minutes", median + (once + one["seconds"]) / 60, "min", 13.0)
            for one in found["export"]
            if one.get("what") == "export"
        ]
    lines += [
        _figure("lora_peak_gib", one["peak_gib"], "GiB", 24.0) for one in found["lora"] if one.get("what") == "tune"
    ]
    other = [one["seconds"] for one in found["trl"] if one.get("steady")]
    totals = [one for one in found["trl"] if one.get("what") == "tokens"]
    if minutes and other and totals:
        tokens_a_second = totals[0]["a_step"] / statistics.mean(other)
        ratio = EPOCH_TOKENS / (statistics.median(minutes) * 60) / tokens_a_second
        lines.append(_figure("gpu_useful_vs_trl", ratio, "times", 1.5, at_least=True))
    return lines


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def _steps(run: Path) -> list[dict[str, Any]]:
    return [line for line in _lines(run / "log.jsonl") if "loss" in line]


def _minutes_of_an_epoch(steady: Sequence[dict[str, Any]]) -> list[float]:
    """Extrapolated from each tenth of the steady steps, ascending."""
    tenth = max(1, len(steady) // 10)
    pieces = [steady[start : start + tenth] for start in range(0, len(steady), tenth)]
    seconds = [sum(one["seconds"] for one in piece) / sum(one["tokens"] for one in piece) for piece in pieces]
    return sorted(each * EPOCH_TOKENS / 60 for each in seconds)


def _figure(name: str, value: float, unit: str, goal: float, *, at_least: bool = False) -> str:
    met = value >= goal if at_least else value <= goal
    return f"figure: trainer.{name} {value:.3g} {unit} goal {goal:g} {'ok' if met else 'short'}"


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("part", choices=PARTS)
    arguments.add_argument("--out", type=Path, required=True)
    arguments.add_argument("--small", action="store_true")
    chosen = arguments.parse_args()
    card = Card.chosen(chosen.small)
    if chosen.part != "report" and (why := missing(chosen.part, card)):
        print(f"{chosen.part}: not run, {why}.")
        return
    chosen.out.mkdir(parents=True, exist_ok=True)
    run(chosen.part, card, chosen.out)


def run(part: str, card: Card, out: Path) -> None:
    if part == "report":
        print("\n".join(report(card, out)))
        return
    log = Log(out / f"{part}.jsonl")
    with limited(part, log):
        if part == "base":
            make_base(card, out, log)
        elif part == "export":
            exported(card, out, log)
        elif part == "trl":
            trl(card, out, log)
        else:
            tuned(card, out, part, log)


if __name__ == "__main__":
    main()
