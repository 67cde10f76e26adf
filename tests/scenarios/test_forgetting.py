"""People have Dolly forget, in Slack: what goes, who may, what becomes of an answer under way, what is left on disk."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from bot.access import StoreAccess
from bot.conversation import ConversationId, Exchange
from bot.errors import ErasureLogBroken, FilesNotRewritten
from bot.forget import chosen
from bot.forget import forget as forget_for_good
from bot.local.store import LocalStore
from bot.slack.commands.forget_list import FORGET_CONVERSATION, FORGET_ME
from bot.store.connection import Client, connect
from bot.store.layout import Layout
from bot.store.memory import Memory
from bot.store.sealing import Sealing
from bot.words import Words
from tests.engine_dialects import Messages
from tests.scenarios.conftest import MEMORY_KEY, Json, Team, Transport, running_team, until
from tests.scenarios.signed import event_callback
from tests.scripted_engine import Script, ScriptedEngine

WORDS = Words()
PLANTED = "pineapple"


def echo(messages: Messages) -> str:
    return f"re: {messages[-1]['content'].splitlines()[-1]}"


@dataclass
class Kept:
    """A store of the test's own, with files in which a search sees everything."""

    folder: Path
    access: StoreAccess
    client: Redis

    async def remembered(self, team: Team, channel: str, root_ts: str) -> list[Exchange]:
        identity = team.service.identity
        memory = Memory(self.client, Layout(f"{identity.home_id}/{identity.bot_id}"), Sealing(self.access.memory_keys))
        return await memory.read(ConversationId(identity.home_id, channel, root_ts))

    async def askers(self, team: Team, root_ts: str) -> list[str]:
        return [exchange.user_id for exchange in await self.remembered(team, team.channel("general"), root_ts)]

    async def people(self, team: Team, root_ts: str) -> set[str]:
        """Whose words a thread's memory holds."""
        exchanges = await self.remembered(team, team.channel("general"), root_ts)
        return {user_id for exchange in exchanges for user_id in exchange.people}

    async def idle(self) -> None:
        """Wait until every answer that stands in Slack is committed too."""
        async with asyncio.timeout(10):
            while [key async for key in self.client.scan_iter(match="*}:job:*")]:
                await asyncio.sleep(0.01)

    def times_on_disk(self, text: str) -> int:
        return sum(path.read_bytes().count(text.encode()) for path in self.folder.rglob("*") if path.is_file())


async def kept(folder: Path, store: LocalStore, keys: tuple[bytes, ...]) -> Kept:
    client = connect(store.url)
    assert isinstance(client, Redis)
    await client.config_set("rdbcompression", "no")
    await client.config_set("aof-use-rdb-preamble", "no")
    return Kept(folder, StoreAccess(store.url, memory_keys=keys, erasure_log=folder.parent / "erasures.jsonl"), client)


@pytest.fixture
def keys() -> tuple[bytes, ...]:
    return (MEMORY_KEY,)


@pytest.fixture
async def store(tmp_path: Path, keys: tuple[bytes, ...]) -> AsyncIterator[Kept]:
    server = LocalStore(tmp_path / "store")
    await server.start()
    store = await kept(tmp_path / "store", server, keys)
    yield store
    await store.client.aclose()
    await server.stop()


@pytest.fixture
async def engine() -> AsyncIterator[ScriptedEngine]:
    async with ScriptedEngine(Script(text=echo)) as engine:
        yield engine


@pytest.fixture
async def team(store: Kept, engine: ScriptedEngine, transport: Transport) -> AsyncIterator[Team]:
    async with running_team(store.access.url, engine.url, transport, store=store.access) as team:
        yield team


async def asked(
    team: Team, store: Kept, name: str, text: str, *, thread: str | None = None, channel: str | None = None
) -> str:
    """The ts of a question that was answered, and its answer committed."""
    before = len(team.answers(thread, channel=channel)) if thread else 0
    ts = await team.say(name, text, thread=thread, channel=channel)
    await team.answered(thread or ts, before + 1, channel=channel)
    await store.idle()
    return ts


