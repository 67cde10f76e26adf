"""A Dockerfile as its instructions, for tests to look at and to carry out: the few forms that ours are written in."""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
IMAGES = ROOT / "deploy" / "images"


@dataclass(frozen=True, slots=True)
class Instruction:
    """Such as `RUN --mount=type=cache,target=/x ["a", "b"]`."""

    name: str
    flags: tuple[str, ...]
    rest: str

    @property
    def words(self) -> list[str] | None:
        """In exec form, what is executed; None in shell form."""
        words: list[str] | None = json.loads(self.rest) if self.rest.startswith("[") else None
        return words


@dataclass(slots=True)
class Stage:
    """From one FROM to the next."""

    base: str
    name: str
    instructions: list[Instruction] = field(default_factory=list)

    def all(self, name: str) -> list[Instruction]:
        return [instruction for instruction in self.instructions if instruction.name == name]

    @property
    def environment(self) -> dict[str, str]:
        pairs = " ".join(instruction.rest for instruction in self.all("ENV"))
        return dict(re.findall(r'(\w+)="?([^" ]*)"?', pairs))


def stages(path: Path) -> list[Stage]:
    """The stages of the file, first to last."""
    found: list[Stage] = []
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]
    for line in re.sub(r"\\\n\s*", "", "\n".join(lines)).splitlines():
        name, _, rest = line.strip().partition(" ")
        flags = re.match(r"(?:--\S+\s+)*", rest)
        assert flags
        instruction = Instruction(name, tuple(flags[0].split()), rest[flags.end() :])
        if name == "FROM":
            base, _, alias = instruction.rest.partition(" AS ")
            found.append(Stage(base, alias))
        else:
            found[-1].instructions.append(instruction)
    return found
