"""The processes that tune together, as `accelerate launch` starts them: on CPUs, one GPU, several, or several nodes.

Gradients are summed over processes, never averaged: each is of the loss divided by all learned tokens of the step, so
that a process with longer answers counts for more.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import torch
import torch.distributed as dist
from accelerate import Accelerator
from accelerate.utils import parse_flag_from_env
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard

from trainer.tuning.families import blocks_of

BUCKET_NUMBERS = 1 << 24
"""Gradients that travel together."""


class Processes:
    """This process among all."""

    def __init__(self) -> None:
        # Told so, accelerate lets processes without GPUs find each other; else each would take itself for the only one.
        self._accelerator = Accelerator(cpu=not torch.accelerator.is_available())
        self.index: int = self._accelerator.process_index
        self.count: int = self._accelerator.num_processes
        self.device: torch.device = self._accelerator.device
        self.is_main: bool = self._accelerator.is_main_process
        self.shards: bool = self.count > 1 and bool(parse_flag_from_env("ACCELERATE_USE_FSDP"))
        """Whether each process holds a part of every weight (FSDP2), by the flag that `accelerate launch` sets:
        `distributed_type` never says so of CPUs."""

    def shard(self, model: Any) -> None:
        """Move the model to the device; under FSDP2 share each block's weights among the processes."""
        if not self.shards:
            model.to(self.device)
            return
        # As sum_gradients does, in fp32 at least: bf16 would round at each process.
        exact = MixedPrecisionPolicy(reduce_dtype=torch.promote_types(next(model.parameters()).dtype, torch.float32))
        for block in blocks_of(model):
            fully_shard(block, mp_policy=exact)
        fully_shard(model, mp_policy=exact)
        for module in model.modules():
            if isinstance(module, FSDPModule):
                module.set_gradient_divide_factor(1.0)
                module.set_force_sum_reduction_for_comms(True)

    def sum(self, *numbers: float) -> list[float]:
        """Each number, summed over all processes."""
        if self.count == 1:
            return list(numbers)
        together = torch.tensor(numbers, dtype=torch.float64, device=self.device)
        dist.all_reduce(together)
        return together.tolist()

    def sum_gradients(self, parameters: Iterable[torch.nn.Parameter]) -> None:
        """In place; where weights are shared out, this has happened in backward."""
        if self.count == 1 or self.shards:
            return
        gradients = []
        for parameter in parameters:
            if parameter.requires_grad:
                parameter.grad = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
                gradients.append(parameter.grad)
        for bucket in _buckets(gradients):
            exact = torch.promote_types(bucket[0].dtype, torch.float32)
            together = torch.cat([gradient.reshape(-1).to(exact) for gradient in bucket])
            dist.all_reduce(together)
            for gradient, summed in zip(bucket, together.split([one.numel() for one in bucket]), strict=True):
                gradient.copy_(summed.view_as(gradient))

    def told(self, word: str) -> str:
        """What the main process says; it is one of a few words or a path."""
        if self.count == 1:
            return word
        said = [word]
        dist.broadcast_object_list(said, src=0)
        return said[0]

    def wait(self) -> None:
        """For all others."""
        self._accelerator.wait_for_everyone()

    def end(self) -> None:
        if self.count > 1:
            self._accelerator.end_training()


def _buckets(gradients: Sequence[torch.Tensor]) -> Iterable[list[torch.Tensor]]:
    bucket: list[torch.Tensor] = []
    for gradient in gradients:
        if bucket and (gradient.dtype != bucket[0].dtype or sum(one.numel() for one in bucket) > BUCKET_NUMBERS):
            yield bucket
            bucket = []
        bucket.append(gradient)
    if bucket:
        yield bucket
