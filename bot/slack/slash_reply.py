"""An answer to a slash command: whole, and only its asker sees it."""

import aiohttp
from slack_sdk.webhook.async_client import AsyncWebhookClient

from bot.conversation import Turn
from bot.errors import SlackError
from bot.slack.client import TIMEOUT_SECONDS
from bot.slack.mrkdwn import escape, pieces

USES = 5
"""How often Slack takes an answer at one response_url."""


class SlashReply:
    """Collects one answer and posts it to the command's response_url when it is finished."""

    def __init__(self, turn: Turn) -> None:
        assert turn.response_url is not None
        self._webhook = AsyncWebhookClient(turn.response_url, timeout=TIMEOUT_SECONDS, retry_handlers=[])
        self._text = ""

    async def thinking(self) -> None:
        """Slack shows nothing here: the command was acknowledged with Dolly's own sentence."""

    async def write(self, delta: str) -> None:
        """Add a piece of the model's text."""
        self._text += delta

    async def abandon(self) -> None:
        """Post nothing."""

    async def stop(self, sentence: str) -> None:
        """Post what there is, then `sentence`."""
        await self.finish(sentence)

    async def finish(self, sentence: str | None = None) -> None:
        """Post the answer, then `sentence`. Raises SlackError when Slack does not take it."""
        answers = [escape(piece) for piece in pieces(self._text.strip())[:USES]] or [""]
        answers[-1] = "\n\n".join(part for part in (answers[-1], sentence) if part)
        for answer in answers:
            await self._post(answer)

    async def _post(self, markdown: str) -> None:
        try:
            response = await self._webhook.send(
                text=markdown,
                blocks=[{"type": "markdown", "text": markdown}],
                response_type="ephemeral",
                replace_original=True,
                unfurl_links=False,
                unfurl_media=False,
            )
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise SlackError("response_url", type(error).__name__) from None
        if response.status_code != 200:
            raise SlackError("response_url", f"http_{response.status_code}")
