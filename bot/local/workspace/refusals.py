"""What the workspace refuses, by Slack's own error names."""


class Refused(Exception):
    """The workspace will not do it.

    `error` is Slack's name for why (`channel_not_found`); `messages` explain it as Slack's
    `response_metadata.messages` do.
    """

    def __init__(self, error: str, *messages: str) -> None:
        super().__init__(error)
        self.error = error
        self.messages = messages


class StreamError(Refused):
    """A streaming message cannot be started, continued, ended or changed now."""


class PeopleError(Exception):
    """A person asked for what cannot be done; `str(error)` is the sentence to show."""
