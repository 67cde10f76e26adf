"""One successful call of every Web API method, made with slack_sdk's own client."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.web.async_slack_response import AsyncSlackResponse

from bot.local.workspace.records import Json
from bot.local.workspace.workspace import Workspace
from tests.bot.local.workspace.bare_app import ASHA, BEN, GENERAL, RANDOM, BareSocket, bare_app, eventually, running

MODAL: Json = {
    "type": "modal",
    "callback_id": "fix",
    "private_metadata": "kept",
    "title": {"type": "plain_text", "text": "Fix this answer"},
    "submit": {"type": "plain_text", "text": "Send"},
    "blocks": [
        {
            "type": "input",
            "block_id": "answer",
            "label": {"type": "plain_text", "text": "Better answer"},
            "element": {"type": "plain_text_input", "action_id": "text", "multiline": True},
        }
    ],
}
HOME: Json = {"type": "home", "blocks": [{"type": "section", "text": {"type": "mrkdwn", "text": "*Hello*"}}]}


BLOCKS: list[Json] = [
    {"type": "header", "text": {"type": "plain_text", "text": "Answer"}},
    {
        "type": "section",
        "text": {"type": "mrkdwn", "text": "*Forty-two*"},
        "fields": [{"type": "mrkdwn", "text": "Sure"}],
        "accessory": {
            "type": "button",
            "text": {"type": "plain_text", "text": "Why?"},
            "value": "why",
            "url": "https://x.org",
        },
    },
    {"type": "context", "elements": [{"type": "mrkdwn", "text": "by a model"}]},
    {
        "type": "actions",
        "elements": [{"type": "button", "text": {"type": "plain_text", "text": "Fix"}, "action_id": "fix"}],
    },
    {"type": "markdown", "text": "| a | b |"},
    {
        "type": "context_actions",
        "elements": [
            {
                "type": "feedback_buttons",
                "action_id": "feedback",
                "positive_button": {"text": {"type": "plain_text", "text": "Good"}, "value": "good"},
                "negative_button": {"text": {"type": "plain_text", "text": "Bad"}, "value": "bad"},
            }
        ],
    },
]
CHUNKS: list[Json] = [
    {"type": "markdown_text", "text": "-two**"},
    {"type": "plan_update", "title": "Thinking"},
    {
        "type": "task_update",
        "id": "1",
        "title": "Reading",
        "status": "complete",
        "details": "three files",
        "output": "done",
        "sources": [{"type": "url", "url": "https://x.org", "text": "X"}],
    },
    {"type": "blocks", "blocks": [{"type": "divider"}]},
]


@dataclass
class Scene:
    """A workspace in which Asha has asked something and Dolly is about to answer."""

    workspace: Workspace
    client: AsyncWebClient
    socket: BareSocket
    question: Json

    @property
    def ts(self) -> str:
        return str(self.question["ts"])

    async def trigger_id(self) -> str:
        """What Asha's use of /dolly lets the app open a modal with."""
        seen = len(self.socket.envelopes)
        await self.workspace.people.command(ASHA, GENERAL, "/dolly", "help")
        await eventually(lambda: self._commands(seen))
        return str(self._commands(seen)[0]["payload"]["trigger_id"])

    def _commands(self, seen: int) -> list[Json]:
        return [each for each in self.socket.envelopes[seen:] if each["type"] == "slash_commands"]

    async def said(self, text: str = "Forty-two.", **arguments: Any) -> str:
        """The ts of a reply of Dolly's."""
        answer = await self.client.chat_postMessage(channel=GENERAL, text=text, thread_ts=self.ts, **arguments)
        return str(answer["ts"])

    async def streaming(self) -> str:
        """The ts of a stream of Dolly's."""
        answer = await self.client.chat_startStream(
            channel=GENERAL,
            thread_ts=self.ts,
            recipient_team_id=self.workspace.identity.team_id,
            recipient_user_id=ASHA,
            chunks=[{"type": "markdown_text", "text": "**Forty"}],
        )
        return str(answer["ts"])


