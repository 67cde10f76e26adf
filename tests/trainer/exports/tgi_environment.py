"""Directories read in the environment of TGI 3.3.7 (`make test-envs`), all of them by one child process."""

import json
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

ROOT = Path(__file__).resolve().parents[3]
PYTHON = ROOT / ".envs" / "tgi" / "bin" / "python"
SCRIPT = ROOT / "tests" / "trainer" / "envs" / "read_as_tgi.py"
READ_TIMEOUT_SECONDS = 110.0


@dataclass(frozen=True)
class Read:
    """What a directory is in that environment."""

    facts: dict[str, Any]
    """As read_as_tgi.py prints them; `error` alone where it does not load."""
    logits: dict[str, torch.Tensor]


def read_as_tgi(folders: Sequence[Path], ids: Sequence[int], scratch: Path) -> list[Read]:
    """Each directory, and its logits for one row of ids; in fp32 as saved, on one thread, with eager attention."""
    if not PYTHON.exists():
        pytest.skip("needs the environment of TGI's transformers: make test-envs")
    asked = scratch / "ids.json"
    asked.write_text(json.dumps(list(ids)))
    child = subprocess.run(
        [PYTHON, SCRIPT, asked, *folders],
        env={**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"},
        capture_output=True,
        text=True,
        timeout=READ_TIMEOUT_SECONDS,
    )
    assert child.returncode == 0, child.stderr[-4000:]
    answers = json.loads(child.stdout.splitlines()[-1])
    return [Read(facts, _logits(folder)) for folder, facts in zip(folders, answers, strict=True)]


def _logits(folder: Path) -> dict[str, torch.Tensor]:
    path = Path(f"{folder}.logits.safetensors")
    return load_file(path) if path.exists() else {}
