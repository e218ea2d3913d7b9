"""What a receiver of transfers says of itself, in its answer to OPTIONS.

mesh-transfer: 1; events=1000; bytes=10485760; gzip; offers
mesh-place: us/shop/orders
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mesh_gateway.federation.encoding import TRANSFER, VERSION

PLACE = b"mesh-place"


@dataclass(frozen=True, slots=True)
class Terms:
    """How transfers may be sent."""

    place: str
    """Where they are logged: `cluster/namespace/broker`."""
    most_events: int
    most_bytes: int
    offers: bool = False
    """Several ways lead here, so events are to be offered before they are sent (`offers.py`)."""


def terms_headers(terms: Terms) -> tuple[tuple[str, str], ...]:
    """How an answer to OPTIONS says that transfers are taken."""
    said = f"{VERSION.decode()}; events={terms.most_events}; bytes={terms.most_bytes}; gzip"
    if terms.offers:
        said += "; offers"
    return (TRANSFER.decode(), said), (PLACE.decode(), terms.place)


def read_terms(headers: Mapping[bytes, bytes]) -> Terms | None:
    """What an answer to OPTIONS says; None when its sender takes no transfers of this version."""
    version, *parameters = (part.strip() for part in headers.get(TRANSFER, b"").split(b";"))
    place = headers.get(PLACE, b"").decode("latin-1")
    numbers = dict(part.split(b"=", 1) for part in parameters if b"=" in part)
    events, size = _number(numbers.get(b"events", b"")), _number(numbers.get(b"bytes", b""))
    if version != VERSION or not place or events is None or size is None:
        return None
    return Terms(place, max(1, events), max(1, size), b"offers" in parameters)


def _number(text: bytes) -> int | None:
    return int(text) if len(text) <= 15 and text.isdigit() else None