def told(team: Team, name: str) -> list[Json]:
    """What Dolly said for this person's eyes only, in #general."""
    return team.workspace.timeline.ephemerals(team.channel("general"), team.person(name))


async def forget(team: Team, name: str, rest: str = "") -> Json:
    """Type `/dolly forget …`; the last thing that is then said."""
    before = len(told(team, name))
    await team.workspace.people.command(team.person(name), team.channel("general"), "/dolly", f"forget {rest}".strip())
    begun = WORDS.say("forget_begun")
    await until(lambda: len(told(team, name)) > before and told(team, name)[-1]["text"] != begun)
    return told(team, name)[-1]


async def click(team: Team, name: str, listed: Json, action_id: str, value: str = "") -> Json:
    """Press a button of the list; what then stands in its place."""
    elements = [
        (block["block_id"], element)
        for block in listed["blocks"]
        for element in [*block.get("elements", []), block.get("accessory", {})]
    ]
    block_id = next(b for b, e in elements if e.get("action_id") == action_id and e.get("value", "") == value)
    ts = listed["ts"]
    before = listed["text"]
    general = team.channel("general")
    await team.workspace.people.click(team.person(name), general, ts, block_id, action_id)
    await until(lambda: next(m for m in told(team, name) if m["ts"] == ts)["text"] != before)
    return next(m for m in told(team, name) if m["ts"] == ts)


def link(team: Team, root_ts: str, *, at: str | None = None) -> str:
    address = f"https://any.example/archives/{team.channel('general')}/p{(at or root_ts).replace('.', '')}"
    return address if at is None else f"{address}?thread_ts={root_ts}&cid={team.channel('general')}"


async def shared_thread(team: Team, store: Kept) -> str:
    """Asha, an admin, and Ben ask in one thread."""
    root = await asked(team, store, "asha", f"@dolly asha's {PLANTED}")
    await asked(team, store, "ben", f"@dolly ben's {PLANTED}", thread=root)
    return root


async def test_the_list_shows_a_persons_own_conversations_and_forgets_them_one_by_one(team: Team, store: Kept) -> None:
    await shared_thread(team, store)
    roots = [await asked(team, store, "ben", text) for text in ("@dolly first <b>", "@dolly second")]
    await asked(team, store, "ben", "third", channel=team.direct("ben"))
    await asked(team, store, "asha", "@dolly not ben's")

    listed = await forget(team, "ben")
    entries = [block["text"]["text"] for block in listed["blocks"] if "accessory" in block]
    assert len(entries) == 4
    assert [entry.rpartition("> ")[2] for entry in entries] == ["third", "second", "first &lt;b>", f"ben's {PLANTED}"]
    assert WORDS.say("forget_direct") in entries[0]
    assert f"/archives/{team.channel('general')}/p{roots[1].replace('.', '')}|open>" in entries[1]
    conversation = f"{team.service.identity.home_id}/{team.channel('general')}/{roots[1]}"

    listed = await click(team, "ben", listed, FORGET_CONVERSATION, conversation)
    assert listed["text"].startswith(WORDS.say("forgotten_conversation"))
    assert len([block for block in listed["blocks"] if "accessory" in block]) == 3
    assert await store.askers(team, roots[1]) == []
    assert await store.askers(team, roots[0]) == [team.person("ben")]

    listed = await click(team, "ben", listed, FORGET_ME)
    assert listed["text"] == WORDS.say("forgotten_all")
    assert "blocks" not in listed
    assert await store.askers(team, roots[0]) == []
    assert (await forget(team, "ben"))["text"] == WORDS.say("forget_nothing")


async def test_of_a_shared_thread_a_person_takes_their_part_and_an_admin_the_whole(team: Team, store: Kept) -> None:
    root = await shared_thread(team, store)
    assert (await forget(team, "ben", link(team, root)))["text"] == WORDS.say("forgotten_part")
    assert await store.askers(team, root) == [team.person("asha")]
    assert (await forget(team, "ben", link(team, root)))["text"] == WORDS.say("forget_not_yours")
    await asked(team, store, "ben", "@dolly and again", thread=root)
    said = await forget(team, "asha", link(team, root, at=team.thread(root)[1]["ts"]))
    assert said["text"] == WORDS.say("forgotten_conversation")
    assert await store.askers(team, root) == []


