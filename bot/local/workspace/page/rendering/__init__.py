"""Slack's text and blocks as safe HTML. Pure: no I/O, everything escaped, nothing that loads from elsewhere."""
