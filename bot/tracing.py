"""Traces: how long each step of a turn took, sent by OpenTelemetry to a collector of the company's own.

    turn                      one claim of a question, from asking the store for it to its end
    ├─ claim                  until the store handed it out
    ├─ window                 the conversation, cut to what the model takes
    ├─ chat <model>           the engine, from the request to its last token
    ├─ chat.startStream, …    each call of Slack's Web API
    └─ commit

Off, which is the default, OpenTelemetry is not imported here, and a span is one object that does nothing. No span holds
a text, a person or a channel: a conversation is told by the hash that the audit log has.
"""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from importlib.metadata import version
from types import TracebackType
from typing import Any, Protocol, Self

from bot.errors import LocalPartError

EXPORT_SECONDS = 5.0
"""How long a collector may take for one batch; and at the end, for what is left."""

Value = str | bool | int | float | list[str]
Attributes = Mapping[str, Value]

# Names of the conventions for generative AI, which change still (open-telemetry/semantic-conventions-genai).
OPERATION, CHAT = "gen_ai.operation.name", "chat"
PROVIDER = "gen_ai.provider.name"
REQUEST_MODEL = "gen_ai.request.model"
REQUEST_MAX_TOKENS = "gen_ai.request.max_tokens"
REQUEST_TEMPERATURE = "gen_ai.request.temperature"
REQUEST_STREAM = "gen_ai.request.stream"
RESPONSE_MODEL = "gen_ai.response.model"
FINISH_REASONS = "gen_ai.response.finish_reasons"
FIRST_CHUNK_SECONDS = "gen_ai.response.time_to_first_chunk"
OUTPUT_TOKENS = "gen_ai.usage.output_tokens"
CONVERSATION = "gen_ai.conversation.id"
# Those for all.
ERROR_TYPE = "error.type"
SERVER_ADDRESS, SERVER_PORT = "server.address", "server.port"
# Dolly's own.
ATTEMPT, CLAIMS, WAITED_SECONDS = "dolly.attempt", "dolly.claims", "dolly.waited_seconds"
DECISION, REQUEUED = "dolly.decision", "dolly.requeued"
PROMPT_TOKENS = "dolly.prompt_tokens_at_most"


class Span(Protocol):
    """One step; a context manager that ends it, with the kind of the error that leaves it."""

    def note(self, attributes: Attributes, *, name: str = "") -> None:
        """Add `attributes`, and give it another name."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...


class _Nothing:
    """The span of a Dolly that traces nothing."""

    def note(self, attributes: Attributes, *, name: str = "") -> None:
        pass

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass


class _Traced:
    """A span of OpenTelemetry's; what is begun inside one that `is_parent` becomes part of it."""

    def __init__(self, span: Any, *, is_parent: bool) -> None:
        self._span = span
        self._is_parent = is_parent
        self._token: Any = None

    def note(self, attributes: Attributes, *, name: str = "") -> None:
        self._span.set_attributes(attributes)
        if name:
            self._span.update_name(name)

    def __enter__(self) -> Self:
        if self._is_parent:
            self._token = _api.attach(_api.in_context(self._span))
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._token is not None:
            _api.detach(self._token)
        if kind is not None and issubclass(kind, Exception):  # being stopped, or left early, is no failure
            self._span.set_attribute(ERROR_TYPE, kind.__name__)  # its sentence may say more than a trace should
            self._span.set_status(_api.failed)
        self._span.end()


class _Api:
    """What of OpenTelemetry is used; imported when it is switched on."""

    def __init__(self, provider: Any) -> None:
        from opentelemetry import context, trace

        self.tracer = provider.get_tracer("dolly", version("dolly"))
        self.attach, self.detach = context.attach, context.detach
        self.in_context, self.current = trace.set_span_in_context, trace.get_current_span
        self.client = trace.SpanKind.CLIENT
        self.failed = trace.StatusCode.ERROR


_NOTHING = _Nothing()
_api: Any = None
"""One for the process, as the metrics are; None while it traces nothing."""


def now() -> int:
    """Nanoseconds since 1970, as spans are timed."""
    return time.time_ns()


def turn(attributes: Attributes, began: int) -> Span:
    """The span of one claimed turn, whose claim began at `began` and has just been had: the parent of all inside."""
    if _api is None:
        return _NOTHING
    span = _api.tracer.start_span("turn", attributes=attributes, start_time=began)
    _api.tracer.start_span("claim", context=_api.in_context(span), start_time=began).end()
    return _Traced(span, is_parent=True)


def step(name: str) -> Span:
    """A step of the turn at hand, the parent of what is begun inside it."""
    if not _is_traced():
        return _NOTHING
    return _Traced(_api.tracer.start_span(name), is_parent=True)


def call(name: str, attributes: Attributes) -> Span:
    """A request to another server, made for the turn at hand; nothing that is made for no turn is traced."""
    if not _is_traced():
        return _NOTHING
    return _Traced(_api.tracer.start_span(name, kind=_api.client, attributes=attributes), is_parent=False)


def note(attributes: Attributes) -> None:
    """Add to the turn, or the step of it, that is at hand."""
    if _is_traced():
        _api.current().set_attributes(attributes)


def _is_traced() -> bool:
    return _api is not None and _api.current().is_recording()


@asynccontextmanager
async def tracing(endpoint: str | None) -> AsyncIterator[None]:
    """Trace as long as the body runs, to the OTLP/HTTP collector at `endpoint`; without one, nothing.

    A collector that is away is no reason to wait: what it does not take is dropped, and the log says so. Raises
    LocalPartError where OpenTelemetry is not installed.
    """
    if endpoint is None:
        yield
        return
    try:
        exporter = _exporter(endpoint)
    except ImportError:
        raise LocalPartError(
            "OTEL_EXPORTER_OTLP_ENDPOINT is set, and OpenTelemetry is not installed; install it with "
            "`pip install 'dolly[otel]'`, or take the setting out."
        ) from None
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    async with tracing_to(BatchSpanProcessor(exporter)):
        yield


@asynccontextmanager
async def tracing_to(processor: Any) -> AsyncIterator[None]:
    """Trace as long as the body runs, to one of OpenTelemetry's span processors."""
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider

    global _api
    resource = Resource.create(
        {"service.name": "dolly", "service.version": version("dolly"), "service.instance.id": socket.gethostname()}
    )
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(processor)
    _api = _Api(provider)
    try:
        yield
    finally:
        _api = None
        await asyncio.to_thread(provider.shutdown)


def _exporter(endpoint: str) -> Any:
    """Sends to the collector alone: past any proxy, which is there for Slack, and to wherever it sends on, never."""
    import requests
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    session = requests.Session()
    session.trust_env = False
    session.max_redirects = 0
    return OTLPSpanExporter(f"{endpoint.rstrip('/')}/v1/traces", timeout=EXPORT_SECONDS, session=session)
