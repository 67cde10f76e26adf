"""No token, key or password shows itself: in what is printed of settings, in faults, in logs, on the terminal."""

import base64
import io
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import pytest
import structlog
from pydantic import SecretStr
from typer.testing import CliRunner

import bot.__main__
import trainer.__main__
from bot import configured
from bot.errors import SettingsError
from bot.local.parts import Addresses
from bot.settings import Settings
from bot.telemetry import configure_logging
from trainer.connection import connect
from trainer.errors import BadInput, StoreAway
from trainer.options import Options

MARKS = ("PLANTED", base64.b64encode(b"PLANTED").decode()[:8])
"""In each secret, as it is or in base64."""
NOWHERE = "127.0.0.1:1"
MEMORY_KEY, OTHER_KEY, RETRAIN_KEY = (base64.b64encode(b"PLANTED-secret-" + bytes([n]) * 17).decode() for n in b"abc")
SECRETS = {
    "SLACK_BOT_TOKEN": "xoxb-PLANTED-bot",
    "SLACK_APP_TOKEN": "xapp-PLANTED-app",
    "SLACK_SIGNING_SECRET": "PLANTED-signing",
    "REDIS_URL": f"redis://dolly:PLANTED-store@{NOWHERE}",
    "ENGINE_URL": f"http://asked:PLANTED-engine@{NOWHERE}",
    "ENGINE_API_KEY": "PLANTED-engine-key",
    "ENGINE_SLOTS": f"http://a:PLANTED-slot@{NOWHERE},http://b:PLANTED-slot@localhost:1",
    "DOLLY_MEMORY_KEY": f"{MEMORY_KEY},{OTHER_KEY}",
    "RETRAIN_KEY": RETRAIN_KEY,
    "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://asked:PLANTED-traces@{NOWHERE}",
}
"""Every setting that holds a secret, or an address that may."""
ADDRESSES = {"REDIS_URL", "ENGINE_URL", "ENGINE_SLOTS", "OTEL_EXPORTER_OTLP_ENDPOINT"}
PROXY = f"http://asked:PLANTED-proxy@{NOWHERE}"


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Settings:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DOLLY_DATA", str(tmp_path / "data"))
    return Settings.read(tmp_path / ".env")


def shown(text: str) -> list[str]:
    """The secrets in `text`."""
    return [mark for mark in MARKS if mark in text]


def test_every_setting_that_may_hold_a_secret_is_looked_at() -> None:
    """What is a secret by its type, or an address by its name: each has a mark here."""
    named = {
        name.upper()
        for name, field in Settings.model_fields.items()
        if "SecretStr" in str(field.annotation) or name.endswith(("_url", "_key", "_token", "_endpoint", "_slots"))
    }
    assert named - {"SLACK_API_URL"} == set(SECRETS)
    for name in SECRETS.keys() - ADDRESSES:
        assert "SecretStr" in str(Settings.model_fields[name.lower()].annotation), f"{name} is of a type that tells"


def test_nothing_that_is_made_of_settings_prints_one(settings: Settings) -> None:
    assert settings.redis_url == SECRETS["REDIS_URL"], "they are there"
    store = configured.store_access(settings, SECRETS["REDIS_URL"])
    assert len(store.memory_keys) == 2
    made = [
        settings,
        store,
        configured.slack_access(settings),
        Addresses(SECRETS["REDIS_URL"], SECRETS["ENGINE_URL"]),
        Options(Path(), "r", redis_url=SECRETS["REDIS_URL"], retrain_key=RETRAIN_KEY, engine_key="PLANTED-engine-key"),
        configured.model_client(settings, SECRETS["ENGINE_URL"]),
    ]
    for each in made:
        assert shown(f"{each!r} {each} {[each]}") == [], type(each)
    assert "[secret]@127.0.0.1:1" in repr(settings), "what is no secret is still told"


