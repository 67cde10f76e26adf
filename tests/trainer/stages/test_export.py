"""A checkpoint is exported whole, as engines and people need it, or not at all."""

import errno
import io
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from transformers import AutoModelForCausalLM, AutoTokenizer

from tests.trainer.exports.tgi_environment import read_as_tgi
from tests.trainer.tiny import EXTRA_TOKENS, FAMILIES, Family, tiny_base, tiny_model, tiny_tokenizer
from trainer.artifacts import read_manifest, write_manifest
from trainer.errors import BadInput, DiskFull, NotWhole
from trainer.recipe import LoraChoice
from trainer.stages.export import export
from trainer.template import DOLLY_KEYS
from trainer.tuning.adapters import add_adapters, save_adapters
from trainer.tuning.base import zero_head_bias
from trainer.tuning.keys import add_keys, key_ids

QUIET = Console(quiet=True)
IDS = [5, 399, 17, 0, 260, 261, 262, 33, 90, 91, 92, 17, 5, 350, 351, 352] * 8

DATASET = {
    "sources": [
        {"name": "alpaca", "licence": "CC-BY-NC-4.0", "non_commercial": True, "note": "Stanford's.", "records": 5},
        {"name": "ours", "licence": "Apache-2.0", "non_commercial": False, "note": "", "records": 3},
    ],
    "non_commercial": True,
    "counts": {"train": 7, "held_out": 1},
}
RECIPE = {"name": "dolly-v1-gptj-6b", "tune": {"method": "full", "epochs": 1, "learning_rate": 1e-5}}


def checkpoint(folder: Path, family: Family, *, commercial: bool = False, **model: Any) -> Path:
    """What `tune` leaves of a tiny model with Dolly's keys, beside its base and data set."""
    base, dataset = folder / "base", folder / "dataset"
    for made, kind, facts in (
        (base, "base", {"source": "tiny/base", "licence": "apache-2.0", "revision": "abc"}),
        (dataset, "dataset", DATASET | {"non_commercial": not commercial}),
    ):
        made.mkdir(parents=True)
        (made / "something.txt").write_text("something")
        write_manifest(made, kind, facts)
    return saved(folder / "step-000007", family, base, dataset, **model)


def saved(place: Path, family: Family, base: Path, dataset: Path, *, recipe: Any = RECIPE, **model: Any) -> Path:
    tuned, tokenizer = tiny_model(family, **model), tiny_tokenizer(extra_tokens=EXTRA_TOKENS if family == "gptj" else 0)
    add_keys(tuned, tokenizer)
    tuned.save_pretrained(place)
    tokenizer.save_pretrained(place)
    facts = {"base": {"path": str(base)}, "dataset": {"path": str(dataset)}, "recipe": recipe}
    write_manifest(place, "checkpoint", facts)
    return place


def logits(folder: Path) -> torch.Tensor:
    model = AutoModelForCausalLM.from_pretrained(folder, dtype="auto", attn_implementation="eager").eval()
    with torch.no_grad():
        found: torch.Tensor = model(torch.tensor([IDS])).logits
    return found


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> dict[Family, tuple[Path, Path]]:
    """Checkpoint and export of each family."""
    made: dict[Family, tuple[Path, Path]] = {}
    for family in FAMILIES:
        root = tmp_path_factory.mktemp(family)
        tuned = checkpoint(root, family)
        made[family] = tuned, export(tuned, root / "served", console=QUIET)
    return made


