"""Jobs that an admin has asked for, in the store under `retrain:*`: taken, reported on, ended.

retrain:queue, retrain:acts     ids of jobs, the oldest last; an id stays there until its job has ended
retrain:job:<id>                a job: what is asked for, where it stands, the last word for people
retrain:export:<id>             the feedback that the bot gave with it, sealed for this job alone
retrain:progress:<id>           a stream that the bot follows into the admin's thread
retrain:plot:<id>               a picture at the end
retrain:cancel:<id>             somebody asks to stop
retrain:worker                  somebody works on jobs
retrain:withdrawn               ids of records that were exported once, and may not be learned from any more

Every command touches one key. Methods raise StoreAway.
"""

import base64
import binascii
import hashlib
import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from redis import Redis

from trainer.connection import store_errors
from trainer.errors import BadInput
from trainer.progress import Moment

Ended = Literal["done", "refused", "failed", "cancelled"]
Verdict = Literal["", "passed", "refused", "not_enough_evidence"]

QUEUE, ACTS = "retrain:queue", "retrain:acts"
LEASE, ACTING = "retrain:lease", "retrain:acting"
"""Leases: of the one retrain that runs, and of the one promotion or rollback."""
WORKER, EXPORTS, WITHDRAWN = "retrain:worker", "retrain:exports", "retrain:withdrawn"
JOB_SECONDS = 30 * 86_400
PLOT_SECONDS = 7 * 86_400
WORKER_SECONDS = 30
MOST_REPORTS = 2_000

KEY_BYTES = 32
NONCE_BYTES = 12
SEALED = "1."
"""How a sealed line begins: the version of its form."""

BEGIN = """
local state = redis.call('HGET', KEYS[1], 'state')
if state ~= 'queued' and state ~= 'running' then return 0 end
redis.call('HSET', KEYS[1], 'state', 'running', 'sentence', '')
return 1
"""


@dataclass(frozen=True, slots=True)
class Job:
    """What somebody has asked for."""

    id: str
    kind: str
    """retrain, promote or rollback."""
    asked_by: str
    recipe: str
    revision: str
    """To promote, to go back to, or whose verdict is answered by `yes`; empty where none is named."""
    canary: tuple[str, ...]
    """Ids of channels that alone get the new model."""
    yes: bool
    """An explicit yes to "not enough evidence"."""


