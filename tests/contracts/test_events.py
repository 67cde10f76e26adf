"""Every payload that the app gets, compared with Slack's published samples."""

from pathlib import Path

import pytest
import pytest_asyncio

from bot.local.workspace.records import BOT_USER_ID, Json
from bot.local.workspace.workspace import Workspace
from tests.bot.local.workspace.bare_app import ASHA, BEN, GENERAL, RANDOM, BareSocket, bare_app, eventually, running
from tests.contracts.shapes import compare, load_sample, missing

ENVELOPE = (
    "token",
    "team_id",
    "api_app_id",
    "type",
    "event_id",
    "event_time",
    "event_context",
    "authorizations.0.user_id",
)
MESSAGE = ("user", "text", "ts", "channel", "channel_type", "event_ts", "team")
PERSON = ("user.id", "user.name", "user.team_id", "team.id", "team.domain", "token")
PLAIN = {"type": "plain_text", "text": "Words", "emoji": True}
OPTION = {"text": PLAIN, "value": "one"}

# name: (where its sample is, the keys that clients read)
SAMPLES: dict[str, tuple[str, tuple[str, ...]]] = {
    "message": ("events/MessagePayload", (*MESSAGE, "client_msg_id", "blocks")),
    "message im": ("events/MessagePayload", MESSAGE),
    "message in a thread": ("events/MessagePayload", (*MESSAGE, "thread_ts", "parent_user_id")),
    "message of the app": ("events/MessagePayload", (*MESSAGE, "bot_id", "bot_profile.name", "app_id")),
    "app_mention": ("events/AppMentionPayload", ("user", "text", "ts", "channel", "event_ts", "team", "blocks")),
    "message_changed": (
        "events/MessageChangedPayload",
        (*("message.text", "message.edited.user", "previous_message.text", "hidden"), "channel", "ts", "event_ts"),
    ),
    "message_deleted": ("events/MessageDeletedPayload", ("deleted_ts", "previous_message.user", "channel", "hidden")),
    "thread_broadcast": ("events/MessageThreadBroadcastPayload", ("thread_ts", "root.text", "user", "text", "ts")),
    "channel_join": ("events/MessageChannelJoinPayload", ("user", "text", "ts", "channel")),
    "reaction_added": ("events/ReactionAddedPayload", ("user", "item.ts", "item.channel", "reaction", "item_user")),
    "reaction_removed": ("events/ReactionRemovedPayload", ("user", "item.ts", "item.channel", "reaction", "item_user")),
    "member_joined_channel": ("events/MemberJoinedChannelPayload", ("user", "channel", "channel_type", "team")),
    "app_home_opened home": ("events/AppHomeOpenedPayload", ("user", "channel", "tab", "event_ts", "view.id")),
    "app_home_opened messages": ("events/AppHomeOpenedPayload", ("user", "channel", "tab", "event_ts")),
    "slash command": (
        "app-backend/slash-commands/SlashCommandPayload",
        (
            *("token", "team_id", "team_domain", "channel_id", "channel_name", "user_id", "user_name", "api_app_id"),
            *("command", "text", "response_url", "trigger_id", "is_enterprise_install"),
        ),
    ),
    "button": (
        "app-backend/interactive-components/BlockActionPayload",
        (*PERSON, "container.message_ts", "channel.id", "message.ts", "trigger_id", "response_url", "actions.0.value"),
    ),
    "select in a modal": (
        "app-backend/interactive-components/BlockActionPayload",
        (*PERSON, "container.view_id", "view.state.values", "trigger_id", "actions.0.selected_option.value"),
    ),
    "message shortcut": (
        "app-backend/interactive-components/MessageShortcutPayload",
        (*PERSON, "callback_id", "trigger_id", "message_ts", "message.text", "response_url", "channel.id", "action_ts"),
    ),
    "view_submission": ("app-backend/views/ViewSubmissionPayload", (*PERSON, "view.state.values", "trigger_id")),
    "view_closed": ("app-backend/views/ViewClosedPayload", (*PERSON, "view.id", "is_cleared")),
}

NOT_IN_THE_SAMPLES = {
    "$.event.app_id is invented": "docs.slack.dev: messages of apps carry it; AppMentionPayload has it",
    "$.event.team is invented": "MessagePayload has it; every message carries it",
    "$.event.parent_user_id is invented": "MessagePayload has it for replies",
    "$.is_enterprise_install is a string, Slack's is a boolean": "a form holds strings only; the sample is parsed",
    "$.response_urls is invented": "docs.slack.dev/reference/interaction-payloads/view-interactions-payload",
    "$.view.blocks is invented": "the samples of view payloads leave the blocks of the view out",
    "$.event.view.blocks is invented": "the samples of view payloads leave the blocks of the view out",
}


