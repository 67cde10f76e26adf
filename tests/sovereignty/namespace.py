"""A network of its own: nothing but the loopback device, and no route to anywhere."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

INSIDE = "DOLLY_PROOF_INSIDE"
KEPT = ("PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TZ", "TERM", "TMPDIR")
"""Of the caller's environment. Nothing else: not what tells a library to stay offline."""


class CannotProve(Exception):
    """What this machine does not allow, in a sentence."""


def enter() -> None:
    """Start this program anew, in there. Returns only where it is in there already. Raises CannotProve."""
    if os.environ.get(INSIDE):
        return
    for program, package in (("strace", "strace"), ("unshare", "util-linux"), ("ip", "iproute2")):
        if shutil.which(program) is None:
            raise CannotProve(f"The proof needs the program {program}; install the package {package}.")
    unshare = ["unshare", "--net", *([] if os.geteuid() == 0 else ["--map-root-user"])]
    tried = subprocess.run([*unshare, "true"], capture_output=True, text=True)
    if tried.returncode:
        raise CannotProve(f"This machine allows no network namespace ({tried.stderr.strip()}); run it as root.")
    tried = subprocess.run(["strace", "--seccomp-bpf", "-f", "-o", os.devnull, "true"], capture_output=True, text=True)
    if tried.returncode:
        raise CannotProve(f"This machine lets nobody trace a process ({tried.stderr.strip()}).")
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    os.execvpe(unshare[0], [*unshare, sys.executable, *sys.orig_argv[1:]], kept | {INSIDE: "1"})


def prepare() -> None:
    """The loopback device works, and is all there is. Raises CannotProve."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    if reason := way_out():
        raise CannotProve(reason)


def way_out() -> str:
    """How this network could be left; empty where it cannot."""
    devices = [line.split(":")[0].strip() for line in _lines("/proc/net/dev")[2:]]
    if devices != ["lo"]:
        return f"There are network devices beside lo: {', '.join(devices)}."
    routes = [line.split()[0] for line in _lines("/proc/net/route")[1:]]
    routes += [line.split()[-1] for line in _lines("/proc/net/ipv6_route")]
    return "" if set(routes) <= {"lo"} else f"There are routes through {', '.join(sorted({*routes} - {'lo'}))}."


def _lines(path: str) -> list[str]:
    file = Path(path)
    return file.read_text(encoding="utf-8").splitlines() if file.exists() else []
