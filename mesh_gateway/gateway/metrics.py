"""`/metrics`: the plain integers of the data path, given Prometheus's names when somebody scrapes.

Names and labels are public (see docs/operations/metrics.md). Labels hold only names from
documents and small closed sets of words, never anything a producer or a subscriber chose.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence

from mesh_gateway import __version__
from mesh_gateway.delivery.counters import BUCKETS
from mesh_gateway.delivery.trigger import Trigger
from mesh_gateway.gateway import status
from mesh_gateway.gateway.backlog import SLICE, Waiting, everything
from mesh_gateway.gateway.exposition import Page, labels
from mesh_gateway.gateway.mesh import Mesh
from mesh_gateway.gateway.reload import Reloads
from mesh_gateway.ingress.limits import IngressCounters

BOUNDS = (*map(str, BUCKETS), "+Inf")
"""Of the durations of attempts, as they are written."""


class Exporter:
    """Reads the counters of one gateway."""

    def __init__(
        self, mesh: Mesh, reloads: Reloads, ingress: IngressCounters, unreadable: dict[str, int]
    ) -> None:
        self._mesh = mesh
        self._reloads = reloads
        self._ingress = ingress
        self._unreadable = unreadable

    async def render(self) -> bytes:
        """The text format; asks the transports what waits there."""
        waiting = await everything(self._mesh)
        page = Page()
        self._gateway(page)
        self._ingress_side(page)
        self._brokers(page)
        await self._triggers(page)
        self._relays(page)
        self._receivers(page)
        self._transports(page)
        _backlogs(page, waiting)
        return page.render()

    def _gateway(self, page: Page) -> None:
        build = page.gauge("build_info", "Version of this gateway.")
        build.add(labels(version=__version__), 1)
        configuration(page, self._mesh.parts.spec.digest, self._reloads)
        parts = page.gauge("part_up", "1 while a supervised part runs.")
        for part in [*self._mesh.supervised.values(), *self._mesh.beside]:
            parts.add(labels(part=part.name), int(part.ok))

    def _ingress_side(self, page: Page) -> None:
        refused = page.counter("events_refused", "Requests answered without storing anything.")
        for reason, count in self._ingress.refused.items():
            refused.add(labels(reason=reason), count)
        responses = page.counter("ingress_responses", "Answers by status.")
        for code, count in self._ingress.responses.items():
            responses.add(labels(status=str(code)), count)

    def _brokers(self, page: Page) -> None:
        accepted = page.counter("events_accepted", "Events that became durable.")
        stripped = page.counter("reserved_attributes_stripped", "Events whose mesh* attributes were removed.")
        unmatched = page.counter("events_unmatched", "Events that no trigger of the reader wanted.")
        unsettled = page.gauge("unsettled_events", "Received and not yet settled.")
        unreadable = page.counter(
            "unreadable_records",
            "Stored records set aside as damaged, and losses on the transport that it has noticed.",
        )
        for home in self._mesh.homes():
            at = labels(broker=home.spec.key)
            accepted.add(at, home.broker.counters.accepted)
            stripped.add(at, home.broker.counters.stripped)
            for reader in home.readers:
                read = labels(broker=home.spec.key, group=reader.group)
                unmatched.add(read, reader.unmatched)
                unsettled.add(read, reader.outstanding)
        for channel, count in self._unreadable.items():
            unreadable.add(labels(channel=channel), count)

    async def _triggers(self, page: Page) -> None:
        families = _TriggerFamilies(page)
        parts = self._mesh.parts
        # All that a reload could take away meanwhile is looked at first.
        found = [
            (
                trigger,
                home.spec.key,
                status.filtered(trigger, home, parts.spec.triggers[trigger.key].read),
                parts.filters[trigger.key].errors,
            )
            for home in self._mesh.homes()
            for trigger in home.triggers
        ]
        for number, of_trigger in enumerate(found):
            if number % SLICE == 0:
                await asyncio.sleep(0)
            families.add(*of_trigger)

    def _relays(self, page: Page) -> None:
        events = page.counter("relay_events", "Events of a relay by what became of them.")
        transfers = page.counter("relay_transfers", "Transfers that got verdicts.")
        failures = page.counter("relay_failures", "Transfers and greetings without an answer that counts.")
        held = page.gauge("relay_held_events", "Events without an end.")
        up = page.gauge("relay_up", "1 while the target answers.")
        for key, one in self._mesh.parts.relays.items():
            counters = one.relay.counters
            at = labels(relay=key)
            results = {
                **counters.verdicts,
                "skipped": counters.skipped,
                "filtered": counters.filtered,
                "dead_lettered": counters.dead_lettered,
            }
            for word, count in results.items():
                events.add(labels(relay=key, result=word), count)
            transfers.add(at, counters.transfers)
            for reason, count in counters.failures.items():
                failures.add(labels(reason=reason, relay=key), count)
            held.add(at, one.relay.held)
            up.add(at, int(status.relay_ready(one, self._mesh)))

    def _receivers(self, page: Page) -> None:
        verdicts = page.counter(
            "relayed_events", "Events that came by relays, by sending cluster and verdict."
        )
        doubles = page.counter(
            "relayed_duplicates",
            "Second copies that a group was not given, found when they were read.",
        )
        forgotten = page.counter(
            "relayed_forgotten", "Identities forgotten before their day was over, for want of room."
        )
        for home in self._mesh.homes():
            key = home.spec.key
            if home.receiver is not None:
                forgotten.add(labels(broker=key), home.receiver.forgotten)
                for (cluster, verdict), count in home.receiver.verdicts.items():
                    verdicts.add(labels(broker=key, cluster=cluster, verdict=verdict), count)
            if home.sieve is not None:
                doubles.add(labels(broker=key), home.sieve.duplicates)

    def _transports(self, page: Page) -> None:
        up = page.gauge("transport_up", "1 while connected.")
        connects = page.counter("transport_connects", "Times connected.")
        errors = page.counter("transport_errors", "Errors met.")
        drifts = page.gauge(
            "channel_drifts",
            "Differences between channels and their documents, as of the last connect.",
        )
        for link in self._mesh.parts.links.values():
            at = labels(transport=link.name)
            up.add(at, int(link.up.is_set()))
            connects.add(at, link.reconnects)
            errors.add(at, link.errors)
            drifts.add(at, len(link.drifts))


class _TriggerFamilies:
    """What is told of each trigger."""

    def __init__(self, page: Page) -> None:
        self._events = page.counter("trigger_events", "Events by what the filter said.")
        self._ends = page.counter(
            "deliveries", "Attempts and ends of copies; every way a copy can end is one outcome."
        )
        self._replies = page.counter("replies", "Replies by result.")
        self._moved = page.counter("parked_copies", "Copies parked and brought back.")
        self._in_flight = page.gauge("in_flight", "Attempts under way.")
        self._window = page.gauge("window_copies", "Copies in memory.")
        self._limit = page.gauge("window_limit", "Most copies in memory.")
        self._errors = page.counter("filter_errors", "Filters that could not be evaluated.")
        self._seconds = page.histogram("delivery_duration_seconds", "Duration of an attempt.")

    def add(self, trigger: Trigger, broker: str, filtered: int, errors: int) -> None:
        """One of them."""
        its_broker, itself = labels(broker=broker), labels(trigger=trigger.key)
        at = f"{its_broker},{itself}"
        counters = trigger.counters
        self._events.add(f'{its_broker},result="matched",{itself}', counters.matched)
        self._events.add(f'{its_broker},result="filtered",{itself}', filtered)
        for outcome, code, count in _ends(trigger):
            self._ends.add(f'{its_broker},code="{code}",outcome="{outcome}",{itself}', count)
        self._replies.add(f'{its_broker},result="accepted",{itself}', counters.replied)
        self._replies.add(f'{its_broker},result="refused",{itself}', counters.reply_refused)
        self._moved.add(f'{at},way="out"', counters.parked)
        self._moved.add(f'{at},way="back"', counters.unparked)
        self._in_flight.add(at, trigger.in_flight)
        self._window.add(at, trigger.held)
        self._limit.add(at, trigger.window.events)
        self._errors.add(at, errors)
        duration = counters.duration
        self._seconds.add_histogram(at, zip(BOUNDS, duration.counts, strict=True), duration.total)


def _backlogs(page: Page, waiting: Sequence[Waiting]) -> None:
    events = page.gauge("backlog_events", "Events on the transport that a group has not settled.")
    oldest = page.gauge("backlog_oldest_seconds", "Age of the oldest.")
    for one in waiting:
        at = labels(broker=one.broker, channel=one.purpose.value, group=one.group)
        events.add(at, one.backlog.events)
        if one.backlog.oldest_age is not None:
            oldest.add(at, one.backlog.oldest_age)


def configuration(page: Page, digest: str, reloads: Reloads) -> None:
    """What is served, and how reloading it has gone."""
    config = page.gauge("config_info", "The documents served.")
    config.add(labels(generation=str(reloads.generation), hash=digest), 1)
    counts = page.counter("config_reloads", "Reloads of the documents by result.")
    for result, count in reloads.counts.items():
        counts.add(labels(result=result), count)
    page.gauge(
        "config_last_success_timestamp_seconds",
        "When the documents served were applied, or found to be the same.",
    ).add("", reloads.last_success)
    page.gauge("config_stale", "1 while the last reload was refused, and older documents are served.").add(
        "", int(reloads.refusal is not None)
    )


def _ends(trigger: Trigger) -> Iterator[tuple[str, str, int]]:
    """(outcome, code class, count) of everything that can happen to a copy."""
    counters = trigger.counters
    yield "ok", "2xx", counters.delivered
    for (outcome, code), count in counters.by_code.items():
        yield outcome, code, count
    yield "dead_letter_sink", "none", counters.dead_lettered
    yield "dead_letter_channel", "none", counters.stored_dead_letters