async def play(workspace: Workspace, socket: BareSocket) -> dict[str, Json]:
    """Do everything once. Returns the payloads by the names of SAMPLES."""
    people, timeline = workspace.people, workspace.timeline
    root = await people.post(ASHA, GENERAL, "root")
    assert root is not None
    await people.post(BEN, GENERAL, "reply to @dolly", thread_ts=root["ts"])
    broadcast = await people.post(BEN, GENERAL, "for all", thread_ts=root["ts"], reply_broadcast=True)
    assert broadcast is not None
    await people.post(ASHA, timeline.direct_channel(ASHA).id, "hello")
    await people.edit(BEN, GENERAL, broadcast["ts"], "changed")
    await people.delete(BEN, GENERAL, broadcast["ts"])
    await people.react(BEN, GENERAL, root["ts"], "eyes")
    await people.unreact(BEN, GENERAL, root["ts"], "eyes")
    await people.join(ASHA, RANDOM, invited_id=BOT_USER_ID)
    timeline.publish_home(ASHA, {"type": "home", "blocks": [{"type": "divider"}]})
    await people.open_home(ASHA)
    await people.open_messages_tab(BEN)
    await people.command(ASHA, GENERAL, "/dolly", "help")
    button = {"type": "button", "action_id": "go", "text": PLAIN, "value": "1"}
    own = timeline.post(
        GENERAL, BOT_USER_ID, "click", blocks=[{"type": "actions", "block_id": "b", "elements": [button]}], as_app=True
    )
    await people.click(ASHA, GENERAL, own["ts"], "b", "go")
    await people.shortcut(ASHA, GENERAL, root["ts"], "note")
    select = {"type": "static_select", "action_id": "pick", "placeholder": PLAIN, "options": [OPTION]}
    modal = {
        "type": "modal",
        "title": PLAIN,
        "submit": PLAIN,
        "notify_on_close": True,
        "blocks": [{"type": "actions", "block_id": "b", "elements": [select]}],
    }
    view = timeline.open_view(ASHA, modal)
    await people.click(ASHA, None, view["id"], "b", "pick", selected_option=OPTION)
    await people.submit_view(ASHA, view["id"], {})
    await people.close_view(ASHA, timeline.open_view(ASHA, modal)["id"])
    await eventually(lambda: workspace.delivery.pending() == 0)
    return {name_of(envelope): envelope["payload"] for envelope in socket.envelopes}


def name_of(envelope: Json) -> str:
    payload = envelope["payload"]
    if envelope["type"] == "slash_commands":
        return "slash command"
    if envelope["type"] == "interactive":
        if payload["type"] == "block_actions":
            return "button" if "message" in payload else "select in a modal"
        return "message shortcut" if payload["type"] == "message_action" else str(payload["type"])
    event = payload["event"]
    if event["type"] != "message":
        return f"{event['type']} {event['tab']}" if "tab" in event else str(event["type"])
    if "subtype" in event:
        return str(event["subtype"])
    if "bot_id" in event:
        return "message of the app"
    if event["channel_type"] == "im":
        return "message im"
    return "message in a thread" if "thread_ts" in event else "message"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def payloads() -> dict[str, Json]:
    async with running() as workspace, bare_app(workspace) as app:
        return await play(workspace, await app.connect())


def test_each_payload_has_its_sample(payloads: dict[str, Json]) -> None:
    assert payloads.keys() == SAMPLES.keys()


@pytest.mark.parametrize("name", SAMPLES)
def test_a_payload_carries_what_clients_read(payloads: dict[str, Json], name: str) -> None:
    payload = payloads[name]
    if "event" in payload:
        assert missing(payload, ENVELOPE) == []
        payload = payload["event"]
    assert missing(payload, SAMPLES[name][1]) == []


@pytest.mark.parametrize("name", SAMPLES)
def test_a_payload_invents_nothing(payloads: dict[str, Json], name: str, shared_data: Path) -> None:
    sample = load_sample(shared_data / "slack" / f"{SAMPLES[name][0]}.json")
    faults = [fault for fault in compare(payloads[name], sample) if fault not in NOT_IN_THE_SAMPLES]
    assert faults == []
