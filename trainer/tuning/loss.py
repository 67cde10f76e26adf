"""The loss of a row: the sum of -log p over the tokens to be learned, and how many they are.

The head is computed at those positions only, a chunk at a time, and each chunk's gradients at once: logits of a whole
row never exist together.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch.distributed.tensor import DTensor
from torch.utils.checkpoint import checkpoint

from trainer.tuning.packing import IGNORED, Row

CHUNK_ON_CPU = 512
CHUNK_ON_GPU = 4096


def row_loss(model: Any, row: Row) -> tuple[torch.Tensor, int]:
    """Sum of -log p (float32, or float64 for such a model) over a row's learned tokens, and their number.

    The model, prepared by `families.prepare`, may be wrapped by PEFT, DDP, FSDP2 or torch.compile. The loss of a step
    is the sum over all its rows and processes, divided by all their learned tokens.
    """
    learned = int((row.labels != IGNORED).sum()) if row.labels.device.type == "cpu" else None
    row = row.to(_device_of(model))
    loss = model(input_ids=row.input_ids[None], row=row)
    return loss, int((row.labels != IGNORED).sum()) if learned is None else learned


def supervised_loss(head: torch.nn.Module, hidden: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Sum of -log p of the labels, of hidden states (tokens, size) through the head; IGNORED ones take no part."""
    places = (labels != IGNORED).nonzero().squeeze(1)
    hidden, labels = hidden.index_select(0, places), labels.index_select(0, places)
    chunk = CHUNK_ON_GPU if hidden.is_cuda else CHUNK_ON_CPU
    if type(head) is torch.nn.Linear and not isinstance(head.weight, DTensor):
        loss: torch.Tensor = _LinearLoss.apply(hidden, head.weight, head.bias, labels, chunk)
        return loss
    parts = [
        checkpoint(_chunk_loss, head, *part, use_reentrant=False)
        for part in zip(hidden.split(chunk), labels.split(chunk), strict=True)
    ]
    return torch.stack(parts).sum() if parts else hidden.sum() * 0.0


def _chunk_loss(head: torch.nn.Module, hidden: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    logits = head(hidden)
    return F.cross_entropy(logits.to(_exact(logits.dtype)), labels, reduction="sum")


class _LinearLoss(torch.autograd.Function):
    """Head and loss in one, for a plain linear head: its gradients are made with the loss, chunk by chunk."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        labels: torch.Tensor,
        chunk: int,
    ) -> torch.Tensor:
        wanted = ctx.needs_input_grad
        of_hidden = torch.empty_like(hidden) if wanted[0] else None
        of_weight = torch.zeros_like(weight) if wanted[1] and not len(labels) else None
        of_bias = torch.zeros_like(bias) if wanted[2] and bias is not None else None
        loss = torch.zeros((), dtype=_exact(hidden.dtype), device=hidden.device)
        for start in range(0, len(labels), chunk):
            part, right = hidden[start : start + chunk], labels[start : start + chunk]
            scores = F.linear(part, weight, bias)
            loss += _loss_into_gradient(scores, right)
            if of_hidden is not None:
                torch.mm(scores, weight, out=of_hidden[start : start + chunk])
            if wanted[1]:
                of_weight = scores.t() @ part if of_weight is None else of_weight.addmm_(scores.t(), part)
            if of_bias is not None:
                of_bias += scores.sum(0)
        ctx.save_for_backward(*(made for made in (of_hidden, of_weight, of_bias) if made is not None))
        ctx.made = [made is not None for made in (of_hidden, of_weight, of_bias)]
        return loss

    @staticmethod
    def backward(ctx: Any, *outer: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        (of_loss,) = outer
        saved = list(ctx.saved_tensors)
        made = [saved.pop(0) if there else None for there in ctx.made]
        if of_loss.is_cuda or float(of_loss) != 1.0:
            for gradient in made:
                if gradient is not None:
                    gradient.mul_(of_loss.to(gradient.dtype))
        return (*made, None, None)


ROWS_IN_CACHE = 64


def _loss_into_gradient(scores: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Sum of -log p of the labels; leaves the loss's gradient in the scores (positions, vocabulary)."""
    step = len(labels) if scores.is_cuda else ROWS_IN_CACHE
    losses = []
    for part, right in zip(scores.split(step), labels[:, None].split(step), strict=True):
        logs = torch.log_softmax(part, dim=-1, dtype=_exact(part.dtype))
        losses.append(-logs.gather(1, right).sum())
        part.copy_(logs.exp_())
        part.scatter_add_(1, right, torch.full_like(right, -1, dtype=part.dtype))
    return torch.stack(losses).sum()


def _exact(dtype: torch.dtype) -> torch.dtype:
    return torch.float64 if dtype == torch.float64 else torch.float32


def _device_of(model: Any) -> torch.device:
    device: torch.device = next(model.parameters()).device
    return device
