"""GGUF files in llama.cpp: the same tokens, the same answers, the same ends as in transformers."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast

from bot.model_client import ModelClient
from bot.preflight.template import check_template
from tests.trainer.tiny import LINES, tiny_model, tiny_tokenizer
from trainer.errors import BadInput
from trainer.evaluation.engine import Engine, llama_cpp
from trainer.exports import gguf_file
from trainer.exports.gguf_file import check_gguf, write_gguf
from trainer.exports.gguf_tokenizer import LLAMA3_WORDS, read_vocabulary
from trainer.exports.tgi import make_readable
from trainer.records import Message
from trainer.stages.export import rendered_example
from trainer.template import template_of
from trainer.tuning.keys import add_keys

HARD = (
    "In  1234 there  were 56 cats,\n\n\n  naïve café — नमस्ते? 日本語 😀👨‍👩‍👧 don't DON'T ½ ² ٣٤  \t x\r\n 12ab34 ",
    " ### Instruction: ###End <|endoftext|>### Response:\nRed\n\n### End",
    "\n\n \n",
    "Name three primary colours.",
)


def byte_level(name: str) -> Any:
    """A small tokenizer that splits text as llama.cpp's pre-tokenizer of that name does."""
    tokenizer = tiny_tokenizer()
    backend = tokenizer.backend_tokenizer
    if name == "smollm":
        backend.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
        )
    if name == "llama-bpe":
        words = pre_tokenizers.Split(Regex(LLAMA3_WORDS), "isolated")
        backend.pre_tokenizer = pre_tokenizers.Sequence(
            [words, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
        )
        backend.model.ignore_merges = True
    return tokenizer


def sentencepiece() -> Any:
    """A small tokenizer of the first LLaMA's kind."""
    tokenizer = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    special = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=special, show_progress=False)
    tokenizer.train_from_iterator(LINES, trainer)
    described = json.loads(tokenizer.to_str())
    described["added_tokens"] = described["added_tokens"][:3]
    tokenizer = Tokenizer.from_str(json.dumps(described))
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>")


TOKENIZERS = {
    "gpt-2": lambda: byte_level("gpt-2"),
    "smollm": lambda: byte_level("smollm"),
    "llama-bpe": lambda: byte_level("llama-bpe"),
    "default": sentencepiece,
}


def directory(folder: Path, tokenizer: Any = None, **model: Any) -> Path:
    """A tiny Llama with Dolly's keys, as `export` writes it."""
    tokenizer = tokenizer or tiny_tokenizer()
    tuned = tiny_model("llama", **model)
    add_keys(tuned, tokenizer)
    tuned.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    template = template_of(tokenizer)
    make_readable(folder, chat_template=template.chat_template, stop_ids=template.stop_ids)
    return folder


def gguf_of(folder: Path, precision: Any = "f16") -> Path:
    path = folder.with_suffix(f".{precision}.gguf")
    write_gguf(
        folder, path, precision, name="tiny", stop_ids=template_of(AutoTokenizer.from_pretrained(folder)).stop_ids
    )
    return path


def post(engine: Engine, path: str, body: Any) -> Any:
    response = httpx2.post(f"{engine.url}{path}", json=body, timeout=30, trust_env=False)
    response.raise_for_status()
    return response.json()


def tokenized(engine: Engine, text: str) -> list[int]:
    body = {"content": text, "add_special": True, "parse_special": True}
    return list(post(engine, "/tokenize", body)["tokens"])


def greedy(engine: Engine, ids: list[int], tokens: int = 24) -> list[int]:
    body = {"prompt": ids, "n_predict": tokens, "temperature": 0, "return_tokens": True, "ignore_eos": True}
    return list(post(engine, "/completion", body)["tokens"])