def test_tgi_reads_what_transformers_5_reads(exports: dict[Family, tuple[Path, Path]], tmp_path: Path) -> None:
    folders = {family: served for family, (_, served) in exports.items()}
    reads = dict(zip(folders, read_as_tgi(list(folders.values()), IDS, tmp_path), strict=True))
    for family, read in reads.items():
        tuned, served = exports[family]
        newer = logits(served)
        # What TGI leaves out of a GPT-J has been zeroed, so as_served is as_saved.
        for found in read.logits.values():
            assert torch.equal(found, newer), family
        manifest = read_manifest(served, "export", check=True)
        assert read.facts["stop_ids"] == sorted(manifest["stop_ids"])
        assert read.facts["entries"] == read.facts["rows"]
        assert read.facts["chat_template"] == AutoTokenizer.from_pretrained(tuned).chat_template
        assert read.facts["probe"] == AutoTokenizer.from_pretrained(served)(PROBE, add_special_tokens=False).input_ids
        if family != "gptj":
            assert torch.allclose(newer, logits(tuned)[..., : newer.shape[-1]], atol=1e-5)


@pytest.mark.parametrize(("best", "chosen"), [("checkpoints/step-000007", 7), (None, 9)])
def test_a_run_is_its_best_checkpoint_or_its_last(
    best: str | None, chosen: int, exports: dict[Family, tuple[Path, Path]], tmp_path: Path
) -> None:
    run = tmp_path / "run"
    for step in (7, 9):
        shutil.copytree(exports["llama"][0], run / "checkpoints" / f"step-{step:06}")
    with pytest.raises(NotWhole, match="has not ended"):
        export(run, tmp_path / "served", console=QUIET)
    named = {"last": "checkpoints/step-000009", "best": best}
    write_manifest(run, "run", named, without="checkpoints")
    parent = read_manifest(export(run, tmp_path / "served", console=QUIET))["parent"]
    assert parent["directory"] == str(run / "checkpoints" / f"step-{chosen:06}")
    assert parent["kind"] == "checkpoint"


PROBE = "### Instruction:\nName 3 colours.\n\n### Response:\nRed,  12345 ça va\n\n### End <|im_start|>"


@pytest.mark.parametrize("family", FAMILIES)
def test_no_row_without_a_token_is_left(family: Family, exports: dict[Family, tuple[Path, Path]]) -> None:
    tuned, served = exports[family]
    assert AutoModelForCausalLM.from_pretrained(tuned).get_output_embeddings().weight.shape[0] == 448
    model, tokenizer = AutoModelForCausalLM.from_pretrained(served), AutoTokenizer.from_pretrained(served)
    head = model.get_output_embeddings()
    assert head.weight.shape[0] == len(tokenizer) == model.config.vocab_size
    assert model.generation_config.suppress_tokens is None


def test_the_manifest_says_what_the_bot_and_the_gate_need(exports: dict[Family, tuple[Path, Path]]) -> None:
    tuned, served = exports["llama"]
    manifest = read_manifest(served, "export")
    tokenizer = AutoTokenizer.from_pretrained(served)
    assert set(DOLLY_KEYS) < set(manifest["keys"])
    assert manifest["template"] == "dolly"
    assert manifest["stop_tokens"] == ["### End", "<|endoftext|>"]
    assert manifest["stop_ids"] == tokenizer.convert_tokens_to_ids(["### End", "<|endoftext|>"])
    assert manifest["base"] == {"name": "tiny/base", "licence": "apache-2.0", "revision": "abc"}
    assert manifest["parent"]["directory"] == str(tuned)
    assert manifest["parent"]["kind"] == "checkpoint"
    assert manifest["licences"] == {"alpaca": "CC-BY-NC-4.0", "ours": "Apache-2.0"}
    assert manifest["non_commercial"] is True
    assert manifest["engines"] == ["tgi", "vllm"]
    assert {"config.json", "model.safetensors", "tokenizer.json", "README.md"} <= set(manifest["files"])


@pytest.mark.parametrize("family", FAMILIES)
def test_the_manifest_holds_a_prompt_to_compare_the_engine_s_with(
    family: Family, exports: dict[Family, tuple[Path, Path]]
) -> None:
    _, served = exports[family]
    rendered = read_manifest(served)["rendered"]
    tokenizer = AutoTokenizer.from_pretrained(served)
    assert {message["role"] for message in rendered["messages"]} == {"system", "user", "assistant"}
    assert rendered["text"] == tokenizer.apply_chat_template(
        rendered["messages"], add_generation_prompt=True, tokenize=False
    )
    assert rendered["input_ids"] == tokenizer(rendered["text"], add_special_tokens=False).input_ids


