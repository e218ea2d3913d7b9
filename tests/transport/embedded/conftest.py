"""A transport over a file, a clock that the test moves, and the store's disk in the test's hands."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from mesh_gateway.testing.clock import ManualClock
from mesh_gateway.transport.contract import ChannelSpec, Ensure, TransportContext
from mesh_gateway.transport.embedded.options import EmbeddedOptions
from mesh_gateway.transport.embedded.store import Store
from mesh_gateway.transport.embedded.transport import EmbeddedTransport

CHANNEL = "ns/b"


@dataclass
class Home:
    """A state directory, and what its transports have reported."""

    directory: Path | None
    clock: ManualClock = field(default_factory=ManualClock)
    wall: float = 1_000_000.0
    unreadable: list[tuple[str, str]] = field(default_factory=list)
    fatal: list[str] = field(default_factory=list)
    opened: list[EmbeddedTransport] = field(default_factory=list)

    async def open(
        self, open_store: Callable[..., Store] = Store, *, at: Path | None = None, **options: Any
    ) -> EmbeddedTransport:
        """An open transport with the channel `ns/b`."""
        context = TransportContext(
            "embedded",
            at or self.directory,
            on_unreadable=lambda channel, why: self.unreadable.append((channel, why)),
            on_fatal=self.fatal.append,
        )
        transport = EmbeddedTransport(
            EmbeddedOptions(**options),
            context,
            clock=self.clock,
            now=lambda: self.wall,
            open_store=open_store,
        )
        self.opened.append(transport)
        await transport.open()
        await transport.ensure(ChannelSpec("ns", "b"), Ensure.CREATE)
        return transport


@pytest.fixture(autouse=True)
def _no_wait_ends_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a wake-up that does not come is seen."""
    monkeypatch.setattr("mesh_gateway.transport.embedded.subscription.WAIT_SECONDS", 3_600.0)


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[Home]:
    home = Home(tmp_path / "state")
    yield home
    for transport in home.opened:
        await transport.close()


@pytest.fixture
async def transport(home: Home) -> EmbeddedTransport:
    return await home.open()


@pytest.fixture
def settled_in_file() -> Callable[[EmbeddedTransport], Awaitable[None]]:
    """Returns when everything handed to the writer so far is done."""

    async def wait(transport: EmbeddedTransport) -> None:
        await transport._serving().call("read", lambda store: None)

    return wait
