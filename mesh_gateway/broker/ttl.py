"""The hop counter `knativebrokerttl`: how many more brokers an event may pass.

An event without one, or with one that is not an integer, gets 255. Otherwise one is taken off
first, and what has nothing left is refused: so 1 on arrival is refused.
"""

from __future__ import annotations

import re
from typing import Final

from mesh_gateway.delivery.reply import TTL
from mesh_gateway.errors import HopsExhausted

INITIAL: Final = 255

_INTEGER = re.compile(r"-?[0-9]{1,10}\Z").match


def spend(ttl: str | None) -> str:
    """The counter after one more broker. Raises `HopsExhausted`."""
    if ttl is None or not _INTEGER(ttl):
        return str(INITIAL)
    left = min(int(ttl), INITIAL + 1) - 1
    if left <= 0:
        raise HopsExhausted(
            f"{TTL}: the event has passed its last broker; look for a loop of replies or brokers"
        )
    return str(left)