@asynccontextmanager
async def scene(**options: Any) -> AsyncIterator[Scene]:
    async with running(**options) as workspace, bare_app(workspace) as app:
        client = AsyncWebClient(workspace.identity.bot_token, base_url=workspace.api_url)
        socket = await app.connect()
        question = workspace.timeline.post(GENERAL, ASHA, "What is <https://x.org|it>, <@U0DOLLYBOT1>?")
        yield Scene(workspace, client, socket, question)


Answer = Awaitable[AsyncSlackResponse]


async def delete(s: Scene) -> AsyncSlackResponse:
    return await s.client.chat_delete(channel=GENERAL, ts=await s.said())


async def update(s: Scene) -> AsyncSlackResponse:
    metadata = {"event_type": "answered", "event_payload": {"n": 1}}
    ts = await s.said(blocks=BLOCKS)
    return await s.client.chat_update(channel=GENERAL, ts=ts, text="Forty-three.", metadata=metadata)


async def start_stream(s: Scene) -> AsyncSlackResponse:
    return await s.client.chat_startStream(
        channel=s.workspace.timeline.direct_channel(ASHA).id,
        thread_ts=s.workspace.timeline.post("D0ASHA00001", ASHA, "Hello")["ts"],
        markdown_text="Hi",
    )


async def append_stream(s: Scene) -> AsyncSlackResponse:
    return await s.client.chat_appendStream(channel=GENERAL, ts=await s.streaming(), chunks=CHUNKS)


async def stop_stream(s: Scene) -> AsyncSlackResponse:
    return await s.client.chat_stopStream(channel=GENERAL, ts=await s.streaming(), chunks=CHUNKS, blocks=BLOCKS)


async def replies(s: Scene) -> AsyncSlackResponse:
    await s.said(metadata={"event_type": "answered", "event_payload": {"n": 1}}, reply_broadcast=True)
    await s.client.reactions_add(channel=GENERAL, timestamp=s.ts, name="eyes")
    await s.client.chat_update(channel=GENERAL, ts=await s.said(), text="Changed")
    return await s.client.conversations_replies(channel=GENERAL, ts=s.ts, include_all_metadata=True, limit=2)


async def history(s: Scene) -> AsyncSlackResponse:
    await replies(s)
    s.workspace.timeline.post(GENERAL, BEN, "*Another* :wave:")
    return await s.client.conversations_history(channel=GENERAL, limit=3, oldest=s.ts, inclusive=True)


async def get_reactions(s: Scene) -> AsyncSlackResponse:
    await s.client.reactions_add(channel=GENERAL, timestamp=s.ts, name="thumbsup")
    return await s.client.reactions_get(channel=GENERAL, timestamp=s.ts)


async def remove_reaction(s: Scene) -> AsyncSlackResponse:
    await s.client.reactions_add(channel=GENERAL, timestamp=s.ts, name="thumbsup")
    return await s.client.reactions_remove(channel=GENERAL, timestamp=s.ts, name="thumbsup")


async def open_view(s: Scene) -> AsyncSlackResponse:
    return await s.client.views_open(trigger_id=await s.trigger_id(), view=MODAL)


async def push_view(s: Scene) -> AsyncSlackResponse:
    await open_view(s)
    return await s.client.views_push(trigger_id=await s.trigger_id(), view=MODAL)


async def update_view(s: Scene) -> AsyncSlackResponse:
    view = (await open_view(s))["view"]
    return await s.client.views_update(view_id=view["id"], hash=view["hash"], view=MODAL)


async def upload(s: Scene) -> AsyncSlackResponse:
    announced = await s.client.files_getUploadURLExternal(filename="notes.txt", length=11)
    async with aiohttp.ClientSession() as session, session.post(announced["upload_url"], data=b"three\nlines") as sent:
        assert sent.status == 200
    return await s.client.files_completeUploadExternal(
        files=[{"id": announced["file_id"], "title": "Notes"}],
        channel_id=GENERAL,
        initial_comment="See",
        thread_ts=s.ts,
    )


async def file_info(s: Scene) -> AsyncSlackResponse:
    return await s.client.files_info(file=(await upload(s))["files"][0]["id"])


