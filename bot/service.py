"""The running assistant, put together from plain values."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import structlog

from bot import metrics
from bot.access import AccessRules, AdminPort, Bounds, SlackAccess, StoreAccess
from bot.admin import Health, admin_server
from bot.audit import AuditLog
from bot.background import for_ever
from bot.engines import Engines
from bot.erasures import ErasureLog, Erasures
from bot.exports import Exports
from bot.guidance import Guidance
from bot.learning import LearningLoop
from bot.model_client import ModelClient
from bot.quotas import Quotas
from bot.ratings import Ratings
from bot.redaction import Redaction
from bot.responder import AnswerStyle, Responder
from bot.reviewing import Reviewing
from bot.slack.admin.commands import AdminCommands
from bot.slack.admin.following import JobFollower
from bot.slack.admin.learning import AdminLearning
from bot.slack.admin.letters import AdminLetters
from bot.slack.admin.review import AdminReview
from bot.slack.admin.status import AdminStatus
from bot.slack.admin.usage import AdminQuota, AdminUsers
from bot.slack.afterwards import Afterwards
from bot.slack.answering.settling import Settler
from bot.slack.app import Listeners, build_app
from bot.slack.asking.admission import Admission
from bot.slack.asking.agent_view import AgentView
from bot.slack.asking.attachments import Attachments
from bot.slack.asking.downloads import Downloads
from bot.slack.asking.edits import Edits
from bot.slack.asking.follow_ups import FollowUps
from bot.slack.asking.gate import Gate
from bot.slack.asking.message_shortcut import MessageShortcut
from bot.slack.asking.private_answers import PrivateAnswers
from bot.slack.asking.questions import Questions
from bot.slack.asking.regenerating import Regenerating
from bot.slack.asking.stopping import Stopping
from bot.slack.asking.threads import Threads
from bot.slack.authority import Authority
from bot.slack.client import Identity, at_priority, authenticate, open_session, web_client
from bot.slack.commands.channel import ChannelCommand
from bot.slack.commands.forget import ForgetCommand
from bot.slack.commands.forget_list import ForgetList
from bot.slack.commands.home import Home
from bot.slack.commands.settings import SettingsModal
from bot.slack.commands.slash import Commands
from bot.slack.commands.status import StatusCommand
from bot.slack.feedback.actions import FeedbackActions
from bot.slack.feedback.listing import FeedbackList
from bot.slack.feedback.reactions import Reactions
from bot.slack.hearing.catch_up import CatchUp
from bot.slack.hearing.history import History
from bot.slack.hearing.transport import listening
from bot.slack.hosts import SlackHosts
from bot.slack.pacing import Pacer, Priority
from bot.slack.people import People
from bot.store.connection import Client, connect
from bot.store.corrections import Corrections
from bot.store.cursors import Cursors
from bot.store.dead_letters import DeadLetters
from bot.store.feedback import FeedbackStore
from bot.store.followed import Followed
from bot.store.forgetting import Forgetting
from bot.store.inspection import StoreReport, inspect
from bot.store.layout import Layout, agree
from bot.store.mailbox import Mailbox
from bot.store.marks import Marks
from bot.store.memory import Memory
from bot.store.preferences import PreferenceStore
from bot.store.quotations import Quotations
from bot.store.rates import SharedRates
from bot.store.repeats import Repeats
from bot.store.retraining import Retraining
from bot.store.sealing import Sealing
from bot.store.served_models import ServedModels
from bot.store.settlings import Settlings
from bot.store.tombstones import Tombstones
from bot.store.usage import Usage
from bot.turns import Turns
from bot.words import Languages
from bot.workers import Workers

log = structlog.get_logger(__name__)

SECONDS_A_DAY = 86_400
DEFAULT_BOUNDS = Bounds()
DEFAULT_RULES = AccessRules()
DEFAULT_REDACTION = Redaction()


@dataclass(frozen=True, slots=True)
class Service:
    """An assistant that is up: it hears Slack and answers."""

    identity: Identity
    answering: asyncio.Task[None]
    """Ends only by an error, or with the service."""
    http_port: int | None
    """Where HTTP events are received; None with Socket Mode."""
    admin_port: int | None
    """Where metrics and health are served; None where nobody asked for them."""
    store: StoreReport
    hears: Callable[[], bool]
    """Whether Slack's events can come in just now."""
    warnings: tuple[str, ...]
    """What may lose or keep what it should not, a sentence each, with what to do."""


