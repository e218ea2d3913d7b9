"""One relay: what it takes from its source ends with a verdict or a dead letter, or comes again."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace
from pathlib import Path

import pytest

from mesh_gateway.errors import ConnectionLost
from mesh_gateway.federation import sender
from mesh_gateway.federation.outbox import MOST_EVENTS, WINDOW
from mesh_gateway.federation.target import Manner, NotTaken, Unreached
from mesh_gateway.federation.transfer import ACCEPTED, DUPLICATE, LOOPED, Transfer, Verdict, Word
from mesh_gateway.gateway import supervise
from mesh_gateway.gateway.leaving import end
from mesh_gateway.gateway.metrics import Exporter
from mesh_gateway.gateway.reload import Reloads
from mesh_gateway.ingress.limits import IngressCounters
from mesh_gateway.topology.spec import HttpDestination
from mesh_gateway.transport.embedded.subscription import EmbeddedSubscription
from tests.federation.relaying import (
    BACKOFF,
    LEASE,
    PATIENCE,
    RELAY,
    Said,
    ScriptedTarget,
    accept,
    ids,
    relaying,
    until,
)
from tests.harness import Subscriber

pytestmark = pytest.mark.anyio

AWAY = Unreached("unreachable", "connection refused")
REFUSED = Verdict(Word.REFUSED, "not of my type")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervise, "FIRST_PAUSE", 0.001)
    monkeypatch.setattr(supervise, "LONGEST_PAUSE", 0.002)


# ── verdicts ─────────────────────────────────────────────────────────────────────────────────


async def test_the_order_of_the_log_is_kept_and_nothing_is_settled_before_its_verdict():
    async with relaying() as rig:
        await rig.publish("1", "2", "3")
        first = await rig.target.asked()
        await rig.publish("4")

        assert (first.ids, first.numbers) == (["1", "2", "3"], [1, 2, 3])
        assert first.transfer.events[0].event.attributes["meshvia"] == "eu/shop/orders"
        assert await rig.unsettled() == 4

        first.answer([ACCEPTED, DUPLICATE, LOOPED])
        second = await rig.target.asked()
        await rig.all_settled(left=1)

        assert (second.ids, second.numbers, second.transfer.floor) == (["4"], [4], 3)
        second.answer()
        await rig.all_settled()
        assert {word: rig.status()[word] for word in ("accepted", "duplicate", "looped", "sent")} == {
            "accepted": 2, "duplicate": 1, "looped": 1, "sent": 4,
        }  # fmt: skip


async def test_what_has_no_verdict_stays_unsettled_and_goes_again_under_its_number():
    async with relaying() as rig:
        await rig.publish("1", "2", "3")
        (await rig.target.asked()).answer([ACCEPTED, None, ACCEPTED])
        await rig.all_settled(left=1)
        rig.let_pass(BACKOFF)

        again = await rig.target.asked()

        assert (again.ids, again.numbers, again.transfer.floor) == (["2"], [2], 1)
        again.answer()
        await rig.all_settled()


async def test_only_what_the_filter_wants_is_sent_and_the_rest_is_settled():
    wanted = replace(RELAY, filters=({"suffix": {"type": ".created"}}, {"exact": {"vip": "yes"}}))
    async with relaying(wanted) as rig:
        rig.target.answer = accept
        await rig.publish("1", vip="no")
        await rig.publish("2", vip="yes")
        await rig.all_settled()

        assert rig.target.sent_ids == ["2"]
        assert rig.relay.counters.filtered == 1


async def test_a_target_that_has_logged_an_event_is_spared_it():
    async with relaying() as rig:
        rig.target.answer = accept
        await rig.publish("1", meshvia="us/shop/orders", meshhops="1")
        await rig.publish("2", meshvia="ap/shop/orders", meshhops="1")
        await rig.all_settled()

        assert rig.target.sent_ids == ["2"]
        assert rig.relay.counters.skipped == 1


# ── dead letters ─────────────────────────────────────────────────────────────────────────────


async def test_what_is_refused_is_a_dead_letter_and_a_redrive_goes_to_the_relay_alone():
    async with relaying(trigger=True) as rig:
        await rig.publish("1", "2")
        (await rig.target.asked()).answer([REFUSED, ACCEPTED])
        await rig.all_settled()
        [letter] = await rig.letters()
        assert (letter["id"], letter["trigger"], letter["reason"], letter["code"]) == (
            "1", "relay:shop/to-us", "not of my type", None,
        )  # fmt: skip

        assert await rig.redrive() == 1
        again = await rig.target.asked()

        [(_, event)] = again.transfer.events
        assert event.id == "1"
        assert not [name for name in event.attributes if name.startswith("mesh")
                    and name not in ("meshvia", "meshhops")]  # fmt: skip
        assert await rig.letters() == []
        assert await rig.unsettled() == 1
        again.answer()
        await rig.all_settled()
        assert rig.mesh.parts.triggers["shop/all"].counters.matched == 2


async def test_what_is_refused_goes_to_the_relays_dead_letter_sink_first_if_it_has_one():
    async with Subscriber() as sink:
        delivery = replace(RELAY.delivery, dead_letter_sink=HttpDestination(f"{sink.url}/letters"))
        async with relaying(replace(RELAY, delivery=delivery)) as rig:
            rig.target.answer = lambda transfer: [REFUSED]
            await rig.publish("1")
            [request] = await sink.received(lambda requests: len(requests) == 1)
            await rig.all_settled()

            assert request.headers["ce-meshreason"] == "not%20of%20my%20type"
            assert await rig.letters() == []


async def test_a_refused_event_is_buried_as_soon_as_its_channel_takes_it():
    async with relaying() as rig:
        rig.home.dead_letters.refuse(ConnectionLost("full"))
        rig.target.answer = lambda transfer: [REFUSED]
        await rig.publish("1")
        await until(lambda: rig.relay.counters.verdicts["refused"])
        assert rig.relay.held == 1

        rig.home.dead_letters.serve()
        await rig.let_pass_until(lambda: not rig.relay.held)
        await rig.all_settled()
        assert [letter["id"] for letter in await rig.letters()] == ["1"]


async def test_a_refused_event_that_is_not_durably_buried_comes_again_after_a_restart(tmp_path: Path):
    async with relaying(state=tmp_path) as rig:
        rig.home.dead_letters.refuse(ConnectionLost("full"))
        rig.target.answer = lambda transfer: [REFUSED]
        await rig.publish("1")
        await until(lambda: rig.relay.counters.verdicts["refused"])

    async with relaying(state=tmp_path) as rig:
        again = await rig.target.asked()
        assert again.ids == ["1"]
        again.answer()
        await rig.all_settled()


@pytest.mark.parametrize(("hops", "why"), [("16", "the limit is 16"), ("many", "decimal number")])
async def test_an_event_with_no_link_left_is_a_dead_letter_and_never_sent(hops: str, why: str):
    async with relaying() as rig:
        await rig.publish("1", meshvia="ap/shop/orders", meshhops=hops)
        await rig.publish("2", meshvia="ap/shop/orders", meshhops="15")
        asked = await rig.target.asked()
        asked.answer()
        await rig.all_settled()

        assert asked.ids == ["2"]
        [letter] = await rig.letters()
        assert letter["id"] == "1"
        assert why in letter["reason"]
        assert rig.status()["hops"] == 1


async def test_one_event_that_cannot_be_read_there_holds_up_no_other():
    def without_seven(transfer: Transfer):
        return NotTaken("status 400: torn") if "7" in ids(transfer) else accept(transfer)

    async with relaying() as rig:
        rig.target.answer = without_seven
        await rig.publish(*map(str, range(20)))
        await rig.all_settled()

        assert [letter["id"] for letter in await rig.letters()] == ["7"]
        assert rig.status()["accepted"] == 19


async def test_an_event_that_alone_gets_no_verdict_is_a_dead_letter_in_the_end():
    delivery = replace(RELAY.delivery, retry=1)
    async with relaying(replace(RELAY, delivery=delivery)) as rig:
        rig.target.answer = lambda transfer: [None if id == "2" else ACCEPTED for id in ids(transfer)]
        await rig.publish("1", "2")
        await until(lambda: len(rig.target.sent) == 1)
        await rig.publish("3")
        await rig.let_pass_until(lambda: rig.relay.counters.dead_lettered)
        await rig.all_settled()

        assert [letter["id"] for letter in await rig.letters()] == ["2"]


# ── a target that is away ────────────────────────────────────────────────────────────────────


async def test_without_an_answer_the_same_events_go_again_under_the_same_numbers():
    async with relaying() as rig:
        await rig.publish("1", "2")
        first = await rig.target.asked()
        first.answer(AWAY)
        await until(lambda: rig.relay.contact.failing)
        assert rig.relay.held == 2
        rig.let_pass(BACKOFF)

        again = await rig.target.asked()

        assert (again.transfer.lane, again.numbers, again.ids) == (
            first.transfer.lane, first.numbers, first.ids,
        )  # fmt: skip
        again.answer()
        await rig.all_settled()


async def test_a_target_that_asks_for_an_eternity_is_asked_again_all_the_same():
    async with relaying() as rig:
        await rig.publish("1")
        (await rig.target.asked()).answer(Unreached("busy", "status 429", after=float("inf")))
        await until(lambda: rig.relay.contact.failing)
        rig.let_pass(RELAY.delivery.retry_after_max)

        (await rig.target.asked()).answer()
        await rig.all_settled()


async def test_a_backlog_of_any_length_costs_no_memory_while_the_target_is_away():
    target = ScriptedTarget()
    target.away = AWAY
    async with relaying(target=target) as rig:
        await until(lambda: target.greetings)
        await rig.publish(*map(str, range(20_000)))
        assert rig.relay.held == 0

        target.away = None
        first = await target.asked()
        await until(lambda: rig.relay.held >= WINDOW)
        assert rig.relay.held == WINDOW
        assert len(first.ids) <= MOST_EVENTS

        target.answer = accept
        first.answer()
        await rig.all_settled()
        assert target.sent_ids == list(map(str, range(20_000)))


async def test_what_is_held_goes_back_before_its_transport_takes_it_away():
    async with relaying(kind="Leasing") as rig:
        await rig.publish("1", "2")
        first = await rig.target.asked()
        rig.target.away = AWAY
        rig.clock.advance(LEASE / 2 + 1)
        first.answer(AWAY)
        await until(lambda: rig.relay.held == 0)
        assert await rig.unsettled() == 2

        rig.target.away = None
        again = await rig.target.asked()

        assert again.ids == ["1", "2"]
        assert again.transfer.lane.epoch != first.transfer.lane.epoch
        again.answer()
        await rig.all_settled()


async def test_a_relay_that_is_told_to_end_while_what_it_held_goes_back_begins_no_more(
    monkeypatch: pytest.MonkeyPatch,
):
    closing, may_close, close = asyncio.Event(), asyncio.Event(), EmbeddedSubscription.close

    async def slow(self: EmbeddedSubscription) -> None:
        closing.set()
        await may_close.wait()
        await close(self)

    async with relaying(kind="Leasing") as rig:
        await end([rig.mesh._tasks.running[rig.relay]])
        relaying_alone = asyncio.create_task(rig.relay.run())
        await rig.publish("1")
        asked = await rig.target.asked()
        monkeypatch.setattr(EmbeddedSubscription, "close", slow)
        rig.clock.advance(LEASE / 2 + 1)
        asked.answer(AWAY)
        await closing.wait()
        relaying_alone.cancel()
        await asyncio.sleep(0)
        may_close.set()
        await asyncio.wait([relaying_alone], timeout=PATIENCE)

        assert relaying_alone.cancelled()


async def test_what_a_rate_would_hold_too_long_goes_back_too():
    async with relaying(replace(RELAY, rate=1 / LEASE), kind="Leasing") as rig:
        rig.target.answer = accept
        await rig.publish("1", "2")
        await until(lambda: rig.target.sent_ids == ["1"] and rig.relay.held == 1)
        held = rig.relay._sender.outbox.first
        rig.let_pass(LEASE / 2 + 1)
        await until(lambda: rig.relay.held == 1 and rig.relay._sender.outbox.first is not held)

        rig.let_pass(LEASE / 2 - 1)
        await rig.all_settled()
        assert rig.target.sent_ids == ["1", "2"]


async def test_one_target_that_is_away_keeps_nothing_from_a_trigger_of_the_same_broker():
    target = ScriptedTarget()
    target.away = AWAY
    async with relaying(target=target, trigger=True) as rig:
        await rig.publish(*map(str, range(3_000)))

        await until(lambda: rig.mesh.parts.triggers["shop/all"].counters.delivered == 3_000)
        assert await rig.unsettled() == 3_000


@pytest.mark.parametrize("kind", ["embedded", "WithoutGroups", "Leasing"])
@pytest.mark.parametrize("seed", range(3))
async def test_whatever_a_target_answers_every_event_ends_there_or_with_the_dead_letters(
    kind: str, seed: int, tmp_path: Path
):
    chance = random.Random(seed)
    taken: set[str] = set()

    def verdict(id: str) -> Verdict | None:
        said = chance.choice([ACCEPTED, ACCEPTED, ACCEPTED, None, REFUSED, LOOPED])
        if said is not None and said is not REFUSED:
            taken.add(id)
        return said

    def anything(transfer: Transfer) -> Said:
        match chance.randrange(6):
            case 0:
                return Unreached("timeout", "timeout", chance.choice([None, 1.0]))
            case 1:
                taken.update(ids(transfer))  # stored, and the answer was lost
                return AWAY
            case 2:
                return NotTaken("too large") if len(transfer.events) > 1 else [verdict(ids(transfer)[0])]
            case 3:
                rig.home.link.report(ConnectionLost("cut"))
        return [verdict(id) for id in ids(transfer)]

    def everything(transfer: Transfer) -> Said:
        taken.update(ids(transfer))
        return accept(transfer)

    async with relaying(kind=kind, state=tmp_path) as rig:
        rig.target.answer = anything
        for at in range(0, 300, 50):
            await rig.publish_at_last(*map(str, range(at, at + 50)))
            rig.target.away = AWAY if chance.random() < 0.3 else None
            await rig.let_pass_until(lambda: rig.target.away or rig.relay.counters.transfers > at // 50)  # noqa: B023
        rig.target.away, rig.target.answer = None, everything
        await rig.home.link.up.wait()
        await rig.all_settled(passing=True)

        assert taken | {letter["id"] for letter in await rig.letters()} == set(map(str, range(300)))


# ── where there are no groups ────────────────────────────────────────────────────────────────


async def test_without_groups_what_is_wanted_is_copied_and_the_source_is_settled():
    target = ScriptedTarget()
    target.away = AWAY
    async with relaying(kind="WithoutGroups", target=target) as rig:
        await rig.publish("1", "2", "3")
        await until(lambda: rig.relay.counters.parked == 3)
        [reader] = rig.home.readers
        await until(lambda: reader.outstanding == 0)
        assert rig.relay.held == 0
        assert await rig.unsettled() == 3

        target.away, target.answer = None, accept
        await rig.all_settled()
        assert sorted(target.sent_ids) == ["1", "2", "3"]


@pytest.mark.parametrize("kind", ["embedded", "WithoutGroups"])
async def test_after_an_outage_what_comes_through_the_parked_channel_is_sent_at_once(kind: str):
    async with relaying(kind=kind) as rig:
        await rig.publish("1")
        (await rig.target.asked()).answer([REFUSED])
        await rig.all_settled()
        await rig.redrive()
        asked = await rig.target.asked()
        await until(lambda: rig.relay.parking.drained)
        rig.target.away = AWAY
        asked.answer(AWAY)
        await until(lambda: rig.relay.contact.manner is None)
        await until(lambda: rig.relay.parking._has_room.is_set() is False)
        rig.target.away = None
        await until(lambda: rig.relay.contact.manner)
        rig.let_pass(BACKOFF)
        (await rig.target.asked()).answer([REFUSED])
        await until(lambda: rig.relay.counters.dead_lettered == 2)

        await rig.redrive()

        (await rig.target.asked()).answer()
        await rig.all_settled()


# ── pace ─────────────────────────────────────────────────────────────────────────────────────


async def test_a_rate_bounds_what_is_sent():
    async with relaying(replace(RELAY, rate=2.0)) as rig:
        rig.target.answer = accept
        await rig.publish("1", "2", "3", "4", "5")
        await until(lambda: rig.target.sent_ids == ["1", "2"])
        await until(lambda: rig.relay.held == 3)
        rig.let_pass(1.0)

        await until(lambda: len(rig.target.sent_ids) == 4)
        assert rig.target.sent_ids == ["1", "2", "3", "4"]


async def test_transfers_keep_to_what_the_target_takes_as_it_says_now():
    async with relaying() as rig:
        rig.target.answer = lambda transfer: AWAY
        rig.target.manner = Manner("batches", "us/shop/orders", most_events=2)
        await rig.publish("1", "2", "3", "4", "5")
        await until(lambda: rig.relay.contact.failing and rig.relay.contact.manner)
        rig.target.answer = accept
        rig.target.sent.clear()
        rig.let_pass(BACKOFF)
        await rig.all_settled()

        assert all(len(transfer.events) <= 2 for transfer in rig.target.sent)


# ── life ─────────────────────────────────────────────────────────────────────────────────────


async def test_stopping_waits_for_the_verdicts_under_way_and_sends_nothing_more(tmp_path: Path):
    async with relaying(state=tmp_path) as rig:
        await rig.publish("1")
        asked = await rig.target.asked()
        await rig.publish("2")
        await until(lambda: rig.relay.held == 2)
        rig.mesh.stop()
        await until(lambda: rig.relay._sender.stopped)
        assert not rig.target.closed
        asked.answer()
        await until(lambda: rig.target.closed)
        assert len(rig.target.sent) == 1

    async with relaying(state=tmp_path) as rig:
        again = await rig.target.asked()
        assert again.ids == ["2"]
        again.answer()
        await rig.all_settled()


async def test_a_relay_is_idle_only_when_what_it_had_refused_is_durable(tmp_path: Path):
    async with relaying(state=tmp_path) as rig:
        rig.home.dead_letters.refuse(ConnectionLost("full"))
        rig.target.answer = lambda transfer: [REFUSED]
        await rig.publish("1")
        await until(lambda: rig.relay.counters.verdicts["refused"])
        rig.relay.stop()
        idle = asyncio.ensure_future(rig.relay.idle())
        await asyncio.sleep(0)
        assert not idle.done()

        rig.home.dead_letters.serve()
        await rig.let_pass_until(idle.done)
        assert [letter["id"] for letter in await rig.letters()] == ["1"]


async def test_a_source_that_is_lost_gives_again_what_has_no_verdict_under_a_new_epoch(tmp_path: Path):
    async with relaying(state=tmp_path) as rig:
        await rig.publish("1", "2")
        first = await rig.target.asked()
        rig.home.link.report(ConnectionLost("cut"))

        again = await rig.target.asked()

        assert again.ids == ["1", "2"]
        assert again.transfer.lane.epoch != first.transfer.lane.epoch
        again.answer()
        await rig.all_settled()


async def test_an_idle_relay_asks_whether_its_target_is_still_there(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sender, "PROBE_SECONDS", 0.01)
    async with relaying() as rig:
        await until(lambda: rig.target.greetings > 2)
        assert rig.condition == ("True", "")

        rig.target.away = Unreached("unauthorized", "status 401")
        await until(lambda: rig.relay.contact.manner is None)
        assert rig.condition == ("False", "Unauthorized")
        assert rig.status()["failures"]["unauthorized"] >= 1

        rig.target.away = None
        await until(lambda: rig.condition == ("True", ""))


# ── what can be seen ─────────────────────────────────────────────────────────────────────────


async def test_a_target_that_greets_and_takes_nothing_is_not_called_ready():
    async with relaying() as rig:
        rig.target.answer = lambda transfer: Unreached("unavailable", "status 503")
        await until(lambda: rig.relay.contact.manner)
        assert rig.condition == ("True", "")
        await rig.publish("1")
        await until(lambda: rig.relay.contact.failing and rig.relay.contact.manner)

        assert rig.condition == ("False", "Unavailable")

        rig.target.answer = accept
        rig.let_pass(BACKOFF)
        await rig.all_settled()
        assert rig.condition == ("True", "")


async def test_before_its_target_has_answered_nothing_is_said_of_a_relay():
    target = ScriptedTarget()
    met = asyncio.Event()

    async def slow() -> Manner:
        await met.wait()
        return target.manner

    target.meet = slow  # type: ignore[method-assign]
    async with relaying(target=target) as rig:
        assert rig.condition == ("Unknown", "NotContacted")
        met.set()
        await until(lambda: rig.condition == ("True", ""))


async def test_a_target_that_has_said_nothing_for_long_is_called_stalled():
    async with relaying() as rig:
        await until(lambda: rig.relay.contact.manner)
        rig.clock.advance(16)

        assert rig.condition == ("False", "Stalled")


async def test_without_its_broker_nothing_is_known_of_a_relay():
    async with relaying() as rig:
        await until(lambda: rig.relay.contact.manner)
        rig.home.link.up.clear()

        assert rig.condition == ("Unknown", "BrokerNotReady")


async def test_metrics_say_what_became_of_events_and_why_nothing_goes():
    async with relaying(replace(RELAY, filters=({"suffix": {"type": ".created"}},))) as rig:
        await rig.publish("1", "2")
        (await rig.target.asked()).answer([ACCEPTED, REFUSED])
        await rig.all_settled()
        await rig.publish("3")
        (await rig.target.asked()).answer(Unreached("timeout", "timeout"))
        await until(lambda: rig.relay.contact.failing)

        text = (await Exporter(rig.mesh, Reloads("digest"), IngressCounters(), {}).render()).decode()

        lines = set(text.splitlines())
        relay = 'relay="shop/to-us"'
        assert {
            f'mesh_gateway_relay_events_total{{{relay},result="accepted"}} 1.0',
            f'mesh_gateway_relay_events_total{{{relay},result="refused"}} 1.0',
            f'mesh_gateway_relay_events_total{{{relay},result="dead_lettered"}} 1.0',
            f"mesh_gateway_relay_transfers_total{{{relay}}} 1.0",
            f'mesh_gateway_relay_failures_total{{reason="timeout",{relay}}} 1.0',
            f"mesh_gateway_relay_held_events{{{relay}}} 1.0",
            f"mesh_gateway_relay_up{{{relay}}} 0.0",
        } <= lines
