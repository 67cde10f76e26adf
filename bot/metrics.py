"""What Dolly counts and times, for Prometheus. No label holds a user, a channel or a text.

Whoever does a thing counts it; bot/admin.py shows the counts, and docs/operations.md says when to worry. They are
those of this process, so of one replica; only the queue's, which lie in the store, are the same for all.
"""

from prometheus_client import Counter, Gauge, Histogram, Info, disable_created_metrics

disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for each, when it was made

SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900)
SHORT_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 3, 5)
PER_SECOND = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)

# --- what runs here --------------------------------------------------------------------------------------------------

build = Info("dolly_build", "Which Dolly it is")
model_in_service = Info("dolly_model_in_service", "What answers wherever no canary does: name and revision")

# --- the queue: read from the store when it is asked for, NaN where the store does not answer ------------------------

oldest_unanswered = Gauge("dolly_oldest_unanswered_seconds", "Age of the oldest question that has no answer yet")
waiting = Gauge("dolly_turns_waiting", "Turns stored and not yet finished")
leased = Gauge("dolly_turns_leased", "Conversations that a worker holds")
dead = Gauge("dolly_turns_dead", "Turns in the dead-letter list")

# --- turns -----------------------------------------------------------------------------------------------------------

attempts = Counter("dolly_attempts", "Turns claimed by a worker")
takeovers = Counter("dolly_takeovers", "Turns claimed after another worker had begun to answer them")
lease_lost = Counter("dolly_lease_lost", "Turns that another worker took over")
stale_commits = Counter("dolly_stale_commits", "Commits refused because another worker has the turn")
requeued = Counter("dolly_requeued", "Turns handed back to be tried again", ["reason"])
dead_letters = Counter("dolly_dead_letters", "Turns given up", ["reason"])
letters_handled = Counter(
    "dolly_dead_letters_handled", "Dead letters that an admin had asked again or dropped", ["outcome"]
)
apologies = Counter("dolly_apologies", "Apologies in place of an answer", ["reason"])
answered = Counter("dolly_answers", "Turns answered and committed")
ephemeral_unknown = Counter("dolly_ephemeral_unknown", "Slash answers of which nobody knows whether they arrived")
settled = Counter("dolly_settled", "Threads read again after a takeover", ["outcome"])
caught_up = Counter("dolly_caught_up", "Questions found in Slack's history after an outage", ["outcome"])

# --- Slack in --------------------------------------------------------------------------------------------------------

slack_up = Gauge("dolly_slack_up", "1 when Slack's events can come in just now")
stored = Counter("dolly_events_stored", "Questions stored")
duplicates = Counter("dolly_duplicates", "Deliveries of a question that was stored before")
ack_seconds = Histogram(
    "dolly_ack_seconds", "From an event's arrival to its acknowledgement; Slack waits for 3", buckets=SHORT_SECONDS
)
first_text_seconds = Histogram(
    "dolly_first_text_seconds", "From storing a question to its first visible text", buckets=SECONDS
)

# --- the engine ------------------------------------------------------------------------------------------------------

first_token_seconds = Histogram(
    "dolly_engine_first_token_seconds", "From asking the engine to its first token", buckets=SECONDS
)
engine_tokens_per_second = Histogram(
    "dolly_engine_tokens_per_second", "Speed of one answer, from its first token to its last", buckets=PER_SECOND
)
engine_tokens = Counter("dolly_engine_tokens", "Tokens of prompts (at most) and of answers", ["direction"])
engine_errors = Counter("dolly_engine_errors", "Answers that the engine did not finish", ["kind"])

# --- Slack out -------------------------------------------------------------------------------------------------------

slack_calls = Counter("dolly_slack_calls", "Calls of Slack's Web API", ["method", "outcome"])
slack_wait_seconds = Histogram(
    "dolly_slack_wait_seconds", "How long calls of Slack's Web API waited for their turn", ["method"], buckets=SECONDS
)
files = Counter("dolly_files", "Files that came with questions", ["outcome"])
feedback = Counter("dolly_feedback", "What people said of answers", ["rating"])
filter_hits = Counter("dolly_filter_hits", "Links, mentions and broadcasts that a model wrote and Slack does not make")

# --- the store and the policies --------------------------------------------------------------------------------------

store_up = Gauge("dolly_store_up", "1 when the whole store answered just now")
partitions_away = Gauge("dolly_store_partitions_away", "Partitions that did not answer; the queue's figures lack them")
store_safe = Gauge("dolly_store_safe", "1 when the store says that it keeps what it acknowledges")
store_seconds = Histogram("dolly_store_seconds", "Time of one call of the store", buckets=SHORT_SECONDS)
access_refusals = Counter("dolly_access_refusals", "Questions refused by who asked, or where", ["reason"])
quota_refusals = Counter("dolly_quota_refusals", "Questions refused by a quota", ["quota"])

# --- the learning loop: read from the store, as the queue is ---------------------------------------------------------

trainer_up = Gauge("dolly_trainer_up", "1 when a worker that trains lives")
retrains_waiting = Gauge("dolly_retrains_waiting", "Retrains that are asked for and have not ended")


def total(counter: Counter) -> int:
    """How often it was counted in this process, whatever its labels."""
    samples = [sample for metric in counter.collect() for sample in metric.samples]
    return round(sum(sample.value for sample in samples if sample.name.endswith("_total")))


def median(histogram: Histogram) -> float | None:
    """What half of the observations stay within, evened out inside their bucket; None without any."""
    buckets = [
        (float(sample.labels["le"]), sample.value)
        for metric in histogram.collect()
        for sample in metric.samples
        if sample.name.endswith("_bucket")
    ]
    half, low, below = buckets[-1][1] / 2, 0.0, 0.0
    for limit, count in buckets:
        if half and count >= half:
            return low if limit == float("inf") else low + (limit - low) * (half - below) / (count - below)
        low, below = limit, count
    return None
