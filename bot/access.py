"""How everything is reached, and how much of it there may be: the plain values that a service is made from."""

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class SlackAccess:
    """How Slack is reached. With `app_token` by Socket Mode, else by HTTP signed with `signing_secret`."""

    bot_token: str = field(repr=False)
    api_url: str
    app_token: str | None = field(default=None, repr=False)
    signing_secret: str | None = field(default=None, repr=False)
    http_host: str = "127.0.0.1"
    http_port: int = 0
    rate: float = 1.0
    """How many times Slack's published rate limits all Dollies on the store may call it together."""


@dataclass(frozen=True, slots=True)
class StoreAccess:
    """How the store is reached, and what is kept there."""

    url: str = field(repr=False)
    """It may hold a password."""
    cluster: bool = False
    partitions: int = 1
    wait_replicas: int = 0
    memory_keys: tuple[bytes, ...] = field(default=(), repr=False)
    """What encrypts it, the newest first; none for plain text."""
    lease_seconds: float = 15
    memory_days: float = 30
    memory_tokens: int = 8_000
    memory_bytes: int = 65_536
    erasure_log: Path = Path(".dolly/erasures.jsonl")
    """What was to be forgotten; made with the first erasure."""
    retrain_key: bytes | None = field(default=None, repr=False)
    """What seals feedback for the trainer; None where nobody set it."""


@dataclass(frozen=True, slots=True)
class FileLimits:
    """How much of the files that come with a question is read. A kB has 1000 bytes."""

    file_kb: int = 5_000
    question_kb: int = 10_000
    seconds: float = 20
    """For fetching a file, and again for reading it."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much of everything, and how long."""

    concurrent_answers: int = 8
    waiting_per_user: int = 20
    question_characters: int = 20_000
    questions_per_minute: int = 0
    tokens_per_day: int = 0
    answer_within_seconds: float = 900
    catchup_max_age_seconds: float = 6 * 3600
    link_hosts: tuple[str, ...] = ()
    """Hosts that answers may link to, besides addresses that people wrote; `*.` in front for those below one."""
    files: FileLimits = FileLimits()
    finish_seconds: float = 1
    """How long running answers may finish when the service ends."""


@dataclass(frozen=True, slots=True)
class AccessRules:
    """Who may ask, by Slack's ids; an empty list is no list."""

    admins: frozenset[str] = frozenset()
    """Who administers Dolly; without any, the workspace's admins do."""
    users: frozenset[str] = frozenset()
    channels: frozenset[str] = frozenset()
    teams: frozenset[str] = frozenset()
    """Teams whose people may ask, those of other organisations too (Slack Connect); without any, one's own."""
    bots: frozenset[str] = frozenset()
    """Other apps that may ask; without any, none."""
    guests: bool = False
    promote_approvals: int = 1
    """How many admins have to say that a model is to answer."""


@dataclass(frozen=True, slots=True)
class AdminPort:
    """Where metrics and health are served; port 0 is any free one."""

    host: str = "127.0.0.1"
    port: int = 0
