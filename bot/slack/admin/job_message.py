"""What Slack shows of a retrain, a promotion or a rollback: one message, from "queued" to how it ended. Pure."""

from bot.slack.mrkdwn import escape, excerpt
from bot.store.retraining import Job, Progress
from bot.words import Words

BAR_CELLS = 20
SENTENCE_CHARACTERS = 2_500
"""chat.update takes 4,000 characters in all."""

STAGES = {
    "export_feedback": "retrain_stage_feedback",
    "import_base": "retrain_stage_base",
    "mix": "retrain_stage_mix",
    "tune": "retrain_stage_tune",
    "export": "retrain_stage_export",
    "gate": "retrain_stage_gate",
    "register": "retrain_stage_register",
}
"""A retrain's, in order. What else a trainer names is shown as it is."""
STATES = {
    "queued": "retrain_state_queued",
    "running": "retrain_state_running",
    "passed": "retrain_state_passed",
    "refused": "retrain_state_refused",
    "not_enough_evidence": "retrain_state_evidence",
    "failed": "retrain_state_failed",
    "cancelled": "retrain_state_cancelled",
}


def message(words: Words, job: Job, progress: Progress | None) -> str:
    """How the job stands."""
    if job.has_ended:
        return "\n".join(line for line in (ended(words, job), _sentence(job)) if line)
    told = progress.sentence if progress and progress.sentence else job.sentence
    lines = [_title(words, job), f"_{escape(told)}_" if told else ""]
    if job.request.kind == "retrain" and not job.request.yes:
        lines.insert(1, far(words, job, progress))
    return "\n".join(line for line in lines if line)


def far(words: Words, job: Job, progress: Progress | None) -> str:
    """How far a retrain is, on a line: its stage, a bar, the loss, the time left."""
    if job.state == "queued":
        return words.say("retrain_queued")
    name = progress.stage if progress and progress.stage else job.stage
    stage = words.say(STAGES[name]) if name in STAGES else escape(name)
    if progress is None:
        return stage or words.say("retrain_begun")
    parts = [stage]
    if progress.done is not None and progress.total:
        parts.append(bar(progress.done, progress.total))
    if progress.loss is not None:
        parts.append(words.say("retrain_loss", loss=round(progress.loss, 3)))
    if progress.seconds_left is not None:
        parts.append(_left(words, progress.seconds_left))
    return " · ".join(part for part in parts if part)


def bar(done: int, total: int) -> str:
    """`done` of `total` as blocks, with its share in percent."""
    share = min(max(done / total, 0.0), 1.0)
    full = int(share * BAR_CELLS)
    return f"{'█' * full}{'░' * (BAR_CELLS - full)} {int(share * 100)} %"


def ended(words: Words, job: Job) -> str:
    """How it ended, in a sentence."""
    revision = escape(job.result or job.request.revision)
    match (job.state, job.request.kind, job.verdict):
        case ("cancelled", _, _):
            return words.say("retrain_cancelled")
        case ("done", "retrain", "passed" | ""):
            return words.say("retrain_passed", revision=revision)
        case ("failed", "retrain", _):
            return words.say("retrain_failed")
        case (_, "retrain", "not_enough_evidence"):
            return words.say("retrain_evidence", revision=revision)
        case (_, "retrain", _):
            return words.say("retrain_refused", revision=revision)
        case ("done", "promote", _) if job.request.canary:
            return words.say("promote_tried", revision=revision, channels=channels(job.request.canary))
        case ("done", "promote", _):
            return words.say("promote_done", revision=revision)
        case ("done", _, _):
            return words.say("rollback_done", revision=revision) if revision else words.say("rollback_done_before")
        case (_, "promote", _):
            return words.say("promote_failed", revision=revision)
    return words.say("rollback_failed")


def next_step(words: Words, job: Job) -> str:
    """What the admin can do now; "" where that goes without saying."""
    revision = escape(job.result or job.request.revision)
    match (job.state, job.request.kind, job.verdict):
        case ("done", "retrain", "passed" | ""):
            return words.say("retrain_next_passed", revision=revision)
        case ("done" | "refused", "retrain", "not_enough_evidence"):
            return words.say("retrain_next_evidence")
        case ("done" | "refused", "retrain", _):
            return words.say("retrain_next_refused")
        case ("failed", "retrain", _):
            return words.say("retrain_next_failed")
        case ("done", "promote", _) if job.request.canary:
            return words.say("promote_next_tried", revision=revision)
        case ("done", "promote", _):
            return words.say("promote_next")
    return ""


def outcome(words: Words, job: Job) -> str:
    """A retrain's state in a word or two, as a list of several shows it."""
    state = (job.verdict or "passed") if job.state == "done" else job.state
    if job.state == "refused" and job.verdict in STATES:
        state = job.verdict
    return words.say(STATES[state]) if state in STATES else escape(state)


def channels(channel_ids: tuple[str, ...]) -> str:
    """Channels as Slack shows them."""
    return ", ".join(f"<#{channel_id}>" for channel_id in channel_ids)


def _title(words: Words, job: Job) -> str:
    revision = escape(job.request.revision)
    match job.request.kind:
        case "retrain":
            return words.say("retrain_noting", revision=revision) if job.request.yes else words.say("retrain_title")
        case "promote":
            return words.say("promote_title", revision=revision)
        case "rollback":
            return words.say("rollback_title")


def _sentence(job: Job) -> str:
    """The trainer's last word, quoted: a line for each reason."""
    said = excerpt(job.sentence, SENTENCE_CHARACTERS)
    return "\n".join(f"> {line}" for line in said.splitlines() if line)


def _left(words: Words, seconds: float) -> str:
    minutes = round(seconds / 60)
    return words.say("retrain_minutes_left", count=minutes) if minutes else words.say("retrain_nearly_there")
