"""A revision is taken into service whole or not at all, and there is a way back."""

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from redis.exceptions import ConnectionError as Gone

from bot.local.store import LocalStore
from tests.trainer.evaluation.stand_in import StandIn, completion, standing_in
from tests.trainer.revisions import LACKING, REFUSED, SHIPPED, Owner, add, owning
from trainer import attempts, serving
from trainer.artifacts import MANIFEST, sha256_of
from trainer.connection import connect
from trainer.errors import BadInput, NotPromoted, NotWhole, StoreAway
from trainer.evaluation.engine import llama_cpp
from trainer.registry import Registry
from trainer.serving import Serving
from trainer.stages.promote import promote, rollback, settle

USERS = Path(__file__).parents[3] / "deploy" / "store-users.acl"
HELLO = completion("Hello!")


@pytest.fixture
def client(local_store: LocalStore) -> Iterator[Redis]:
    client = connect(local_store.url)
    client.flushall()
    client.hset("model:current", mapping=SHIPPED)
    yield client
    client.close()


@pytest.fixture
def serving_(client: Redis) -> Serving:
    return Serving(client)


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path / "models")


@pytest.fixture
def engine() -> Iterator[StandIn]:
    with standing_in(HELLO) as engine:
        yield engine


@pytest.fixture
def owner(client: Redis, engine: StandIn) -> Iterator[Owner]:
    with owning(Owner(client, engine.url)) as owner:
        yield owner


def in_service(client: Redis) -> str:
    return str(client.hget("model:current", "revision"))


def test_a_revision_is_taken_into_service(
    registry: Registry, serving_: Serving, client: Redis, owner: Owner, engine: StandIn
) -> None:
    revision, told = add(registry, "first"), list[tuple[str, str]]()
    said = promote(registry, serving_, "0001", by="U1", told=lambda *words: told.append(words))
    assert said == f"{revision} is in service; before it was the model that Dolly was configured with."
    gguf = registry.folder_of(revision) / "model-q8_0.gguf"
    current = client.hgetall("model:current")
    since = float(current.pop("since"))
    assert abs(since - time.time()) < 60
    assert current == {
        "revision": revision,
        "name": "small",
        "path": str(gguf),
        "sha256": sha256_of(gguf),
        "manifest": str(registry.folder_of(revision) / MANIFEST),
        "keys": '["<|im_start|>", "<|im_end|>"]',
        "url": engine.url,
        "trained_on": '{"corrections": 3, "replay": 48}',
        "by": "U1",
        "attempt": owner.wanted[0]["id"],
    }
    previous = client.hgetall("model:previous")
    assert SHIPPED.items() <= (previous | {"since": f"{float(previous['since']):.0f}"}).items()
    assert client.hget("model:candidate", "state") == "promoted"
    assert registry.current() == revision
    assert registry.history.lines()[-1].items() >= {"act": "promote", "revision": revision, "by": "U1"}.items()
    assert {stage for stage, _ in told} <= {"promote", "canary"}
    assert client.get("model:promoting") is None
    (request,) = engine.requests
    assert request["messages"] == [{"role": "user", "content": "Hello."}]
    assert promote(registry, serving_, revision, by="U1") == f"{revision} is in service already."
    assert len(engine.requests) == 1


def test_an_owner_of_directories_gets_the_directory(registry: Registry, serving_: Serving, owner: Owner) -> None:
    owner.told["serves"] = "directory"
    owner.live()
    revision = add(registry, "first")
    promote(registry, serving_, revision, by="U1")
    assert owner.wanted[0]["path"] == str(registry.folder_of(revision))
    assert owner.wanted[0]["sha256"] == sha256_of(registry.folder_of(revision) / MANIFEST)


def test_back_and_forth(registry: Registry, serving_: Serving, client: Redis, owner: Owner) -> None:
    first, second = add(registry, "first"), add(registry, "second")
    for revision in (first, second):
        promote(registry, serving_, revision, by="U1")
    assert rollback(registry, serving_, by="U2") == f"{first} is in service again; before it was {second}."
    assert (in_service(client), registry.current()) == (first, first)
    rollback(registry, serving_, by="U2")
    assert (in_service(client), registry.current()) == (second, second)
    assert rollback(registry, serving_, revision="0002", by="U2") == f"{second} is in service already."
    rollback(registry, serving_, revision=first, by="U2")
    assert in_service(client) == first
    third = add(registry, "third")
    with pytest.raises(NotPromoted, match="was never in service"):
        rollback(registry, serving_, revision=third, by="U2")
    with pytest.raises(BadInput, match="There is no revision shipped"):
        rollback(registry, serving_, revision="shipped", by="U2")  # no longer what was before
    assert in_service(client) == first


