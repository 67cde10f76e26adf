"""What may end a run before its last step: a loss that left, nothing more to gain, a signal."""

import math
import signal
from collections import deque
from dataclasses import dataclass
from types import FrameType, TracebackType
from typing import Any

from trainer.errors import Diverged

WINDOW_STEPS = 16
"""A single step's loss says little."""


class DivergenceWatch:
    """Raises Diverged where the loss is no number, or has left: above twice its lowest mean, and one nat more."""

    def __init__(self, learning_rate: float) -> None:
        self._learning_rate = learning_rate
        self._recent: deque[float] = deque(maxlen=WINDOW_STEPS)
        self._lowest = math.inf

    def check(self, step: int, loss: float, gradient_norm: float = 0.0) -> None:
        lower = f"Lower tune.learning_rate from {self._learning_rate:g} to {self._learning_rate / 3:.1g}"
        if not math.isfinite(loss) or not math.isfinite(gradient_norm):
            what = "loss" if not math.isfinite(loss) else "gradient"
            raise Diverged(
                f"The {what} of step {step} is {loss if what == 'loss' else gradient_norm}, no number: tuning stops, "
                f"and the last checkpoint stays. {lower}, or set tune.max_grad_norm = 1 and more tune.warmup_steps; "
                "a base in fp16 or with damaged weights does this too."
            )
        self._recent.append(loss)
        if len(self._recent) < WINDOW_STEPS:
            return
        mean = sum(self._recent) / WINDOW_STEPS
        self._lowest = min(self._lowest, mean)
        if mean > 2 * self._lowest + 1:
            raise Diverged(
                f"The loss has left: {mean:.2f} in the mean of the last {WINDOW_STEPS} steps up to step {step}, and it "
                f"was {self._lowest:.2f}. Tuning stops, and the last checkpoint stays. {lower}, or set "
                "tune.max_grad_norm = 1 and more tune.warmup_steps."
            )


@dataclass
class BestWatch:
    """The lowest held-out loss so far, and how many evaluations have not been below it."""

    loss: float | None = None
    step: int = 0
    evaluations_since: int = 0

    def judge(self, step: int, loss: float) -> bool:
        """Whether this is the best so far."""
        if self.loss is None or loss < self.loss:
            self.loss, self.step, self.evaluations_since = loss, step, 0
            return True
        self.evaluations_since += 1
        return False


class Signals:
    """While it is entered, SIGTERM and Ctrl-C are noted, not obeyed: the step ends, a checkpoint is saved."""

    def __init__(self) -> None:
        self.asked: str | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "Signals":
        for number in (signal.SIGTERM, signal.SIGINT):
            try:
                self._before[number] = signal.signal(number, self._note)
            except ValueError:  # not the main thread: whoever runs this there gets its signals
                break
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.asked = signal.Signals(number).name
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a second Ctrl-C ends it at once
