"""Each effect that a plan may show, done to a running mesh: what it does, and whom it leaves alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from mesh_gateway.broker.reader import RECEIVE_LIMIT, Reader
from mesh_gateway.delivery.gate import Gate
from mesh_gateway.delivery.http import HttpSink
from mesh_gateway.delivery.watch import Watches
from mesh_gateway.errors import PluginError, TopologyError
from mesh_gateway.gateway.assembly import reassemble
from mesh_gateway.gateway.leaving import caught_up
from mesh_gateway.topology.spec import (
    BrokerDestination,
    BrokerSpec,
    DeliverySpec,
    Destination,
    HttpDestination,
    PeerSpec,
    PluginDestination,
    RelaySpec,
    Secret,
    StartSpec,
    TransportSpec,
)
from mesh_gateway.transport.contract import EARLIEST, Start
from mesh_gateway.transport.embedded.subscription import EmbeddedSubscription
from mesh_gateway.transport.hooks import SinkKind
from mesh_gateway.transport.plugins import load_plugins
from tests.gateway.reloading import NO_JITTER, Slow, WatchedTransport, gateway, running, trigger
from tests.harness import HANG, PATIENCE, Answer, Request, Subscriber


@pytest.fixture
async def subscriber() -> AsyncIterator[Subscriber]:
    async with Subscriber() as one:
        yield one


def failing(subscriber: Subscriber, *paths: str, status: int = 503) -> None:
    """From now on it fails at these paths, and takes everything elsewhere."""
    subscriber.answer = lambda request: Answer(status if request.path in paths else 202)


async def test_what_is_unchanged_keeps_its_objects_and_its_subscription(
    subscriber: Subscriber, tmp_path: Path
):
    kept = trigger("kept", subscriber.url + "/kept")
    async with running(gateway(tmp_path, kept, trigger("old", subscriber.url + "/old"))) as rig:
        parts = rig.mesh.parts
        before = [parts.links["t"], parts.brokers["ns/b"].readers[0], parts.triggers["ns/kept"]]
        sink = parts.triggers["ns/kept"].sink
        WatchedTransport.subscribed.clear()

        await rig.change(gateway(tmp_path, kept, trigger("new", subscriber.url + "/new")))
        await rig.send("1")
        await subscriber.received(lambda got: {r.path for r in got} >= {"/kept", "/new"})
        await rig.gone()

        now = rig.mesh.parts
        after = [now.links["t"], now.brokers["ns/b"].readers[0], now.triggers["ns/kept"]]
        assert [id(one) for one in before] == [id(one) for one in after]
        assert now.triggers["ns/kept"].sink is sink
        assert ("ns/b", "shared") not in WatchedTransport.subscribed, "the consumer did not subscribe again"
        assert "/old" not in {r.path for r in subscriber.requests}
        assert not [name for name in rig.mesh.supervised if "old" in name]


async def test_none_the_start_of_a_trigger_that_reads_already_changes_nothing(
    subscriber: Subscriber, tmp_path: Path
):
    spec = gateway(tmp_path, trigger("a", subscriber.url, read="dedicated"))
    async with running(spec) as rig:
        reader = rig.mesh.parts.brokers["ns/b"].readers[1]
        WatchedTransport.subscribed.clear()

        await rig.retrigger("a", start=StartSpec("earliest"))

        assert rig.mesh.parts.brokers["ns/b"].readers[1] is reader
        assert WatchedTransport.subscribed == []


async def test_hot_filters_are_asked_from_the_next_event_on(subscriber: Subscriber, tmp_path: Path):
    async with running(gateway(tmp_path, trigger("a", subscriber.url))) as rig:
        same = rig.mesh.parts.triggers["ns/a"]

        await rig.retrigger("a", filters=({"exact": {"type": "wanted"}},))
        await rig.send("1", type="unwanted")
        await rig.send("2", type="wanted")
        await subscriber.received(lambda got: len(got) == 1)

        assert subscriber.ids() == ["2"]
        assert rig.mesh.parts.triggers["ns/a"] is same


async def test_hot_a_delivery_policy_counts_for_events_that_wait_for_a_retry(
    subscriber: Subscriber, tmp_path: Path
):
    failing(subscriber, "/")
    patient = replace(NO_JITTER, retry=1_000, backoff_policy="linear", backoff_delay=0.02)
    async with running(gateway(tmp_path, trigger("a", subscriber.url, delivery=patient))) as rig:
        same = rig.mesh.parts.triggers["ns/a"]
        sink = same.sink
        await rig.send("1")
        await subscriber.received(lambda got: len(got) >= 2)

        await rig.retrigger("a", delivery=replace(patient, retry=0))
        await rig.until(lambda: same.counters.stored_dead_letters == 1)

        assert rig.mesh.parts.triggers["ns/a"] is same
        assert same.sink is sink, "its connections stay too"


async def test_hot_replies_are_taken_or_ignored_from_the_next_attempt_on(
    subscriber: Subscriber, tmp_path: Path
):
    headers = {"ce-specversion": "1.0", "ce-id": "r", "ce-type": "reply", "ce-source": "/r"}
    subscriber.answer = lambda request: Answer(200, headers)
    async with running(
        gateway(tmp_path, trigger("a", subscriber.url, filters=({"exact": {"type": "t"}},)))
    ) as rig:
        same = rig.mesh.parts.triggers["ns/a"]
        await rig.send("1")
        await rig.until(lambda: same.counters.delivered == 1)

        await rig.retrigger("a", replies=True)
        await rig.send("2")
        await rig.until(lambda: same.counters.replied == 1)

        assert rig.mesh.parts.triggers["ns/a"] is same
        assert [r.headers.get("prefer") for r in subscriber.requests] == [None, "reply"]


async def test_hot_a_larger_window_and_parallelism_take_in_what_waits(subscriber: Subscriber, tmp_path: Path):
    subscriber.answer = lambda request: HANG
    async with running(
        gateway(tmp_path, trigger("a", subscriber.url, parallelism=1, window_events=2))
    ) as rig:
        same = rig.mesh.parts.triggers["ns/a"]
        await rig.send("1", "2", "3", "4")
        await rig.until(lambda: same.counters.parked >= 2 and same.in_flight == 1)

        await rig.retrigger("a", parallelism=8, window_events=100)
        await subscriber.received(lambda got: {r.id for r in got} == {"1", "2", "3", "4"})

        assert rig.mesh.parts.triggers["ns/a"] is same


async def test_drain_attempts_under_way_end_at_the_old_destination_and_all_else_goes_to_the_new(
    subscriber: Subscriber, tmp_path: Path
):
    async with (
        Slow() as old,
        running(gateway(tmp_path, trigger("a", old.url, parallelism=1))) as rig,
    ):
        same = rig.mesh.parts.triggers["ns/a"]
        await rig.send("under-way", "waiting")
        await rig.until(lambda: same.in_flight == 1)

        await rig.retrigger("a", destination=HttpDestination(subscriber.url))
        old.release.set()
        await rig.until(lambda: same.counters.delivered == 2)

        assert rig.mesh.parts.triggers["ns/a"] is same
        assert (old.ids, subscriber.ids()) == (["under-way"], ["waiting"])


async def test_drain_a_retry_that_waits_goes_to_the_new_destination(subscriber: Subscriber, tmp_path: Path):
    failing(subscriber, "/old")
    slow = replace(NO_JITTER, backoff_delay=0.3)
    async with running(gateway(tmp_path, trigger("a", subscriber.url + "/old", delivery=slow))) as rig:
        await rig.send("1")
        await subscriber.received(lambda got: len(got) == 1)

        await rig.retrigger("a", destination=HttpDestination(subscriber.url + "/new"))
        await subscriber.received(lambda got: bool(got) and got[-1].path == "/new")

        assert [r.path for r in subscriber.requests] == ["/old", "/new"]
        await rig.until(lambda: rig.mesh.parts.triggers["ns/a"].held == 0)


async def test_drain_another_order_loses_nothing_of_what_is_held(subscriber: Subscriber, tmp_path: Path):
    failing(subscriber, "/")
    retrying = replace(NO_JITTER, retry=1_000, backoff_policy="linear", backoff_delay=0.05)
    async with running(gateway(tmp_path, trigger("a", subscriber.url, delivery=retrying))) as rig:
        reader = rig.mesh.parts.brokers["ns/b"].readers[0]
        ids = [str(n) for n in range(20)]
        await rig.send(*ids, partitionkey="k")
        await subscriber.received(lambda got: len({r.id for r in got}) == 20)

        await rig.retrigger("a", order="ordered")
        subscriber.answer = lambda request: Answer()
        await rig.send("after", partitionkey="k")
        trigger_now = rig.mesh.parts.triggers["ns/a"]
        await rig.until(lambda: trigger_now.counters.delivered == 21)

        assert rig.mesh.parts.brokers["ns/b"].readers[0] is reader
        assert subscriber.ids()[-1] == "after", "what came later does not overtake what was parked"
        await rig.gone()


async def test_drain_overflow_can_change_and_nothing_is_lost(subscriber: Subscriber, tmp_path: Path):
    failing(subscriber, "/")
    retrying = replace(NO_JITTER, retry=1_000, backoff_policy="linear", backoff_delay=0.05)
    small = trigger("a", subscriber.url, delivery=retrying, overflow="block", window_events=3)
    async with running(gateway(tmp_path, small, trigger("b", subscriber.url + "/b"))) as rig:
        await rig.send(*[str(n) for n in range(10)])
        await rig.until(lambda: rig.mesh.parts.triggers["ns/a"].held == 3)

        await rig.retrigger("a", overflow="park")
        await rig.until(lambda: len(set(subscriber.ids("/b"))) == 10)
        subscriber.answer = lambda request: Answer()
        await rig.until(lambda: rig.mesh.parts.triggers["ns/a"].counters.delivered == 10)

        assert len(set(subscriber.ids("/"))) == 10


async def test_rejoin_group_a_shared_trigger_gets_its_own_subscription_and_misses_nothing(
    subscriber: Subscriber, tmp_path: Path
):
    neighbour = trigger("n", subscriber.url + "/n")
    async with running(gateway(tmp_path, trigger("a", subscriber.url + "/a"), neighbour)) as rig:
        shared = rig.mesh.parts.brokers["ns/b"].readers[0]
        stop = asyncio.Event()
        sent: list[str] = []

        async def send() -> None:
            while not stop.is_set():
                sent.append(str(len(sent)))
                await rig.send(sent[-1])

        sending = asyncio.ensure_future(send())
        await rig.until(lambda: len(sent) > 20)
        await rig.retrigger("a", read="dedicated")
        await rig.until(lambda: len(sent) > 60)
        await rig.retrigger("a", read="shared")
        await rig.until(lambda: len(sent) > 100)
        stop.set()
        await sending
        await rig.until(lambda: set(subscriber.ids("/a")) == set(sent))

        assert rig.mesh.parts.brokers["ns/b"].readers == [shared]
        await rig.until(lambda: len(subscriber.ids("/n")) == len(sent))
        assert ("ns/b", "a") in WatchedTransport.subscribed
        await rig.gone()


async def test_rejoin_group_what_a_dedicated_trigger_has_not_read_is_delivered_before_it_reads_with_the_others(
    subscriber: Subscriber, tmp_path: Path
):
    failing(subscriber, "/")
    retrying = replace(NO_JITTER, retry=1_000, backoff_policy="linear", backoff_delay=0.02)
    held_back = trigger(
        "a", subscriber.url, read="dedicated", overflow="block", window_events=1, delivery=retrying
    )
    async with running(gateway(tmp_path, held_back)) as rig:
        ids = [str(n) for n in range(RECEIVE_LIMIT + 40)]
        await rig.send(*ids[:2])
        await rig.until(lambda: rig.mesh.parts.triggers["ns/a"].held > 0)
        await rig.send(*ids[2:])
        reader = rig.mesh.parts.brokers["ns/b"].readers[1]
        assert reader.received < len(ids), "the rest waits in its group"

        await rig.retrigger("a", read="shared")
        subscriber.answer = lambda request: Answer()
        await rig.until(lambda: set(subscriber.ids()) == set(ids))

        await rig.gone()


async def test_rejoin_group_a_trigger_moves_to_another_broker_and_what_it_held_is_listed(
    subscriber: Subscriber, tmp_path: Path
):
    failing(subscriber, "/a")
    retrying = replace(NO_JITTER, retry=1_000)
    spec = gateway(tmp_path, trigger("a", subscriber.url + "/a", delivery=retrying), brokers=("b", "c"))
    async with running(spec) as rig:
        await rig.send("1", "2")
        await rig.until(lambda: rig.mesh.parts.triggers["ns/a"].counters.retried >= 2)

        await rig.retrigger("a", broker="ns/c")
        await rig.gone()
        subscriber.answer = lambda request: Answer()
        await rig.send("3", broker="ns/c")
        await subscriber.received(lambda got: bool(got) and got[-1].id == "3")

        assert await rig.removed() == {"trigger ns/a": 2}
        await rig.retrigger("a", broker="ns/b")
        await subscriber.received(lambda got: {"1", "2"} <= {r.id for r in got[-2:]})
        await rig.gone()
        assert await rig.removed() == {}


async def test_rejoin_group_a_group_whose_backlog_went_to_another_gateway_is_not_waited_for_for_ever(
    subscriber: Subscriber, tmp_path: Path
):
    async with running(gateway(tmp_path, trigger("a", subscriber.url))) as rig:
        home = rig.mesh.parts.brokers["ns/b"]
        await rig.send("1", "2")
        await subscriber.received(lambda got: len(got) == 2)
        unread = Reader(
            home.broker.channel,
            broker="ns/b",
            group="other",
            start=EARLIEST,
            router=home.readers[0].router,
            gate=Gate(),
            watches=Watches(),
        )
        subscription = await home.broker.channel.subscribe("other", EARLIEST)
        await subscription.close()

        async with asyncio.timeout(20):
            await caught_up(unread, home.link, 0.01)

        assert unread.received == 0


async def test_rejoin_group_readers_begin_anew_where_peers_may_send_into_a_transport_that_cannot_remember(
    subscriber: Subscriber, tmp_path: Path
):
    failing(subscriber, "/")
    retrying = replace(NO_JITTER, retry=1_000, backoff_policy="linear", backoff_delay=0.05)
    spec = gateway(tmp_path, trigger("a", subscriber.url, delivery=retrying))
    async with running(replace(spec, transports={"t": TransportSpec("t", "forgetful")})) as rig:
        before, same = rig.mesh.parts.brokers["ns/b"], rig.mesh.parts.triggers["ns/a"]
        await rig.send("1")
        await rig.until(lambda: same.counters.retried >= 1)

        await rig.change(replace(rig.spec, peers=(PeerSpec("us", bearer=Secret("x")),)))
        subscriber.answer = lambda request: Answer()
        await rig.send("2")
        await rig.until(lambda: set(subscriber.ids()) == {"1", "2"})

        now = rig.mesh.parts.brokers["ns/b"]
        assert now.readers[0] is not before.readers[0]
        assert (before.sieve is None, now.sieve is None) == (True, False)
        assert rig.mesh.parts.triggers["ns/a"] is same
        await rig.gone()


async def test_hot_peers_come_and_go_where_the_transport_remembers(subscriber: Subscriber, tmp_path: Path):
    async with running(gateway(tmp_path, trigger("a", subscriber.url))) as rig:
        reader = rig.mesh.parts.brokers["ns/b"].readers[0]

        await rig.change(replace(rig.spec, peers=(PeerSpec("us", bearer=Secret("x")),)))
        receiver = rig.mesh.parts.brokers["ns/b"].receiver
        await rig.change(replace(rig.spec, peers=(PeerSpec("ap", bearer=Secret("y")),)))

        assert receiver is not None
        assert rig.mesh.parts.brokers["ns/b"].receiver is receiver
        await rig.change(replace(rig.spec, peers=()))
        await rig.gone()
        assert rig.mesh.parts.brokers["ns/b"].receiver is None
        assert rig.mesh.parts.brokers["ns/b"].readers[0] is reader


async def test_a_removed_ordered_trigger_takes_up_what_it_had_parked_and_what_it_held_once_and_in_order(
    subscriber: Subscriber, tmp_path: Path
):
    failing(subscriber, "/")
    slow = replace(NO_JITTER, retry=1_000, backoff_policy="linear", backoff_delay=0.05)
    ordered = trigger("a", subscriber.url, order="ordered", delivery=slow, window_events=4)
    async with running(gateway(tmp_path, ordered)) as rig:
        for n in range(6):
            await rig.send(f"x{n}", partitionkey="x")
            await rig.send(f"y{n}", partitionkey="y")
        await rig.until(lambda: rig.mesh.parts.triggers["ns/a"].counters.parked >= 8)
        await rig.without("a")
        await rig.gone()

        taken: list[str] = []

        def take(request: Request) -> Answer:
            taken.append(request.id)
            return Answer()

        subscriber.answer = take
        await rig.change(replace(rig.spec, triggers={ordered.key: ordered}))
        await rig.until(lambda: len(taken) == 12)

        for key in "xy":
            assert [id for id in taken if id[0] == key] == [f"{key}{n}" for n in range(6)]


async def test_drain_what_is_parked_comes_before_what_is_new_when_a_trigger_blocks_from_now_on(
    subscriber: Subscriber, tmp_path: Path
):
    failing(subscriber, "/")
    slow = replace(NO_JITTER, retry=1_000, backoff_policy="linear", backoff_delay=0.05)
    ordered = trigger("a", subscriber.url, order="ordered", delivery=slow, window_events=2)
    async with running(gateway(tmp_path, ordered)) as rig:
        await rig.send(*(f"x{n}" for n in range(6)), partitionkey="x")
        await rig.until(lambda: rig.mesh.parts.triggers["ns/a"].counters.parked >= 6)
        await rig.retrigger("a", overflow="block")
        await rig.send(*(f"x{n}" for n in range(6, 9)), partitionkey="x")
        await rig.gone()
        taken: list[str] = []

        def take(request: Request) -> Answer:
            taken.append(request.id)
            return Answer()

        subscriber.answer = take
        await rig.until(lambda: len(taken) >= 9)

        assert taken == [f"x{n}" for n in range(9)]


async def test_drain_an_ordered_trigger_parks_behind_its_predecessor_and_holds_back_no_neighbour_meanwhile(
    subscriber: Subscriber, tmp_path: Path
):
    subscriber.answer = lambda request: HANG if request.path == "/a" else Answer()
    blocking = trigger(
        "a",
        subscriber.url + "/a",
        order="ordered",
        overflow="block",
        delivery=replace(NO_JITTER, timeout=1_000),
    )
    spec = gateway(tmp_path, blocking, trigger("n", subscriber.url + "/n"))
    async with running(replace(spec, drain_timeout=1.0)) as rig:
        await rig.send("x0", "x1", partitionkey="x")
        await rig.until(lambda: rig.mesh.parts.triggers["ns/a"].held == 2)

        await rig.retrigger("a", overflow="park")
        await rig.send("x2", partitionkey="x")
        await subscriber.received(lambda got: "x2" in {r.id for r in got if r.path == "/n"})
        assert "leaving: trigger ns/a" in rig.mesh.supervised

        taken: list[str] = []

        def take(request: Request) -> Answer:
            taken.append(request.id)
            return Answer()

        subscriber.answer = take
        await rig.until(lambda: len(taken) >= 3)
        assert taken == ["x0", "x1", "x2"]


async def test_reset_other_options_of_a_transport_close_its_connection_and_open_another(
    subscriber: Subscriber, tmp_path: Path
):
    async with running(gateway(tmp_path, trigger("a", subscriber.url))) as rig:
        (first,) = WatchedTransport.opened
        same = rig.mesh.parts.triggers["ns/a"]
        await rig.send("1")
        await subscriber.received(lambda got: len(got) == 1)
        await rig.until(lambda: rig.mesh.parts.brokers["ns/b"].readers[0].outstanding == 0)

        options = {"retention": "PT1H"}
        await rig.change(replace(rig.spec, transports={"t": TransportSpec("t", "watched", options=options)}))
        await rig.until(lambda: len(WatchedTransport.opened) == 2)
        async with asyncio.timeout(10):
            await rig.mesh.up()
        await rig.send("2")
        await subscriber.received(lambda got: len(got) == 2)

        assert WatchedTransport.closed == [first]
        assert WatchedTransport.opened[1] is rig.mesh.parts.links["t"].transport
        assert rig.mesh.parts.triggers["ns/a"] is same
        assert subscriber.ids() == ["1", "2"]


async def test_reset_a_broker_with_other_options_is_made_anew_and_takes_up_its_channels(
    subscriber: Subscriber, tmp_path: Path
):
    failing(subscriber, "/")
    retrying = replace(NO_JITTER, retry=1_000)
    async with running(gateway(tmp_path, trigger("a", subscriber.url, delivery=retrying))) as rig:
        await rig.send("1")
        await rig.until(lambda: rig.mesh.parts.triggers["ns/a"].counters.retried >= 1)
        before = rig.mesh.parts.brokers["ns/b"].broker

        await rig.change(replace(rig.spec, brokers={"ns/b": BrokerSpec("ns", "b", "t", (("x", "y"),))}))
        subscriber.answer = lambda request: Answer()
        await rig.send("2")
        await rig.until(lambda: rig.mesh.parts.triggers["ns/a"].counters.delivered == 2)

        assert rig.mesh.parts.brokers["ns/b"].broker is not before
        assert set(subscriber.ids()) == {"1", "2"}
        await rig.gone()


async def test_reset_a_broker_that_moves_leaves_its_events_behind_and_lists_them(
    subscriber: Subscriber, tmp_path: Path
):
    failing(subscriber, "/")
    retrying = replace(NO_JITTER, retry=1_000)
    async with running(gateway(tmp_path, trigger("a", subscriber.url, delivery=retrying))) as rig:
        other = {**rig.spec.transports, "u": TransportSpec("u", "watched")}
        await rig.send("1")
        await rig.until(lambda: rig.mesh.parts.triggers["ns/a"].counters.retried >= 1)
        still = trigger("still", subscriber.url, broker="ns/c")
        before = replace(rig.spec, brokers={**rig.spec.brokers, "ns/c": BrokerSpec("ns", "c", "t")})
        before = replace(before, triggers={**before.triggers, still.key: still})
        await rig.change(before)

        moved = {**before.brokers, "ns/b": BrokerSpec("ns", "b", "u")}
        await rig.change(replace(before, transports=other, brokers=moved))
        await rig.gone()
        subscriber.answer = lambda request: Answer()
        await rig.send("2")
        await subscriber.received(lambda got: bool(got) and got[-1].id == "2")

        assert await rig.removed() == {"trigger ns/a": 1}
        await rig.change(before)
        await subscriber.received(lambda got: bool(got) and got[-1].id == "1")


async def test_a_removed_trigger_ends_what_is_under_way_and_its_backlog_is_kept_listed_and_taken_up_again(
    subscriber: Subscriber, tmp_path: Path
):
    failing(subscriber, "/a")
    slow = replace(NO_JITTER, retry=1_000, backoff_policy="linear", backoff_delay=30)
    first = trigger("a", subscriber.url + "/a", delivery=slow, window_events=5)
    async with running(gateway(tmp_path, first, trigger("n", subscriber.url + "/n"))) as rig:
        ids = [str(n) for n in range(12)]
        await rig.send(*ids)
        await rig.until(lambda: rig.mesh.parts.triggers["ns/a"].counters.parked >= 7)

        await rig.without("a")
        await rig.gone()
        await rig.send("later")
        reader = rig.mesh.parts.brokers["ns/b"].readers[0]
        await rig.until(lambda: len(subscriber.ids("/n")) == 13 and reader.outstanding == 0)

        assert await rig.removed() == {"trigger ns/a": 12}
        subscriber.answer = lambda request: Answer()
        again = replace(first, delivery=NO_JITTER)
        await rig.change(replace(rig.spec, triggers={**rig.spec.triggers, again.key: again}))
        assert await rig.removed() == {}
        # Those that were tried wait for their retry as before; those that were not are tried at once.
        await rig.until(lambda: len(set(subscriber.ids("/a"))) == 12)
        assert "later" not in subscriber.ids("/a")


async def test_a_removed_trigger_with_a_hanging_subscriber_is_cut_off_and_its_events_are_parked(
    subscriber: Subscriber, tmp_path: Path
):
    subscriber.answer = lambda request: HANG
    spec = replace(gateway(tmp_path, trigger("a", subscriber.url)), drain_timeout=0.05)
    async with running(spec) as rig:
        await rig.send("1")
        await rig.until(lambda: rig.mesh.parts.triggers["ns/a"].in_flight == 1)

        await rig.without("a")
        await rig.gone()

        assert await rig.removed() == {"trigger ns/a": 1}


async def test_an_attempt_that_is_cut_off_counts_for_nothing_also_if_it_was_the_last(
    subscriber: Subscriber, tmp_path: Path
):
    subscriber.answer = lambda request: HANG
    once = trigger("a", subscriber.url, delivery=replace(NO_JITTER, retry=0))
    async with running(replace(gateway(tmp_path, once), drain_timeout=0.05)) as rig:
        await rig.send("1")
        same = rig.mesh.parts.triggers["ns/a"]
        await rig.until(lambda: same.in_flight == 1)

        await rig.without("a")
        await rig.gone()

        assert same.counters.stored_dead_letters == 0
        assert await rig.removed() == {"trigger ns/a": 1}


async def test_a_gateway_that_serves_stays_ready_while_what_is_added_begins(
    subscriber: Subscriber, tmp_path: Path
):
    async with running(gateway(tmp_path, trigger("a", subscriber.url))) as rig:
        added = {**rig.spec.triggers, "ns/d": trigger("d", subscriber.url, read="dedicated")}
        made = reassemble(replace(rig.spec, triggers=added), rig.mesh.parts, rig.around)
        assert await rig.mesh.begin(made, 10)

        rig.mesh.change(made)

        reader = rig.mesh.parts.brokers["ns/b"].readers[1]
        assert not reader.begun.is_set()
        assert rig.mesh.ready
        await rig.until(reader.begun.is_set)
        assert rig.mesh.ready
        reader.begun.clear()
        assert not rig.mesh.ready, "from then on it counts"


async def test_a_removed_dedicated_trigger_leaves_its_group_where_it_was(
    subscriber: Subscriber, tmp_path: Path
):
    only = trigger("a", subscriber.url, read="dedicated")
    async with running(gateway(tmp_path, only)) as rig:
        await rig.send("1")
        await subscriber.received(lambda got: len(got) == 1)
        await rig.without("a")
        await rig.gone()
        await rig.send("2", "3")

        assert await rig.removed() == {"trigger ns/a": 2}
        await rig.change(replace(rig.spec, triggers={only.key: only}))
        await subscriber.received(lambda got: {"2", "3"} <= {r.id for r in got})


async def test_a_removed_broker_keeps_what_was_not_read_and_takes_it_up_again(
    subscriber: Subscriber, tmp_path: Path
):
    blocked = trigger("a", subscriber.url + "/a", broker="ns/c", overflow="block", window_events=1)
    subscriber.answer = lambda request: HANG if request.path == "/a" else Answer()
    spec = gateway(tmp_path, trigger("n", subscriber.url + "/n"), blocked, brokers=("b", "c"))
    async with running(replace(spec, drain_timeout=0.1)) as rig:
        reader = rig.mesh.parts.brokers["ns/b"].readers[0]
        await rig.send("1", broker="ns/c")
        await rig.until(lambda: rig.mesh.parts.triggers["ns/a"].in_flight == 1)
        await rig.send(*[str(n) for n in range(2, 8)], broker="ns/c")

        without = replace(rig.spec, triggers={"ns/n": rig.spec.triggers["ns/n"]})
        await rig.change(replace(without, brokers={"ns/b": rig.spec.brokers["ns/b"]}))
        await rig.gone()
        left = await rig.removed()

        assert sum(left.values()) == 7  # type: ignore[arg-type]  # embedded can tell
        assert rig.mesh.parts.brokers["ns/b"].readers[0] is reader
        subscriber.answer = lambda request: Answer()
        await rig.change(replace(spec, drain_timeout=0.1))
        await subscriber.received(lambda got: {r.id for r in got if r.path == "/a"} >= set("1234567"))
        assert await rig.removed() == {}


async def test_the_dead_letters_of_a_removed_broker_stay_listed(subscriber: Subscriber, tmp_path: Path):
    failing(subscriber, "/", status=400)
    spec = gateway(tmp_path, trigger("a", subscriber.url + "/", broker="ns/c"), brokers=("b", "c"))
    async with running(spec) as rig:
        counters = rig.mesh.parts.triggers["ns/a"].counters
        await rig.send("1", broker="ns/c")
        await rig.until(lambda: counters.stored_dead_letters == 1)

        await rig.change(gateway(tmp_path))
        await rig.gone()

        assert await rig.removed() == {"broker ns/c": 1}


async def test_a_transport_that_is_put_back_is_opened_when_the_one_of_before_has_closed(
    tmp_path: Path,
):
    fatal: list[str] = []
    async with Slow() as slow:
        whole = gateway(tmp_path, trigger("a", slow.url))
        async with running(whole) as rig:
            rig.around = replace(rig.around, on_fatal=fatal.append)
            await rig.send("1")
            await rig.until(lambda: slow.ids == ["1"])
            await rig.change(replace(whole, transports={}, brokers={}, triggers={}))

            made = reassemble(whole, rig.mesh.parts, rig.around)
            assert await rig.mesh.begin(made, PATIENCE)
            rig.mesh.change(made)
            # Another set of options for the one that waits for its turn is no reason to open it sooner.
            again = replace(
                whole, transports={"t": TransportSpec("t", "watched", options={"retention": "PT1H"})}
            )
            made = reassemble(again, rig.mesh.parts, rig.around)
            assert await rig.mesh.begin(made, PATIENCE)
            rig.mesh.change(made)
            slow.release.set()
            async with asyncio.timeout(PATIENCE):
                await rig.mesh.up()

            assert fatal == []
            assert len(WatchedTransport.closed) == 1
            assert len(WatchedTransport.opened) == 2


async def test_a_transport_of_another_kind_is_opened_although_a_dead_letter_of_the_one_before_finds_no_end(
    subscriber: Subscriber, tmp_path: Path
):
    subscriber.answer = lambda request: Answer(503 if request.path == "/letters" else 400)
    delivery = DeliverySpec(
        retry=9, backoff_delay=3600, dead_letter_sink=HttpDestination(subscriber.url + "/letters")
    )
    before = replace(
        gateway(tmp_path, trigger("a", subscriber.url + "/a", delivery=delivery)), drain_timeout=0.1
    )
    async with running(before) as rig:
        await rig.send("1")
        await subscriber.received(lambda got: [r.path for r in got] == ["/a", "/letters"])

        await rig.change(replace(before, transports={"t": TransportSpec("t", "forgetful")}))

        await subscriber.received(lambda got: [r.path for r in got].count("/a") == 2)
        await rig.gone()


async def test_an_added_broker_on_an_added_transport_takes_events_and_the_old_one_is_not_touched(
    subscriber: Subscriber, tmp_path: Path
):
    async with running(gateway(tmp_path, trigger("a", subscriber.url + "/a"))) as rig:
        WatchedTransport.subscribed.clear()
        new = trigger("z", subscriber.url + "/z", broker="ns/z")
        await rig.change(
            replace(
                rig.spec,
                transports={**rig.spec.transports, "u": TransportSpec("u", "watched")},
                brokers={**rig.spec.brokers, "ns/z": BrokerSpec("ns", "z", "u")},
                triggers={**rig.spec.triggers, new.key: new},
            )
        )
        await rig.send("1", broker="ns/z")
        await subscriber.received(lambda got: [r.path for r in got] == ["/z"])

        assert ("ns/b", "shared") not in WatchedTransport.subscribed
        await rig.without("z")
        await rig.change(gateway(tmp_path, *list(rig.spec.triggers.values())))
        await rig.gone()
        assert len(WatchedTransport.closed) == 1, "a transport that nothing lies on is closed"


async def test_a_relay_is_added_changed_and_removed_and_what_it_has_not_sent_is_listed(
    subscriber: Subscriber, tmp_path: Path
):
    async with running(
        gateway(tmp_path, trigger("a", subscriber.url, broker="ns/c"), brokers=("b", "c"))
    ) as rig:
        reader = rig.mesh.parts.brokers["ns/b"].readers[0]
        relay = RelaySpec("ns", "to-c", "ns/b", BrokerDestination("ns/c"))
        await rig.change(replace(rig.spec, relays={relay.key: relay}))
        await rig.send("1")
        await subscriber.received(lambda got: bool(got) and got[-1].id == "1")

        filtered = replace(relay, filters=({"exact": {"type": "t"}},))
        await rig.change(replace(rig.spec, relays={relay.key: filtered}))
        await rig.send("no", type="u")
        await rig.send("2")
        await subscriber.received(lambda got: bool(got) and got[-1].id == "2")
        await rig.change(replace(rig.spec, relays={}))
        await rig.gone()
        await rig.send("3")

        assert subscriber.ids() == ["1", "2"]
        assert await rig.removed() == {"relay ns/to-c": 1}
        assert rig.mesh.parts.brokers["ns/b"].readers[0] is reader
        await rig.change(replace(rig.spec, relays={relay.key: filtered}))
        await subscriber.received(lambda got: bool(got) and got[-1].id == "3")


def same_number(got: Sequence[object], count: int) -> bool:
    return len(got) == count


@pytest.mark.parametrize(
    "nowhere",
    [
        HttpDestination("https://x/", ca_certificates="no"),
        HttpDestination("http://x/", bearer=Secret("€")),
        HttpDestination("http://a..b/"),
        PluginDestination("odd:"),
    ],
)
async def test_what_cannot_be_made_changes_nothing_and_holds_nobody_back(
    subscriber: Subscriber, tmp_path: Path, nowhere: Destination
):
    found = load_plugins([])
    found.sinks["odd"] = SinkKind("odd", "builtins:int")
    async with running(gateway(tmp_path, trigger("a", subscriber.url)), found) as rig:
        before = rig.mesh.parts
        ordered = trigger("o", subscriber.url, order="ordered")
        broken = replace(trigger("x", "http://x/"), destination=nowhere)

        with pytest.raises((TopologyError, PluginError), match="trigger ns/x"):
            reassemble(gateway(tmp_path, before.spec.triggers["ns/a"], ordered, broken), before, rig.around)
        for count in (1, 2):  # the first may be asked for already
            await rig.send(str(count))
            await rig.until(partial(same_number, subscriber.requests, count))

        assert rig.mesh.parts is before


async def test_a_bug_while_new_parts_are_made_holds_nobody_back(
    subscriber: Subscriber, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    async with running(gateway(tmp_path, trigger("a", subscriber.url))) as rig:
        monkeypatch.setattr("mesh_gateway.gateway.assembly.add_relays", broken)
        ordered = trigger("o", subscriber.url, order="ordered")

        with pytest.raises(ZeroDivisionError):
            reassemble(gateway(tmp_path, rig.spec.triggers["ns/a"], ordered), rig.mesh.parts, rig.around)
        for count in (1, 2):
            await rig.send(str(count))
            await rig.until(partial(same_number, subscriber.requests, count))


@pytest.mark.parametrize("how", ["too late", "cancelled"])
async def test_a_trigger_whose_own_reader_began_in_vain_sends_nothing_any_more(
    subscriber: Subscriber, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
):
    subscribe = WatchedTransport.subscribe

    async def hanging(self: WatchedTransport, channel: str, group: str, start: Start) -> EmbeddedSubscription:
        if group == "stuck":
            await asyncio.Event().wait()
        return await subscribe(self, channel, group, start)

    subscriber.answer = lambda request: HANG
    spec = gateway(tmp_path, trigger("a", subscriber.url), trigger("stuck", subscriber.url))
    async with running(replace(spec, drain_timeout=0.1)) as rig:
        monkeypatch.setattr(WatchedTransport, "subscribe", hanging)
        own = {key: replace(one, read="dedicated") for key, one in rig.spec.triggers.items()}
        made = reassemble(replace(rig.spec, triggers=own), rig.mesh.parts, rig.around)
        new = made.parts.triggers["ns/a"]
        begun = asyncio.ensure_future(rig.mesh.begin(made, 0.5 if how == "too late" else PATIENCE))
        await rig.until(lambda: ("ns/b", "a") in WatchedTransport.subscribed)
        await rig.send("1")
        await rig.until(lambda: new.in_flight == 1)

        if how == "too late":
            assert not await begun
        else:
            begun.cancel()
            await asyncio.wait({begun})
        await rig.gone()

        assert new.in_flight == 0
        assert rig.mesh.parts.triggers["ns/a"].in_flight == 1


async def test_a_change_is_whole_also_if_a_sink_of_a_plugin_raises_meanwhile(
    subscriber: Subscriber, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def raising(*_: object) -> None:
        raise ZeroDivisionError

    subscriber.answer = lambda request: HANG
    full = trigger("a", subscriber.url, parallelism=1)
    async with running(replace(gateway(tmp_path, full), drain_timeout=0.1)) as rig:
        same = rig.mesh.parts.triggers["ns/a"]
        await rig.send("1", "2")
        await rig.until(lambda: same.in_flight == 1 and same.held == 2)
        monkeypatch.setattr(HttpSink, "send", raising)

        other = trigger("b", subscriber.url, filters=({"exact": {"type": "other"}},))
        await rig.change(gateway(tmp_path, replace(full, parallelism=2), other))

        assert rig.mesh.parts.triggers["ns/a"] is same
        assert "trigger ns/b" in rig.mesh.supervised


async def test_a_dead_letter_sink_can_be_replaced_while_letters_wait(subscriber: Subscriber, tmp_path: Path):
    failing(subscriber, "/", "/old")
    subscriber_answers = subscriber.answer
    letters = DeadLetterOf(subscriber.url + "/old")
    async with running(gateway(tmp_path, trigger("a", subscriber.url + "/", delivery=letters))) as rig:
        await rig.send("1")
        await subscriber.received(lambda got: "/old" in {r.path for r in got})

        await rig.retrigger("a", delivery=DeadLetterOf(subscriber.url + "/new"))
        await subscriber.received(lambda got: "/new" in {r.path for r in got})

        await rig.until(lambda: rig.mesh.parts.triggers["ns/a"].counters.dead_lettered == 1)
        assert subscriber.answer is subscriber_answers


def DeadLetterOf(url: str) -> DeliverySpec:  # noqa: N802
    return replace(NO_JITTER, dead_letter_sink=HttpDestination(url))


async def test_stopping_in_the_middle_of_a_change_leaves_nothing_running(
    subscriber: Subscriber, tmp_path: Path
):
    subscriber.answer = lambda request: HANG
    spec = replace(gateway(tmp_path, trigger("a", subscriber.url)), drain_timeout=0.2)
    async with running(spec) as rig:
        await rig.send("1")
        await rig.until(lambda: rig.mesh.parts.triggers["ns/a"].in_flight == 1)
        await rig.without("a")

    assert {part.state for part in rig.mesh.supervised.values()} <= {"stopped"}
