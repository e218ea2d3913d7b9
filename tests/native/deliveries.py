"""Events for a native part to write: usual ones, and ones that are almost usual."""

from __future__ import annotations

import random
from typing import Any

from mesh_gateway.event import Event

FIRST = b"POST / HTTP/1.1\r\nhost: a\r\n"

USUAL_EVENT = Event(
    {
        "specversion": "1.0",
        "id": "a1b2c3d4",
        "source": "/shop/orders#1",
        "type": "com.example.order",
        "knativebrokerttl": "254",
        "datacontenttype": "application/json; charset=utf-8",
        "tenant": "",
    },
    b'{"a": 1}',
    None,
    {"traceparent": "00-1-2-01", "baggage": 'k = "v"'},
)

LETTERS = "az09AZ-_.:/?#%&'\"\\ \t\r\n\0\x7f\x80\u00e9\u017e\u20ac\U0001f600\ud800~!$"


def text(chance: random.Random, plain: float) -> str:
    letters = "az09-/" if chance.random() < plain else LETTERS
    return "".join(chance.choice(letters) for _ in range(chance.choice((0, 1, 3, 12, 80))))


def event(chance: random.Random) -> Event:
    """An event with the names and values that a codec gives, and sometimes with others."""
    attributes: dict[Any, Any] = dict(USUAL_EVENT.attributes)
    for _ in range(chance.randrange(3)):
        attributes[chance.choice((text(chance, 0.8), *attributes))] = text(chance, 0.7)
    passed = {text(chance, 0.9): text(chance, 0.8) for _ in range(chance.randrange(3))}
    data = chance.choice((None, b"", b"x" * chance.randrange(2_000)))
    return Event(attributes, data, None, chance.choice((None, passed)))
