"""`dolly check`: is each part that Dolly stands on there, and fit for it? With --production, is each promise kept?"""

from bot.preflight.egress import check_egress
from bot.preflight.engine import check_engine
from bot.preflight.finding import Finding, exit_code
from bot.preflight.machine import Machine, check_machine
from bot.preflight.report import as_json, summary, table
from bot.preflight.slack import check_slack
from bot.preflight.store import check_store

__all__ = [
    "Finding",
    "Machine",
    "as_json",
    "check_egress",
    "check_engine",
    "check_machine",
    "check_slack",
    "check_store",
    "exit_code",
    "summary",
    "table",
]