async def open_connection(s: Scene) -> AsyncSlackResponse:
    return await s.client.apps_connections_open(app_token=s.workspace.identity.app_token)


async def oauth_access(s: Scene) -> AsyncSlackResponse:
    app = s.workspace.identity
    code = s.workspace.web_api.new_install_code()
    return await AsyncWebClient(base_url=s.workspace.api_url).oauth_v2_access(
        client_id=app.client_id, client_secret=app.client_secret, code=code
    )


PROMPTS = [{"title": "Summarise", "message": "Summarise this thread"}]

CALLS: dict[str, Callable[[Scene], Answer]] = {
    "agents.sessions.rename": lambda s: s.client.agents_sessions_rename(
        channel_id=GENERAL, thread_ts=s.ts, title="About it"
    ),
    "agents.sessions.setStatus": lambda s: s.client.agents_sessions_setStatus(
        channel_id=GENERAL, thread_ts=s.ts, status="processing", title="About it"
    ),
    "api.test": lambda s: s.client.api_test(foo="bar"),
    "apps.connections.open": open_connection,
    "assistant.threads.setStatus": lambda s: s.client.assistant_threads_setStatus(
        channel_id=GENERAL, thread_ts=s.ts, status="is thinking…", loading_messages=["Reading"]
    ),
    "assistant.threads.setSuggestedPrompts": lambda s: s.client.assistant_threads_setSuggestedPrompts(
        channel_id=GENERAL, thread_ts=s.ts, prompts=PROMPTS, title="Try"
    ),
    "assistant.threads.setTitle": lambda s: s.client.assistant_threads_setTitle(
        channel_id=GENERAL, thread_ts=s.ts, title="About it"
    ),
    "auth.test": lambda s: s.client.auth_test(),
    "bots.info": lambda s: s.client.bots_info(bot=s.workspace.identity.bot_id),
    "chat.appendStream": append_stream,
    "chat.delete": delete,
    "chat.getPermalink": lambda s: s.client.chat_getPermalink(channel=GENERAL, message_ts=s.ts),
    "chat.postEphemeral": lambda s: s.client.chat_postEphemeral(channel=GENERAL, user=ASHA, text="Only you"),
    "chat.postMessage": lambda s: s.client.chat_postMessage(
        channel=GENERAL, text="Forty-two.", thread_ts=s.ts, blocks=BLOCKS, reply_broadcast=True
    ),
    "chat.startStream": start_stream,
    "chat.stopStream": stop_stream,
    "chat.update": update,
    "conversations.history": history,
    "conversations.info": lambda s: s.client.conversations_info(
        channel=GENERAL, include_locale=True, include_num_members=True
    ),
    "conversations.join": lambda s: s.client.conversations_join(channel=RANDOM),
    "conversations.list": lambda s: s.client.conversations_list(types="public_channel,im,mpim"),
    "conversations.members": lambda s: s.client.conversations_members(channel=GENERAL),
    "conversations.open": lambda s: s.client.conversations_open(users=[ASHA], return_im=True),
    "conversations.replies": replies,
    "files.completeUploadExternal": upload,
    "files.getUploadURLExternal": lambda s: s.client.files_getUploadURLExternal(filename="a.txt", length=3),
    "files.info": file_info,
    "oauth.v2.access": oauth_access,
    "reactions.add": lambda s: s.client.reactions_add(channel=GENERAL, timestamp=s.ts, name="eyes"),
    "reactions.get": get_reactions,
    "reactions.remove": remove_reaction,
    "team.info": lambda s: s.client.team_info(),
    "users.conversations": lambda s: s.client.users_conversations(user=ASHA, types="public_channel,im"),
    "users.info": lambda s: s.client.users_info(user=ASHA, include_locale=True),
    "users.list": lambda s: s.client.users_list(include_locale=True),
    "views.open": open_view,
    "views.publish": lambda s: s.client.views_publish(user_id=ASHA, view=HOME),
    "views.push": push_view,
    "views.update": update_view,
}