def test_back_to_the_configured_model(registry: Registry, serving_: Serving, client: Redis, owner: Owner) -> None:
    with pytest.raises(NotPromoted, match="Nothing else was in service"):
        rollback(registry, serving_, by="U2")
    promote(registry, serving_, add(registry, "first"), by="U1")
    said = rollback(registry, serving_, by="U2")
    assert said.startswith("the model that Dolly was configured with is in service again")
    assert owner.wanted[-1].items() >= {key: SHIPPED[key] for key in ("revision", "path", "sha256")}.items()
    assert (in_service(client), registry.current()) == ("shipped", None)


def test_a_canary_answers_in_its_channels_and_is_taken_back(
    registry: Registry, serving_: Serving, client: Redis, owner: Owner
) -> None:
    first, second = add(registry, "first"), add(registry, "second")
    said = promote(registry, serving_, first, canary=["C1", "C2"], by="U1")
    assert said == f"{first} answers in C1, C2; everywhere else it is the model that Dolly was configured with."
    canary: dict[Any, Any] = client.hgetall("model:canary")
    assert (canary["revision"], json.loads(canary["channels"])) == (first, ["C1", "C2"])
    assert canary["path"].endswith("model-q8_0.gguf")
    assert (in_service(client), client.exists("model:previous")) == ("shipped", 0)
    assert client.hget("model:candidate", "state") == "promoted"
    assert promote(registry, serving_, first, canary=["C3"], by="U1") == f"{first} answers in C3 from now on."
    assert len(owner.wanted) == 1
    with pytest.raises(NotPromoted, match=f"{first} answers in C3 as a canary"):
        promote(registry, serving_, second, by="U1")
    said = rollback(registry, serving_, by="U1", attempt_id="j1")
    assert said.startswith(f"{first} answers nowhere any more")
    assert client.exists("model:canary") == 0
    assert client.hget("model:candidate", "state") == "refused"
    assert rollback(registry, serving_, by="U1", attempt_id="j1").endswith("is in service.")
    assert in_service(client) == "shipped"


def test_a_canary_becomes_current(registry: Registry, serving_: Serving, client: Redis, owner: Owner) -> None:
    first = add(registry, "first")
    promote(registry, serving_, first, canary=["C1"], by="U1")
    promote(registry, serving_, first, by="U1")
    assert (in_service(client), client.exists("model:canary")) == (first, 0)
    with pytest.raises(NotPromoted, match="answers everywhere already"):
        promote(registry, serving_, first, canary=["C1"], by="U1")
    rollback(registry, serving_, by="U1")
    assert in_service(client) == "shipped"


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (completion("  \n"), "answered nothing"),
        (completion("Paris", finish="length"), "ended none of its answers within 128 tokens"),
        (completion("Paris<|im_end|>\n"), r"wrote the key '<\|im_end\|>'"),
        ((500, "out of memory"), "refused a prompt with status 500"),
        ((200, "nonsense"), "no chat completion"),
        ((400, "exceed_context_size"), "had no room for the question"),
    ],
)
def test_a_model_that_does_not_answer_is_refused(
    reply: tuple[int, str], said: str, registry: Registry, serving_: Serving, client: Redis
) -> None:
    first = add(registry, "first")
    with standing_in(reply) as engine, owning(Owner(client, engine.url)), pytest.raises(NotPromoted, match=said):
        promote(registry, serving_, first, by="U1")
    candidate = client.hgetall("model:candidate")
    assert candidate["state"] == "refused"
    assert candidate["reason"]
    assert (in_service(client), registry.current(), client.exists("model:previous")) == ("shipped", None, 0)


def test_an_answer_that_rambles_once_is_forgiven(registry: Registry, serving_: Serving, client: Redis) -> None:
    first = add(registry, "first")
    with standing_in(completion("La la la", finish="length"), HELLO) as engine, owning(Owner(client, engine.url)):
        promote(registry, serving_, first, by="U1")
    assert len(engine.requests) == 2
    assert in_service(client) == first


