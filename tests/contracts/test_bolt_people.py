"""Who people are and what they attach, as an unmodified Bolt app is told: guests, other companies, bots, files."""

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from slack_bolt.async_app import AsyncAssistant
from slack_sdk.errors import SlackApiError

from bot.local.workspace.records import BOT_USER_ID, Json
from bot.local.workspace.refusals import PeopleError
from bot.local.workspace.workspace import Workspace
from tests.bot.local.workspace.bare_app import ASHA, BEN, GENERAL, RANDOM, eventually, running
from tests.contracts.bolt import bolt_app, by_http, by_socket_mode, take_the_rest

OTHER_TEAM = "T0OTHER0001"


@pytest.fixture
async def workspace() -> AsyncIterator[Workspace]:
    async with running() as workspace:
        yield workspace


@pytest.fixture(params=[by_socket_mode, by_http])
def transport(request: pytest.FixtureRequest) -> Any:
    return request.param


async def test_a_person_of_another_company(workspace: Workspace, transport: Any) -> None:
    app = bolt_app(workspace)
    heard: list[tuple[Json, str | None]] = []

    @app.event("app_mention")
    async def mentioned(body: Json, context: Any) -> None:
        heard.append((body, context.actor_team_id))

    take_the_rest(app)
    mia = await workspace.people.invite("mia", GENERAL, team_id=OTHER_TEAM)
    async with transport(workspace, app):
        await workspace.people.post(mia.id, GENERAL, "@dolly hello")
        await workspace.people.post(ASHA, GENERAL, "@dolly hello too")
        await eventually(lambda: len(heard) == 2)
        user = (await app.client.users_info(user=mia.id))["user"]
        channel = (await app.client.conversations_info(channel=GENERAL))["channel"]
    (theirs, of_theirs), (ours, of_ours) = sorted(heard, key=lambda one: one[0]["event"]["user"] == ASHA)
    assert (of_theirs, of_ours) == (OTHER_TEAM, workspace.identity.team_id)
    assert theirs["is_ext_shared_channel"] is ours["is_ext_shared_channel"] is True
    assert theirs["event"]["user_team"] == theirs["event"]["source_team"] == theirs["event"]["team"] == OTHER_TEAM
    assert "user_team" not in ours["event"]
    assert (user["team_id"], user["is_stranger"]) == (OTHER_TEAM, False)
    assert channel["is_ext_shared"] is True


async def test_somebody_of_another_company_whom_the_app_meets_nowhere(workspace: Workspace) -> None:
    app = bolt_app(workspace)
    mia = await workspace.people.invite("mia", team_id=OTHER_TEAM)
    assert (await app.client.users_info(user=mia.id))["user"]["is_stranger"] is True
    assert (await app.client.conversations_info(channel=GENERAL))["channel"]["is_ext_shared"] is False


async def test_a_click_says_of_which_company_one_is(workspace: Workspace, transport: Any) -> None:
    app = bolt_app(workspace)
    heard: list[Json] = []

    @app.action("go")
    async def gone(ack: Any, body: Json) -> None:
        await ack()
        heard.append(body)

    take_the_rest(app)
    mia = await workspace.people.invite("mia", GENERAL, team_id=OTHER_TEAM)
    button = {"type": "button", "action_id": "go", "text": {"type": "plain_text", "text": "Go"}}
    message = workspace.timeline.post(
        GENERAL, BOT_USER_ID, "x", blocks=[{"type": "actions", "elements": [button]}], as_app=True
    )
    async with transport(workspace, app):
        await workspace.people.press(mia.id, GENERAL, message["ts"], "go")
        await eventually(lambda: heard)
    assert heard[0]["user"]["team_id"] == OTHER_TEAM
    assert heard[0]["team"]["id"] == workspace.identity.team_id


async def test_guests_locales_and_time_zones(workspace: Workspace) -> None:
    app = bolt_app(workspace)
    guest = await workspace.people.invite("gita", GENERAL, is_ultra_restricted=True, locale="hi-IN", tz="Asia/Kolkata")
    await workspace.people.change(BEN, locale="hi-IN", is_admin=True)
    user = (await app.client.users_info(user=guest.id, include_locale=True))["user"]
    assert (user["is_restricted"], user["is_ultra_restricted"], user["team_id"]) == (True, True, "T0DOLLYWS01")
    assert (user["locale"], user["tz"], user["tz_offset"]) == ("hi-IN", "Asia/Kolkata", 19800)
    ben = (await app.client.users_info(user=BEN, include_locale=True))["user"]
    assert (ben["locale"], ben["is_admin"], ben["is_owner"]) == ("hi-IN", True, False)
    with pytest.raises(PeopleError, match="Guests cannot"):
        await workspace.people.create_channel(guest.id, "secret")
    with pytest.raises(PeopleError, match="not in this channel"):
        await workspace.people.post(guest.id, RANDOM, "hello")


