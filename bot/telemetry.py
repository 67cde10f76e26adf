"""Logs: one JSON object per line, and never a message's text, a token or a key in it."""

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any, TextIO

import structlog

SECRET = re.compile(
    r"\b(?:xox[a-z]|xapp|xwfp|hf|sk)[-_][A-Za-z0-9_-]{6,}|(?<=://)[^\s/]+(?=@)|(?<=password=)[^&\s'\"]+"
)
"""Tokens and keys by how they begin; who an address is asked as, with the password, wherever the address has it."""
MASK = "[secret]"


def configure_logging(level: str, stream: TextIO = sys.stderr) -> None:
    """Send this process's logs, and its libraries' warnings, to `stream` as JSON lines from `level` up."""
    processors: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*processors, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=processors,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.ExceptionRenderer(
                    structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
                ),
                mask_secrets,
                structlog.processors.JSONRenderer(ensure_ascii=False),
            ],
        )
    )
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.getLogger("bot").setLevel(level.upper())
    # Bolt and its client log whole payloads, which hold what people wrote, at DEBUG and in some warnings.
    logging.getLogger("slack_bolt").setLevel(logging.ERROR)
    logging.getLogger("slack_sdk").setLevel(logging.ERROR)


def mask_secrets(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Replace whatever looks like a token or key, in any value of a log line."""
    for key, value in event.items():
        event[key] = masked(value)
    return event


def masked(value: Any) -> Any:
    """The same without what looks like a secret, in any text in it."""
    if isinstance(value, str):
        return SECRET.sub(MASK, value)
    if isinstance(value, dict):
        return {key: masked(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [masked(item) for item in value]
    return value
