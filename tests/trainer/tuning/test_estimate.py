"""The estimate: near to what a step keeps, and what it says to lower is enough."""

from typing import Any

import pytest
import torch

from tests.trainer.tiny import FAMILIES, Family, tiny_config, tiny_model
from tests.trainer.tuning import tiny_runs
from trainer.tuning.estimate import GIB, Estimate, estimate, what_to_lower
from trainer.tuning.families import prepare
from trainer.tuning.loss import row_loss
from trainer.tuning.packing import row_of

SIZES: dict[Family, dict[str, Any]] = {
    "gptj": {"n_embd": 256, "n_layer": 6},
    "gpt_neox": {"hidden_size": 256, "intermediate_size": 1024, "num_hidden_layers": 6},
    "llama": {"hidden_size": 256, "intermediate_size": 704, "num_hidden_layers": 6},
}


@pytest.mark.parametrize("family", FAMILIES)
def test_activations_are_what_a_step_keeps_within_a_third(family: Family) -> None:
    model = tiny_model(family, **SIZES[family])
    prepare(model)
    weights = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    kept: dict[int, int] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        row_loss(model, row_of([tiny_runs.example(200)]))
    config = tiny_config(family, **SIZES[family])
    planned = estimate(tiny_runs.recipe(), config, [tiny_runs.example(200)], 1e12, processes=1, on_gpu=False)
    assert planned.activation_bytes_per_token * 200 == pytest.approx(sum(kept.values()), rel=0.34)


def test_what_it_says_to_lower_fits() -> None:
    planned = Estimate(
        parameters=10**9,
        trained_parameters=10**9,
        weights_bytes=4 * GIB,
        gradients_bytes=4 * GIB,
        optimizer_bytes=8 * GIB,
        activation_bytes_per_token=GIB // 1024,
        head_bytes=GIB,
        row_tokens=8192,
        tokens=10**6,
        steps=100,
        flops=1e18,
        seconds=1.0,
        checkpoint_bytes=GIB,
        disk_bytes=GIB,
    )
    said = what_to_lower(tiny_runs.recipe(row_tokens=8192), planned, 24 * GIB)
    assert "tune.row_tokens from 8192 to 5184" in said
    assert planned.fixed_bytes + 5184 * planned.activation_bytes_per_token < 24 * GIB
    assert '"adamw_8bit_split", which saves 4.0 GiB' in said
    assert "gradient_checkpointing" in said
