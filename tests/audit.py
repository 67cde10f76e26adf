"""Whether any pinned package has a known hole: pip-audit, asked so that "could not ask" never reads as "none found".

    python -m tests.audit [--must-ask] [REQUIREMENTS]

Where the package index does not give its advisories (a mirror, no network), pip-audit itself skips every package and
still says that none is vulnerable. So it is first asked about a release whose hole everybody knows.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

CONSTRAINTS = Path(__file__).resolve().parents[1] / "constraints.txt"
KNOWN = "jinja2==2.11.2"
"""Has had CVE-2020-28493 against it since 2021."""
SECONDS = 180

Dependency = dict[str, Any]
Ask = Callable[[Path], list[Dependency]]


class CouldNotAsk(Exception):
    """Nobody knows; the sentence says why."""


def ask_pip_audit(requirements: Path) -> list[Dependency]:
    """What pip-audit says of each pin in `requirements`. Raises CouldNotAsk."""
    flags = ["--no-deps", "--disable-pip", "--format", "json", "--progress-spinner", "off", "--timeout", "5"]
    command = [sys.executable, "-m", "pip_audit", "--requirement", str(requirements), *flags]
    try:
        told = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
        dependencies: list[Dependency] = json.loads(told.stdout)["dependencies"]
    except subprocess.TimeoutExpired:
        raise CouldNotAsk(f"pip-audit took longer than {SECONDS} s") from None
    except (ValueError, LookupError):
        last = told.stderr.strip().splitlines()[-1:] or ["it said nothing"]
        raise CouldNotAsk(f"pip-audit failed: {last[0][:200]}") from None
    return dependencies


def audit(requirements: Path, ask: Ask = ask_pip_audit) -> tuple[list[str], list[str]]:
    """A sentence for each hole, and the pins that could not be asked about. Raises CouldNotAsk where none could."""
    with tempfile.TemporaryDirectory() as folder:
        known = Path(folder, "known.txt")
        known.write_text(f"{KNOWN}\n")
        (answer,) = ask(known)
    if "skip_reason" in answer:
        raise CouldNotAsk(answer["skip_reason"])
    if not answer.get("vulns"):
        raise CouldNotAsk(f"the advisories do not even name {KNOWN}")
    dependencies = ask(requirements)
    holes = [
        f"{found['name']} {found['version']}: {hole['id']}, mended in {', '.join(hole['fix_versions']) or 'no release'}"
        for found in dependencies
        for hole in found.get("vulns", [])
    ]
    return holes, [found["name"] for found in dependencies if "skip_reason" in found]


def main(arguments: Sequence[str] | None = None, ask: Ask = ask_pip_audit) -> int:
    """0 where no hole is known, or nobody could be asked; 1 where one is, or where an answer is a must and missing."""
    parser = argparse.ArgumentParser(description="Whether any pinned package has a known hole.")
    parser.add_argument("requirements", nargs="?", type=Path, default=CONSTRAINTS)
    parser.add_argument("--must-ask", action="store_true", help="fail where nobody could be asked")
    options = parser.parse_args(arguments)
    try:
        holes, skipped = audit(options.requirements, ask)
    except CouldNotAsk as reason:
        print(f"audit: SKIPPED, nobody could be asked for known holes ({reason}).")
        return int(options.must_ask)
    for hole in holes:
        print(f"audit: {hole}")
    if skipped:
        print(f"audit: could not ask about {', '.join(skipped)}.")
    if not holes:
        print("audit: no known hole in what could be asked about.")
    return int(bool(holes) or (options.must_ask and bool(skipped)))


if __name__ == "__main__":
    sys.exit(main())
