"""What Slack shows of a job: how far it is, how it ended, what to do next."""

from dataclasses import replace
from typing import get_args

import pytest

from bot.slack.admin.job_message import STAGES, STATES, bar, ended, far, message, next_step, outcome
from bot.store.retraining import Job, JobKind, JobState, Progress, Request
from bot.words import Words

WORDS = Words()
JOB = Job("j", Request("retrain", "U1"), "T1/B1", 0.0, "running", result="0003-3fa9c2d1")
PROGRESS = Progress("tune", 1, 4, 0.51239, 200.0, "")


@pytest.mark.parametrize(
    ("done", "total", "shown"),
    [
        (0, 10, "░░░░░░░░░░░░░░░░░░░░ 0 %"),
        (1, 3, "██████░░░░░░░░░░░░░░ 33 %"),
        (199, 200, "███████████████████░ 99 %"),
        (200, 200, "████████████████████ 100 %"),
        (300, 200, "████████████████████ 100 %"),
    ],
)
def test_the_bar_is_full_at_the_end_alone(done: int, total: int, shown: str) -> None:
    assert bar(done, total) == shown


def test_what_is_not_known_is_left_out() -> None:
    assert far(WORDS, JOB, PROGRESS) == " · ".join(
        [WORDS.say("retrain_stage_tune"), bar(1, 4), WORDS.say("retrain_loss", loss=0.512), "about 3 minutes left"]
    )
    bare = Progress("gate", None, None, None, None, "")
    assert far(WORDS, JOB, bare) == WORDS.say("retrain_stage_gate")
    assert far(WORDS, JOB, replace(bare, done=3, total=0)) == WORDS.say("retrain_stage_gate")
    assert far(WORDS, JOB, replace(bare, seconds_left=12.0)).endswith(WORDS.say("retrain_nearly_there"))
    assert far(WORDS, JOB, None) == WORDS.say("retrain_begun")
    assert far(WORDS, replace(JOB, stage="mix"), None) == WORDS.say("retrain_stage_mix")
    assert far(WORDS, replace(JOB, state="queued"), PROGRESS) == WORDS.say("retrain_queued")


def test_a_stage_of_a_later_trainer_is_shown_as_it_is() -> None:
    assert far(WORDS, JOB, replace(PROGRESS, stage="<polish>", loss=None, seconds_left=None)).startswith("&lt;polish>")


def test_the_trainers_words_ping_nobody() -> None:
    told = replace(PROGRESS, sentence="<!channel> look")
    assert "_&lt;!channel> look_" in message(WORDS, JOB, told)
    failed = replace(JOB, state="failed", sentence="<!here>\n" + "long " * 2_000)
    said = message(WORDS, failed, None)
    assert "> &lt;!here>" in said
    assert len(said) < 4_000, "Slack refuses a longer one"


@pytest.mark.parametrize("kind", get_args(JobKind))
@pytest.mark.parametrize("state", get_args(JobState))
@pytest.mark.parametrize("verdict", ["", "passed", "refused", "not_enough_evidence", "of a later trainer"])
def test_there_is_a_sentence_for_every_end(kind: JobKind, state: JobState, verdict: str) -> None:
    job = replace(JOB, request=Request(kind, "U1", revision="0003-3fa9c2d1"), state=state, verdict=verdict)
    assert message(WORDS, job, None)
    assert outcome(WORDS, job)
    if job.has_ended:
        assert ended(WORDS, job)
        next_step(WORDS, job)


def test_what_a_gate_refuses_is_no_new_model() -> None:
    for state in ("done", "refused"):
        for verdict in ("refused", "not_enough_evidence"):
            job = replace(JOB, state=state, verdict=verdict)
            assert ended(WORDS, job) != WORDS.say("retrain_passed", revision=JOB.result)
            assert outcome(WORDS, job) == WORDS.say(STATES[verdict])


def test_every_stage_and_state_has_its_words() -> None:
    assert all(WORDS.say(key) for key in (*STAGES.values(), *STATES.values()))
