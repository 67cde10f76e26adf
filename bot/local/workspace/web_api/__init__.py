"""Slack's Web API over HTTP, as Slack's own clients call it."""

from bot.local.workspace.web_api.server import WebApi

__all__ = ["WebApi"]
