"""A broker of the same gateway as a relay's target: transfers without a wire."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from mesh_gateway.errors import TransportError
from mesh_gateway.federation.receiver import Receiver, Verdicts
from mesh_gateway.federation.target import Manner, Unreached
from mesh_gateway.federation.transfer import Transfer, Verdict


class Local:
    """Implements `Target` for one receiver."""

    def __init__(self, receiver: Receiver, address: str) -> None:
        self.address = address
        self._receiver = receiver

    async def meet(self) -> Manner:
        """As `Target.meet`."""
        return Manner("batches", self._receiver.place)

    async def send(self, transfer: Transfer) -> Sequence[Verdict | None]:
        """As `Target.send`."""
        ending: asyncio.Future[Verdicts | TransportError] = asyncio.get_running_loop().create_future()

        def told(outcome: Verdicts | TransportError) -> None:
            if not ending.done():
                ending.set_result(outcome)

        self._receiver.take(transfer, (), told)
        outcome = await ending
        if isinstance(outcome, TransportError):
            raise Unreached("unavailable", str(outcome), outcome.retry_after)
        return outcome

    async def close(self) -> None:
        """Nothing to free."""
