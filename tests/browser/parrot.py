"""A small app for the page's tests: it streams what it is told to, and has buttons, a modal, a command, a Home tab."""

import asyncio
import re
from typing import Any

from slack_bolt.adapter.socket_mode.async_handler import AsyncSocketModeHandler
from slack_bolt.async_app import AsyncAck, AsyncApp, AsyncRespond
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.local.workspace.manifest import Command, Manifest, Shortcut
from bot.local.workspace.workspace import Workspace

Json = dict[str, Any]

MANIFEST = Manifest(
    Command("/dolly", "Ask Dolly; only you see the answer", "help | forget | <question>"),
    (Shortcut("note", "Ask Dolly about this", "Opens a form with the message"),),
    ({"title": "Say hello", "message": "Hello, Parrot"},),
)


def plain(text: str) -> Json:
    return {"type": "plain_text", "text": text, "emoji": True}


def option(text: str) -> Json:
    return {"text": plain(text), "value": text.lower()}


FEEDBACK: Json = {
    "type": "context_actions",
    "elements": [
        {
            "type": "feedback_buttons",
            "action_id": "feedback",
            "positive_button": {"text": plain("Good answer"), "value": "good"},
            "negative_button": {"text": plain("Bad answer"), "value": "bad"},
        }
    ],
}
FIX: Json = {
    "type": "actions",
    "block_id": "after",
    "elements": [{"type": "button", "action_id": "fix", "text": plain("Fix this answer")}],
}


def field(block_id: str, label: str, element: Json, **more: Any) -> Json:
    return {
        "type": "input",
        "block_id": block_id,
        "label": plain(label),
        "element": element | {"action_id": "value"},
        **more,
    }


OFFER: list[Json] = [
    {"type": "section", "text": plain("This is for you alone.")},
    {
        "type": "actions",
        "elements": [
            {"type": "button", "action_id": "share", "text": plain("Share in channel"), "style": "primary"},
            {
                "type": "button",
                "action_id": "forget",
                "text": plain("Forget me"),
                "style": "danger",
                "confirm": {
                    "title": plain("Forget you?"),
                    "text": plain("All that was said is deleted."),
                    "confirm": plain("Forget"),
                    "deny": plain("Keep"),
                    "style": "danger",
                },
            },
            {"type": "overflow", "action_id": "over", "options": [option("Hide"), option("Ask again")]},
        ],
    },
]


MODAL: Json = {
    "type": "modal",
    "callback_id": "fixed",
    "private_metadata": "kept",
    "title": plain("Fix this answer"),
    "submit": plain("Send"),
    "blocks": [
        field("better", "A better answer", {"type": "plain_text_input", "multiline": True}),
        field("why", "What was wrong", {"type": "static_select", "options": [option("Facts"), option("Tone")]}),
        field("who", "Who may see it", {"type": "radio_buttons", "options": [option("Me"), option("Everyone")]}),
        field("also", "Also", {"type": "checkboxes", "options": [option("Train on it")]}, optional=True),
        field("when", "Valid from", {"type": "datepicker"}, optional=True),
        field("team", "Team", {"type": "external_select"}, optional=True),
        {"type": "actions", "elements": [{"type": "button", "action_id": "more", "text": plain("More…")}]},
    ],
}


