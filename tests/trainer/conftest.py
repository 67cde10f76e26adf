"""What the trainer's tests stand on: one thread each, since several run at once, and the CPU's answers bit by bit."""

import os

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


@pytest.fixture(autouse=True)
def seeded() -> None:
    """Random draws of a test are its own, whatever ran before."""
    torch.manual_seed(0)