def test_what_the_owner_says_against_it_is_told(registry: Registry, serving_: Serving, client: Redis) -> None:
    first, owner = add(registry, "first"), Owner(client, "")
    owner.states, owner.reason = ["starting", "failed"], "llama.cpp cannot load it."
    with owning(owner), pytest.raises(NotPromoted, match=r"llama\.cpp cannot load it\."):
        promote(registry, serving_, first, by="U1")
    owner.states, owner.reason = ["holding", "ready"], ""
    told: list[str] = []
    with owning(owner), pytest.raises(NotPromoted, match="did not say where it answers"):
        promote(registry, serving_, first, by="U1", told=lambda stage, sentence: told.append(stage))
    assert in_service(client) == "shipped"


def test_an_owner_that_dies_meanwhile_is_noticed(
    registry: Registry, serving_: Serving, client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempts, "OWNER_GONE_SECONDS", 0.3)
    first, owner = add(registry, "first"), Owner(client, "")
    owner.states = ["starting"]
    owner.at_ready = lambda: owner.told.clear()
    owner.live()
    threading.Timer(0.3, lambda: client.delete("model:owner")).start()
    with owning_once(owner), pytest.raises(NotPromoted, match="has gone"):
        promote(registry, serving_, first, by="U1")
    assert client.hget("model:candidate", "state") == "refused"


@contextlib.contextmanager
def owning_once(owner: Owner) -> Iterator[None]:
    """It takes up one candidate, and is not seen again."""
    thread = threading.Timer(0.15, owner.live)
    thread.start()
    yield
    thread.join()


def test_what_is_refused_before_anything_is_done(registry: Registry, serving_: Serving, client: Redis) -> None:
    first = add(registry, "first")
    with pytest.raises(BadInput, match="did you mean 0001-"):
        promote(registry, serving_, first[:-1] + "x", by="U1")
    with pytest.raises(NotPromoted, match="Nobody owns the engines"):
        promote(registry, serving_, first, by="U1")
    with owning(Owner(client, "", holds=1)):
        with pytest.raises(NotPromoted, match="has room for one model at a time"):
            promote(registry, serving_, first, canary=["C1"], by="U1")
        with pytest.raises(NotPromoted, match=r"The gate refused 0002-.*It stops less\."):
            promote(registry, serving_, add(registry, "second", gate=REFUSED), by="U1", yes=True)
        with pytest.raises(NotPromoted, match="No gate has judged"):
            promote(registry, serving_, add(registry, "third", gate=None), by="U1")
        (registry.folder_of(first) / "model-q8_0.gguf").write_text("GGUF fIrst")
        with pytest.raises(NotWhole, match="another SHA-256"):
            promote(registry, serving_, first, by="U1")
    assert client.exists("model:candidate") == 0
    assert in_service(client) == "shipped"


def test_too_little_evidence_wants_a_yes(registry: Registry, serving_: Serving, client: Redis, owner: Owner) -> None:
    first, second = add(registry, "first", gate=LACKING), add(registry, "second", gate=LACKING)
    with pytest.raises(NotPromoted, match=r"3 corrections were held out.*--yes"):
        promote(registry, serving_, first, by="U1")
    promote(registry, serving_, first, by="U1", yes=True)
    assert registry.verdict(first)[0] == "allowed"
    registry.allow(second, "U2")
    promote(registry, serving_, second, by="U1")
    assert in_service(client) == second


def test_one_at_a_time(
    registry: Registry, serving_: Serving, client: Redis, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "LEASE_SECONDS", 4.0)
    monkeypatch.setattr(attempts, "LEASE_SECONDS", 4.0)
    first, second = add(registry, "first"), add(registry, "second")
    owner.states = ["starting"]
    other = threading.Thread(target=promote, args=(registry, serving_, first), kwargs={"by": "U1"})
    other.start()
    while client.hget("model:candidate", "state") != "starting":
        time.sleep(0.01)
    with pytest.raises(NotPromoted, match=f"Another promotion is under way \\({first}\\)"):
        promote(registry, serving_, second, by="U2")
    settle(registry, serving_)
    assert client.hget("model:candidate", "state") == "starting"
    client.hset("model:candidate", mapping={"state": "ready", "url": owner.url})
    other.join()
    assert in_service(client) == first


