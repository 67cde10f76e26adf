"""Whoever owns Dolly's own engine: another model comes into service beside the one that answers, or in its place.

docs/learning.md has the protocol, for owners of other engines.
"""

from bot.engine_owner.own_engines import Engine
from bot.engine_owner.owner import EngineOwner
from bot.engine_owner.serving import Configured

__all__ = ["Configured", "Engine", "EngineOwner"]