def test_further_stops_of_the_base_are_kept(exports: dict[Family, tuple[Path, Path]], tmp_path: Path) -> None:
    """Llama 3 ends a turn, a text and a message to a tool by three tokens."""
    tuned = shutil.copytree(exports["llama"][0], tmp_path / "step-000007")
    said = json.loads((tuned / "generation_config.json").read_text())
    (tuned / "generation_config.json").write_text(json.dumps(said | {"eos_token_id": [17, 0, 33, 440]}))
    write_manifest(tuned, "checkpoint", {"base": {}, "dataset": {}, "recipe": RECIPE})
    served = export(tuned, tmp_path / "served", gguf=["f16"], console=QUIET)
    stops = [*read_manifest(exports["llama"][1])["stop_ids"], 17, 33]  # 440 is a row without a token
    assert read_manifest(served)["stop_ids"] == stops
    assert json.loads((served / "generation_config.json").read_text())["eos_token_id"] == stops
    assert len(read_manifest(served)["stop_tokens"]) == 4


def test_the_card_warns_and_tells_how_to_serve(exports: dict[Family, tuple[Path, Path]]) -> None:
    card = (exports["llama"][1] / "README.md").read_text()
    assert "NOT FOR COMMERCIAL USE" in card
    assert "alpaca: CC-BY-NC-4.0. Stanford's." in card
    assert "ours: CC" not in card
    assert "text-generation-inference:3.3.7" in card
    assert "vllm serve" in card
    assert "llama-server" not in card
    assert "tiny/base, licence apache-2.0" in card
    assert "- Data: 7 records of" in card
    assert "`dolly-v1-gptj-6b`, method full, epochs 1, learning rate 1e-05" in card


def test_the_card_counts_what_was_learned(exports: dict[Family, tuple[Path, Path]], tmp_path: Path) -> None:
    tuned = shutil.copytree(exports["llama"][0], tmp_path / "step-000007")
    said = json.loads((tuned / "manifest.json").read_text())
    facts = {key: said[key] for key in ("base", "dataset", "recipe")}
    write_manifest(tuned, "checkpoint", facts | {"records": {"train": {"used": 5, "dropped": 2}}})
    card = (export(tuned, tmp_path / "served", console=QUIET) / "README.md").read_text()
    assert "- Data: 5 records of" in card


def test_a_card_of_free_data_does_not_warn(tmp_path: Path) -> None:
    tuned = checkpoint(tmp_path, "llama", commercial=True)
    served = export(tuned, tmp_path / "served", gguf=["q8_0"], console=QUIET)
    card = (served / "README.md").read_text()
    assert "NOT FOR COMMERCIAL" not in card
    assert "llama-server --model model-q8_0.gguf" in card
    assert read_manifest(served)["gguf"] == {"q8_0": "model-q8_0.gguf"}


def test_a_head_s_bias_is_zeroed_and_the_rise_of_the_loss_said(tmp_path: Path) -> None:
    tuned = checkpoint(tmp_path, "gptj")
    console = Console(record=True, width=200, file=io.StringIO())
    with torch.no_grad():
        model = AutoModelForCausalLM.from_pretrained(tuned)
        model.lm_head.bias.mul_(5)
        model.save_pretrained(tuned)
        write_manifest(tuned, "checkpoint", {"base": {}, "dataset": {}, "recipe": RECIPE})
    served = export(tuned, tmp_path / "served", console=console)
    bias = read_manifest(served)["lm_head_bias"]
    assert abs(bias["loss_after"] - bias["loss_before"]) > 0.02
    assert "TGI drops it" in console.export_text()
    assert not AutoModelForCausalLM.from_pretrained(served).lm_head.bias.any()


