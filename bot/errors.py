"""The errors that Dolly expects. Each carries the key of the sentence its user reads (bot/words).

    DollyError
    ├── SettingsError          settings are missing or malformed; holds every fault
    ├── LocalPartError         a part of the one-machine default cannot start
    │   └── AlreadyRunning     another Dolly uses the same data folder
    ├── StoreUnavailable       the store does not answer in time
    ├── StoreMismatch          the store was begun with another layout, schema or key
    ├── FilesNotRewritten      what was deleted from the store may still be in its server's files
    ├── ErasureLogBroken       the erasure log cannot be read or written
    ├── ExportNotWritten       the file that feedback was to go to cannot be written
    ├── RetrainKeyMissing      there is no key to seal for the trainer what a retrain learns from
    ├── NothingToLearn         no feedback is approved and agreed to
    ├── NoTrainer              no trainer lives that could do what an admin asks for
    ├── EngineUnowned          nobody is there who could have the engine serve another model
    ├── NothingToAllow         the last candidate was not held back for want of evidence
    ├── SealBroken             a stored text does not open: damaged, of another conversation, or its key is missing
    ├── TooManyWaiting         this person has as many unanswered questions as one may have
    ├── NotUnderstood          Slack sent what can never be read; acknowledged and logged
    ├── LeaseLost              another worker has taken the turn over; nobody is told
    ├── AnsweredBefore         the question has its answer; nobody is told
    ├── QuestionTooLong        the question alone does not fit the model's window
    ├── EngineError            the engine gave no complete answer
    │   ├── EngineUnreachable  no connection, or none in time
    │   │   └── ModelLoading   another model is being loaded, and until then no answer may begin
    │   ├── EngineOverloaded   it is up, and has no free place
    │   ├── EngineSlow         the first or the next token did not come in time
    │   ├── EngineRefused      it will not take this request (wrong key, unknown model, too long …)
    │   └── EngineBroke        it failed in the middle of an answer
    ├── SlackError             Slack refused what Dolly wanted to write; holds Slack's own error name
    └── SlackUnreachable       Slack could not be asked, or could not answer just now

`str(error)` is for the operator's log: it says what, where and what to do, and never holds a message's
text, a token or a key.
"""

from typing import ClassVar


class DollyError(Exception):
    """An expected error."""

    words_key: ClassVar[str] = "apology"


class SettingsError(DollyError):
    """Settings are missing or malformed.

    `faults` has one sentence each: which setting, what is wrong with it, what to do.
    """

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


class LocalPartError(DollyError):
    """A part of the one-machine default (store, engine, workspace) cannot start or be used."""


class AlreadyRunning(LocalPartError):
    """Another Dolly uses the same data folder."""


class StoreUnavailable(DollyError):
    """The store does not answer in time."""

    words_key = "store_unavailable"


class StoreMismatch(DollyError):
    """The store was begun with another layout, schema or key than this Dolly has."""


class FilesNotRewritten(DollyError):
    """What was deleted from the store may still be in its server's files."""


class ErasureLogBroken(DollyError):
    """The erasure log cannot be read or written, so nothing may be forgotten, or served, without it."""

    words_key = "forget_failed"


class ExportNotWritten(DollyError):
    """The file that feedback was to go to cannot be written."""


class RetrainKeyMissing(DollyError):
    """There is no key to seal for the trainer what a retrain learns from."""

    words_key = "retrain_key_missing"

    def __init__(self) -> None:
        super().__init__(
            "RETRAIN_KEY is not set, and what a retrain learns from would stand in the store as it is; make a key with "
            "`openssl rand -base64 32`, and set the same one for Dolly and for dolly-trainer."
        )


class NothingToLearn(DollyError):
    """No feedback is approved and agreed to, so a retrain would learn nothing."""

    words_key = "retrain_nothing_to_learn"


class NoTrainer(DollyError):
    """No trainer lives that could do what an admin asks for."""

    words_key = "learning_no_trainer"


class EngineUnowned(DollyError):
    """Nobody is there who could have the engine serve another model."""

    words_key = "learning_no_owner"


class NothingToAllow(DollyError):
    """The last candidate was not held back for want of evidence, so there is nothing to say yes to."""

    words_key = "retrain_yes_nothing"


class SealBroken(DollyError):
    """A stored text does not open: it is damaged, of another conversation, or its key is missing."""


class TooManyWaiting(DollyError):
    """This person has as many unanswered questions as one may have."""

    words_key = "too_many_waiting"


class NotUnderstood(DollyError):
    """Slack sent what can never be read, however often it comes. `field` names what is missing or malformed."""

    def __init__(self, field: str) -> None:
        super().__init__(f"Slack sent something whose {field!r} is missing or malformed; it is ignored.")
        self.field = field


class LeaseLost(DollyError):
    """Another worker has taken this turn over, so this one must write no more."""


class AnsweredBefore(DollyError):
    """The question is remembered with its answer: its message came again, long after."""


class QuestionTooLong(DollyError):
    """The question alone does not fit the model's window."""

    words_key = "question_too_long"


class MessageGone(DollyError):
    """The message that a question is about was forgotten before it was answered."""

    words_key = "about_gone"


class EngineError(DollyError):
    """The engine gave no complete answer."""

    words_key = "engine_broke"
    is_passing: ClassVar[bool] = True
    """Whether the same request may be answered a little later."""


class EngineUnreachable(EngineError):
    """There is no connection to the engine, or none in time."""

    words_key = "engine_unreachable"
    waiting_key: ClassVar[str] = "waiting_for_engine"
    """The key of the sentence that its user reads while it is tried again."""


class ModelLoading(EngineUnreachable):
    """Another model is being loaded where there is room for one only; until then no answer may begin."""


class EngineOverloaded(EngineError):
    """The engine is up and has no free place for this request."""

    words_key = "engine_overloaded"
    waiting_key: ClassVar[str] = "waiting_in_queue"


class EngineSlow(EngineError):
    """The first token, or the next one, did not come in time."""

    words_key = "engine_slow"


class EngineRefused(EngineError):
    """The engine will not take this request: wrong key, unknown model, prompt too long."""

    words_key = "engine_refused"
    is_passing = False


class EngineBroke(EngineError):
    """The engine failed in the middle of an answer."""

    words_key = "engine_broke"


class SlackError(DollyError):
    """Slack refused a call.

    `reason` is Slack's own error name, for example `not_in_channel`.
    """

    def __init__(self, method: str, reason: str) -> None:
        super().__init__(f"Slack refused {method}: {reason}")
        self.method = method
        self.reason = reason


class SlackUnreachable(DollyError):
    """Slack could not be asked, or could not answer just now: the same call may work a little later."""

    def __init__(self, method: str, reason: str) -> None:
        super().__init__(f"Slack could not be reached for {method} ({reason}).")
        self.method = method
        self.reason = reason
