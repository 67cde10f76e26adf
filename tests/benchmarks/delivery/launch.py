"""`dolly serve` in a workspace without rate limits: `python -m tests.benchmarks.delivery.launch serve`.

Dolly keeps to Slack's limits by itself. Here it may begin as many streams and post as many messages as it is asked for,
so that its time is measured and not Slack's; for its appends it keeps to the pace that Slack allows a workspace.
"""

from bot.__main__ import main
from bot.slack.budgets import RATES
from bot.store.rates import Rate

ANY_PER_MINUTE = 100_000

if __name__ == "__main__":
    for method in ("chat.startStream", "chat.stopStream", "chat.postMessage"):
        RATES[method] = Rate(ANY_PER_MINUTE, at_once=ANY_PER_MINUTE)
    main()
