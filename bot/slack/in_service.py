"""What people are told of the model in service: which it is, since when, and what it was trained on. Pure."""

from bot.engines import InService
from bot.slack.mrkdwn import date_token, escape
from bot.words import Words


def model_line(service: InService, words: Words) -> str:
    """Which model writes the answers, and what is known of it."""
    model = escape(service.model)
    if not service.since:
        return words.say("status_model", model=model)
    said = words.say("status_model_since", model=model, since=date_token(service.since))
    return " ".join(part for part in (said, trained_on(service, words)) if part)


def trained_on(service: InService, words: Words) -> str:
    """What it learned from, in records; empty where nobody knows."""
    corrections = service.trained_on.get("corrections", 0)
    others = sum(service.trained_on.values()) - corrections
    if not corrections and not others:
        return ""
    return words.say(
        "status_trained",
        corrections=words.say("trained_corrections", count=corrections),
        records=words.say("trained_records", count=others),
    )
