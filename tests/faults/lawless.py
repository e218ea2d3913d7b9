"""Gateways that break the law of settling, each in one place: what a test of nothing lost must notice.

A mutant is applied in a gateway's process before that does anything. None of this is ever part of a wheel.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from mesh_gateway.broker.reader import Reader
from mesh_gateway.delivery.attempts import Attempts
from mesh_gateway.delivery.insist import Insist
from mesh_gateway.event import Event
from mesh_gateway.transport.batch import Done, GroupCommit
from mesh_gateway.transport.contract import Delivery
from mesh_gateway.transport.ledger import Ledger


def acknowledges_before_it_is_durable() -> None:
    """202 for what only lies in memory."""
    add = GroupCommit.add

    def early(self: GroupCommit, event: Event, done: Done) -> None:
        add(self, event, lambda error: None)
        done(None)

    GroupCommit.add = early  # type: ignore[method-assign]


def settles_with_the_first_copy() -> None:
    """The other triggers' copies do not count."""

    def finish(self: Ledger, delivery: Delivery) -> None:
        if delivery.pending > 0:
            delivery.pending = 0
            self._done.append(delivery)
            self._wake.set()

    Ledger.finish = finish  # type: ignore[method-assign]


def settles_what_it_hands_out() -> None:
    """As an auto-commit does."""
    route = Reader.route

    def routed(self: Reader, deliveries: Sequence[Delivery], ledger: Ledger) -> None:
        route(self, deliveries, ledger)
        for delivery in deliveries:
            if delivery.pending > 0:
                delivery.pending = 1
                ledger.finish(delivery)

    Reader.route = routed  # type: ignore[method-assign]


def settles_before_replies_and_letters_are_durable() -> None:
    """What is published from inside counts when it is wanted: replies, dead letters, parked copies.

    The store writes what it is given in order, settles after a moment. So the publish has to come later than that.
    """
    store = Insist.store

    def early(self: Insist, event: Event, ended: Callable[[Any], None]) -> None:
        asyncio.get_running_loop().call_later(0.1, store, self, event, lambda error: None)
        ended(None)

    Insist.store = early  # type: ignore[method-assign]


def settles_refused_copies() -> None:
    """A 400 is an answer, too."""

    def bury(self: Attempts, copy: Any, outcome: Any) -> None:
        self._finish(copy)

    Attempts._bury = bury  # type: ignore[method-assign]


MUTANTS = (
    acknowledges_before_it_is_durable,
    settles_with_the_first_copy,
    settles_what_it_hands_out,
    settles_before_replies_and_letters_are_durable,
    settles_refused_copies,
)