FAULTS = {
    "SLACK_BOT_TOKEN": "PLANTED-without-its-beginning",
    "SLACK_APP_TOKEN": "PLANTED-without-its-beginning",
    "REDIS_URL": "redis://:PLANTED/one@127.0.0.1:6379",
    "ENGINE_URL": "http://asked:PLANTED?one@127.0.0.1",
    "ENGINE_API_KEY": "PLANTED-“quoted”",
    "ENGINE_SLOTS": "http://asked:PLANTED@a,ftp://asked:PLANTED@b",
    "ENGINE_DEPLOYMENTS": "a=http://asked:PLANTED@a:1",
    "DOLLY_MEMORY_KEY": f"{MEMORY_KEY}x",
    "RETRAIN_KEY": "PLANTED",
    "OTEL_EXPORTER_OTLP_ENDPOINT": "grpc://asked:PLANTED@collector",
    "DOLLY_ADMINS": "xoxb-PLANTED-bot",
    "LINK_HOSTS": "https://asked:PLANTED@wiki.example",
}


@pytest.mark.parametrize("name", FAULTS)
def test_no_fault_of_a_setting_quotes_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str) -> None:
    monkeypatch.setenv(name, FAULTS[name])
    with pytest.raises(SettingsError) as raised:
        Settings.read(tmp_path / ".env")
    assert raised.value.faults[0].startswith(name)
    assert [fault for fault in raised.value.faults if "planted" in fault.lower()] == []
    assert raised.value.__suppress_context__, "pydantic's own error would follow in a traceback"


def test_what_cannot_be_wrong_has_no_fault() -> None:
    assert set(SECRETS) - set(FAULTS) == {"SLACK_SIGNING_SECRET"}


def test_a_mistake_of_dollys_own_is_logged_without_them(settings: Settings) -> None:
    stream = io.StringIO()
    with logging_to(stream):
        fails(settings)
    (line,) = stream.getvalue().splitlines()
    assert json.loads(line)["exception"], "the traceback is there"
    assert shown(line) == []


@contextmanager
def logging_to(stream: TextIO) -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in (None, "bot", "slack_bolt", "slack_sdk")]
    levels, handlers = [logger.level for logger in loggers], loggers[0].handlers
    configure_logging("debug", stream)
    try:
        yield
    finally:
        loggers[0].handlers = handlers
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
        structlog.reset_defaults()


def fails(settings: Settings) -> None:
    """With secrets in its local values, and one in what it says."""
    token: SecretStr | None = settings.slack_bot_token
    url = settings.redis_url
    try:
        raise RuntimeError(f"{url} does not take {token}, {token.get_secret_value() if token else ''}")
    except RuntimeError:
        structlog.get_logger("bot.test").exception("failed", settings=settings)


@pytest.mark.parametrize("command", [bot.__main__.app, trainer.__main__.app])
def test_no_traceback_shows_local_values(command: object) -> None:
    assert getattr(command, "pretty_exceptions_show_locals", True) is False


@pytest.mark.parametrize(
    "arguments", [["check"], ["check", "--production", "--json"], ["serve"], ["forget", "--everyone", "--yes"]]
)
def test_what_the_command_prints_holds_none(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    """Nothing answers anywhere: every part has something to say about its address."""
    monkeypatch.chdir(settings.dolly_data.parent)
    monkeypatch.setattr("bot.__main__.configure_logging", lambda *_: None)
    for name, value in {"HTTP_PROXY": PROXY, "HTTPS_PROXY": PROXY, "ENGINE_SLOTS": "", "LOG_LEVEL": "debug"}.items():
        monkeypatch.setenv(name, value)
    logs = io.StringIO()
    with logging_to(logs):
        told = CliRunner().invoke(bot.__main__.app, arguments)
    printed = told.output + logs.getvalue() + "".join(capfd.readouterr())
    assert told.exit_code == 1
    assert "store does not answer" in " ".join(printed.split())
    assert shown(printed) == []


@pytest.mark.parametrize("url", [f"redis://dolly:PLANTED@{NOWHERE}", f"redis://dolly:PLANTED/one@{NOWHERE}"])
def test_nor_does_the_trainer_tell_of_the_stores_password(url: str) -> None:
    with pytest.raises((StoreAway, BadInput)) as raised:
        connect(url)
    assert shown(str(raised.value)) == []
