"""What a receiver remembers of one relay: the numbers of its latest epochs."""

from __future__ import annotations

import msgspec

from mesh_gateway.federation.seen import Seen

EPOCHS = 16
"""Kept of one relay: as many processes may send for it at once, or as many starts ago may a message have been sent
that comes only now. The events of an older one are still recognised by their identities."""

_Stored = list[tuple[str, int, list[int]]]
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Stored).decode


class Lanes:
    """The epochs of one relay, the one that sent last at the end."""

    def __init__(self, stored: bytes | None = None) -> None:
        found = [] if stored is None else _decode(stored)
        self._epochs = {epoch: Seen(watermark, beyond) for epoch, watermark, beyond in found}

    def of(self, epoch: str) -> Seen:
        """What was seen of this epoch; nothing of one that is new, or that was forgotten."""
        return self._epochs.get(epoch) or Seen()

    def put(self, epoch: str, seen: Seen) -> None:
        """From now on the epoch that sent last."""
        self._epochs.pop(epoch, None)
        self._epochs[epoch] = seen
        while len(self._epochs) > EPOCHS:
            del self._epochs[next(iter(self._epochs))]

    def stored(self) -> bytes:
        """As bytes, for the channel's memory."""
        return _encode([(epoch, seen.watermark, sorted(seen.beyond)) for epoch, seen in self._epochs.items()])
