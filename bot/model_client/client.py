"""The stream of an answer, and what has to be known of an engine to ask for one."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterable, Coroutine, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from huggingface_hub import AsyncInferenceClient

from bot.conversation import Message
from bot.errors import EngineBroke, EngineError, EngineSlow
from bot.model_client import counting, refusals
from bot.model_client.connection import EngineConnection
from bot.model_client.dialects import EngineReport, recognise, stamp
from bot.model_client.examiner import EngineExaminer
from bot.model_client.keys import Keys, whole
from bot.model_client.measuring import Measurement
from bot.model_client.stopping import StopCut

T = TypeVar("T")

_KNOWN_FOR_SECONDS = 300
"""How long an engine is taken to be what it was; a failure ends it sooner."""

_FAILED = ("error", "abort")
"""What vLLM and SGLang give as finish_reason for an answer that they broke off."""


@dataclass(frozen=True, slots=True)
class _Delta:
    """What one event of a stream brought."""

    text: str = ""
    finish_reason: str | None = None
    is_progress: bool = False
    """Whether a token came with it, be it one of hidden reasoning."""


@dataclass(frozen=True, slots=True)
class _Engine:
    """What is known of the engine, and until when (time.monotonic)."""

    report: EngineReport
    template: counting.TemplateCost | None
    until: float


class ModelClient:
    """An engine that speaks /v1/chat/completions: TGI, vLLM, SGLang, llama.cpp's server.

    `url` with or without /v1. `model` is the name to send; without it, the engine's first model. `temperature` 0
    is greedy. A text is cut at the first of the `stop` strings. `manifest` is the served model's manifest.json, which
    lists its keys and tells it from others of its name; where those are known otherwise, `keys`, `name` and `revision`
    say so. Failures are bot.errors.Engine*.
    """

    def __init__(
        self,
        url: str,
        *,
        model: str | None = None,
        api_key: str | None = None,
        connect_seconds: float = 5,
        first_token_seconds: float = 120,
        between_tokens_seconds: float = 30,
        temperature: float = 0.7,
        stop: Sequence[str] = (),
        manifest: Path | None = None,
        name: str = "",
        revision: str = "",
        keys: Sequence[str] = (),
    ) -> None:
        self._connection = EngineConnection(url, api_key=api_key, connect_seconds=connect_seconds)
        self._url = url
        self._api_key = api_key
        self._connect_seconds = connect_seconds
        self._model = model
        self._first_token_seconds = first_token_seconds
        self._between_tokens_seconds = between_tokens_seconds
        self._temperature = temperature
        self._stop = tuple(stop)
        self._manifest = manifest
        self._keys = Keys(manifest, keys)
        self._name = name
        self._revision = revision
        self._known: _Engine | None = None
        self._learning = asyncio.Lock()

    async def close(self) -> None:
        await self._connection.close()

    def serving(self, name: str, revision: str, *, keys: Sequence[str], url: str = "") -> "ModelClient":
        """A client, asking as this one does, for a model that is known by name, revision and keys.

        Without `url`, this client's engine serves it.
        """
        is_here = not url
        return ModelClient(
            url or self._url,
            model=self._model if is_here else None,
            api_key=self._api_key,
            connect_seconds=self._connect_seconds,
            first_token_seconds=self._first_token_seconds,
            between_tokens_seconds=self._between_tokens_seconds,
            temperature=self._temperature,
            stop=self._stop,
            manifest=self._manifest if is_here and not keys else None,
            name=name,
            revision=revision,
            keys=keys,
        )

    def examiner(self) -> EngineExaminer:
        """What looks at this client's engine more closely; whoever asks for it closes it."""
        return EngineExaminer(self._url, api_key=self._api_key)

    # --- an answer ----------------------------------------------------------------------------------------

    async def stream(self, messages: Sequence[Message], *, max_tokens: int) -> AsyncGenerator[str, None]:
        """The answer's text, piece by piece, until the model stops, `max_tokens` are out, or a stop string comes.

        Closing this generator, or cancelling the task that reads it, makes the engine stop. What is left
        suspended goes on: use contextlib.aclosing where the loop may be left early.
        """
        cut = StopCut(self._stop)
        async with aclosing(self._deltas(self._keys.broken(messages), max_tokens)) as deltas:
            async for delta in deltas:
                if text := cut.feed(delta):
                    yield text
                if cut.found:
                    return
        if rest := cut.rest():
            yield rest

    async def _deltas(self, messages: Sequence[Message], max_tokens: int) -> AsyncGenerator[str, None]:
        """The text as the engine sends it, no piece empty."""
        began = False
        try:
            with Measurement(self._url, max_tokens, self._temperature) as measurement:
                async with self._connection.chat_client() as client:
                    patience = self._first_token_seconds
                    deadline = _now() + patience
                    asked = self._ask(client, messages, max_tokens, measurement)
                    async with aclosing(await self._within(patience, deadline, asked)) as chunks:
                        while True:
                            delta = await self._within(patience, deadline, self._next(chunks, began=began))
                            if delta.is_progress:
                                measurement.token()
                            if delta.text:
                                began = True
                                yield delta.text
                            if delta.finish_reason is not None:
                                measurement.finished(delta.finish_reason)
                                return
                            if delta.is_progress:
                                patience = self._between_tokens_seconds
                                deadline = _now() + patience
        except EngineError:
            self._known = None  # the next answer looks anew at what stands there
            raise

    async def _ask(
        self, client: AsyncInferenceClient, messages: Sequence[Message], max_tokens: int, measurement: Measurement
    ) -> Any:
        """The chunks of an answer. An engine that serves another model than before is asked once more."""
        report = (await self._engine()).report
        measurement.asked(report)
        try:
            return await self._request(client, report.model, messages, max_tokens)
        except refusals.ModelUnknown:
            self._known = None
            renewed = (await self._engine()).report
            if renewed.model == report.model:
                raise
            measurement.asked(renewed)
            return await self._request(client, renewed.model, messages, max_tokens)

    async def _request(
        self, client: AsyncInferenceClient, model: str, messages: Sequence[Message], max_tokens: int
    ) -> Any:
        # Nothing else is sent. TGI makes a repetition penalty of presence_penalty, even of 0, and refuses a top_p
        # of 1; stop strings are cut here.
        try:
            return await client.chat_completion(
                counting.as_json(messages),
                model=model,
                stream=True,
                max_tokens=max_tokens,
                temperature=self._temperature,
            )
        except refusals.HTTP_FAILURES as error:
            raise refusals.of_exception(error, self._connection.where, began=False) from None

    async def _next(self, chunks: AsyncIterable[Any], *, began: bool) -> _Delta:
        where = self._connection.where
        try:
            delta = _read(await anext(aiter(chunks)))
        except StopAsyncIteration:
            raise EngineBroke(f"The engine at {where} ended its answer without saying why; see its log.") from None
        except refusals.HTTP_FAILURES as error:
            raise refusals.of_exception(error, where, began=began) from None
        if delta.finish_reason in _FAILED:
            raise EngineBroke(f"The engine at {where} broke its answer off ({delta.finish_reason}); see its log.")
        return delta

    async def _within(self, seconds: float, deadline: float, work: Coroutine[Any, Any, T]) -> T:
        """Waits until `deadline` (the event loop's time), which was `seconds` away at the last token."""
        try:
            async with asyncio.timeout_at(deadline):
                return await work
        except TimeoutError:
            where = self._connection.where
            raise EngineSlow(
                f"The engine at {where} sent no token for {seconds:g} s: is it overloaded, or hung?"
            ) from None

    # --- tokens -------------------------------------------------------------------------------------------

    async def count_tokens(self, messages: Sequence[Message], *, room: int = 0) -> int:
        """The tokens of a whole prompt as the engine will see it; a bound where it cannot count.

        Where a bound is within `room`, it is given too, and the engine is not asked.
        """
        known = await self._engine()
        messages = self._keys.broken(messages)
        if known.template is None:
            return counting.bound(messages)
        at_most = known.template.shortest_prompt + counting.bound(messages)
        if at_most <= room:
            return at_most
        counted = await counting.count(self._connection, known.report.dialect, known.report.model, messages)
        return counting.bound(messages) if counted is None else counted

    async def count_content(self, text: str) -> int:
        """A bound for what a message adds to a prompt, its share of the chat template included.

        It holds for a question together with its answer: templates may write more around one than the other.
        """
        known = await self._engine()
        if known.template is None:
            return counting.bound_of_message(text)
        return known.template.of_content(await self.count_tokens([Message("user", text)]))

    async def window_tokens(self) -> int:
        """What prompt and answer may have together, as the engine reports it for one request."""
        return (await self._engine()).report.window_tokens

    async def prompt_budget(self, max_tokens: int) -> int:
        """What a prompt may have when the answer may take `max_tokens`; 0 or less where nothing is left."""
        report = (await self._engine()).report
        return min(report.window_tokens - max_tokens, report.max_prompt_tokens)

    async def report(self) -> EngineReport:
        """What the engine says it is, asked just now; nothing is generated."""
        report = await recognise(self._connection)
        revision = self._revision or self._keys.revision or report.revision
        return replace(report, served_model=self._name or report.served_model, revision=revision)

    async def describe(self) -> EngineReport:
        """What the engine is, asked anew, for `dolly check`.

        One token is generated too: TGI's open endpoints would not tell of a wrong key.
        """
        self._known = None
        report = (await self._engine()).report
        async with aclosing(self._deltas([Message("user", "Hello")], 1)) as deltas:
            async for _ in deltas:
                pass
        return report

    # --- the engine ---------------------------------------------------------------------------------------

    @property
    def served_model(self) -> str:
        """The model's name and revision, as they were told last; empty where they were not, or it has failed since."""
        if self._name:
            return stamp(self._name, self._revision)
        return self._known.report.stamp if self._known else ""

    async def _engine(self) -> _Engine:
        async with self._learning:
            if self._known is None or time.monotonic() > self._known.until:
                self._known = await self._learn()
            return self._known

    async def _learn(self) -> _Engine:
        self._keys.read()
        report = await self.report()
        if self._model is not None and self._model != report.served_model:
            report = replace(report, model=self._model)
        template = await counting.measure_template(self._connection, report.dialect, report.model)
        report = replace(report, counts_exactly=template is not None)
        return _Engine(report, template, time.monotonic() + _KNOWN_FOR_SECONDS)


def _now() -> float:
    return asyncio.get_running_loop().time()


def _read(chunk: Any) -> _Delta:
    """Text and end of a chunk: role-only deltas, null or empty content and usage chunks bring neither."""
    if not chunk.choices:
        return _Delta()
    choice = chunk.choices[0]
    text = getattr(choice.delta, "content", None)
    reasoning = getattr(choice.delta, "reasoning", None) or getattr(choice.delta, "reasoning_content", None)
    return _Delta(
        text=whole(text) if isinstance(text, str) else "",
        finish_reason=choice.finish_reason,
        is_progress=bool(text or reasoning),
    )
