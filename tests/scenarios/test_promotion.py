"""Another model comes into service while people ask: nobody is forgotten, and nobody is answered by half a model."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from redis.asyncio import Redis

from bot.engine_owner import Configured, EngineOwner
from bot.store.served_models import ServedModels
from bot.words import Words
from tests.promotion import HALF_LOADED, Hash, Machine, Promoter, model_file, text_of, told_of
from tests.scenarios.conftest import Team, running_team, until

WORDS = Words()


@pytest.fixture(autouse=True)
def _no_longer_than_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.engine_owner.owner.LOOK_SECONDS", 0.05)
    monkeypatch.setattr("bot.engine_owner.own_engines.SHORTEST_DRAIN_SECONDS", 1.0)
    monkeypatch.setattr("bot.engine_owner.own_engines.QUIET_SECONDS", 0.5)
    monkeypatch.setattr("bot.turns.LOADING_RETRY_SECONDS", 0.1)
    monkeypatch.setattr("bot.turns.RETRY_SECONDS", 0.1)


@dataclass
class Asked:
    """A question, and what stands in its thread."""

    root: str
    at: float
    answers: list[str] = field(default_factory=list)


@dataclass
class Office:
    """Dolly with an engine of its own, people who ask without a pause, and somebody who promotes."""

    team: Team
    machine: Machine
    promoter: Promoter
    folder: Path
    redis: Redis
    asked: list[Asked] = field(default_factory=list)

    def model(self, name: str, revision: str) -> Hash:
        return told_of(model_file(self.folder, name), revision)

    async def ask(self, text: str = "go on", channel: str | None = None) -> str:
        """Dolly's answer to a question that stands alone."""
        root = await self.team.say("asha", f"@dolly {text}", channel=channel)
        (answer,) = await self.team.answered(root, channel=channel)
        return answer

    async def ask_on(self, name: str, stop: asyncio.Event) -> None:
        while not stop.is_set():
            at = time.monotonic()
            asked = Asked(await self.team.say(name, "@dolly go on"), at)
            self.asked.append(asked)
            asked.answers = await self.team.answered(asked.root)
            while any(answer.startswith("_") for answer in asked.answers):  # a word of Dolly's, that it has to wait
                await asyncio.sleep(0.1)
                asked.answers = await self.team.answered(asked.root)

    @asynccontextmanager
    async def busy(self) -> AsyncIterator[None]:
        """Four people ask all the time, each as soon as the last answer is there; none goes without one."""
        stop = asyncio.Event()
        asking = [asyncio.create_task(self.ask_on(name, stop)) for name in ("asha", "ben", "chen", "asha")]
        try:
            yield
        finally:
            stop.set()
            await asyncio.gather(*asking)

    def written_by(self) -> list[str]:
        """Who wrote the answers, in the order of the questions: each has one, whole, and by one model."""
        names = [engine.path.stem for engine in self.machine.engines]
        texts = {text_of(name): name for name in names}
        found = []
        for asked in self.asked:
            assert len(asked.answers) == 1, asked.answers
            assert asked.answers[0] in texts, asked.answers
            found.append(texts[asked.answers[0]])
        return found

    def requests(self, name: str) -> list[bool]:
        """Of every question that came to a model of that name, whether its answer was written to the end."""
        return [
            request.finished
            for engine in self.machine.engines
            if engine.path.stem == name
            for request in engine.scripted.requests
        ]


@asynccontextmanager
async def office(redis: Redis, store_url: str, folder: Path, *, has_room: bool = True) -> AsyncIterator[Office]:
    machine = Machine()
    shipped = model_file(folder, "small")
    owner = EngineOwner(ServedModels(redis), machine.open, Configured(shipped), has_room_for=lambda _: has_room)
    async with owner.running() as url, running_team(store_url, url) as team:
        async with asyncio.timeout(10):
            while not await redis.exists("model:current"):
                await asyncio.sleep(0.02)
        yield Office(team, machine, Promoter(redis), folder, redis)


async def test_a_promotion_under_load_loses_no_question(redis: Redis, store_url: str, tmp_path: Path) -> None:
    async with office(redis, store_url, tmp_path) as at:
        async with at.busy():
            await until(lambda: len(at.asked) > 8, seconds=30)
            old = at.machine.of("small")
            await until(lambda: any(not request.ended.is_set() for request in old.scripted.requests))
            running = [request for request in old.scripted.requests if not request.ended.is_set()]
            await at.promoter.promote(at.model("first", "0001-00000000"))
            promoted_at, asked_before = time.monotonic(), len(at.asked)
            await until(lambda: at.machine.running == ["first"], seconds=30)
            await until(lambda: len(at.asked) > asked_before + 8, seconds=30)
        written = at.written_by()
        assert all(request.finished for request in running), "what had begun was written to its end, by the old one"
        by_time = sorted(zip((asked.at for asked in at.asked), written, strict=True))
        assert {name for at_, name in by_time if at_ > promoted_at} == {"first"}, "the next turn uses the new one"
        assert {name for at_, name in by_time if at_ < promoted_at} >= {"small"}
        assert all(at.requests("small")), "none was broken off"
        assert HALF_LOADED not in "".join(answer for asked in at.asked for answer in asked.answers)


