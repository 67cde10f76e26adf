"""From the settings to the plain values that the parts are made from."""

from collections.abc import Callable
from pathlib import Path

from bot.access import AccessRules, AdminPort, Bounds, FileLimits, SlackAccess, StoreAccess
from bot.engine_owner import Configured, EngineOwner
from bot.engine_owner.address import Address
from bot.engine_owner.deployments import Cluster, EngineDeployment
from bot.engine_owner.model_files import MANIFEST
from bot.engine_owner.pool import Place, Pool
from bot.engine_owner.slots import Slot
from bot.errors import LocalPartError
from bot.local.engine import LocalEngine
from bot.local.memory import has_room_for
from bot.local.model import default_model_path
from bot.model_client import ModelClient
from bot.model_client.keys import Keys
from bot.preflight import Machine
from bot.redaction import Redaction
from bot.redaction.names import presidio
from bot.responder import AnswerStyle
from bot.settings import ENV_FILE, Settings, named_proxies
from bot.store.sealing import own_key
from bot.store.served_models import ServedModels


def slack_access(settings: Settings) -> SlackAccess:
    """How the settings reach Slack; nothing is missing for Slack."""
    assert settings.slack_bot_token is not None
    app_token, secret = settings.slack_app_token, settings.slack_signing_secret
    return SlackAccess(
        bot_token=settings.slack_bot_token.get_secret_value(),
        api_url=settings.slack_api_url,
        app_token=app_token.get_secret_value() if app_token else None,
        signing_secret=secret.get_secret_value() if secret else None,
        http_host=settings.http_host,
        http_port=settings.http_port,
        rate=settings.slack_rate,
    )


def store_access(settings: Settings, redis_url: str) -> StoreAccess:
    """How the store is reached, with a key of its own where it is Dolly's own store."""
    keys = settings.memory_keys
    if not keys and not settings.dolly_memory_plaintext:
        keys = (own_key(settings.dolly_data / "memory.key"),)
    retrain_key = settings.trainer_key
    if retrain_key is None and settings.redis_url is None:
        retrain_key = own_key(settings.dolly_data / "retrain.key", "the trainer")
    return StoreAccess(
        redis_url,
        cluster=settings.redis_cluster,
        partitions=settings.redis_partitions,
        wait_replicas=settings.redis_wait_replicas,
        memory_keys=keys,
        lease_seconds=settings.lease_seconds,
        memory_days=settings.memory_days,
        memory_tokens=settings.memory_tokens,
        memory_bytes=settings.memory_bytes,
        erasure_log=settings.erasure_log or settings.dolly_data / "erasures.jsonl",
        retrain_key=retrain_key,
    )


def redaction(settings: Settings) -> Redaction:
    """What takes secrets and personal data out of feedback. Raises LocalPartError where a part of it is missing."""
    return Redaction(settings.phone_regions, *([presidio()] if settings.redact_names else []))


def model_client(settings: Settings, engine_url: str) -> ModelClient:
    """The engine's client; whoever asks for it closes it."""
    return ModelClient(
        engine_url,
        model=settings.engine_model,
        api_key=settings.engine_api_key.get_secret_value() if settings.engine_api_key else None,
        first_token_seconds=settings.first_token_seconds,
        between_tokens_seconds=settings.between_tokens_seconds,
        temperature=settings.temperature,
        stop=settings.stop_sequences,
        manifest=settings.engine_manifest,
    )


def engine_owner(settings: Settings, models: ServedModels, tell: Callable[[str], None]) -> EngineOwner:
    """What runs Dolly's own engine. Raises LocalPartError where there is no model for it."""

    def open_engine(path: Path, number: int) -> LocalEngine:
        log_name = "engine.log" if number == 1 else f"engine-{number}.log"
        logs, window, first = settings.dolly_data / "logs", settings.context_tokens, settings.dolly_engine_port
        port = first + number - 1 if first else 0
        return LocalEngine(path, logs, context_tokens_per_slot=window, port=port, log_name=log_name)

    path = (settings.model_path or default_model_path()).absolute()
    keys = Keys(settings.engine_manifest).listed
    return EngineOwner(
        models,
        open_engine,
        Configured(path, str(settings.engine_manifest or ""), keys),
        has_room_for=lambda path: settings.engines_at_once > 1 and has_room_for(path),
        tell=tell,
    )


