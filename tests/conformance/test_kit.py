"""The kit can fail: each lie of a transport is found by the test that is there for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest

from mesh_gateway.event import Event
from mesh_gateway.testing import Harness, TransportConformance
from mesh_gateway.testing.clock import ManualClock
from mesh_gateway.testing.harness import numbered, unpacked
from mesh_gateway.testing.suites.faults import Faults
from mesh_gateway.transport.contract import (
    EARLIEST,
    SHARED,
    Backlog,
    ChannelSpec,
    Delivery,
    Drift,
    Ensure,
    Start,
    Stored,
    TransportContext,
)
from mesh_gateway.transport.embedded.options import EmbeddedOptions
from mesh_gateway.transport.embedded.subscription import EmbeddedSubscription
from mesh_gateway.transport.embedded.transport import CAPABILITIES, EmbeddedTransport

ABSENT = 0.3
"""Seconds the kit waits here for what never comes; the truth takes milliseconds."""


class Lying:
    """An honest subscription, to be lied about by overriding; everything else is passed on."""

    def __init__(self, honest: EmbeddedSubscription) -> None:
        self._honest = honest

    def __getattr__(self, name: str) -> Any:
        return getattr(self._honest, name)


class SettlesWhatItHandsOut(Lying):
    async def receive(self, limit: int) -> Sequence[Delivery]:
        found = await self._honest.receive(limit)
        await self._honest.settle(found)
        return found


class NeverSettles(Lying):
    async def settle(self, done: Sequence[Delivery]) -> None:
        return


class SettlesUpToTheHighest(Lying):
    async def settle(self, done: Sequence[Delivery]) -> None:
        highest = max(delivery.token for delivery in done)
        self._honest._group.settle(range(1, highest + 1))


class IgnoresTheDelay(Lying):
    async def release(self, back: Sequence[Delivery], delay: float | None = None) -> None:
        await self._honest.release(back)


class ReleaseSettles(Lying):
    async def release(self, back: Sequence[Delivery], delay: float | None = None) -> None:
        await self._honest.settle(back)


class Backwards(Lying):
    async def receive(self, limit: int) -> Sequence[Delivery]:
        return list(reversed(await self._honest.receive(limit)))


class HandsOutTwice(Lying):
    async def receive(self, limit: int) -> Sequence[Delivery]:
        found = list(await self._honest.receive(limit))
        return found + found[:1]


class HearsNoClose(Lying):
    async def receive(self, limit: int) -> Sequence[Delivery]:
        await asyncio.Event().wait()
        return []


class Embedded(EmbeddedTransport):
    """The honest one, with one point to lie at."""

    subscription: Callable[[EmbeddedSubscription], Any] = lambda honest: honest

    async def subscribe(self, channel: str, group: str, start: Start) -> Any:
        return type(self).subscription(await super().subscribe(channel, group, start))


class ForgetsTypes(Embedded):
    async def publish(self, channel: str, events: Sequence[Event]) -> None:
        await super().publish(channel, [Event(event.attributes, event.data) for event in events])


class NoDataIsEmptyData(Embedded):
    async def publish(self, channel: str, events: Sequence[Event]) -> None:
        await super().publish(channel, [Event(e.attributes, e.data or b"", e.kinds) for e in events])


class KeepsHalfABatch(Embedded):
    async def publish(self, channel: str, events: Sequence[Event]) -> None:
        await super().publish(channel, events[: len(events) // 2])


class OneGroupOnly(Embedded):
    async def subscribe(self, channel: str, group: str, start: Start) -> Any:
        return await super().subscribe(channel, SHARED, start)


class AlwaysFromTheStart(Embedded):
    async def subscribe(self, channel: str, group: str, start: Start) -> Any:
        return await super().subscribe(channel, group, EARLIEST)


class MakesWhatItVerifies(Embedded):
    async def ensure(self, channel: ChannelSpec, mode: Ensure) -> list[Drift]:
        return await super().ensure(channel, Ensure.CREATE)


class SwallowsWhatHasNoChannel(Embedded):
    async def publish(self, channel: str, events: Sequence[Event]) -> None:
        if channel in self._channels:
            await super().publish(channel, events)


class BrowsesByTakingOut(Embedded):
    async def browse(self, channel: str, *, after: str | None, limit: int) -> Sequence[Stored]:
        found = await super().browse(channel, after=after, limit=limit)
        await self.remove(channel, [stored.position for stored in found])
        return found


class RemovesNothing(Embedded):
    async def remove(self, channel: str, positions: Sequence[str]) -> int:
        return len(positions)


class NeverBehind(Embedded):
    async def backlog(self, channel: str, group: str) -> Backlog:
        return Backlog(0, None)


class LeavesTasksBehind(Embedded):
    left: ClassVar[list[asyncio.Task[bool]]] = []

    async def open(self) -> None:
        await super().open()
        self.left.append(asyncio.create_task(asyncio.Event().wait()))


class ChecksNothing(Embedded):
    async def check(self) -> list[Any]:
        return []


def with_subscription(lie: type[Lying]) -> type[Embedded]:
    return type(lie.__name__, (Embedded,), {"subscription": lie})


def declaring(**values: Any) -> type[Embedded]:
    return type(f"Declares {values}", (Embedded,), {"capabilities": replace(CAPABILITIES, **values)})


LIES: list[tuple[type[Embedded], str, dict[str, Any]]] = [
    (ForgetsTypes, "test_attributes_come_back_as_they_went", {"event": numbered("typed", flag=True)}),
    (NoDataIsEmptyData, "test_data_comes_back_byte_by_byte", {"data": None}),
    (KeepsHalfABatch, "test_the_largest_batch_arrives_whole", {}),
    (KeepsHalfABatch, "test_a_thousand_concurrent_publishes_all_arrive_once", {}),
    (
        with_subscription(SettlesWhatItHandsOut),
        "test_what_is_not_settled_comes_again_from_the_next_subscription",
        {},
    ),
    (with_subscription(SettlesWhatItHandsOut), "test_what_is_not_settled_outlives_the_transport", {}),
    (with_subscription(NeverSettles), "test_what_is_settled_never_comes_again", {}),
    (
        with_subscription(SettlesUpToTheHighest),
        "test_what_is_settled_out_of_order_leaves_the_gap_unsettled",
        {},
    ),
    (with_subscription(ReleaseSettles), "test_what_is_released_comes_again_and_the_rest_does_not", {}),
    (with_subscription(ReleaseSettles), "test_releasing_costs_nothing_however_often", {}),
    (with_subscription(IgnoresTheDelay), "test_a_delay_is_honoured_or_refused", {}),
    (declaring(delay=0.0), "test_a_delay_is_honoured_or_refused", {}),
    (OneGroupOnly, "test_two_groups_each_get_every_event", {}),
    (declaring(groups=False), "test_two_groups_each_get_every_event", {}),
    (with_subscription(HandsOutTwice), "test_two_members_of_a_group_share_its_events", {}),
    (AlwaysFromTheStart, "test_a_new_group_begins_where_it_is_told", {}),
    (AlwaysFromTheStart, "test_a_group_begins_at_a_position_or_refuses_it", {}),
    (AlwaysFromTheStart, "test_a_group_begins_at_a_moment_or_refuses_it", {}),
    (declaring(seek=frozenset()), "test_a_group_begins_at_a_position_or_refuses_it", {}),
    (declaring(seek=frozenset()), "test_a_group_begins_at_a_moment_or_refuses_it", {}),
    (with_subscription(Backwards), "test_order_is_kept_as_declared", {}),
    (SwallowsWhatHasNoChannel, "test_a_channel_that_is_not_there_is_an_error", {}),
    (with_subscription(HearsNoClose), "test_closing_ends_a_receive_that_waits", {"what": "subscription"}),
    (with_subscription(HearsNoClose), "test_an_empty_receive_ends_by_itself", {}),
    (MakesWhatItVerifies, "test_verifying_an_absent_channel_says_so_and_makes_nothing", {}),
    (MakesWhatItVerifies, "test_off_makes_nothing", {}),
    (LeavesTasksBehind, "test_opening_and_closing_leaves_no_task_and_no_thread", {}),
    (ChecksNothing, "test_a_healthy_transport_checks_itself_as_healthy", {}),
    (declaring(browse=False), "test_browsing_is_there_exactly_when_it_is_declared", {}),
    (declaring(measure=False), "test_measuring_is_there_exactly_when_it_is_declared", {}),
    (BrowsesByTakingOut, "test_browsing_changes_nothing", {}),
    (RemovesNothing, "test_a_removed_dead_letter_is_gone_and_the_others_stay", {}),
    (NeverBehind, "test_the_backlog_is_what_is_not_settled", {}),
    (declaring(counts_attempts=True), "test_attempts_are_counted_as_declared", {}),
    (declaring(lease=1.0), "test_a_lease_ends_as_declared", {}),
    (declaring(dedup=60.0), "test_a_second_copy_is_dropped_only_where_that_is_declared", {}),
    (
        declaring(max_event_bytes=2**17),
        "test_an_event_at_the_declared_limit_is_carried_and_one_beyond_it_refused",
        {},
    ),
    (declaring(delay=-1.0), "test_the_declared_values_make_sense", {}),
]


def harness(transport: type[EmbeddedTransport], state: Path) -> Harness:
    clock = ManualClock()

    async def advance(seconds: float) -> None:
        clock.advance(seconds)

    def make() -> EmbeddedTransport:
        return transport(EmbeddedOptions(), TransportContext("lying", state), clock=clock)

    return Harness(make, advance=advance, patience=ABSENT, recovery=ABSENT)


@pytest.fixture
async def _no_task_left():
    yield
    for task in LeavesTasksBehind.left:
        task.cancel()
    LeavesTasksBehind.left.clear()


@pytest.mark.usefixtures("_no_task_left")
@pytest.mark.parametrize(
    ("lie", "test", "given"), LIES, ids=[f"{lie.__name__}: {test}" for lie, test, _ in LIES]
)
async def test_a_lie_is_found(tmp_path, lie, test, given):
    async with unpacked(harness(lie, tmp_path)) as kit:
        try:
            await getattr(TransportConformance(), test)(kit, **given)
        except (AssertionError, TimeoutError, pytest.fail.Exception):
            return
        except pytest.skip.Exception as skipped:
            pytest.fail(f"{test} let itself be skipped: {skipped}")
    pytest.fail(f"{test} believes {lie.__name__}")


def test_every_test_of_the_kit_but_those_named_here_has_a_lie_to_find():
    faults = {name for name in dir(Faults) if name.startswith("test_")}
    tests = {name for name in dir(TransportConformance) if name.startswith("test_")} - faults

    assert tests - {test for _, test, _ in LIES} == {
        "test_a_cancelled_receive_loses_nothing",
        "test_dead_letters_outlive_the_transport",
        "test_a_closed_transport_opens_again",
        "test_a_closed_transport_refuses_to_publish",
        "test_a_group_made_with_its_channel_begins_at_the_start",
        "test_a_group_that_exists_goes_on_whatever_start_is_asked_for",
        "test_a_receive_that_waits_is_woken_by_a_publish",
        "test_a_restart_of_the_server_loses_nothing",
        "test_an_empty_batch_is_nothing",
        "test_browsing_shows_all_dead_letters_in_pages",
        "test_drift_is_reported_and_not_raised",
        "test_every_option_is_described",
        "test_no_secret_is_shown",
        "test_nothing_blocks_the_event_loop",
        "test_order_is_kept_when_events_come_again",
        "test_with_ensure_off_a_channel_that_is_there_is_written_and_read_by_its_name",
        "test_checking_a_closed_transport_raises_nothing",
        "test_closing_twice_is_harmless",
        "test_making_a_channel_is_idempotent_and_keeps_what_is_in_it",
        "test_settling_after_releasing_is_harmless",
        "test_settling_twice_is_harmless",
        "test_the_kit_and_the_transport_speak_of_the_same_contract",
        "test_verifying_finds_a_channel_as_it_was_made",
        "test_what_a_member_held_goes_to_the_others_when_it_closes",
    }