async def test_nobody_forgets_what_is_not_theirs(team: Team, store: Kept) -> None:
    root = await asked(team, store, "asha", "@dolly hello")
    for rest in (link(team, root), link(team, "1600000000.000100")):
        assert (await forget(team, "ben", rest))["text"] == WORDS.say("forget_not_yours")
    for rest in ("Paris", "https://example.com/", "C0GENERAL01"):
        assert (await forget(team, "ben", rest))["text"] == WORDS.say("forget_which")
    assert await store.askers(team, root) == [team.person("asha")]
    assert (await forget(team, "ben"))["text"] == WORDS.say("forget_nothing")


async def test_clicking_twice_is_clicking_once(team: Team, store: Kept) -> None:
    root = await asked(team, store, "ben", "@dolly hello")
    listed = await forget(team, "ben")
    await asyncio.gather(click(team, "ben", listed, FORGET_ME), click(team, "ben", listed, FORGET_ME))
    assert await store.askers(team, root) == []
    assert store.access.erasure_log.read_text().count('"user"') == 2
    assert [key async for key in store.client.scan_iter(match="*}:memory:*")] == []


async def test_a_forged_button_forgets_nothing(team: Team, store: Kept) -> None:
    root = await asked(team, store, "asha", "@dolly hello")
    await asked(team, store, "ben", "@dolly hello")
    listed = await forget(team, "ben")
    own = next(block["accessory"]["value"] for block in listed["blocks"] if "accessory" in block)
    await click(team, "ben", listed, FORGET_CONVERSATION, own)
    clicks = [e.payload for e in team.workspace.delivery.delivered if e.payload.get("type") == "block_actions"]
    payload = clicks[-1]
    for value in (own.rpartition("/")[0] + f"/{root}", "nonsense", "T/C/1.0", None):
        action = {**payload["actions"][0], "value": value}
        await team.workspace.delivery.ask("interactive", {**payload, "actions": [action]})
    assert len(store.access.erasure_log.read_text().splitlines()) == 2, "the salt, and the click on one's own"
    assert await store.askers(team, root) == [team.person("asha")]


@pytest.mark.parametrize("whose", ["asha", "ben"])
async def test_an_answer_under_way_ends_and_leaves_nothing(
    team: Team, store: Kept, engine: ScriptedEngine, whose: str
) -> None:
    """Asha, the admin, has the thread forgotten while her or Ben's answer is being written."""
    engine.then(Script(text="one two three four five six seven eight nine ten " * 10, tokens_per_second=10))
    root = await team.say(whose, "@dolly tell me a long story")
    await until(lambda: bool(team.answers(root)))
    assert (await forget(team, "asha", link(team, root)))["text"] == WORDS.say("forgotten_conversation")
    await until(lambda: engine.requests[0].disconnected_at is not None)
    await team.answered(root)
    assert not engine.requests[0].finished
    assert await store.askers(team, root) == []
    keys = {key.partition("}:")[2].partition(":")[0] async for key in store.client.scan_iter(match=f"*{root}*")}
    assert keys <= {"seen", "claim", "claimed"}
    await asked(team, store, whose, "@dolly and now?", thread=root)
    assert team.answers(root)[-1] == "re: and now?"
    assert await store.askers(team, root) == [team.person(whose)]


async def test_a_forgotten_thread_is_not_read_back_out_of_slack(
    team: Team, store: Kept, engine: ScriptedEngine
) -> None:
    root = await team.say("ben", f"ben's {PLANTED}")
    await asked(team, store, "asha", f"@dolly and asha's {PLANTED}?", thread=root)
    assert prompted(engine).count(PLANTED) == 2
    assert (await forget(team, "asha", link(team, root)))["text"] == WORDS.say("forgotten_conversation")
    await team.say("ben", "ben's mango", thread=root)
    await asked(team, store, "asha", "@dolly what now?", thread=root)
    assert PLANTED not in prompted(engine)
    assert "mango" in prompted(engine), "what was said since stands before the question"
    [exchange] = await store.remembered(team, team.channel("general"), root)
    assert [line.text for line in exchange.earlier] == ["ben: ben's mango"]


