"""LoRA: what is merged answers as the adapters did, the keys' rows are trained, and nothing else is touched."""

import pytest
import torch

from tests.trainer.tiny import FAMILIES, Family, tiny_model
from trainer.errors import BadInput
from trainer.recipe import LoraChoice
from trainer.template import Encoded
from trainer.tuning.adapters import add_adapters
from trainer.tuning.families import prepare
from trainer.tuning.loss import row_loss
from trainer.tuning.packing import row_of

KEYS = (401, 402, 403)
IDS = [5, 401, 17, 30, 402, 88, 90, 403, 0]


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("family", FAMILIES)
def test_merged_answers_as_the_adapters_did_and_only_they_and_the_keys_moved(family: Family, tied: bool) -> None:
    if family == "gptj" and tied:
        pytest.skip("a GPT-J with a bias at its head is not tied")
    model = tiny_model(family, tied=tied)
    before = {name: values.clone() for name, values in model.state_dict().items()}
    prepare(model)
    adapted = add_adapters(model, LoraChoice(rank=4), KEYS)
    trained = [one for one in adapted.parameters() if one.requires_grad]
    adamw = torch.optim.AdamW(trained, lr=1e-2)
    row = row_of([Encoded(IDS, [False] * 4 + [True] * 5)])
    for _ in range(4):
        loss, learned = row_loss(adapted, row)
        (loss / learned).backward()
        adamw.step()
        adamw.zero_grad()
    ids = torch.tensor([IDS])
    with torch.no_grad():
        logits = adapted(input_ids=ids, use_cache=False).logits
        rows = adapted.get_input_embeddings()(torch.tensor([KEYS]))[0]
        frozen = {name: values for name, values in adapted.named_parameters() if not values.requires_grad}
        merged = adapted.merge_and_unload()
        assert torch.allclose(merged(input_ids=ids, use_cache=False).logits, logits, atol=1e-5)
    after = merged.get_input_embeddings().weight
    name = next(name for name in before if name.endswith(("embed_tokens.weight", "embed_in.weight", "wte.weight")))
    others = torch.ones(len(after), dtype=torch.bool)
    others[list(KEYS)] = False
    assert torch.equal(after[others], before[name][others]), "no other row moved"
    assert (after[list(KEYS)] != before[name][list(KEYS)]).any(dim=1).all(), "every key's row did"
    assert torch.allclose(rows, after[list(KEYS)])
    head = merged.get_output_embeddings().weight
    assert (head[list(KEYS)] != before[name][list(KEYS)]).any()
    assert frozen


def test_targets_that_are_not_there_are_said() -> None:
    with pytest.raises(BadInput, match=r"lora\.targets nothing"):
        add_adapters(tiny_model("llama"), LoraChoice(targets=("nothing",)), ())