async def test_another_app_s_bot(workspace: Workspace, transport: Any) -> None:
    app = bolt_app(workspace)
    heard: list[Json] = []

    @app.event("app_mention")
    async def mentioned(event: Json) -> None:
        heard.append(event)

    take_the_rest(app)
    robot = await workspace.people.invite("robot", GENERAL, is_bot=True)
    async with transport(workspace, app):
        await workspace.people.post(robot.id, GENERAL, "@dolly hello")
        await eventually(lambda: heard)
        bot = (await app.client.bots_info(bot=robot.bot_id))["bot"]
    assert heard[0]["bot_id"] == heard[0]["bot_profile"]["id"] == robot.bot_id != workspace.identity.bot_id
    assert bot["user_id"] == robot.id


async def test_who_made_a_channel_and_who_is_in_it(workspace: Workspace) -> None:
    app = bolt_app(workspace)
    channel = await workspace.people.create_channel(BEN, "plans", is_private=True)
    for number in range(3):
        await workspace.people.invite(f"person{number}", channel.id)
    shown = (await app.client.conversations_info(channel=channel.id, include_num_members=True))["channel"]
    assert (shown["creator"], shown["is_private"], shown["num_members"]) == (BEN, True, 5)
    members: list[str] = []
    cursor = None
    while cursor != "":
        page = await app.client.conversations_members(channel=channel.id, limit=2, cursor=cursor)
        members += page["members"]
        cursor = page["response_metadata"]["next_cursor"]
    assert members[:2] == [BEN, BOT_USER_ID]
    assert len(members) == 5


async def fetched(url: str, token: str) -> tuple[str, bytes]:
    headers = {"Authorization": f"Bearer {token}"}
    async with aiohttp.ClientSession() as session, session.get(url, headers=headers) as response:
        return response.content_type, await response.read()


async def test_a_file_that_a_person_attaches(workspace: Workspace, transport: Any) -> None:
    app = bolt_app(workspace)
    heard: dict[str, Json] = {}

    @app.event("message")
    async def said(event: Json) -> None:
        heard["message"] = event

    @app.event("app_mention")
    async def mentioned(event: Json) -> None:
        heard["app_mention"] = event

    token = workspace.identity.bot_token
    async with transport(workspace, app):
        await workspace.people.share(ASHA, GENERAL, [("notes.txt", b"three\nlines\n")], "@dolly read this")
        await eventually(lambda: len(heard) == 2)
        file = heard["message"]["files"][0]
        told = (await app.client.files_info(file=file["id"]))["file"]
        content = await fetched(file["url_private"], token)
        kept_from = await fetched(file["url_private"], "xoxb-another")
    assert heard["message"]["subtype"] == "file_share"
    assert "subtype" not in heard["app_mention"]
    assert heard["app_mention"]["files"] == [file]
    assert heard["message"]["blocks"][0]["type"] == "rich_text"
    assert (file["name"], file["mimetype"], file["size"], file["user"]) == ("notes.txt", "text/plain", 12, ASHA)
    assert told["channels"] == [GENERAL]
    assert content == ("text/plain", b"three\nlines\n")
    assert kept_from[0] == "text/html", "as in Slack, where one is asked to sign in"


async def test_a_file_where_the_app_is_not_is_not_given_to_it(workspace: Workspace) -> None:
    app = bolt_app(workspace)
    message = await workspace.people.share(ASHA, RANDOM, [("notes.txt", b"secret")])
    file = message["files"][0]
    with pytest.raises(SlackApiError) as refused:
        await app.client.files_info(file=file["id"])
    assert refused.value.response["error"] == "file_not_found"
    assert b"secret" not in (await fetched(file["url_private"], workspace.identity.bot_token))[1]