@pytest.mark.parametrize("under_way", [True, False], ids=["under way", "in memory"])
async def test_a_person_is_not_read_back_out_of_slack(
    team: Team, store: Kept, engine: ScriptedEngine, under_way: bool
) -> None:
    """Ben asks where Asha spoke; she is forgotten while he gets his answer, or after it, and all else with her."""
    root = await team.say("asha", f"asha's {PLANTED}")
    await team.say("ben", "ben's mango", thread=root)
    if under_way:
        engine.then(Script(text="one two three four five six seven eight nine ten " * 10, tokens_per_second=10))
    await team.say("ben", "@dolly which fruit?", thread=root)
    if under_way:
        await until(lambda: bool(team.answers(root)))
    else:
        await team.answered(root)
        await store.idle()
    assert PLANTED in prompted(engine)
    await forget_user(team, store, "asha")
    await store.idle()
    assert await store.people(team, root) == {team.person("ben")}

    await asked(team, store, "ben", "@dolly are you sure?", thread=root)
    assert PLANTED not in prompted(engine)
    assert "mango" in prompted(engine), "Ben's words are Ben's"
    await forget_user(team, store, "ben")
    await asked(team, store, "asha", "@dolly who was here?", thread=root)
    assert [PLANTED in prompted(engine), "mango" in prompted(engine)] == [False, False]
    assert team.answers(root)[-1] == "re: who was here?"


def prompted(engine: ScriptedEngine) -> str:
    """All that the engine was asked last."""
    return str(engine.requests[-1].messages)


async def forget_user(team: Team, store: Kept, name: str) -> None:
    """`dolly forget --user`, while Dolly runs."""
    choose = chosen(user=team.person(name), conversation=None, channel=None, everyone=False)
    keys, erasure_log = store.access.memory_keys, store.access.erasure_log
    await forget_for_good(
        store.access.url,
        choose,
        cluster=False,
        memory_keys=keys,
        erasure_log=erasure_log,
        team=None,
        tell=lambda _: None,
    )


@pytest.mark.parametrize("kind", ["app_uninstalled", "tokens_revoked"])
async def test_a_team_that_removes_dolly_is_forgotten(team: Team, store: Kept, kind: str) -> None:
    root = await shared_thread(team, store)
    tokens = {"oauth": ["U0ASHA00001"]}
    team.workspace.delivery.event(event_callback(team, {"type": "tokens_revoked", "tokens": tokens}))
    other = event_callback(team, {"type": "app_uninstalled"})
    team.workspace.delivery.event({**other, "team_id": "T0OTHER", "event_id": "Ev2"})
    await until(lambda: team.workspace.delivery.pending() == 0)
    assert len(await store.askers(team, root)) == 2, "neither was about Dolly here"

    event = {"type": kind} | ({"tokens": {"bot": [team.bot_id]}} if kind == "tokens_revoked" else {})
    team.workspace.delivery.event({**event_callback(team, event), "event_id": "Ev3"})
    await until(lambda: team.workspace.delivery.pending() == 0)
    async with asyncio.timeout(5):
        while await store.askers(team, root) or await store.client.scard(applied(team)) == 0:
            await asyncio.sleep(0.02)
    names = [key async for key in store.client.scan_iter(match="dolly:*/0}:*")]
    assert {name.partition("}:")[2].partition(":")[0] for name in names} <= {"seen", "claim", "claimed"}


def applied(team: Team) -> str:
    identity = team.service.identity
    return Layout(f"{identity.home_id}/{identity.bot_id}").prefix + "erasures"