def greedy_in_transformers(folder: Path, ids: list[int], tokens: int = 24) -> list[int]:
    """Neither an end nor a row without a token."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    stops = template_of(tokenizer).stop_ids
    with torch.no_grad():
        for _ in range(tokens):
            logits = model(torch.tensor([ids])).logits[0, -1, : len(tokenizer)]
            logits[list(stops)] = -torch.inf
            ids = [*ids, int(logits.argmax())]
    return ids[-tokens:]


@pytest.fixture(scope="module", params=TOKENIZERS)
def served(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Path, Engine]]:
    """A tiny Llama with a tokenizer of each kind: the kind, the directory, the engine."""
    folder = directory(tmp_path_factory.mktemp("gguf") / "tiny", TOKENIZERS[request.param]())
    with llama_cpp(gguf_of(folder), slots=1, context_tokens=256, threads=1) as engine:
        yield request.param, folder, engine


def test_texts_are_the_same_tokens(served: tuple[str, Path, Engine]) -> None:
    name, folder, engine = served
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert read_vocabulary(folder).pre == name
    for text in HARD:
        assert tokenized(engine, text) == tokenizer(text, add_special_tokens=False).input_ids, text


def test_a_conversation_is_the_same_tokens(served: tuple[str, Path, Engine]) -> None:
    _, folder, engine = served
    template = template_of(AutoTokenizer.from_pretrained(folder))
    talk = [
        Message("system", "Be brief."),
        Message("user", "Name 3 colours."),
        Message("assistant", "Red, and 12."),
        Message("user", "Two more?"),
    ]
    body = {"messages": [{"role": message.role, "content": message.content} for message in talk]}
    prompt = post(engine, "/apply-template", body)["prompt"]
    assert prompt == template.render(talk, add_generation_prompt=True)
    assert tokenized(engine, prompt) == template.encode_prompt(talk)


async def test_dolly_finds_that_conversation_the_same(served: tuple[str, Path, Engine], tmp_path: Path) -> None:
    """By the example that an export's manifest holds: `dolly check --production`."""
    _, folder, engine = served
    template = template_of(AutoTokenizer.from_pretrained(folder))
    manifest = tmp_path / "manifest.json"
    manifest.write_text(json.dumps({"keys": template.keys, "rendered": rendered_example(template)}))
    model = ModelClient(engine.url)
    examiner = model.examiner()
    finding = await check_template(examiner, await model.report(), manifest)
    assert finding.verdict == "safe", finding.sentence
    await examiner.close()
    await model.close()


def test_answers_are_the_same(served: tuple[str, Path, Engine]) -> None:
    _, folder, engine = served
    ids = template_of(AutoTokenizer.from_pretrained(folder)).encode_prompt([Message("user", " ".join(LINES[:2]))])
    assert len(ids) > 64  # longer than the context before rope was scaled
    assert greedy(engine, ids) == greedy_in_transformers(folder, ids)


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("precision", ["f16", "q8_0"])
def test_a_row_without_a_token_is_never_drawn(tied: bool, precision: Any, tmp_path: Path) -> None:
    """Even where such rows would win for nearly every hidden state, and answers are drawn at a high temperature."""
    folder = directory(tmp_path / "tiny", tied=tied)
    weights = load_file(folder / "model.safetensors")
    entries = len(AutoTokenizer.from_pretrained(folder))
    for name in ("model.embed_tokens.weight", "lm_head.weight"):
        if name in weights:
            weights[name][entries::2], weights[name][entries + 1 :: 2] = 50.0, -50.0
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    drawn = {"prompt": [5, 6], "n_predict": 200, "temperature": 5.0, "top_k": 0, "top_p": 1.0, "min_p": 0.0}
    with llama_cpp(gguf_of(folder, precision), slots=1, context_tokens=256, threads=1) as engine:
        tokens = post(engine, "/completion", drawn | {"return_tokens": True, "ignore_eos": True, "seed": 1})["tokens"]
        assert len(set(tokens)) > 50
        assert max(tokens) < entries
    if precision == "f16":
        assert max(greedy_of_all_rows(folder)) >= entries