async def test_files_beside_another_company_must_be_asked_for(workspace: Workspace, transport: Any) -> None:
    app = bolt_app(workspace)
    heard: list[Json] = []

    @app.event("message")
    async def said(event: Json) -> None:
        if "files" in event:
            heard.append(event)

    mia = await workspace.people.invite("mia", GENERAL, team_id=OTHER_TEAM)
    async with transport(workspace, app):
        await workspace.people.share(mia.id, GENERAL, [("notes.txt", b"three\nlines\n")])
        await eventually(lambda: heard)
        (file,) = heard[0]["files"]
        told = (await app.client.files_info(file=file["id"]))["file"]
    assert file["file_access"] == "check_file_info"
    assert "url_private" not in file
    assert (told["name"], told["user_team"], told["file_access"]) == ("notes.txt", OTHER_TEAM, "visible")


async def test_the_older_assistant_s_events(workspace: Workspace, transport: Any) -> None:
    app = bolt_app(workspace)
    assistant = AsyncAssistant()
    started: list[Json] = []
    moved: list[Json] = []

    @assistant.thread_started
    async def begun(payload: Json, set_suggested_prompts: Any) -> None:
        started.append(payload["assistant_thread"])
        await set_suggested_prompts(prompts=["What can you do?"], title="Try")

    @assistant.thread_context_changed
    async def changed(payload: Json, save_thread_context: Any) -> None:
        moved.append(payload["assistant_thread"])

    app.use(assistant)
    take_the_rest(app)
    async with transport(workspace, app):
        thread_ts = await workspace.people.open_assistant(ASHA, looked_at_id=GENERAL)
        channel_id = workspace.timeline.direct_channel(ASHA).id
        await eventually(lambda: workspace.timeline.prompts(channel_id, thread_ts))
        await workspace.people.look_at(ASHA, RANDOM, assistant_ts=thread_ts)
        await eventually(lambda: moved)
    thread = {"user_id": ASHA, "channel_id": channel_id, "thread_ts": thread_ts}
    context = {"team_id": workspace.identity.team_id, "enterprise_id": None}
    assert started == [{**thread, "context": {**context, "channel_id": GENERAL}}]
    assert moved == [{**thread, "context": {**context, "channel_id": RANDOM}}]


async def test_edits_and_deletions_in_a_thread(workspace: Workspace, transport: Any) -> None:
    app = bolt_app(workspace)
    heard: list[Json] = []

    @app.event("message")
    async def said(event: Json) -> None:
        if "subtype" in event:
            heard.append(event)

    people = workspace.people
    async with transport(workspace, app):
        root = await people.post(ASHA, GENERAL, "root")
        assert root is not None
        reply = await people.post(ASHA, GENERAL, "first", thread_ts=root["ts"])
        assert reply is not None
        await people.edit(ASHA, GENERAL, reply["ts"], "second")
        await eventually(lambda: len(heard) == 1)
        await people.delete(ASHA, GENERAL, reply["ts"])
        await eventually(lambda: len(heard) == 2)
    changed, deleted = heard
    assert (changed["subtype"], changed["previous_message"]["text"]) == ("message_changed", "first")
    assert (changed["message"]["text"], changed["message"]["thread_ts"]) == ("second", root["ts"])
    assert (deleted["subtype"], deleted["deleted_ts"]) == ("message_deleted", reply["ts"])
    assert (deleted["previous_message"]["text"], deleted["previous_message"]["thread_ts"]) == ("second", root["ts"])


async def test_reactions_of_people(workspace: Workspace, transport: Any) -> None:
    app = bolt_app(workspace)
    heard: list[Json] = []

    @app.event("reaction_added")
    @app.event("reaction_removed")
    async def reacted(event: Json) -> None:
        heard.append(event)

    answer = workspace.timeline.post(GENERAL, BOT_USER_ID, "an answer", as_app=True)
    unseen = workspace.timeline.post(RANDOM, ASHA, "Dolly is not here")
    async with transport(workspace, app):
        await workspace.people.react(ASHA, RANDOM, unseen["ts"], "eyes")
        await workspace.people.react(ASHA, GENERAL, answer["ts"], "thumbsup")
        await eventually(lambda: len(heard) == 1)
        await workspace.people.unreact(ASHA, GENERAL, answer["ts"], "thumbsup")
        await eventually(lambda: len(heard) == 2)
    assert [event["type"] for event in heard] == ["reaction_added", "reaction_removed"]
    for event in heard:
        assert (event["user"], event["reaction"], event["item_user"]) == (ASHA, "thumbsup", BOT_USER_ID)
        assert event["item"] == {"type": "message", "channel": GENERAL, "ts": answer["ts"]}
