"""What a listener says once Slack has its acknowledgement."""

from slack_bolt.context.respond.async_respond import AsyncRespond

from bot.slack.afterwards import said


async def test_where_there_is_no_address_nothing_is_said_and_nothing_fails() -> None:
    await said(AsyncRespond(response_url=None), "Done.")