@asynccontextmanager
async def running_service(
    slack: SlackAccess,
    store: StoreAccess,
    model: ModelClient,
    style: AnswerStyle,
    bounds: Bounds = DEFAULT_BOUNDS,
    rules: AccessRules = DEFAULT_RULES,
    admin: AdminPort | None = None,
    audit_log: Path | None = None,
    redaction: Redaction = DEFAULT_REDACTION,
) -> AsyncIterator[Service]:
    """Answer in Slack as long as the body runs.

    Raises StoreUnavailable when the store does not answer at the start, StoreMismatch when it was begun otherwise,
    ErasureLogBroken when nobody can tell what is to stay forgotten, SlackError when a token is refused, LocalPartError
    when a port is taken. An engine that does not answer is no reason not to start: whoever asks meanwhile is told so.
    """
    languages, health, admin_port = Languages(), Health(), None
    async with AsyncExitStack() as stack:
        redis = connect(store.url, cluster=store.cluster)
        stack.push_async_callback(redis.aclose)
        if admin is not None:  # early, and late to go: whoever watches sees Dolly start and stop
            admin_port = await stack.enter_async_context(admin_server(admin.host, admin.port, health))
        metrics.build.info({"version": version("dolly")})
        report = await inspect(redis)
        metrics.store_safe.set(report.safe)

        session = await stack.enter_async_context(open_session(slack.api_url))
        # Before any socket or port opens.
        identity = await authenticate(web_client(slack.bot_token, slack.api_url, session))

        kept = _Kept(redis, store, bounds, identity)
        pacer = Pacer(SharedRates(redis, kept.layout), scale=slack.rate)
        stack.push_async_callback(pacer.end)
        client = web_client(slack.bot_token, slack.api_url, session, pacer)
        await agree(redis, kept.layout, kept.sealing)
        unsafe = await kept.erasures.replay()  # before any turn is claimed or stored
        warnings = tuple(sentence for sentence in (*report.unsafe, *report.unknown, unsafe) if sentence)
        for sentence in warnings:
            log.warning("store_promise", reason=sentence)

        people = People(client, identity, languages)
        stack.push_async_callback(people.end)
        authority, audit = Authority(client, people, rules.admins), AuditLog(audit_log)
        downloads = Downloads(session, slack.bot_token, SlackHosts(slack.api_url), proxy=client.proxy)
        attachments = Attachments(client, downloads, bounds.files)
        threads = Threads(client, identity, people, pacer, attachments, bounds.link_hosts)
        quotas = Quotas(
            redis, kept.layout, questions_per_minute=bounds.questions_per_minute, tokens_per_day=bounds.tokens_per_day
        )
        models = ServedModels(redis)
        engines = Engines(models, model)
        stack.push_async_callback(engines.close)
        workers = Workers(
            kept.mailbox,
            Turns(
                kept.mailbox,
                Responder(kept.memory, engines, threads, Guidance(kept.preferences, style.system_prompt), style),
                Gate(Admission(people, kept.preferences, rules), quotas, kept.usage, threads, authority),
                audit,
                answer_within_seconds=bounds.answer_within_seconds,
            ),
            Settlings(redis, kept.layout, kept.sealing),
            Settler(
                client, identity, kept.mailbox.recorded, kept.mailbox.disown, lease_seconds=store.lease_seconds
            ).settle,
            concurrent_answers=bounds.concurrent_answers,
            finish_seconds=bounds.finish_seconds,
        )
        answering = _begin(workers.run(), stack)

        follow_ups = FollowUps(kept.preferences, kept.memory)
        questions = Questions(
            kept.mailbox, follow_ups, identity, question_characters=bounds.question_characters, bots=rules.bots
        )
        edits = Edits(
            questions,
            kept.corrections,
            kept.marks,
            kept.feedback,
            kept.repeats,
            max_age_seconds=bounds.catchup_max_age_seconds,
        )
        afterwards = Afterwards()
        stack.push_async_callback(afterwards.end)
        forget_list = ForgetList(kept.forgetting, kept.memory, identity)
        home = Home(
            client,
            people.words,
            forget_list,
            kept.preferences,
            engines.in_service,
            afterwards,
            memory_days=store.memory_days,
        )
        forget = ForgetCommand(
            kept.erasures, kept.forgetting, forget_list, home, authority, identity, people.words, afterwards
        )
        settings = SettingsModal(client, kept.preferences, people.words, home.draw_soon)
        status = StatusCommand(engines, kept.mailbox.report, people.words)
        channel = ChannelCommand(client, kept.preferences, authority, audit, people.words)
        letters = AdminLetters(kept.dead_letters, authority, audit, identity, people.words, afterwards)
        exports = Exports(kept.feedback, kept.preferences, redaction, style.system_prompt)
        retraining = Retraining(redis, kept.layout.owner, store.retrain_key)
        followed = Followed(redis, kept.layout)
        loop = LearningLoop(exports, retraining, models, followed, approvals=rules.promote_approvals)
        reviewing = Reviewing(exports, kept.feedback, engines)
        review = AdminReview(client, reviewing, authority, audit, people.words, afterwards)
        admin_verbs = {
            "status": AdminStatus(engines, report, kept.mailbox.report, audit).command,
            "users": AdminUsers(kept.usage, audit).command,
            "quota": AdminQuota(quotas, audit).command,
            "dead-letters": letters.command,
            **AdminLearning(loop, audit).verbs,
        }
        ratings = Ratings(kept.memory, kept.feedback, kept.preferences)
        feedback = FeedbackActions(client, ratings, identity, people.words, afterwards)
        feedback_list = FeedbackList(ratings, identity, people.words, afterwards)
        stopping = Stopping(client, kept.mailbox, identity, afterwards)
        regenerating = Regenerating(kept.repeats, authority, identity, people.words, afterwards)
        reactions = Reactions(client, ratings, stopping, identity, people.words, afterwards)
        verbs = {
            "admin": AdminCommands(authority, admin_verbs, {"review": review.open}, people.words, afterwards).command,
            "channel": channel.command,
            "feedback": feedback_list.command,
            "forget": forget.command,
            "settings": settings.command,
            "status": status.command,
        }
        private = PrivateAnswers(
            client,
            questions,
            kept.memory,
            kept.quotations,
            kept.marks,
            identity,
            people.words,
            afterwards,
            bounds.link_hosts,
        )
        shortcut = MessageShortcut(client, questions, kept.quotations, identity, people.words, afterwards)
        agent_view = AgentView(client, kept.marks, identity, people.words, afterwards)
        commands = Commands(questions, verbs, kept.marks, identity, people.words)
        listeners = Listeners(
            questions,
            edits,
            commands,
            forget,
            home,
            settings,
            channel,
            private,
            shortcut,
            agent_view,
            letters,
            review,
            feedback,
            feedback_list,
            reactions,
            stopping,
            regenerating,
        )
        app = build_app(client, identity, listeners, people.words, afterwards)
        hears, http_port = await stack.enter_async_context(listening(app, slack))

        catch_up = CatchUp(
            History(client),
            questions,
            edits,
            kept.mailbox,
            kept.memory,
            Cursors(redis, kept.layout),
            identity,
            hears,
            max_age_seconds=bounds.catchup_max_age_seconds,
        )
        _begin(for_ever(catch_up.run, "catch_up"), stack)
        follower = JobFollower(at_priority(client, Priority.GROWTH), retraining, followed, people.words)
        stack.push_async_callback(follower.end)
        _begin(for_ever(follower.run, "job_follower"), stack)
        health.trainer_report, health.in_service = retraining.report, engines.in_service
        health.hears, health.workers, health.queue_report = hears, answering, kept.mailbox.report
        log.info("ready", team=identity.team, transport="http" if http_port else "socket_mode", admin_port=admin_port)
        yield Service(identity, answering, http_port, admin_port, report, hears, warnings)


