"""A base comes in whole, from a GGUF file, a directory or the hub, or not at all and with a reason."""

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from tests.trainer.tiny import FAMILIES, Family, tiny_base
from trainer.artifacts import read_manifest
from trainer.errors import BadInput, DiskFull, NotWhole
from trainer.stages import import_base as stage
from trainer.stages.import_base import import_base
from trainer.template import own_template
from trainer.tuning import unpickle


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return tiny_base(tmp_path / "base", "llama")


def logits(folder: Path) -> Any:
    return AutoModelForCausalLM.from_pretrained(folder)(torch.arange(20)[None]).logits


def make_old(folder: Path, shards: int = 1, **saving: Any) -> None:
    """Turn a directory's safetensors into `.bin` files, as before 2023."""
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    if shards == 1:
        torch.save(tensors, folder / "pytorch_model.bin", **saving)
        return
    names = sorted(tensors)
    files = [f"pytorch_model-{number:05}-of-{shards:05}.bin" for number in range(1, shards + 1)]
    weight_map = {name: files[place % shards] for place, name in enumerate(names)}
    for file in files:
        torch.save({name: tensors[name] for name in names if weight_map[name] == file}, folder / file)
    index = {"metadata": {}, "weight_map": weight_map}
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps(index))


def change(path: Path, **values: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def refused(source: Path | str, out: Path, reason: str, error: type[Exception] = BadInput, **options: Any) -> None:
    """`import_base` fails with a reason in one line, and leaves nothing."""
    out.parent.mkdir(exist_ok=True)
    with pytest.raises(error, match=reason) as caught:
        import_base(str(source), out, **options)
    assert "\n" not in str(caught.value)
    assert list(out.parent.iterdir()) == []


@pytest.mark.parametrize("family", FAMILIES)
def test_a_directory_comes_in_as_it_is(family: Family, tmp_path: Path) -> None:
    source = tiny_base(tmp_path / "base", family)
    (source / "README.md").write_text("---\nlicense: apache-2.0\n---\n")
    out = import_base(str(source), tmp_path / "out")
    manifest = read_manifest(out, "base", check=True)
    assert manifest["source"] == "base"
    assert manifest["licence"] == "apache-2.0"
    assert manifest["model_type"] == family
    assert torch.equal(logits(out), logits(source))
    text = "Name three primary colours."
    assert AutoTokenizer.from_pretrained(out)(text).input_ids == AutoTokenizer.from_pretrained(source)(text).input_ids
    assert import_base(str(out), tmp_path / "again")  # what was imported can be imported


@pytest.mark.parametrize("shards", [1, 3])
def test_old_weights_come_in_by_a_process_of_their_own(base: Path, tmp_path: Path, shards: int) -> None:
    expected = logits(base)
    make_old(base, shards)
    out = import_base(str(base), tmp_path / "out")
    assert torch.equal(logits(out), expected)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["base", "out"]
    assert not list(out.glob("*.bin"))


def test_weights_from_before_torch_1_6_come_in_too(base: Path, tmp_path: Path) -> None:
    expected = logits(base)
    make_old(base, _use_new_zipfile_serialization=False)
    assert torch.equal(logits(import_base(str(base), tmp_path / "out")), expected)


class Harm:
    """A pickle that would run code."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return Path.touch, (self.path,)


def test_a_pickle_that_holds_more_than_tensors_is_refused_and_does_nothing(base: Path, tmp_path: Path) -> None:
    make_old(base)
    bait = tmp_path / "it_ran"
    weights = base / "pytorch_model.bin"
    torch.save({"weight": Harm(bait)}, weights)
    refused(base, tmp_path / "empty" / "out", "holds more than tensors")
    weights.write_bytes(pickle.dumps({"weight": Harm(bait)}, protocol=2))
    assert unpickle.main(tmp_path, [weights]) == unpickle.NOT_TENSORS
    torch.save([1, 2], weights)
    assert unpickle.main(tmp_path, [weights]) == unpickle.NOT_TENSORS
    assert not (tmp_path / "model.safetensors").exists()
    assert not bait.exists()


def test_half_of_old_weights_is_refused(base: Path, tmp_path: Path) -> None:
    make_old(base, shards=2)
    shard = base / "pytorch_model-00002-of-00002.bin"
    content = shard.read_bytes()
    shard.write_bytes(content[: len(content) // 2])
    refused(base, tmp_path / "empty" / "out", "cannot be read", NotWhole)
    shard.unlink()
    refused(base, tmp_path / "empty" / "out", "00002-of-00002.bin is missing", NotWhole)


def test_half_a_base_is_refused(base: Path, tmp_path: Path) -> None:
    out = tmp_path / "empty" / "out"
    weights = base / "model.safetensors"
    content, tensors = weights.read_bytes(), load_file(weights)
    weights.write_bytes(content[:-10])
    refused(base, out, "is cut or damaged", NotWhole)
    save_file({name: tensors[name] for name in sorted(tensors)[1:]}, weights, metadata={"format": "pt"})
    refused(base, out, "lacks weights", NotWhole)
    weights.unlink()
    refused(base, out, "holds no weights")
    index = {"weight_map": {name: "model-00001-of-00002.safetensors" for name in tensors}}
    (base / "model.safetensors.index.json").write_text(json.dumps(index))
    refused(base, out, "model-00001-of-00002.safetensors is missing", NotWhole)
    (base / "config.json").write_text('{"model_type":')
    refused(base, out, "is not JSON", NotWhole)


def test_an_imported_base_that_was_changed_is_refused(base: Path, tmp_path: Path) -> None:
    out = import_base(str(base), tmp_path / "first")
    change(out / "generation_config.json", eos_token_id=7)
    refused(out, tmp_path / "empty" / "out", "its manifest says", NotWhole)


def test_what_cannot_be_tuned_is_refused_with_a_reason(base: Path, tmp_path: Path) -> None:
    out = tmp_path / "empty" / "out"
    config = (base / "config.json").read_text()
    change(base / "config.json", auto_map={"AutoModelForCausalLM": "modeling.py"})
    refused(base, out, "runs no such code")
    (base / "config.json").write_text(config)
    change(base / "config.json", quantization_config={"quant_method": "gptq"})
    refused(base, out, "quantized weights")
    (base / "config.json").write_text(config)
    change(base / "config.json", model_type="clip")
    refused(base, out, "kind 'clip'")
    (base / "config.json").write_text(config)
    change(base / "tokenizer_config.json", auto_map={"AutoTokenizer": ["tokenization.py", None]})
    refused(base, out, "runs no such code")
    (base / "tokenizer_config.json").unlink()
    (base / "tokenizer.json").unlink()
    refused(base, out, "has no tokenizer")
    refused(tmp_path / "nowhere", out, "There is no directory")
    refused(tmp_path / "empty", out, "has no config.json")


def test_a_full_disk_leaves_nothing_half(base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)")

    import_base(str(base), tmp_path / "held" / "good")
    monkeypatch.setattr("transformers.modeling_utils.safe_save_file", full)
    with pytest.raises(DiskFull):
        import_base(str(base), tmp_path / "held" / "out")
    assert [path.name for path in (tmp_path / "held").iterdir()] == ["good"]
    assert read_manifest(tmp_path / "held" / "good", check=True)


def test_a_hub_out_of_reach_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    refused("EleutherAI/gpt-j-6b", tmp_path / "empty" / "out", "hub cannot be reached for EleutherAI/gpt-j-6b")


def test_from_the_hub_come_safetensors_and_texts_only(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Hub:
        def model_info(self, name: str, revision: str | None) -> Any:
            assert (name, revision) == ("someone/tiny", "main")
            siblings = [type("File", (), {"rfilename": path.name})() for path in base.iterdir()]
            return type("Info", (), {"sha": "a1b2", "siblings": siblings})()

    def download(name: str, *, revision: str, local_dir: Path, allow_patterns: list[str]) -> None:
        assert revision == "a1b2"
        for pattern in allow_patterns:
            for path in base.glob(pattern):
                shutil.copyfile(path, local_dir / path.name)

    torch.save({}, base / "pytorch_model.bin")
    (base / "modeling.py").write_text("raise SystemExit")
    monkeypatch.setattr(stage, "HfApi", Hub)
    monkeypatch.setattr(stage, "snapshot_download", download)
    out = import_base("someone/tiny", tmp_path / "out", revision="main")
    manifest = read_manifest(out, "base")
    assert (manifest["source"], manifest["revision"]) == ("someone/tiny", "a1b2")
    assert not list(out.glob("*.bin")) + list(out.glob("*.py"))
    assert torch.equal(logits(out), logits(base))


def test_a_gguf_comes_in(smollm2_base: Path) -> None:
    manifest = read_manifest(smollm2_base, "base")
    assert manifest["parameters"] == 134_515_008
    assert manifest["licence"] == "apache-2.0"
    assert "quantization_config" not in json.loads((smollm2_base / "config.json").read_text())
    tokenizer = AutoTokenizer.from_pretrained(smollm2_base)
    model = AutoModelForCausalLM.from_pretrained(smollm2_base)
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight
    prompt = tokenizer.apply_chat_template(
        [{"role": "user", "content": "What is the capital of France?"}], add_generation_prompt=True, return_tensors="pt"
    )["input_ids"]
    answer = model.generate(prompt, max_new_tokens=8, do_sample=False)[0, prompt.shape[1] :]
    assert "Paris" in tokenizer.decode(answer)
    assert own_template(tokenizer).end_id == tokenizer.convert_tokens_to_ids("<|im_end|>")


def test_what_is_no_gguf_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.gguf").write_text("no")
    refused(tmp_path, tmp_path / "empty" / "out", "is not a GGUF file", gguf_file="text.gguf")
    refused(tmp_path, tmp_path / "empty" / "out", "cannot be read", gguf_file="gone.gguf")


def test_half_a_gguf_is_refused(smollm2_gguf: Path, tmp_path: Path) -> None:
    with smollm2_gguf.open("rb") as file:
        (tmp_path / "cut.gguf").write_bytes(file.read(1_000_000))
    refused(tmp_path, tmp_path / "empty" / "out", "cannot be read as a base", gguf_file="cut.gguf")
