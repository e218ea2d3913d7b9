"""What a channel's queue is called."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

LONGEST = 80
"""Characters of a queue's name, with `.fifo`, by SQS's own rule."""


@dataclass(frozen=True, slots=True)
class Names:
    """`prefix_namespace_broker`, and what follows for dead letters and parked events."""

    prefix: str
    fifo: bool

    def queue(self, channel: str) -> str:
        """The queue of a channel. Names of Brokers and Triggers hold no underscore, so two channels never share one;
        a name that is too long ends in a hash of the whole.
        """
        plain = channel.replace("/", "_").replace(":", "_").replace(".", "__")
        name, suffix = f"{self.prefix}_{plain}", ".fifo" if self.fifo else ""
        room = LONGEST - len(suffix)
        if len(name) > room:
            name = f"{name[: room - 17]}_{hashlib.sha256(channel.encode()).hexdigest()[:16]}"
        return name + suffix
