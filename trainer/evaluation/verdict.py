"""What a gate says of a candidate, and how it is kept."""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from trainer.errors import NotWhole

Check = Literal[
    "suite", "replay_bits", "stops", "corrections", "paraphrases", "neighbours", "personal_data", "leaks", "evidence"
]


@dataclass(frozen=True, slots=True)
class Judgeable:
    """A model as a gate takes it."""

    folder: Path
    """An imported base or an export: for bits per byte, and for answers where there is no GGUF."""
    gguf: Path | None = None
    """The file that llama.cpp serves."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """One reason against a candidate."""

    check: Check
    sentence: str
    """For people; without any text of theirs."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Of one candidate beside the model in service."""

    size: Literal["smoke", "full"]
    passed: bool
    not_enough_evidence: bool
    """Too few held-out corrections for a full gate; an explicit yes passes a candidate that nothing else speaks
    against."""
    refusals: tuple[Refusal, ...]
    figures: Mapping[str, Any]
    """All that was measured: numbers and record ids, no texts."""

    @property
    def sentence(self) -> str:
        """The verdict for people, one reason a line."""
        name = "smoke gate" if self.size == "smoke" else "gate"
        if self.passed:
            note = " It has not enough evidence, and an admin said yes." if self.not_enough_evidence else ""
            return f"The {name} is passed.{note}"
        reasons = "\n".join(refusal.sentence for refusal in self.refusals)
        return f"The {name} refuses this model:\n{reasons}"

    def write(self, path: Path) -> None:
        """Whole or not at all."""
        partial = path.with_name(f".{path.name}.partial")
        with partial.open("w", encoding="utf-8") as file:
            json.dump(asdict(self), file, indent=2, ensure_ascii=False)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)

    @classmethod
    def read(cls, path: Path) -> "Verdict":
        """Raises NotWhole where it is no verdict."""
        try:
            value = json.loads(path.read_bytes())
            return cls(**(value | {"refusals": tuple(Refusal(**refusal) for refusal in value["refusals"])}))
        except (OSError, ValueError, TypeError, LookupError) as error:
            raise NotWhole(f"{path} is no verdict of a gate ({type(error).__name__}). Remove it and retrain.") from None
