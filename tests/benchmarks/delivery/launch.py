"""`dolly serve` in a workspace without rate limits: `python -m tests.benchmarks.delivery.launch serve`.

Dolly keeps to Slack's limits by itself. Here it may begin as many streams as it is asked for, so that its time is
measured and not Slack's; for its appends it keeps to the pace that Slack allows a workspace.
"""

from bot.__main__ import main
from bot.slack.budgets import RATES
from bot.store.rates import Rate

STREAMS_PER_MINUTE = 100_000

if __name__ == "__main__":
    for method in ("chat.startStream", "chat.stopStream"):
        RATES[method] = Rate(STREAMS_PER_MINUTE, at_once=STREAMS_PER_MINUTE)
    main()
