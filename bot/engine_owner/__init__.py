"""Whoever owns engines, Dolly's own or containers: another model comes into service beside the one that answers, or
in its place.

docs/learning.md has the protocol, for other owners.
"""

from bot.engine_owner.own_engines import Engine
from bot.engine_owner.owner import EngineOwner
from bot.engine_owner.serving import Configured

__all__ = ["Configured", "Engine", "EngineOwner"]