def test_a_kept_bias_is_not_for_tgi(tmp_path: Path) -> None:
    tuned = checkpoint(tmp_path, "gptj")
    served = export(tuned, tmp_path / "served", lm_head_bias="keep", console=QUIET)
    manifest = read_manifest(served)
    assert manifest["engines"] == ["transformers"]
    assert "TGI drops it" in manifest["lm_head_bias"]["sentence"]
    card = (served / "README.md").read_text()
    assert "text-generation-inference" not in card
    [read] = read_as_tgi([served], IDS, tmp_path)
    assert torch.equal(read.logits["as_saved"], logits(served))
    assert not torch.equal(read.logits["as_served"], read.logits["as_saved"])


def test_the_recipe_is_followed_where_nothing_else_is_said(tmp_path: Path) -> None:
    recipe = RECIPE | {"tune": {"lm_head_bias": "keep"}, "export": {"gguf": ["q8_0"]}}
    llama = checkpoint(tmp_path / "llama", "llama", recipe=recipe)
    assert read_manifest(export(llama, tmp_path / "1", console=QUIET))["gguf"] == {"q8_0": "model-q8_0.gguf"}
    assert read_manifest(export(llama, tmp_path / "2", gguf=(), console=QUIET))["gguf"] == {}
    gptj = checkpoint(tmp_path / "gptj", "gptj", recipe=recipe)
    with pytest.raises(BadInput, match="Export with --gguf none"):
        export(gptj, tmp_path / "3", console=QUIET)
    assert read_manifest(export(gptj, tmp_path / "3", gguf=(), console=QUIET))["lm_head_bias"]["choice"] == "keep"
    zeroed = export(gptj, tmp_path / "4", gguf=(), lm_head_bias="zero", console=QUIET)
    assert read_manifest(zeroed)["lm_head_bias"]["choice"] == "zero"


def test_figures_of_another_model_are_refused(exports: dict[Family, tuple[Path, Path]], tmp_path: Path) -> None:
    (tmp_path / "report").mkdir()
    write_manifest(tmp_path / "report", "evaluation", {"models": {"candidate": {"made_of": "0" * 64}}})
    with pytest.raises(BadInput, match="its figures are of other models"):
        export(exports["llama"][0], tmp_path / "served", evaluation=tmp_path / "report", console=QUIET)


def test_what_is_not_whole_is_refused(exports: dict[Family, tuple[Path, Path]], tmp_path: Path) -> None:
    tuned = shutil.copytree(exports["llama"][0], tmp_path / "tuned")
    weights = tuned / "model.safetensors"
    written = weights.read_bytes()
    weights.write_bytes(written[:-1])
    with pytest.raises(NotWhole, match="not whole"):
        export(tuned, tmp_path / "served", console=QUIET)
    weights.write_bytes(written[:-1] + bytes([written[-1] ^ 1]))
    with pytest.raises(NotWhole, match="SHA-256"):
        export(tuned, tmp_path / "served", console=QUIET)
    (tuned / "manifest.json").unlink()
    with pytest.raises(NotWhole, match="half-written"):
        export(tuned, tmp_path / "served", console=QUIET)
    assert not (tmp_path / "served").exists()


@pytest.mark.parametrize(
    ("family", "choices", "sentence"),
    [
        ("llama", {"gguf": ["q4_0"]}, "--gguf q4_0 is not known"),
        ("gptj", {"gguf": ["f16"]}, "GGUF is written for the Llama family, and this is gptj"),
        ("gptj", {"lm_head_bias": "drop"}, "zero or keep"),
    ],
)
def test_a_choice_that_cannot_be_is_refused(
    family: Family, choices: Any, sentence: str, exports: dict[Family, tuple[Path, Path]], tmp_path: Path
) -> None:
    with pytest.raises(BadInput, match=sentence):
        export(exports[family][0], tmp_path / "served", console=QUIET, **choices)
    assert list(tmp_path.iterdir()) == []


