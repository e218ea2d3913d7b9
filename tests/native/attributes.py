"""Attributes for a native part to judge: usual ones, and ones that are almost usual."""

from __future__ import annotations

import random

from tests.native import deliveries
from tests.native.records import USUAL_HEADERS

USUAL = {name[3:].decode(): (value or b"").decode() for name, value in USUAL_HEADERS if name[:3] == b"ce_"}


def event(chance: random.Random) -> dict[str, str]:
    """The attributes of an event, and sometimes others."""
    return dict(deliveries.event(chance).attributes) | chance.choice(({}, {"tenant": "acme"}, USUAL))
