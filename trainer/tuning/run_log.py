"""What a run writes while it goes: a line a step, sample answers, TensorBoard's files. Nothing leaves the machine."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch.utils.tensorboard import SummaryWriter


class RunLog:
    """log.jsonl, samples.jsonl and tensorboard/ of a run; what a killed process wrote after `step` is forgotten."""

    def __init__(self, run: Path, step: int) -> None:
        self._run = run
        for name in ("log.jsonl", "samples.jsonl"):
            _forget_after(run / name, step)
        self._board = SummaryWriter(str(run / "tensorboard"), purge_step=step + 1)

    def step(self, facts: Mapping[str, float]) -> None:
        self._write("log.jsonl", facts)
        for name, value in facts.items():
            if name != "step":
                self._board.add_scalar(f"train/{name}", value, int(facts["step"]))

    def evaluation(self, step: int, held_out_loss: float) -> None:
        self._write("log.jsonl", {"step": step, "held_out_loss": held_out_loss})
        self._board.add_scalar("held_out/loss", held_out_loss, step)
        self._board.flush()

    def samples(self, step: int, prompts: Sequence[str], answers: Sequence[str]) -> None:
        for prompt, answer in zip(prompts, answers, strict=True):
            self._write("samples.jsonl", {"step": step, "prompt": prompt, "answer": answer})
            self._board.add_text(prompt, answer, step)

    def close(self) -> None:
        self._board.close()

    def _write(self, name: str, line: Mapping[str, Any]) -> None:
        with (self._run / name).open("a", encoding="utf-8") as file:
            file.write(json.dumps(line, ensure_ascii=False) + "\n")


def _forget_after(path: Path, step: int) -> None:
    if not path.is_file():
        return
    kept = []
    for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
        try:
            if json.loads(line)["step"] <= step:
                kept.append(line)
        except (ValueError, KeyError):  # cut in the middle
            continue
    path.write_text("".join(kept), encoding="utf-8")
