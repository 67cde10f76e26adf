"""The loop: rows → gradients → a step, again and again, with evaluations, samples and checkpoints on the way."""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import torch

from trainer.progress import Progress
from trainer.recipe import TuneChoice
from trainer.template import Template
from trainer.tuning.loss import row_loss
from trainer.tuning.optimizer import Optimizer, SplitAdamW, local
from trainer.tuning.packing import Row
from trainer.tuning.plan import Plan
from trainer.tuning.processes import Processes
from trainer.tuning.run_log import RunLog
from trainer.tuning.samples import sample_answers
from trainer.tuning.watch import BestWatch, DivergenceWatch, Signals

Ended = Literal["done", "early", "asked"]


def _not_compiled() -> Any:
    """Of compiled blocks the steps alone are worth the minutes: an answer has another length with each token."""
    return torch.compiler.set_stance("force_eager")


@dataclass
class Tuning:
    """A run: what is tuned, on what, and where it stands."""

    model: Any
    tokenizer: Any
    template: Template
    optimizer: Optimizer
    plan: Plan
    choice: TuneChoice
    held_out: Sequence[Row]
    """This process's rows; all processes have as many."""
    processes: Processes
    save: Callable[["Tuning"], None]
    """Write a checkpoint of where it stands."""
    flops_per_token: float = 0.0
    """Done for each useful token, in the mean."""
    step: int = 0
    """So many are done."""
    best: BestWatch = field(default_factory=BestWatch)
    saved_step: int = -1

    def run(
        self,
        log: RunLog | None,
        progress: Progress,
        clock: Callable[[], float] = time.monotonic,
        stops: Callable[[], bool] = lambda: False,
    ) -> Ended:
        """To the last step, or until nothing is gained any more, or a signal came, or `stops` says so.

        Raises Diverged, DiskFull.
        """
        divergence = DivergenceWatch(self.choice.learning_rate)
        if self.choice.step_in_backward and isinstance(self.optimizer, SplitAdamW):
            self.optimizer.step_in_backward()
        with Signals() as signals:
            while self.step < self.plan.steps:
                begun = clock()
                rows = self.plan.rows(self.step, self.processes.index)
                rate = self.plan.learning_rate(self.step)
                loss, norm = self._learn(rows, rate, divergence)
                self.step += 1
                useful = sum(row.useful_tokens for row in rows)
                tokens, asked = self.processes.sum(useful, float(signals.asked is not None or stops()))
                seconds = max(clock() - begun, 1e-9)
                progress.advance(tokens=int(tokens), flops=tokens * self.flops_per_token, loss=loss)
                if log:
                    facts = {"step": self.step, "loss": loss, "learning_rate": rate, "tokens": tokens}
                    log.step(facts | {"gradient_norm": norm, "tokens_per_second": tokens / seconds})
                if asked:  # whoever asks may not wait for an evaluation
                    self._save_once()
                    return "asked" if self.step < self.plan.steps else "done"
                if ended := self._after_step(log, progress):
                    return ended
        return "done"

    def evaluate(self) -> float:
        """Held-out loss per learned token, over all processes."""
        self.model.eval()
        loss, learned = 0.0, 0.0
        with torch.no_grad(), _not_compiled():
            for row in self.held_out:
                of_row, tokens = row_loss(self.model, row)
                loss, learned = loss + float(of_row), learned + tokens
        self.model.train()
        loss, learned = self.processes.sum(loss, learned)
        return loss / max(1, learned)

    def _learn(self, rows: Sequence[Row], rate: float, divergence: DivergenceWatch) -> tuple[float, float]:
        """One step; its loss and the norm of its gradients before clipping (0 where it is not computed)."""
        # Drawn anew for each step and process: a resumed run needs to know no more than the step.
        torch.manual_seed((self.choice.seed << 40) + (self.step << 12) + self.processes.index)
        in_backward = self.choice.step_in_backward and isinstance(self.optimizer, SplitAdamW)
        if in_backward:
            self.optimizer.begin(rate)  # type: ignore[attr-defined]
        learned = max(1, self.plan.learned_tokens(self.step))
        losses = []
        for row in rows:
            loss, _ = row_loss(self.model, row)
            if in_backward:
                divergence.check(self.step + 1, float(loss.detach()) / learned)
            (loss / learned).backward()
            losses.append(loss.detach().double())
        (loss_of_step,) = self.processes.sum(float(torch.stack(losses).sum()) / learned)
        if in_backward:
            return loss_of_step, 0.0
        self.processes.sum_gradients(self.model.parameters())
        norm = self._clip()
        divergence.check(self.step + 1, loss_of_step, norm)
        self.optimizer.step(rate)
        return loss_of_step, norm

    def _clip(self) -> float:
        """The norm of all gradients; they are scaled down to the recipe's."""
        gradients = [local(one.grad) for one in self.model.parameters() if one.grad is not None]
        squares = sum(float(norm) ** 2 for norm in torch._foreach_norm(gradients))
        if self.processes.shards:
            (squares,) = self.processes.sum(squares)
        norm = float(squares**0.5)
        if 0 < self.choice.max_grad_norm < norm:
            torch._foreach_mul_(gradients, self.choice.max_grad_norm / norm)
        return norm

    def _after_step(self, log: RunLog | None, progress: Progress) -> Ended | None:
        choice, last = self.choice, self.step == self.plan.steps
        stop = False
        if last or (choice.evaluate_every_steps and self.step % choice.evaluate_every_steps == 0):
            stop = self._judge(log, progress)
        if last or stop or (choice.save_every_steps and self.step % choice.save_every_steps == 0):
            self._save_once()
        if last:
            return "done"
        return "early" if stop else None

    def _judge(self, log: RunLog | None, progress: Progress) -> bool:
        """Held-out loss and samples, and a checkpoint of the best; whether to stop early."""
        is_best = False
        if self.held_out:
            loss = self.evaluate()
            is_best = self.best.judge(self.step, loss)
        self.model.eval()
        with _not_compiled():
            answers = sample_answers(self.model, self.tokenizer, self.template, self.choice.sample_prompts)
        self.model.train()
        if log:
            if self.held_out:
                log.evaluation(self.step, loss)
                progress.say(f"step {self.step}: held-out loss {loss:.4f}{' (best)' if is_best else ''}")
            log.samples(self.step, self.choice.sample_prompts, answers)
            for prompt, answer in zip(self.choice.sample_prompts, answers, strict=True):
                progress.say(f"  {prompt}\n  > {' '.join(answer.split())[:400]}")
        if is_best:
            self._save_once()
        patience = self.choice.early_stop_patience
        return patience is not None and self.best.evaluations_since >= patience

    def _save_once(self) -> None:
        if self.saved_step != self.step:
            self.save(self)
            self.saved_step = self.step

    def state(self) -> dict[str, Any]:
        """Where it stands, as JSON."""
        epoch, place = divmod(self.step, self.plan.steps_per_epoch)
        return {
            "step": self.step,
            "steps": self.plan.steps,
            "epoch": epoch,
            "records_of_epoch": place * self.choice.global_batch_size,
            "random": {"seed": self.choice.seed, "rule": "each step and process draws from seed, step and process"},
            "best": asdict(self.best),
            "processes": self.processes.count,
        }
