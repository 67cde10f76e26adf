"""`/dolly admin users` and `/dolly admin quota`: who uses how much, and how much they may."""

import re
from typing import Any

from bot.audit import AuditLog
from bot.quotas import QuotaReport, Quotas
from bot.slack.mrkdwn import date_token
from bot.store.connection import store_errors
from bot.store.usage import Usage, Used
from bot.words import Words

LISTED = 10
STORE_SECONDS = 1.2
"""Of the three that Slack waits."""
PERSON = r"(?:<@(?P<mentioned>[UW][A-Z0-9]{2,})(?:\|[^>]*)?>|(?P<id>[UW][A-Z0-9]{2,}))"
SET = re.compile(rf"{PERSON}\s+(?P<quota>\d{{1,6}}|default)")
RESET = re.compile(rf"reset\s+(?:{PERSON}|tokens)")


class AdminUsers:
    """The verb."""

    def __init__(self, usage: Usage, audit: AuditLog) -> None:
        self._usage = usage
        self._audit = audit

    async def command(self, user_id: str, arguments: str, words: Words) -> dict[str, Any]:
        """Who asked most, today and in seven days. A mention in a message that only one person sees tells nobody."""
        async with store_errors(STORE_SECONDS):
            today, week = await self._usage.of_days(1), await self._usage.of_days(7)
        self._audit.acted(user_id, "admin_users")
        if not week:
            return {"text": words.say("admin_users_nobody")}
        parts = [
            words.say("admin_users_today"),
            *_most(today, words),
            words.say("admin_users_week"),
            *_most(week, words),
        ]
        return {"text": "\n".join([*parts, words.say("admin_users_note")])}


def _most(used: dict[str, Used], words: Words) -> list[str]:
    """Everybody together, then those who asked most, a line each."""
    everybody = sum(used.values(), Used())
    ranked = sorted(used.items(), key=lambda entry: (-entry[1].questions, -entry[1].tokens, entry[0]))
    lines = [words.say("admin_users_all", count=len(used), use=_use(everybody, words))]
    return lines + [f"{place}. <@{who}>: {_use(use, words)}" for place, (who, use) in enumerate(ranked[:LISTED], 1)]


def _use(used: Used, words: Words) -> str:
    return words.say("admin_use", count=used.questions, tokens=used.tokens)


class AdminQuota:
    """The verb."""

    def __init__(self, quotas: Quotas, audit: AuditLog) -> None:
        self._quotas = quotas
        self._audit = audit

    async def command(self, user_id: str, arguments: str, words: Words) -> dict[str, Any]:
        """Nothing: what holds; `@person 50 | default`; `reset @person | tokens`."""
        async with store_errors(STORE_SECONDS):
            if not arguments:
                self._audit.acted(user_id, "admin_quota")
                return {"text": _told(await self._quotas.report(), words)}
            if found := SET.fullmatch(arguments):
                return {"text": await self._set(user_id, found["mentioned"] or found["id"], found["quota"], words)}
            if found := RESET.fullmatch(arguments):
                return {"text": await self._reset(user_id, found["mentioned"] or found["id"], words)}
        return {"text": words.say("admin_quota_how")}

    async def _set(self, user_id: str, person_id: str, quota: str, words: Words) -> str:
        per_minute = None if quota == "default" else int(quota)
        await self._quotas.set_own(person_id, per_minute)
        self._audit.acted(user_id, "admin_quota_set", person_id)
        person = f"<@{person_id}>"
        if per_minute is None:
            return words.say("admin_quota_default", person=person)
        return _own(person, per_minute, words)

    async def _reset(self, user_id: str, person_id: str | None, words: Words) -> str:
        if person_id is None:
            await self._quotas.reset_tokens()
            self._audit.acted(user_id, "admin_quota_reset", "tokens")
            return words.say("admin_quota_tokens_reset")
        await self._quotas.reset_person(person_id)
        self._audit.acted(user_id, "admin_quota_reset", person_id)
        return words.say("admin_quota_person_reset", person=f"<@{person_id}>")


def _told(report: QuotaReport, words: Words) -> str:
    questions = words.say("admin_quota_questions", per_minute=report.questions_per_minute)
    if not report.questions_per_minute:
        questions = words.say("admin_quota_questions_free")
    tokens = words.say("admin_quota_tokens", used=report.tokens_used, most=report.tokens_per_day)
    if not report.tokens_per_day:
        tokens = words.say("admin_quota_tokens_free")
    elif report.day_ends_at:
        tokens += " " + words.say("admin_quota_day", time=date_token(report.day_ends_at))
    own = [_own(f"<@{who}>", per_minute, words) for who, per_minute in report.own.items()]
    lines = [words.say("admin_quota_title"), questions, tokens, *own]
    return "\n• ".join(lines) + "\n" + words.say("admin_quota_how")


def _own(person: str, per_minute: int, words: Words) -> str:
    if per_minute:
        return words.say("admin_quota_own", person=person, per_minute=per_minute)
    return words.say("admin_quota_own_free", person=person)
