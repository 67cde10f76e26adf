"""A stand-in for Slack on 127.0.0.1, with a page to use it by."""

from bot.local.workspace.workspace import Workspace

__all__ = ["Workspace"]
