"""The kit can fail: transports that lie are caught by the test that is about their lie."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from mesh_gateway.event import Event
from mesh_gateway.testing import Harness, TransportConformance
from mesh_gateway.transport.contract import Capabilities, Delivery, Start, TransportContext
from mesh_gateway.transport.embedded.options import EmbeddedOptions
from mesh_gateway.transport.embedded.subscription import EmbeddedSubscription
from mesh_gateway.transport.embedded.transport import EmbeddedTransport


class Forgetful(EmbeddedTransport):
    """Says "durable" and stores only every other event."""

    async def publish(self, channel: str, events: Sequence[Event]) -> None:
        await super().publish(channel, events[::2])


class Eager(EmbeddedTransport):
    """Settles a whole prefix when one event behind it is settled."""

    async def subscribe(self, channel: str, group: str, start: Start) -> EmbeddedSubscription:
        subscription = await super().subscribe(channel, group, start)
        settle = subscription.settle

        async def more(done: Sequence[Delivery]) -> None:
            last = max(delivery.token for delivery in done)
            await settle([replace_token(done[0], number) for number in range(1, last + 1)])

        subscription.settle = more  # type: ignore[method-assign]  # the lie
        return subscription


class Boastful(EmbeddedTransport):
    """Declares order and hands out backwards."""

    async def subscribe(self, channel: str, group: str, start: Start) -> EmbeddedSubscription:
        subscription = await super().subscribe(channel, group, start)
        receive = subscription.receive

        async def backwards(limit: int) -> Sequence[Delivery]:
            return list(reversed(await receive(limit)))

        subscription.receive = backwards  # type: ignore[method-assign]  # the lie
        return subscription


class Blind(EmbeddedTransport):
    """Declares no browsing although it can."""

    capabilities: Capabilities = replace(EmbeddedTransport.capabilities, browse=False)


def replace_token(delivery: Delivery, token: int) -> Delivery:
    return Delivery(delivery.event, token, str(token))


def kit(kind: type[EmbeddedTransport], path: Path) -> TransportConformance:
    class Suite(TransportConformance):
        @asynccontextmanager
        async def harness(self) -> AsyncIterator[Harness]:
            yield Harness(lambda: kind(EmbeddedOptions(), TransportContext("liar", path)))

    return Suite()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mesh_gateway.testing.conformance.PATIENCE", 0.5)


async def test_a_transport_that_forgets_events_fails(tmp_path: Path):
    with pytest.raises((AssertionError, TimeoutError)):
        await kit(Forgetful, tmp_path).test_what_is_not_settled_comes_again_after_a_restart()


async def test_a_transport_that_settles_what_was_not_settled_fails(tmp_path: Path):
    with pytest.raises((AssertionError, TimeoutError)):
        await kit(Eager, tmp_path).test_what_is_not_settled_comes_again_after_a_restart()


async def test_a_transport_that_lies_about_order_fails(tmp_path: Path):
    with pytest.raises(AssertionError):
        await kit(Boastful, tmp_path).test_the_order_of_publishing_is_kept_as_declared()


async def test_a_transport_with_an_ability_it_does_not_declare_fails(tmp_path: Path):
    with pytest.raises(AssertionError):
        await kit(Blind, tmp_path).test_browsing_shows_everything_and_takes_nothing()