class _Kept:
    """What is kept in the store, and how it is got at."""

    def __init__(self, redis: Client, store: StoreAccess, bounds: Bounds, identity: Identity) -> None:
        self.layout = Layout(f"{identity.home_id}/{identity.bot_id}", store.partitions)
        self.sealing = Sealing(store.memory_keys)
        memory_seconds = store.memory_days * SECONDS_A_DAY
        self.mailbox = Mailbox(
            redis,
            self.layout,
            self.sealing,
            lease_seconds=store.lease_seconds,
            memory_seconds=memory_seconds,
            memory_tokens=store.memory_tokens,
            memory_bytes=store.memory_bytes,
            waiting_per_user=bounds.waiting_per_user,
            wait_replicas=store.wait_replicas,
        )
        self.repeats = Repeats(
            redis,
            self.layout,
            self.sealing,
            self.mailbox,
            memory_seconds=memory_seconds,
            waiting_per_user=bounds.waiting_per_user,
            wait_replicas=store.wait_replicas,
        )
        self.corrections = Corrections(redis, self.layout, self.sealing, memory_seconds=memory_seconds)
        self.dead_letters = DeadLetters(
            redis,
            self.layout,
            self.sealing,
            self.repeats,
            memory_seconds=memory_seconds,
            wait_replicas=store.wait_replicas,
        )
        self.usage = Usage(redis, self.layout)
        self.memory = Memory(redis, self.layout, self.sealing)
        self.marks = Marks(redis, self.layout)
        self.quotations = Quotations(redis, self.layout, self.sealing, memory_seconds=memory_seconds)
        self.feedback = FeedbackStore(redis, self.layout, self.sealing)
        self.preferences = PreferenceStore(redis, self.layout, self.sealing)
        self.forgetting = Forgetting(redis, self.layout, self.sealing)
        tombstones = Tombstones(redis, self.layout, self.sealing)
        erasure_log = ErasureLog(store.erasure_log, self.layout.owner)
        self.erasures = Erasures(erasure_log, self.forgetting, tombstones, redis)


def _begin(work: Coroutine[Any, Any, None], stack: AsyncExitStack) -> asyncio.Task[None]:
    """Run in the background until the stack unwinds."""
    task = asyncio.create_task(work)

    async def end() -> None:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    stack.push_async_callback(end)
    return task