def greedy_of_all_rows(folder: Path) -> list[int]:
    """What transformers says with those rows: the test would notice them."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    with torch.no_grad():
        return list(model(torch.tensor([[5, 6, 7, 8]])).logits[0].argmax(-1).tolist())


@pytest.mark.parametrize("stop", [0, 1])
def test_every_stop_token_ends_an_answer(stop: int, tmp_path: Path) -> None:
    folder = directory(tmp_path / "tiny", tied=False)
    stop_id = template_of(AutoTokenizer.from_pretrained(folder)).stop_ids[stop]
    weights = load_file(folder / "model.safetensors")
    # The final norm gives each hidden state the same direction, which is the row of the stop token.
    weights["model.norm.weight"][1:] = 0
    weights["model.norm.weight"][0] = 1
    weights["lm_head.weight"][:] = 0
    weights["lm_head.weight"][stop_id, 0] = 100
    weights["lm_head.weight"][stop_id + 1, 0] = -100
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    with llama_cpp(gguf_of(folder), slots=1, context_tokens=256, threads=1) as engine:
        ids = next(ids for ids in ([5], [6], [7], [8], [9], [10]) if hidden_sign(folder, ids) > 0)
        reply = post(engine, "/completion", {"prompt": ids, "n_predict": 8, "temperature": 0})
    assert reply["stop_type"] == "eos"
    assert reply["tokens_predicted"] == 1


def hidden_sign(folder: Path, ids: list[int]) -> float:
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    with torch.no_grad():
        return float(model.model(torch.tensor([ids])).last_hidden_state[0, -1, 0])


WRONG: dict[str, Any] = {
    "interleave_halves": lambda rows, heads: rows,
    "llama3_factors": lambda config: np.ones(config["head_dim"] // 2, np.float32),
}


@pytest.mark.parametrize("name", WRONG)
def test_answers_tell_a_wrong_rope(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = directory(tmp_path / "tiny")
    ids = template_of(AutoTokenizer.from_pretrained(folder)).encode_prompt([Message("user", " ".join(LINES[:2]))])
    monkeypatch.setattr(gguf_file, name, WRONG[name])
    with llama_cpp(gguf_of(folder), slots=1, context_tokens=256, threads=1) as engine:
        assert greedy(engine, ids) != greedy_in_transformers(folder, ids)


def test_a_linear_rope_scaling_is_served(tmp_path: Path) -> None:
    rope = {"rope_type": "linear", "rope_theta": 500000.0, "factor": 4.0}
    folder = directory(tmp_path / "tiny", rope_parameters=rope)
    ids = template_of(AutoTokenizer.from_pretrained(folder)).encode_prompt([Message("user", LINES[0])])
    with llama_cpp(gguf_of(folder), slots=1, context_tokens=256, threads=1) as engine:
        assert greedy(engine, ids) == greedy_in_transformers(folder, ids)


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ({"model_type": "gpt_neox"}, "Llama family, and this is gpt_neox"),
        ({"model_type": "llama", "hidden_act": "gelu"}, "this model has gelu"),
        ({"model_type": "llama", "rope_parameters": {"rope_type": "yarn"}}, "rope scaling is yarn"),
    ],
)
def test_a_model_that_llama_cpp_computes_otherwise_is_refused(config: Any, sentence: str) -> None:
    with pytest.raises(BadInput, match=sentence):
        check_gguf(config)


def test_a_tokenizer_that_llama_cpp_splits_otherwise_is_refused(tmp_path: Path) -> None:
    tokenizer = tiny_tokenizer()
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save_pretrained(tmp_path)
    with pytest.raises(BadInput, match="not known to split text as this tokenizer does"):
        read_vocabulary(tmp_path)


def test_weights_beyond_f16_are_refused(tmp_path: Path) -> None:
    folder = directory(tmp_path / "tiny")
    weights = load_file(folder / "model.safetensors")
    weights["model.layers.1.mlp.up_proj.weight"][2, 3] = 70000.0
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(BadInput, match=r"blk\.1\.ffn_up\.weight holds 70000"):
        gguf_of(folder)
