"""How Slack's events come, and what was missed meanwhile."""
