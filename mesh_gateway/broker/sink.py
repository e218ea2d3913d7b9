"""A broker as somebody's subscriber or dead letter sink: delivered in process, without HTTP."""

from __future__ import annotations

import asyncio
from typing import Any

from mesh_gateway.broker.broker import Broker
from mesh_gateway.delivery.sink import ACCEPTED, Ended, Refused, Retry
from mesh_gateway.errors import EventError, MeshError, TransportError
from mesh_gateway.event import Event


class BrokerSink:
    """Hands events to a broker of the same gateway; accepted means durable there."""

    def __init__(self, broker: Broker, address: str) -> None:
        self._broker = broker
        self.address = address

    def send(self, event: Event, context: Any, ended: Ended) -> None:
        """As `Sink.send`; the hop counter goes down by one."""

        def done(error: MeshError | None) -> None:
            if error is None:
                ended(context, ACCEPTED)
            elif isinstance(error, EventError):
                ended(context, Refused(str(error), error.status))
            else:
                after = error.retry_after if isinstance(error, TransportError) else None
                ended(context, Retry(f"broker {self._broker.key}: {error}", None, after))

        try:
            self._broker.accept_inside(event, done)
        except EventError as error:
            asyncio.get_running_loop().call_soon(ended, context, Refused(str(error), error.status))

    async def close(self) -> None:
        """Nothing to free."""
