"""`dolly serve` in a workspace without rate limits: `python -m tests.benchmarks.delivery.launch CONVERSATIONS serve`.

Dolly keeps to Slack's limits by itself, and they are for a whole workspace. Here every answer is streamed, and each of
CONVERSATIONS at once has the appends that Slack allows a workspace, so that it is Dolly that is measured, not Slack.
"""

import sys

from bot.__main__ import main
from bot.slack import pacing

STREAMS_PER_MINUTE = 100_000


def widen_limits(conversations: int) -> None:
    pacing.STREAMS_PER_MINUTE = STREAMS_PER_MINUTE
    for name in ("APPENDS_PER_MINUTE", "UPDATES_PER_MINUTE", "POSTS_PER_MINUTE"):
        setattr(pacing, name, getattr(pacing, name) * conversations)


if __name__ == "__main__":
    widen_limits(int(sys.argv.pop(1)))
    main()
