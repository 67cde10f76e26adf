"""Logs are JSON lines without secrets."""

import io
import json
import logging
import re

import pytest
import structlog

from bot.telemetry import configure_logging


def logged(level: str = "info") -> tuple[io.StringIO, structlog.stdlib.BoundLogger]:
    stream = io.StringIO()
    configure_logging(level, stream)
    structlog.reset_defaults()
    configure_logging(level, stream)
    return stream, structlog.get_logger("bot.test")


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_is_json_with_its_level_and_logger() -> None:
    stream, log = logged()
    log.info("stored", conversation="T1/C1/1.2")
    (line,) = lines(stream)
    assert line["event"] == "stored"
    assert line["level"] == "info"
    assert line["logger"] == "bot.test"


def test_tokens_and_keys_are_masked_wherever_they_stand() -> None:
    stream, log = logged()
    try:
        raise ValueError("refused xoxb-123456-abcdef")
    except ValueError:
        log.exception("failed", detail={"key": ["hf_abcdefghij", "xapp-1-A0-1234"]}, note="sk-abcdefgh")
    logging.getLogger("slack_sdk.x").error("token xoxb-123456-abcdef is bad")
    text = stream.getvalue()
    assert len(lines(stream)) == 2
    for secret in ("xoxb-123456", "hf_abcdefghij", "xapp-1", "sk-abcdefgh"):
        assert secret not in text


@pytest.mark.parametrize(
    "address",
    [
        "redis://dolly:PLANTED@store:6379/0",
        "redis://dolly:PLAN@TED@store",
        "redis://store?password=PLANTED",
        "rediss://dolly:PLANTED@store?ssl_password=PLANTED&ssl_cert_reqs=none",
        "http://a:PLANTED@engine-a:1,http://b:PLANTED@engine-b:1",
    ],
)
def test_passwords_are_masked_wherever_an_address_has_them(address: str) -> None:
    stream, log = logged()
    log.info("connected", url=address)
    assert not re.search("PLAN|TED", stream.getvalue())
    assert "store" in stream.getvalue() or "engine-a" in stream.getvalue()


def test_slacks_client_does_not_log_payloads() -> None:
    stream, _ = logged("debug")
    logging.getLogger("slack_bolt.AsyncApp").setLevel(logging.NOTSET)  # apps of other tests have given it a level
    logging.getLogger("slack_bolt.AsyncApp").warning("Unhandled request ({'text': 'what people wrote'})")
    logging.getLogger("slack_sdk.web").debug("params: what people wrote")
    assert stream.getvalue() == ""