class Jobs:
    """The store's jobs, as who works on them sees them. `key` gives the bytes that exports are sealed with."""

    def __init__(self, client: Redis, key: Callable[[], bytes]) -> None:
        self.client = client
        self._key = key

    @store_errors()
    def oldest(self, queue: str) -> Job | None:
        """The one to work on next; it stays in its place. Ids without a job, or of an ended one, are cleared away."""
        while (job_id := self.client.lindex(queue, -1)) is not None:
            if job := self.job(str(job_id)):
                return job
            self.client.lrem(queue, 0, str(job_id))
        return None

    @store_errors()
    def job(self, job_id: str) -> Job | None:
        """One that waits or runs; None of any other."""
        fields = _texts(self.client.hgetall(_job(job_id)))
        if fields.get("state") not in ("queued", "running"):
            return None
        return Job(
            job_id,
            kind=fields.get("kind", ""),
            asked_by=fields.get("asked_by", ""),
            recipe=fields.get("recipe", ""),
            revision=fields.get("revision", ""),
            canary=_channels(fields.get("canary", "")),
            yes=fields.get("yes") == "1",
        )

    @store_errors()
    def begin(self, job: Job) -> bool:
        """Whether it runs now; False where somebody cancelled it meanwhile."""
        return bool(self.client.eval(BEGIN, 1, _job(job.id)))

    @store_errors()
    def put_back(self, job: Job, sentence: str) -> None:
        """It waits again, in its place, for the next who works."""
        self.client.hset(_job(job.id), mapping={"state": "queued", "sentence": sentence})

    @store_errors()
    def end(self, job: Job, state: Ended, sentence: str, *, revision: str = "", verdict: Verdict = "") -> None:
        """`sentence` is the last word for people. What was sealed for the job goes."""
        facts: dict[Any, Any] = {"state": state, "sentence": sentence, "result": revision, "verdict": verdict}
        self.client.hset(_job(job.id), mapping=facts)
        self.client.expire(_job(job.id), JOB_SECONDS)
        self.report(job.id, "", Moment(), sentence)
        for key in (f"retrain:export:{job.id}", f"retrain:cancel:{job.id}"):
            self.client.delete(key)
        self.client.zrem(EXPORTS, job.id)
        for queue in (QUEUE, ACTS):
            self.client.lrem(queue, 0, job.id)

    @store_errors()
    def report(self, job_id: str, stage: str, moment: Moment, sentence: str = "") -> None:
        """How far it is, for whoever follows. An empty stage leaves the job's as it is."""
        known = {"done": moment.done or None, "total": moment.total or None, "loss": moment.loss}
        shown = {name: "" if value is None else f"{value:.6g}" for name, value in known.items()}
        left = "" if moment.seconds_left is None else f"{moment.seconds_left:.0f}"
        entry: dict[Any, Any] = {"stage": stage, **shown, "seconds_left": left, "sentence": sentence}
        self.client.xadd(_progress(job_id), entry, maxlen=MOST_REPORTS, approximate=True)
        self.client.expire(_progress(job_id), JOB_SECONDS)
        if stage:
            told: dict[Any, Any] = {"stage": stage} | ({"sentence": sentence} if sentence else {})
            self.client.hset(_job(job_id), mapping=told)

    @store_errors()
    def is_cancelled(self, job_id: str) -> bool:
        return bool(self.client.get(f"retrain:cancel:{job_id}") == "1")

    @store_errors()
    def show(self, job: Job, png: bytes) -> None:
        """A picture, for the admin's thread."""
        self.client.set(f"retrain:plot:{job.id}", base64.b64encode(png).decode(), ex=PLOT_SECONDS)

    @store_errors()
    def is_leased(self) -> bool:
        """Whether a retrain runs, here or elsewhere."""
        return bool(self.client.exists(LEASE))

    @store_errors()
    def live(self, host: str, since: float, recipe: str) -> None:
        """Somebody works on jobs, and will have said so again before half a minute is over."""
        said = json.dumps({"host": host, "since": since, "recipe": recipe})
        self.client.set(WORKER, said, ex=WORKER_SECONDS)

    @store_errors()
    def gone(self) -> None:
        self.client.delete(WORKER)

    @store_errors()
    def withdrawn(self, records: Collection[str], job: Job | None = None) -> frozenset[str]:
        """Those of the records that nothing may learn any more: taken back, or taken out of the job's export."""
        gone = frozenset(map(str, self.client.smembers(WITHDRAWN)))
        if job is not None:
            kept = {record_id(str(name)) for name in self.client.hkeys(f"retrain:export:{job.id}")}
            gone |= frozenset(records) - kept
        return gone & frozenset(records)

    @store_errors()
    def export(self, job: Job) -> list[str]:
        """The lines of feedback that came with a job. Raises BadInput where there are none, or the key is another."""
        sealed = _texts(self.client.hgetall(f"retrain:export:{job.id}"))
        if not sealed:
            raise BadInput(
                "No feedback lies with this retrain: it was withdrawn, or the retrain waited for more than seven days. "
                "Ask for another."
            )
        key = job_key(self._key(), job.id)
        return [opened(key, name, sealed[name]) for name in sorted(sealed)]


def record_id(name: str) -> str:
    """Of a piece of feedback, as manifests and data sets know it."""
    return hashlib.sha256(name.encode()).hexdigest()[:24]


def job_key(key: bytes, job_id: str) -> bytes:
    """The key of one job's export."""
    return HKDF(SHA256(), KEY_BYTES, salt=None, info=f"dolly retrain {job_id}".encode()).derive(key)


def opened(key: bytes, name: str, sealed: str) -> str:
    """The line that was sealed under its name. Raises BadInput."""
    try:
        data = base64.b64decode(sealed.removeprefix(SEALED), validate=True)
        if not sealed.startswith(SEALED):
            raise ValueError
        return AESGCM(key).decrypt(data[:NONCE_BYTES], data[NONCE_BYTES:], name.encode()).decode()
    except InvalidTag:
        raise BadInput(
            "The feedback of this retrain cannot be opened: the bot sealed it with another key. Give the worker the "
            "bot's RETRAIN_KEY (the file retrain.key in its data folder), and ask for another retrain."
        ) from None
    except (ValueError, binascii.Error):
        raise BadInput(
            "The feedback of this retrain has a form that this trainer does not know. Update the bot and the trainer "
            "to the same version, and ask for another retrain."
        ) from None


def read_key(text: str, where: str) -> bytes:
    """The 32 bytes that a base64 text is. Raises BadInput."""
    try:
        key = base64.b64decode(text.strip(), validate=True)
    except (ValueError, binascii.Error):
        key = b""
    if len(key) != KEY_BYTES:
        raise BadInput(f"{where} is not {KEY_BYTES} bytes in base64. Take the bot's RETRAIN_KEY as it is.")
    return key


def _texts(stored: Mapping[Any, Any]) -> dict[str, str]:
    """A hash, of which redis-py cannot tell that it is decoded."""
    return {str(name): str(value) for name, value in stored.items()}


def _job(job_id: str) -> str:
    return f"retrain:job:{job_id}"


def _progress(job_id: str) -> str:
    return f"retrain:progress:{job_id}"


def _channels(text: str) -> tuple[str, ...]:
    """A JSON list of ids; none where it is no such list."""
    try:
        listed = json.loads(text or "[]")
    except ValueError:
        return ()
    return tuple(map(str, listed)) if isinstance(listed, list) else ()
