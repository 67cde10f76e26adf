"""This machine: what Dolly keeps here, and who can read it."""

import stat
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from bot.preflight.addresses import distance
from bot.preflight.finding import Finding, Verdict


@dataclass(frozen=True, slots=True)
class Machine:
    """What the settings say of it."""

    env_file: Path
    data: Path
    is_encrypted: bool
    """Whether a memory key is set, or Dolly's own."""
    has_own_store: bool
    """Whether the store is Dolly's own, in `data`."""
    has_own_keys: bool
    """Whether keys are Dolly's own, in `data`."""
    has_retrain_key: bool
    erasure_log: Path | None
    audit_log: Path | None
    admin_host: str
    admin_port: int | None
    http: tuple[str, int] | None
    """Where signed events are received; None with Socket Mode."""
    proxies: tuple[str, ...]
    """The names of variables that name one."""
    traces: str | None = None
    """The address of the collector that gets them; None where nothing is traced."""


async def check_machine(machine: Machine) -> list[Finding]:
    """Each promise that settings and files tell of."""
    findings = [
        _memory_key(machine),
        _retrain_key(machine),
        *_files(machine),
        _erasure_log(machine),
        _audit_log(machine),
    ]
    findings.append(await _admin(machine))
    if machine.http is not None:
        findings.append(await _http(*machine.http))
    if machine.traces is not None:
        findings.append(await _traces(machine.traces))
    return findings


async def _traces(endpoint: str) -> Finding:
    host = urlsplit(endpoint).hostname or ""
    match await distance(host):
        case "this machine" | "private":
            sentence = f"They go to {host}, in your own network, and hold no texts, people or channels."
            return _found("traces", "safe", sentence)
        case "public":
            sentence = (
                f"OTEL_EXPORTER_OTLP_ENDPOINT names {host}, a public address: when questions are asked, and how many, "
                "leaves your network; name a collector inside it, or take the setting out."
            )
            return _found("traces", "unsafe", sentence)
    sentence = (
        f"OTEL_EXPORTER_OTLP_ENDPOINT names {host}, which cannot be resolved from here; it must be a host of yours."
    )
    return _found("traces", "cannot tell", sentence)


def _memory_key(machine: Machine) -> Finding:
    if not machine.is_encrypted:
        sentence = (
            "DOLLY_MEMORY_PLAINTEXT: what people write stands in the store as it is, for whoever runs it, and in its "
            "backups. Set DOLLY_MEMORY_KEY instead; make one with `openssl rand -base64 32`."
        )
        return _found("memory key", "unsafe", sentence)
    if machine.has_own_keys:
        sentence = (
            f"What people write is encrypted in the store, and the key lies beside it in {machine.data}: whoever takes "
            "the disk has both. Keep DOLLY_MEMORY_KEY apart, or encrypt the disk."
        )
        return _found("memory key", "cannot tell", sentence)
    return _found("memory key", "safe", "What people write is encrypted before it goes to the store.")


def _retrain_key(machine: Machine) -> Finding:
    if machine.has_retrain_key:
        return _found("retrain key", "safe", "The trainer has a key of its own, and cannot read the memory with it.")
    sentence = (
        "None is set, so feedback leaves the store by `dolly export-feedback` only, and retrain is not to be had in "
        "Slack."
    )
    return _found("retrain key", "safe", sentence)


def _files(machine: Machine) -> Iterator[Finding]:
    """Whether others on this machine can read secrets in files."""
    paths = (machine.env_file, machine.data / "memory.key", machine.data / "retrain.key")
    modes = {path: mode for path in paths if (mode := _mode(path)) is not None}
    open_to_all = [path for path, mode in modes.items() if mode & stat.S_IROTH]
    for path in open_to_all:
        sentence = f"{path} holds secrets, and everybody on this machine may read it: `chmod 600 {path}`."
        yield _found("secrets", "unsafe", sentence)
    if not open_to_all:
        where = " and ".join(map(str, modes))
        sentence = f"{where}: no stranger may read that." if modes else "None lies in a file beside Dolly."
        yield _found("secrets", "safe", sentence)


def _mode(path: Path) -> int | None:
    """None where there is no file, or its folder is closed to this user."""
    try:
        return path.stat().st_mode
    except OSError:
        return None


def _erasure_log(machine: Machine) -> Finding:
    path = machine.erasure_log or machine.data / "erasures.jsonl"
    if _goes_with_the_store(path, machine):
        sentence = (
            f"What was to be forgotten is noted in {path}, beside the store: a backup of that folder, restored, takes "
            "it back, and erased texts come back. Set ERASURE_LOG to a path that no restore touches."
        )
        return _found("erasure log", "unsafe", sentence)
    if machine.erasure_log is None:
        sentence = (
            f"What was to be forgotten is noted in {path}. Where several Dollies share the store, each has only its "
            "own there: set ERASURE_LOG to a path that all share."
        )
        return _found("erasure log", "cannot tell", sentence)
    return _found("erasure log", "safe", f"{path} lies apart from the store: a restored one is told what to forget.")


def _audit_log(machine: Machine) -> Finding:
    path = machine.audit_log
    if path is None:
        return _found("audit log", "unsafe", "Nobody can say later who asked, and what admins did; set AUDIT_LOG.")
    if _goes_with_the_store(path, machine):
        sentence = (
            f"{path} lies beside the store, and a backup that is restored takes it back; set AUDIT_LOG elsewhere."
        )
        return _found("audit log", "unsafe", sentence)
    return _found("audit log", "safe", f"{path} says who asked and what admins did, and no text.")


def _goes_with_the_store(path: Path, machine: Machine) -> bool:
    """Whether what brings an older store back brings an older `path` back with it."""
    return machine.has_own_store and path.absolute().is_relative_to(machine.data.absolute())


async def _admin(machine: Machine) -> Finding:
    if machine.admin_port is None:
        sentence = (
            "Without ADMIN_PORT there are no metrics, and nobody is woken when questions wait (docs/operations.md)."
        )
        return _found("metrics", "unsafe", sentence)
    where = f"{machine.admin_host}:{machine.admin_port}"
    verdict, sentence = await _listening(machine.admin_host, "ADMIN_HOST", "metrics and health")
    return _found("metrics", verdict, f"{where} {sentence}")


async def _http(host: str, port: int) -> Finding:
    verdict, sentence = await _listening(host, "HTTP_HOST", "signed events")
    if verdict == "safe":
        return _found("events", "safe", f"{host}:{port} {sentence}")
    sentence = (
        f"{host}:{port} takes Slack's events, each proved by SLACK_SIGNING_SECRET, in plain HTTP; see that a proxy "
        "with TLS stands before it, or use Socket Mode and open no port at all."
    )
    return _found("events", "cannot tell", sentence)


async def _listening(host: str, name: str, what: str) -> tuple[Verdict, str]:
    """Who can reach what listens at `host`."""
    if _is_any(host):
        return (
            "cannot tell",
            f"tells {what} on every network of this machine; see that only your own reach it ({name}).",
        )
    match await distance(host):
        case "this machine" | "private":
            return "safe", f"tells {what} inside your own network only."
        case "public":
            return "unsafe", f"tells {what} to the Internet; set {name} to an address of your own network."
    return "cannot tell", f"is no address of this machine that can be resolved; see {name}."


def _is_any(host: str) -> bool:
    try:
        return not host or ip_address(host).is_unspecified
    except ValueError:
        return False


def _found(promise: str, verdict: Verdict, sentence: str) -> Finding:
    return Finding("This machine", promise, verdict, sentence)
