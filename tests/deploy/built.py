"""A Dockerfile carried out without Docker: each stage in an overlay of this machine's files, which stand for its base.

Needs root, and a mount namespace of its own (`unshare --mount`), with which all of it goes away. What it cannot show is
what the base image itself has; the Python that runs this stands for its Python.
"""

import os
import shutil
import stat
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from tests.deploy.dockerfile import ROOT, Instruction, Stage, stages

PYTHON = Path(sys.executable).resolve().parent
PATH = f"{PYTHON}:/usr/local/bin:/usr/bin:/bin"
SHELL = ("/bin/sh", "-c")
DEVICES = {"null": 3, "zero": 5, "random": 8, "urandom": 9}
SHELLS = ("sh", "bash", "dash")
PASSED_ON = ("PIP_", "SSL_", "REQUESTS_")
"""What pip is told of where packages are, on this machine."""


@dataclass
class Built:
    """A stage's root directory."""

    root: Path
    stage: Stage
    environment: dict[str, str] = field(default_factory=dict)
    folder: str = "/"

    def inside(self, path: str) -> Path:
        """A path of the image, as this machine sees it."""
        return self.root / os.path.normpath(os.path.join(self.folder, path)).lstrip("/")

    def carry_out(self, instruction: Instruction, others: dict[str, "Built"]) -> None:
        match instruction.name:
            case "WORKDIR":
                self.folder = instruction.rest
                self.inside(".").mkdir(parents=True, exist_ok=True)
            case "ENV":
                told = Stage("", "", [instruction]).environment
                self.environment |= {name: value.replace("$PATH", PATH) for name, value in told.items()}
            case "COPY":
                self._copy(instruction, others)
            case "RUN":
                words = instruction.words or [*SHELL, instruction.rest]
                subprocess.run(
                    ["/usr/sbin/chroot", str(self.root), *self.at_work(words)], check=True, env=self.at_build()
                )

    def at_work(self, words: list[str]) -> list[str]:
        return ["/usr/bin/env", f"--chdir={self.folder}", *words]

    def at_build(self) -> dict[str, str]:
        given = {name: value for name, value in os.environ.items() if name.startswith(PASSED_ON)}
        return {"PATH": PATH, "HOME": "/root", **given, **self.environment}

    def _copy(self, instruction: Instruction, others: dict[str, "Built"]) -> None:
        *sources, target = instruction.rest.split()
        stage = next((flag.partition("=")[2] for flag in instruction.flags if flag.startswith("--from=")), None)
        for source in sources:
            found = others[stage].inside(source) if stage else ROOT / source
            into = self.inside(target)
            if found.is_dir():
                without = shutil.ignore_patterns() if stage else shutil.ignore_patterns("__pycache__")
                shutil.copytree(found, into, symlinks=True, ignore=without, dirs_exist_ok=True)
            else:
                shutil.copy2(found, into / found.name if target.endswith("/") else into)


def build(dockerfile: Path, scratch: Path) -> Built:
    """The last stage's root, writable still; `scratch` is an empty folder."""
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(scratch)], check=True)
    done: dict[str, Built] = {}
    for place, stage in enumerate(stages(dockerfile)):
        upper, work, root = (scratch / f"{name}{place}" for name in ("upper", "work", "root"))
        for folder in (upper, work, root):
            folder.mkdir()
        layers = f"lowerdir=/,upperdir={upper},workdir={work}"
        subprocess.run(["mount", "-t", "overlay", "overlay", "-o", layers, str(root)], check=True)
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(root / "dev")], check=True)
        for name, number in DEVICES.items():
            os.mknod(root / "dev" / name, 0o666 | stat.S_IFCHR, os.makedev(1, number))
            (root / "dev" / name).chmod(0o666)
        subprocess.run(["mount", "-t", "proc", "proc", str(root / "proc")], check=True)
        for folder in (
            root / "root",
            *(root / parent.relative_to("/") for parent in PYTHON.parents if parent != Path("/")),
        ):
            folder.chmod(0o755)  # a base image's Python may be read by everybody
        shutil.rmtree(root / "srv" / "dolly", ignore_errors=True)
        built = done[stage.name] = Built(root, stage)
        for instruction in stage.instructions:
            built.carry_out(instruction, done)
    return built


def command(built: Built, words: list[str]) -> list[str]:
    """What runs `words` as the image's user there: without a capability, and without a way to one."""
    (user,) = built.stage.all("USER")
    entry = [
        "/usr/bin/setpriv",
        "--no-new-privs",
        "/usr/sbin/chroot",
        f"--userspec={user.rest}",
        "--groups=",
        str(built.root),
    ]
    return [*entry, *built.at_work(words)]


def close(built: Built, writable: dict[str, Path]) -> None:
    """Make it read-only but for `writable`, its user's folders that lie outside, and take the shells away."""
    nothing = built.root / "run" / "nothing"
    nothing.touch(mode=0o644)
    for shell in SHELLS:
        subprocess.run(["mount", "--bind", str(nothing), str((built.root / "bin" / shell).resolve())], check=False)
    for path, folder in writable.items():
        subprocess.run(["mount", "--bind", str(folder), str(built.inside(path))], check=True)
    subprocess.run(["mount", "-o", "remount,ro", str(built.root)], check=True)
