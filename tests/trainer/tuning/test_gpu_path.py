"""The way a row takes on a GPU, on a CPU: the same layout and calls, with the kernel replaced by what it promises."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch._dynamo.testing import CompileCounterWithBackend
from torch.nn.functional import scaled_dot_product_attention

from tests.trainer.tiny import FAMILIES, Family, tiny_model
from tests.trainer.tuning import tiny_runs
from tests.trainer.tuning.test_packed_is_unpacked import LENGTHS, examples
from trainer.stages import tune as stage
from trainer.tuning import attention, families
from trainer.tuning.attention import Packing, bordered, packing_of
from trainer.tuning.families import compile_blocks, prepare
from trainer.tuning.loss import row_loss
from trainer.tuning.packing import row_of

FILLED = (96, 160)


def as_promised(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    borders: torch.Tensor,
    borders_of_keys: torch.Tensor,
    longest: int,
    longest_of_keys: int,
    *,
    scale: float | None,
    window_size: tuple[int, int],
    enable_gqa: bool,
) -> torch.Tensor:
    """What torch documents of varlen_attn: (tokens, heads, head size), causal, between borders."""
    assert borders is borders_of_keys
    assert (longest, window_size) == (longest_of_keys, (-1, 0))
    places = torch.arange(len(query))
    example = torch.bucketize(places, borders, right=True)
    mask = (example[:, None] == example) & (places[:, None] >= places)
    query, key, value = (part.transpose(0, 1)[None] for part in (query, key, value))
    attended = scaled_dot_product_attention(query, key, value, mask, scale=scale, enable_gqa=enable_gqa)
    return attended[0].transpose(0, 1)


@pytest.fixture
def on_gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def as_on_gpu(lengths: tuple[int, ...], device: torch.device, dtype: torch.dtype) -> Packing:
        return bordered(lengths, device)

    monkeypatch.setattr(attention, "varlen_attn", as_promised)
    monkeypatch.setattr(families, "packing_of", as_on_gpu)
    yield
    torch._dynamo.reset()


@pytest.mark.parametrize("family", FAMILIES)
def test_a_row_is_the_same_there(family: Family, request: pytest.FixtureRequest) -> None:
    model = tiny_model(family, dtype=torch.float64)
    prepare(model)
    expected, _ = row_loss(model, row_of(examples(), fill_to=96))

    request.getfixturevalue("on_gpu")
    found, _ = row_loss(model, row_of(examples(), fill_to=96))

    assert found.item() == pytest.approx(expected.item(), rel=1e-9)


@pytest.mark.usefixtures("on_gpu")
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")  # torch's compiler asks for it
@pytest.mark.parametrize("family", FAMILIES)
def test_a_block_is_compiled_once_for_each_length_of_a_row_whatever_lies_in_it(family: Family) -> None:
    counter = CompileCounterWithBackend("aot_eager")
    model: Any = tiny_model(family)
    prepare(model)
    model.train()
    compile_blocks(model, backend=counter, fullgraph=True)

    for lengths in (LENGTHS, (20, 20, 4), (1,) * 30):
        for filled in FILLED:
            row_loss(model, row_of(examples(lengths), fill_to=filled))[0].backward()

    assert counter.frame_count == len(FILLED)


@pytest.mark.usefixtures("on_gpu")
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")
def test_a_run_compiles_its_steps_and_neither_evaluations_nor_samples(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counter = CompileCounterWithBackend("aot_eager")
    monkeypatch.setattr(stage, "compile_blocks", partial(compile_blocks, backend=counter))
    prepared = stage._prepared

    def as_on_gpu(loaded: Any, recipe: Any, checkpoint: Any, processes: Any) -> Any:
        of_gpu = SimpleNamespace(device=torch.device("cuda"), shard=lambda model: None)
        return prepared(loaded, recipe, checkpoint, of_gpu)  # type: ignore[arg-type]

    monkeypatch.setattr(stage, "_prepared", as_on_gpu)
    base, data = tiny_runs.base(tmp_path / "base", "gptj"), tiny_runs.dataset(tmp_path / "data")
    recipe = tiny_runs.recipe("gptj", epochs=1.0, fill_lengths=(192, 256), sample_prompts=("Name the fox.",))
    stage.tune(recipe, base, data, tmp_path / "run")
    assert 1 <= counter.frame_count <= 2

    before = counter.frame_count
    stage.tune(replace(recipe, tune=replace(recipe.tune, fill_lengths=())), base, data, tmp_path / "uncompiled")
    assert counter.frame_count == before, "rows of any length are not compiled again and again"


def test_borders_are_padded_so_that_their_number_stays() -> None:
    device = torch.device("cpu")
    packing = bordered((3, 2, 4), device)
    assert packing.borders is not None
    assert packing.borders.tolist() == [0, 3, 5] + [9] * 70
    assert packing.longest == 2048
    assert all(_borders(number) == 73 for number in (1, 64, 65, 71))
    assert all(_borders(number) == 81 for number in (72, 79))
    assert packing_of((3, 2), device, torch.bfloat16) == Packing((3, 2))


def _borders(examples: int) -> int:
    borders = bordered((1,) * examples, torch.device("cpu")).borders
    assert borders is not None
    return len(borders)