async def test_where_only_one_model_fits_people_see_that_they_wait(
    redis: Redis, store_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with office(redis, store_url, tmp_path, has_room=False) as at:
        general, timeline = at.team.channel("general"), at.team.workspace.timeline

        def is_shown() -> bool:
            statuses = [timeline.status(general, asked.root) for asked in at.asked]
            return any(status["status"] == WORDS.say("model_loading") for status in statuses if status)

        monkeypatch.setattr("tests.promotion.OwnEngine.loading_seconds", 1.0)
        async with at.busy():
            await until(lambda: len(at.asked) > 8, seconds=30)
            promoting = asyncio.create_task(at.promoter.promote(at.model("first", "0001-00000000")))
            await until(is_shown, seconds=30)
            done = await promoting
            assert (done["state"], at.promoter.states[-2:]) == ("promoted", ["holding", "ready"])
            count = len(at.asked)
            await until(lambda: len(at.asked) > count + 8, seconds=30)
        written = at.written_by()
        assert written == sorted(written, reverse=True), "first all by the old one, then all by the new one"
        assert set(written) == {"small", "first"}
        assert all(at.requests("small"))
        assert at.machine.running == ["first"]


async def test_a_hold_that_comes_to_nothing_loses_no_question(redis: Redis, store_url: str, tmp_path: Path) -> None:
    async with office(redis, store_url, tmp_path, has_room=False) as at:
        async with at.busy():
            await until(lambda: len(at.asked) > 4, seconds=30)
            failed = await at.promoter.promote(at.model("broken", "0001-00000000"))
            assert (failed["state"], "ended at once" in failed["reason"]) == ("failed", True)
            await at.promoter.settled(await at.promoter.want(at.model("first", "0001-00000000")))
            await at.promoter.refuse("It said nothing.")
            count = len(at.asked)
            await until(lambda: len(at.asked) > count + 8, seconds=30)
        assert set(at.written_by()) == {"small"}
        assert [request for request in at.requests("first") if request] == []


async def test_a_candidate_that_cannot_be_served_changes_nothing(redis: Redis, store_url: str, tmp_path: Path) -> None:
    async with office(redis, store_url, tmp_path) as at:
        before = await redis.hgetall("model:current")
        wrong = at.model("first", "0001-00000000") | {"sha256": "ab" * 32}
        none = told_of(at.machine.of("small").path.with_suffix(""), "0002-00000000")
        async with at.busy():
            for model, sentence in ((wrong, "another SHA-256"), (none, "There is no model file")):
                failed = await at.promoter.promote(model)
                assert failed["state"] == "failed"
                assert sentence in failed["reason"]
        assert set(at.written_by()) == {"small"}
        assert await redis.hgetall("model:current") == before


async def test_a_canary_answers_in_its_channels_until_it_is_rolled_back(
    redis: Redis, store_url: str, tmp_path: Path
) -> None:
    async with office(redis, store_url, tmp_path) as at:
        general, direct = at.team.channel("general"), at.team.direct("asha")
        await at.promoter.promote(at.model("first", "0001-00000000"), canary=[general])
        assert await at.ask(channel=general) == text_of("first")
        assert (await at.ask(channel=direct)).startswith(text_of("small"))
        await redis.delete("model:canary")
        assert await at.ask(channel=general) == text_of("small")
        await until(lambda: at.machine.running == ["small"], seconds=20)


async def test_back_to_the_model_before_and_a_restart_between(redis: Redis, store_url: str, tmp_path: Path) -> None:
    async with office(redis, store_url, tmp_path) as at:
        assert await at.ask() == text_of("small")
        await at.promoter.promote(at.model("first", "0001-00000000"))
        assert await at.ask() == text_of("first")
    async with office(redis, store_url, tmp_path) as at:
        assert at.machine.running == ["first"]
        assert await at.ask() == text_of("first")
        await at.promoter.roll_back()
        assert await at.ask() == text_of("small")


# --- what people see of it ------------------------------------------------------------------------------------------


async def test_status_home_and_every_answer_tell_which_model_it_is(
    redis: Redis, store_url: str, tmp_path: Path
) -> None:
    async with office(redis, store_url, tmp_path) as at:
        await at.promoter.promote(at.model("first", "0003-3fa9c2d1"))
        general, asha, timeline = at.team.channel("general"), at.team.person("asha"), at.team.workspace.timeline

        in_service = "My answers are written by `team-model@0003-3fa9c2d1`, in service since <!date^"
        trained_on = "It was trained on 3 corrections and 48 other records."
        for command, count in (("status", 1), ("admin status", 2)):
            await at.team.workspace.people.command(asha, general, "/dolly", command)
            await until(lambda count=count: len(timeline.ephemerals(general, asha)) == count)  # type: ignore[misc]
        status, admin_status = [message["text"] for message in timeline.ephemerals(general, asha)]
        assert in_service in status
        assert trained_on in status
        assert "Engine: `team-model@0003-3fa9c2d1` (tgi)" in admin_status
        assert f"• In service since <!date^{int(time.time()) // 1000}" in admin_status
        assert trained_on in admin_status

        await at.team.workspace.people.open_home(asha)
        await until(lambda: timeline.home(asha) is not None)
        assert in_service in json.dumps(timeline.home(asha))
        assert trained_on in json.dumps(timeline.home(asha))

        root = await at.team.say("asha", "@dolly go on")
        await at.team.answered(root)
        (answer,) = [message for message in at.team.thread(root) if message.get("user") == at.team.bot_id]
        marks = answer["metadata"]["event_payload"]
        assert marks["job_id"].endswith(root)
        assert marks["model"] == "team-model@0003-3fa9c2d1"
        assert len(marks["prompt_hash"]) == 12