class Parrot:
    """The app, connected by Socket Mode. What people did to it is kept in `heard`."""

    def __init__(self, workspace: Workspace) -> None:
        self.pieces = ["It is ", "**forty", "-two**, ", "as everybody knows."]
        """What each answer is made of."""

        self.may_write = asyncio.Event()
        """Cleared, an answer waits before its piece number `waits_before`, counted from 0."""

        self.may_write.set()
        self.waits_before = 1
        self.seconds_between = 0.02
        self.title: str | None = None
        self.heard: list[Json] = []
        client = AsyncWebClient(token=workspace.identity.bot_token, base_url=workspace.api_url)
        self._app = AsyncApp(client=client)
        self._socket = AsyncSocketModeHandler(self._app, workspace.identity.app_token)
        self._listen()

    async def start(self) -> None:
        await self._socket.connect_async()  # type: ignore[no-untyped-call]

    async def stop(self) -> None:
        self.may_write.set()
        await self._socket.close_async()  # type: ignore[no-untyped-call]

    def _listen(self) -> None:
        self._app.event("app_mention")(self._answer)
        self._app.event("message")(self._direct_message)
        self._app.event("app_home_opened")(self._home)
        self._app.event("agent_session_stopped")(self._stopped)
        self._app.event(re.compile(".*"))(self._ignore)
        self._app.action("feedback")(self._keep)
        self._app.action("fix")(self._open_modal)
        self._app.action("more")(self._push_modal)
        self._app.action("greet")(self._keep)
        self._app.action("length")(self._keep)
        self._app.action("share")(self._share)
        self._app.action("forget")(self._take_away)
        self._app.action("over")(self._keep)
        self._app.shortcut("note")(self._note)
        self._app.options("value")(self._teams)
        self._app.view("fixed")(self._submitted)
        self._app.command("/dolly")(self._command)

    async def _direct_message(self, event: Json, client: AsyncWebClient) -> None:
        if event.get("channel_type") == "im" and "subtype" not in event:
            await self._answer(event, client)

    async def _answer(self, event: Json, client: AsyncWebClient) -> None:
        place = {"channel": event["channel"], "thread_ts": event.get("thread_ts", event["ts"])}
        await client.assistant_threads_setStatus(
            channel_id=place["channel"], thread_ts=place["thread_ts"], status="is thinking…"
        )
        who = {"recipient_user_id": event["user"], "recipient_team_id": event.get("team", "T")}
        stream = await client.chat_startStream(**place, **who, markdown_text=self.pieces[0])
        try:
            for number, piece in enumerate(self.pieces[1:], start=1):
                if number == self.waits_before:
                    await self.may_write.wait()
                await asyncio.sleep(self.seconds_between)
                await client.chat_appendStream(channel=place["channel"], ts=stream["ts"], markdown_text=piece)
            blocks = [FEEDBACK, FIX]
            await client.chat_stopStream(channel=place["channel"], ts=stream["ts"], blocks=blocks)
        except SlackApiError as refused:
            self.heard.append({"refused": refused.response["error"]})
        if self.title is not None:
            await client.assistant_threads_setTitle(
                channel_id=place["channel"], thread_ts=place["thread_ts"], title=self.title
            )

    async def _home(self, event: Json, client: AsyncWebClient) -> None:
        if event["tab"] != "home":
            return
        blocks = [
            {"type": "header", "text": plain("Welcome home")},
            {"type": "section", "text": {"type": "mrkdwn", "text": f"Hello <@{event['user']}>, ask me *anything*."}},
            {"type": "actions", "elements": [{"type": "button", "action_id": "greet", "text": plain("Say hello")}]},
            {"type": "divider"},
            {
                "type": "section",
                "text": {
                    "type": "mrkdwn",
                    "text": "*Answer length*\nHow much Dolly says when you do not ask for more.",
                },
                "accessory": {
                    "type": "static_select",
                    "action_id": "length",
                    "options": [option("Short"), option("Long")],
                    "initial_option": option("Short"),
                },
            },
            {"type": "context", "elements": [{"type": "mrkdwn", "text": "Kept for 30 days, then deleted."}]},
        ]
        await client.views_publish(user_id=event["user"], view={"type": "home", "blocks": blocks})

    async def _stopped(self, event: Json) -> None:
        self.heard.append(event)

    async def _ignore(self) -> None:
        """Reactions, edits: acknowledged, and nothing more."""

    async def _keep(self, ack: AsyncAck, body: Json) -> None:
        await ack()
        self.heard.append(body)

    async def _open_modal(self, ack: AsyncAck, body: Json, client: AsyncWebClient) -> None:
        await ack()
        await client.views_open(trigger_id=body["trigger_id"], view=MODAL)

    async def _push_modal(self, ack: AsyncAck, body: Json, client: AsyncWebClient) -> None:
        await ack()
        blocks = [{"type": "section", "text": plain("There is more to say.")}]
        view = {"type": "modal", "title": plain("More"), "blocks": blocks}
        await client.views_push(trigger_id=body["trigger_id"], view=view)

    async def _note(self, ack: AsyncAck, shortcut: Json, client: AsyncWebClient) -> None:
        await ack()
        self.heard.append(shortcut)
        quoted = {"type": "section", "text": plain(shortcut["message"]["text"])}
        view = {"type": "modal", "title": plain("About this"), "blocks": [quoted]}
        await client.views_open(trigger_id=shortcut["trigger_id"], view=view)

    async def _share(self, ack: AsyncAck, respond: AsyncRespond) -> None:
        await ack()
        await respond(text="Shared with all", response_type="in_channel", replace_original=False)
        await respond(text="You have shared it.", replace_original=True)

    async def _take_away(self, ack: AsyncAck, respond: AsyncRespond) -> None:
        await ack()
        await respond(delete_original=True)

    async def _teams(self, ack: AsyncAck, payload: Json) -> None:
        found = [team for team in ("Red team", "Blue team") if payload["value"] in team]
        await ack(options=[option(team) for team in found])

    async def _submitted(self, ack: AsyncAck, body: Json) -> None:
        self.heard.append(body)
        if "bad" in body["view"]["state"]["values"]["better"]["value"]["value"]:
            await ack(response_action="errors", errors={"better": "That is not better."})
        else:
            await ack()

    async def _command(self, ack: AsyncAck, command: Json) -> None:
        self.heard.append(command)
        if command["text"] == "sleep":
            return
        if command["text"] == "offer":
            await ack(text="An offer", blocks=OFFER)
            return
        await ack(f"You said: *{command['text']}*")