async def test_what_cannot_be_done_is_said(team: Team, store: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    root = await asked(team, store, "ben", "@dolly hello")

    def refuse(*_: object) -> None:
        raise ErasureLogBroken("The erasure log cannot be written.")

    listed = await forget(team, "ben")
    with monkeypatch.context() as patch:
        patch.setattr("bot.erasures.ErasureLog.append", refuse)
        assert (await forget(team, "ben", link(team, root)))["text"] == WORDS.say("forget_failed")
        listed = await click(team, "ben", listed, FORGET_ME)
        assert listed["text"] == WORDS.say("forget_failed")
        assert [block for block in listed["blocks"] if "accessory" in block], "the list is still there"
    assert len(await store.askers(team, root)) == 1

    async def not_rewritten(_: Client) -> None:
        raise FilesNotRewritten("The store refused BGREWRITEAOF.")

    monkeypatch.setattr("bot.erasures.rewrite_files", not_rewritten)
    said = (await forget(team, "ben", link(team, root)))["text"]
    assert said == f"{WORDS.say('forgotten_conversation')} {WORDS.say('forget_files')}"
    assert await store.askers(team, root) == []


async def test_a_store_restored_from_a_backup_is_made_to_forget_before_it_serves(
    tmp_path: Path, engine: ScriptedEngine, keys: tuple[bytes, ...]
) -> None:
    folder = tmp_path / "store"

    async def serving(during: Any) -> None:
        server = LocalStore(folder)
        await server.start()
        store = await kept(folder, server, keys)
        async with running_team(store.access.url, engine.url, store=store.access) as team:
            await during(team, store)
        await store.client.aclose()
        await server.stop()

    roots: list[str] = []

    async def ask(team: Team, store: Kept) -> None:
        roots.append(await shared_thread(team, store))

    async def forget_ben(team: Team, store: Kept) -> None:
        listed = await forget(team, "ben")
        await click(team, "ben", listed, FORGET_ME)

    async def only_asha(team: Team, store: Kept) -> None:
        assert await store.askers(team, roots[0]) == [team.person("asha")]

    async def both(team: Team, store: Kept) -> None:
        assert await store.askers(team, roots[0]) == [team.person("asha"), team.person("ben")]

    await serving(ask)
    shutil.copytree(folder, tmp_path / "backup")
    await serving(forget_ben)
    await serving(only_asha)
    shutil.rmtree(folder)
    shutil.copytree(tmp_path / "backup", folder)
    await serving(only_asha)
    shutil.rmtree(folder)
    shutil.copytree(tmp_path / "backup", folder)
    (tmp_path / "erasures.jsonl").unlink()
    await serving(both)  # which shows that it was the log


@pytest.mark.parametrize("keys", [(), (MEMORY_KEY,)], ids=["plaintext", "sealed"])
@pytest.mark.parametrize("transport", ["socket_mode"])
async def test_on_disk_there_is_nothing_to_read_and_after_forgetting_nothing_at_all(
    team: Team, store: Kept, keys: tuple[bytes, ...]
) -> None:
    """The plain run finds every phrase, which shows that the search is not blind."""
    phrases = [PLANTED, "re: ben's", "quoted by asha", "asked by command", "a story to be waited for"]
    root = await team.say("asha", "quoted by asha")
    await asked(team, store, "ben", f"@dolly ben's {PLANTED}", thread=root)
    await team.workspace.people.command(team.person("ben"), team.channel("general"), "/dolly", "asked by command")
    await asked(team, store, "ben", "@dolly a story to be waited for")
    found = {phrase: store.times_on_disk(phrase) for phrase in phrases}
    stored = [entry.rpartition("|")[2] for entry in await entries(store)]
    assert len(stored) == 3
    assert all(store.times_on_disk(sealed) for sealed in stored)
    if keys:
        assert found == dict.fromkeys(phrases, 0)
    else:
        assert all(found.values()), found

    await click(team, "ben", await forget(team, "ben"), FORGET_ME)
    assert {phrase: store.times_on_disk(phrase) for phrase in phrases} == dict.fromkeys(phrases, 0)
    assert [store.times_on_disk(sealed) for sealed in stored] == [0, 0, 0]


async def entries(store: Kept) -> list[str]:
    found: list[str] = []
    async for key in store.client.scan_iter(match="*}:memory:*"):
        lines: Any = await store.client.lrange(key, 0, -1)
        found += lines
    return found