def containers_owner(settings: Settings, models: ServedModels, tell: Callable[[str], None]) -> EngineOwner:
    """What runs engines that are containers. Raises LocalPartError where there is no model for them."""
    key = settings.engine_api_key.get_secret_value() if settings.engine_api_key else None
    cluster = Cluster()
    places: list[Place] = [Slot(settings.slots_dir, Address(url, key)) for url in settings.engine_slots]
    for name, url in settings.engine_deployments:
        places.append(EngineDeployment(cluster, name, Address(url, key), settings.engine_replicas))
    path = settings.model_directory.resolve()  # a symlink may name another one by the time that it is read
    manifest = path / MANIFEST
    if not manifest.is_file():
        raise LocalPartError(
            f"There is no {manifest}; put the model that is to be served at first, as dolly-trainer exports it, into "
            f"{settings.model_directory}, or name another directory with MODEL_DIRECTORY."
        )
    pool = Pool(places)
    return EngineOwner(
        models,
        pool.open,
        Configured(path, str(manifest), Keys(manifest).listed),
        has_room_for=lambda _: settings.engines_at_once > 1,
        find_engines=pool.running,
        tell=tell,
    )


def answer_style(settings: Settings) -> AnswerStyle:
    """How answers are written."""
    return AnswerStyle(settings.system_prompt, settings.max_tokens, file_memory_tokens=settings.memory_tokens // 2)


def bounds(settings: Settings, finish_seconds: float) -> Bounds:
    """How much of everything; running answers may finish for `finish_seconds`."""
    return Bounds(
        concurrent_answers=settings.concurrent_answers,
        waiting_per_user=settings.waiting_per_user,
        question_characters=settings.question_characters,
        files=FileLimits(settings.file_max_kb, settings.files_max_kb, settings.file_seconds),
        questions_per_minute=settings.questions_per_minute,
        tokens_per_day=settings.tokens_per_day,
        answer_within_seconds=settings.answer_within_minutes * 60,
        catchup_max_age_seconds=settings.catchup_max_age_hours * 3600,
        link_hosts=settings.link_hosts,
        finish_seconds=finish_seconds,
    )


def access_rules(settings: Settings) -> AccessRules:
    """Who may ask, and who administers."""
    return AccessRules(
        admins=settings.dolly_admins,
        users=settings.allowed_users,
        channels=settings.allowed_channels,
        teams=settings.allowed_teams,
        bots=settings.allowed_bots,
        guests=settings.allow_guests,
        promote_approvals=settings.promote_approvals,
    )


def admin_port(settings: Settings) -> AdminPort | None:
    """Where metrics are served; None where nobody asked for them."""
    return None if settings.admin_port is None else AdminPort(settings.admin_host, settings.admin_port)


def machine(settings: Settings) -> Machine:
    """What the settings say of this machine, for `dolly check --production`."""
    has_own_keys = not settings.memory_keys and not settings.dolly_memory_plaintext
    by_http = settings.slack_app_token is None and settings.slack_signing_secret is not None
    return Machine(
        env_file=ENV_FILE,
        data=settings.dolly_data,
        is_encrypted=not settings.dolly_memory_plaintext,
        has_own_store=settings.redis_url is None,
        has_own_keys=has_own_keys,
        has_retrain_key=settings.retrain_key is not None or settings.redis_url is None,
        erasure_log=settings.erasure_log,
        audit_log=settings.audit_log,
        admin_host=settings.admin_host,
        admin_port=settings.admin_port,
        http=(settings.http_host, settings.http_port) if by_http else None,
        proxies=named_proxies(),
        traces=settings.otel_exporter_otlp_endpoint,
    )
