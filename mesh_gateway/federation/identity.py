"""By what an event is recognised when it comes again: what CloudEvents calls its identity, source and id.

Gateways tell each other identities (`offers.py`): to make them otherwise takes a new version of transfers.
"""

from __future__ import annotations

from hashlib import blake2b

from mesh_gateway.delivery.deadletter import CLUSTER, TRIGGER
from mesh_gateway.event import Event

DIGEST = 16
"""Bytes of an identity."""


def identity(event: Event) -> bytes:
    """128 bits for source and id together: the same for the same event, and for nothing else.

    A dead letter has the source and id of its event and is another thing: one event may have a letter of each trigger
    that it was for, in each gateway. So with a letter, whose it is counts, too; by which way it came does not.

    The length stands in front, so that no source can end where another's id begins.
    """
    source, id = event.source.encode(), event.id.encode()
    text = b"%d:%b%b" % (len(source), source, id)
    trigger = event.attributes.get(TRIGGER)
    if trigger is not None:
        text = f"letter {event.attributes.get(CLUSTER, '')} {trigger} ".encode() + text
    return blake2b(text, digest_size=DIGEST).digest()