def test_a_killed_promotion_is_waited_out(
    registry: Registry, serving_: Serving, client: Redis, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempts, "LEASE_SECONDS", 2.0)
    client.set("model:promoting", "of a dead one", ex=2)
    first = add(registry, "first")
    promote(registry, serving_, first, by="U1")
    assert in_service(client) == first


def test_what_the_owner_gives_up_in_the_last_moment_is_not_in_service(
    registry: Registry, serving_: Serving, client: Redis, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    def late(*_: Any) -> None:
        client.hset("model:candidate", mapping={"state": "failed", "reason": "Waited for too long."})

    monkeypatch.setattr(attempts, "_ask", late)
    with pytest.raises(NotPromoted, match="Waited for too long"):
        promote(registry, serving_, add(registry, "first"), by="U1")
    assert client.hget("model:candidate", "state") == "failed"
    assert (in_service(client), registry.current(), client.exists("model:previous")) == ("shipped", None, 0)


def test_a_refused_canary_promotion_keeps_the_canary(registry: Registry, serving_: Serving, client: Redis) -> None:
    first = add(registry, "first")
    with standing_in(HELLO) as engine, owning(Owner(client, engine.url)):
        promote(registry, serving_, first, canary=["C1"], by="U1")
    with standing_in(completion("")) as engine, owning(Owner(client, engine.url)), pytest.raises(NotPromoted):
        promote(registry, serving_, first, by="U1")
    assert (in_service(client), client.hget("model:canary", "revision")) == ("shipped", first)
    assert rollback(registry, serving_, revision="0001", by="U1").startswith(f"{first} answers nowhere any more")


def test_stopped_by_hand_nothing_changes(
    registry: Registry, serving_: Serving, client: Redis, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(attempts, "_ask", stop)
    with pytest.raises(KeyboardInterrupt):
        promote(registry, serving_, add(registry, "first"), by="U1")
    assert client.hget("model:candidate", "state") == "refused"
    assert (in_service(client), client.get("model:promoting")) == ("shipped", None)


class Dying(Redis):
    """A client whose process is killed before its `left`th command; that is also right after the one before it."""

    left = 0

    def execute_command(self, *args: Any, **options: Any) -> Any:
        self.left -= 1
        if self.left < 0:
            raise Gone
        return super().execute_command(*args, **options)


Act = Callable[[Serving], str]


def test_killed_at_any_command_it_is_done_or_undone(
    registry: Registry,
    serving_: Serving,
    client: Redis,
    owner: Owner,
    local_store: LocalStore,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A promotion, and the rollback after it."""
    monkeypatch.setattr(attempts, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(attempts, "_ask", lambda model, engine_key: None)
    first, second = add(registry, "first"), add(registry, "second")
    promote(registry, serving_, first, by="U1")

    def forth(served: Serving) -> str:
        return promote(registry, served, second, by="U1", attempt_id="j1")

    def back(served: Serving) -> str:
        return rollback(registry, served, by="U1", attempt_id="j2")

    ends = []
    for act, outcomes in ((forth, {first: "shipped", second: first}), (back, {second: first, first: second})):
        put_back = kept(client, registry)
        for command in range(1, 100):
            put_back()
            is_killed = kill_at(command, act, local_store.url)
            client.delete("model:promoting")  # half a minute later
            assert in_service(client) in outcomes
            settle(registry, serving_)
            ends.append(check_settled(client, registry, outcomes))
            assert act(serving_)  # done again, it is done once
            assert check_settled(client, registry, outcomes) == list(outcomes)[1]
            if not is_killed:
                break
    assert len(ends) > 40
    assert len(set(ends)) == 2


def kill_at(command: int, act: Act, url: str) -> bool:
    """Whether it was; False where it was done before that."""
    dying = Dying.from_url(url, decode_responses=True, protocol=2)
    assert isinstance(dying, Dying)
    dying.left = command
    try:
        act(Serving(dying))
    except (StoreAway, Gone):
        return True
    finally:
        dying.close()
    return False


def kept(client: Redis, registry: Registry) -> Callable[[], None]:
    """Puts back what is in service just now."""
    names = ("model:current", "model:previous", "model:candidate")
    keys: dict[str, dict[Any, Any]] = {name: client.hgetall(name) for name in names}
    current, history = registry.current(), (registry.folder / "history.jsonl").read_bytes()

    def put_back() -> None:
        for key, fields in keys.items():
            client.delete(key)
            client.hset(key, mapping=fields)
        registry.set_current(current, "promote", "")
        (registry.folder / "history.jsonl").write_bytes(history)

    return put_back


def check_settled(client: Redis, registry: Registry, outcomes: dict[str, str]) -> str:
    """What is in service is whole, and all else agrees with it; its revision. `outcomes`: with what as the previous."""
    current: dict[Any, Any] = client.hgetall("model:current")
    revision = str(current["revision"])
    assert client.hget("model:previous", "revision") == outcomes[revision]
    assert registry.current() == revision
    assert current["url"].startswith("http")
    assert current["path"] == str(registry.folder_of(revision) / "model-q8_0.gguf")
    assert client.hget("model:candidate", "state") in ("promoted", "refused")
    return revision


FORKS = """
import os, sys
from pathlib import Path
from trainer import attempts
from trainer.connection import connect
from trainer.registry import Registry
from trainer.serving import Serving
from trainer.stages.promote import promote
attempts.POLL_SECONDS = 0.02
print("ready", flush=True)
for line in sys.stdin:
    child = os.fork()
    if not child:
        registry = Registry(Path(sys.argv[2]))
        promote(registry, Serving(connect(sys.argv[1])), line.strip(), by="U1")
        os._exit(0)
    print(child, flush=True)
    os.waitpid(child, 0)
    print("ended", flush=True)
"""


def test_killed_at_random_moments_nothing_is_half_promoted(
    registry: Registry, serving_: Serving, client: Redis, owner: Owner, local_store: LocalStore
) -> None:
    """The moments gather around the one from which on it counts as done."""
    names = [add(registry, "first"), add(registry, "second")]
    promote(registry, serving_, names[0], by="U1")
    command = [sys.executable, "-c", FORKS, local_store.url, str(registry.folder)]
    moments, seconds, ends = random.Random(7), 0.3, list[bool]()
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as forks:
        assert forks.stdin
        assert forks.stdout
        assert forks.stdout.readline() == "ready\n"
        while len(ends) < 20 or (len(set(ends)) < 2 and len(ends) < 60):
            before, earlier = in_service(client), str(client.hget("model:previous", "revision"))
            after = next(name for name in names if name != before)
            forks.stdin.write(f"{after}\n")
            forks.stdin.flush()
            child = int(forks.stdout.readline())
            time.sleep(moments.uniform(0.5, 1.5) * seconds)
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
            assert forks.stdout.readline() == "ended\n"
            client.delete("model:promoting")
            settle(registry, serving_)
            ends.append(check_settled(client, registry, {before: earlier, after: before}) == after)
            seconds *= 0.8 if ends[-1] else 1.25
        forks.stdin.close()
    assert len(set(ends)) == 2


def test_the_trainers_user_of_the_store_may_do_it(
    registry: Registry, client: Redis, owner: Owner, local_store: LocalStore
) -> None:
    rules = next(line for line in USERS.read_text().splitlines() if line.startswith("user dolly-trainer "))
    client.execute_command("ACL", "SETUSER", *rules.removeprefix("user ").split())
    first = add(registry, "first")
    with connect(local_store.url.replace("unix://", "unix://dolly-trainer:CHANGE-ME@")) as narrow:
        promote(registry, Serving(narrow), first, canary=["C1"], by="U1")
        promote(registry, Serving(narrow), first, by="U1")
        rollback(registry, Serving(narrow), by="U1")
        Serving(narrow).withdrawn()
    client.execute_command("ACL", "DELUSER", "dolly-trainer")
    assert in_service(client) == "shipped"


def test_a_real_engine_is_asked(registry: Registry, serving_: Serving, client: Redis, smollm2_gguf: Path) -> None:
    revision = add(registry, "first", gguf=smollm2_gguf)
    gguf = registry.folder_of(revision) / "model-q8_0.gguf"
    with llama_cpp(gguf, slots=1) as engine, owning(Owner(client, engine.url)):
        promote(registry, serving_, revision, by="U1")
    assert in_service(client) == revision
