"""What a reply code of AMQP 0-9-1 means for the gateway."""

from __future__ import annotations

from mesh_gateway.errors import ChannelGone, ConnectionLost, NotPermitted, Throttled, TransportError

ACCESS_REFUSED, NOT_FOUND, RESOURCE_LOCKED, PRECONDITION_FAILED, NOT_ALLOWED = 403, 404, 405, 406, 530
RESOURCE_ERROR = 506


class Inequivalent(TransportError):
    """A queue or exchange is there already, with other properties; the text names them."""


def meant(code: int, text: str, doing: str) -> TransportError:
    """The gateway's error for a channel or connection that the server closed while we were `doing` something."""
    if code == ACCESS_REFUSED:
        return NotPermitted(f"RabbitMQ does not allow us to {doing}: {text}")
    if code == NOT_ALLOWED:
        return NotPermitted(f"RabbitMQ does not let us in: {text}")
    if code == NOT_FOUND:
        return ChannelGone(f"cannot {doing}: {text}")
    if code == PRECONDITION_FAILED:
        return Inequivalent(f"cannot {doing}: {text}")
    if code == RESOURCE_ERROR:
        return Throttled(f"cannot {doing}: {text}", retry_after=1)
    return ConnectionLost(f"RabbitMQ ended what we did ({doing}): {code} {text}")
