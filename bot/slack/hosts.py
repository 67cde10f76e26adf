"""Where Dolly calls on Slack's behalf: Slack's own hosts and no other, wherever a payload or a redirect points."""

import aiohttp
from yarl import URL

SLACK_HOST = "slack.com"


class Elsewhere(aiohttp.ClientError):
    """A redirect led away from Slack; nothing was sent there."""


class SlackHosts:
    """The hosts of the Slack whose Web API is at `api_url`."""

    def __init__(self, api_url: str) -> None:
        self._api = URL(api_url)

    def take_token(self, url: URL) -> bool:
        """Whether the token may go there: the server of the Web API itself, or by TLS a host below it or slack.com."""
        if url.user is not None or url.password is not None:
            return False
        if url.is_absolute() and url.origin() == self._api.origin():
            return True
        host = url.host or ""
        is_below = any(host == parent or host.endswith(f".{parent}") for parent in (SLACK_HOST, self._api.host))
        return url.scheme == "https" and url.port == 443 and is_below

    def are_called(self, url: URL) -> bool:
        """Whether anything may be sent there: the same, and any port of a host that stands for Slack without TLS."""
        is_stand_in = url.scheme == self._api.scheme == "http" and url.host == self._api.host and url.user is None
        return is_stand_in or self.take_token(url)

    async def only(self, request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        """A middleware of aiohttp's client, which it calls for each hop. Raises Elsewhere."""
        if not self.are_called(request.url):
            raise Elsewhere("A redirect leads away from Slack.")
        return await send(request)