def test_weights_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    tuned = checkpoint(tmp_path, "llama")
    model = AutoModelForCausalLM.from_pretrained(tuned)
    with torch.no_grad():
        model.model.norm.weight[3] = torch.nan
    model.save_pretrained(tuned)
    write_manifest(tuned, "checkpoint", json.loads((tuned / "manifest.json").read_text())["recipe"])
    with pytest.raises(BadInput, match=r"model\.norm\.weight are not all numbers"):
        export(tuned, tmp_path / "served", console=QUIET)
    assert not (tmp_path / "served").exists()


@pytest.mark.parametrize("family", FAMILIES)
def test_adapters_are_merged(family: Family, tmp_path: Path) -> None:
    base, dataset = tmp_path / "base", tmp_path / "dataset"
    tiny_base(base, family)
    write_manifest(base, "base", {"source": "tiny/base", "licence": "apache-2.0"})
    tokenizer, model = AutoTokenizer.from_pretrained(base), AutoModelForCausalLM.from_pretrained(base)
    add_keys(model, tokenizer)
    zero_head_bias(model)
    adapted = add_adapters(model, LoraChoice(rank=4, alpha=8), key_ids(tokenizer)).eval()
    with torch.no_grad():
        for parameter in adapted.parameters():
            if parameter.requires_grad:
                parameter.add_(0.1 * torch.randn_like(parameter))
        expected = adapted(torch.tensor([IDS]), use_cache=False).logits
    tuned = tmp_path / "step-000007"
    tuned.mkdir()
    tokenizer.save_pretrained(tuned)
    save_adapters(adapted, tuned / "adapter")
    recipe = RECIPE | {"tune": {"method": "lora", "lm_head_bias": "zero"}}
    write_manifest(
        tuned, "checkpoint", {"base": {"path": str(base)}, "dataset": {"path": str(dataset)}, "recipe": recipe}
    )
    served = export(tuned, tmp_path / "served", lm_head_bias="keep", console=QUIET)
    found = logits(served)
    assert not list(served.glob("adapter*"))
    assert torch.allclose(found, expected[..., : found.shape[-1]], atol=1e-5)
    plain = logits(base)[..., : found.shape[-1]]
    assert not torch.allclose(found, plain, atol=0.1)


def test_data_of_unknown_licence_is_not_for_sale(tmp_path: Path) -> None:
    tuned = checkpoint(tmp_path, "llama", commercial=True)
    shutil.rmtree(tmp_path / "dataset")
    served = export(tuned, tmp_path / "served", console=QUIET)
    assert read_manifest(served)["non_commercial"] is True
    assert f"{tmp_path / 'dataset'} has gone or changed: its licences are unknown" in (served / "README.md").read_text()


def test_adapters_of_another_base_are_refused(tmp_path: Path) -> None:
    tuned, base = tmp_path / "step-000007", tiny_base(tmp_path / "base", "llama")
    write_manifest(base, "base", {"source": "tiny/base"})
    (tuned / "adapter").mkdir(parents=True)
    write_manifest(tuned, "checkpoint", {"base": {"path": str(base), "manifest_sha256": "0" * 64}, "recipe": RECIPE})
    with pytest.raises(BadInput, match="is not the base any more that these adapters learned on"):
        export(tuned, tmp_path / "served", console=QUIET)


def test_a_full_disk_leaves_nothing_half(
    exports: dict[Family, tuple[Path, Path]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("trainer.exports.gguf_file.GGUFWriter.write_tensor_data", full)
    with pytest.raises(DiskFull, match="is full"):
        export(exports["llama"][0], tmp_path / "served", gguf=["f16"], console=QUIET)
    assert list(tmp_path.iterdir()) == []
