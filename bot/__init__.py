"""Dolly, a team's own assistant inside Slack: the Slack half. It imports no torch and no transformers."""
