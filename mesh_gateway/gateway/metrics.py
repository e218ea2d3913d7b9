"""`/metrics`: the plain integers of the data path, given Prometheus's names when somebody scrapes.

Names and labels are public (see docs/operations/metrics.md). Labels hold only names from
documents and small closed sets of words, never anything a producer or a subscriber chose.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from mesh_gateway import __version__
from mesh_gateway.delivery.counters import BUCKETS, Histogram
from mesh_gateway.delivery.trigger import Trigger
from mesh_gateway.gateway import status
from mesh_gateway.gateway.backlog import Waiting, everything
from mesh_gateway.gateway.mesh import Mesh
from mesh_gateway.gateway.reload import Reloads
from mesh_gateway.ingress.limits import IngressCounters

PREFIX = "mesh_gateway_"


class Exporter(Collector):
    """Reads the counters of one gateway."""

    def __init__(
        self, mesh: Mesh, reloads: Reloads, ingress: IngressCounters, unreadable: dict[str, int]
    ) -> None:
        self._mesh = mesh
        self._reloads = reloads
        self._ingress = ingress
        self._unreadable = unreadable
        self._waiting: list[Waiting] = []
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    async def render(self) -> bytes:
        """The text format; asks the transports what waits there."""
        self._waiting = await everything(self._mesh)
        return generate_latest(self._registry)

    def describe(self) -> Iterable[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        yield from self._gateway()
        yield from self._ingress_side()
        yield from self._brokers()
        yield from self._triggers()
        yield from self._relays()
        yield from self._receivers()
        yield from self._transports()
        yield from self._backlogs()

    def _gateway(self) -> Iterator[Metric]:
        build = GaugeMetricFamily(PREFIX + "build_info", "Version of this gateway.", labels=["version"])
        build.add_metric([__version__], 1)
        yield build
        yield from configuration(self._mesh.parts.spec.digest, self._reloads)
        parts = GaugeMetricFamily(PREFIX + "part_up", "1 while a supervised part runs.", labels=["part"])
        for part in [*self._mesh.supervised.values(), *self._mesh.beside]:
            parts.add_metric([part.name], int(part.ok))
        yield parts

    def _ingress_side(self) -> Iterator[Metric]:
        refused = CounterMetricFamily(
            PREFIX + "events_refused", "Requests answered without storing anything.", labels=["reason"]
        )
        for reason, count in self._ingress.refused.items():
            refused.add_metric([reason], count)
        yield refused
        responses = CounterMetricFamily(PREFIX + "ingress_responses", "Answers by status.", labels=["status"])
        for code, count in self._ingress.responses.items():
            responses.add_metric([str(code)], count)
        yield responses

    def _brokers(self) -> Iterator[Metric]:
        accepted = CounterMetricFamily(
            PREFIX + "events_accepted", "Events that became durable.", labels=["broker"]
        )
        stripped = CounterMetricFamily(
            PREFIX + "reserved_attributes_stripped",
            "Events whose mesh* attributes were removed.",
            labels=["broker"],
        )
        unmatched = CounterMetricFamily(
            PREFIX + "events_unmatched",
            "Events that no trigger of the reader wanted.",
            labels=["broker", "group"],
        )
        unsettled = GaugeMetricFamily(
            PREFIX + "unsettled_events", "Received and not yet settled.", labels=["broker", "group"]
        )
        unreadable = CounterMetricFamily(
            PREFIX + "unreadable_records",
            "Stored records set aside as damaged, and losses on the transport that it has noticed.",
            labels=["channel"],
        )
        for home in self._mesh.homes():
            accepted.add_metric([home.spec.key], home.broker.counters.accepted)
            stripped.add_metric([home.spec.key], home.broker.counters.stripped)
            for reader in home.readers:
                unmatched.add_metric([home.spec.key, reader.group], reader.unmatched)
                unsettled.add_metric([home.spec.key, reader.group], reader.outstanding)
        for channel, count in self._unreadable.items():
            unreadable.add_metric([channel], count)
        yield from (accepted, stripped, unmatched, unsettled, unreadable)

    def _triggers(self) -> Iterator[Metric]:
        labels = ["broker", "trigger"]
        events = CounterMetricFamily(
            PREFIX + "trigger_events", "Events by what the filter said.", labels=[*labels, "result"]
        )
        ends = CounterMetricFamily(
            PREFIX + "deliveries",
            "Attempts and ends of copies; every way a copy can end is one outcome.",
            labels=[*labels, "outcome", "code"],
        )
        replies = CounterMetricFamily(PREFIX + "replies", "Replies by result.", labels=[*labels, "result"])
        moved = CounterMetricFamily(
            PREFIX + "parked_copies", "Copies parked and brought back.", labels=[*labels, "way"]
        )
        in_flight = GaugeMetricFamily(PREFIX + "in_flight", "Attempts under way.", labels=labels)
        window = GaugeMetricFamily(PREFIX + "window_copies", "Copies in memory.", labels=labels)
        limit = GaugeMetricFamily(PREFIX + "window_limit", "Most copies in memory.", labels=labels)
        errors = CounterMetricFamily(
            PREFIX + "filter_errors", "Filters that could not be evaluated.", labels=labels
        )
        seconds = HistogramMetricFamily(
            PREFIX + "delivery_duration_seconds", "Duration of an attempt.", labels=labels
        )
        for home in self._mesh.homes():
            for trigger in home.triggers:
                at = [home.spec.key, trigger.key]
                counters = trigger.counters
                document = self._mesh.parts.spec.triggers[trigger.key]
                events.add_metric([*at, "matched"], counters.matched)
                events.add_metric([*at, "filtered"], status.filtered(trigger, home, document.read))
                for outcome, code, count in _ends(trigger):
                    ends.add_metric([*at, outcome, code], count)
                replies.add_metric([*at, "accepted"], counters.replied)
                replies.add_metric([*at, "refused"], counters.reply_refused)
                moved.add_metric([*at, "out"], counters.parked)
                moved.add_metric([*at, "back"], counters.unparked)
                in_flight.add_metric(at, trigger.in_flight)
                window.add_metric(at, trigger.held)
                limit.add_metric(at, trigger.window.events)
                errors.add_metric(at, self._mesh.parts.filters[trigger.key].errors)
                seconds.add_metric(at, *_histogram(counters.duration))
        yield from (events, ends, replies, moved, in_flight, window, limit, errors, seconds)

    def _relays(self) -> Iterator[Metric]:
        events = CounterMetricFamily(
            PREFIX + "relay_events", "Events of a relay by what became of them.", labels=["relay", "result"]
        )
        transfers = CounterMetricFamily(
            PREFIX + "relay_transfers", "Transfers that got verdicts.", labels=["relay"]
        )
        failures = CounterMetricFamily(
            PREFIX + "relay_failures",
            "Transfers and greetings without an answer that counts.",
            labels=["relay", "reason"],
        )
        held = GaugeMetricFamily(PREFIX + "relay_held_events", "Events without an end.", labels=["relay"])
        up = GaugeMetricFamily(PREFIX + "relay_up", "1 while the target answers.", labels=["relay"])
        for key, one in self._mesh.parts.relays.items():
            counters = one.relay.counters
            for word, count in counters.verdicts.items():
                events.add_metric([key, word], count)
            events.add_metric([key, "skipped"], counters.skipped)
            events.add_metric([key, "filtered"], counters.filtered)
            events.add_metric([key, "dead_lettered"], counters.dead_lettered)
            transfers.add_metric([key], counters.transfers)
            for reason, count in counters.failures.items():
                failures.add_metric([key, reason], count)
            held.add_metric([key], one.relay.held)
            up.add_metric([key], int(status.relay_ready(one, self._mesh)))
        yield from (events, transfers, failures, held, up)

    def _receivers(self) -> Iterator[Metric]:
        verdicts = CounterMetricFamily(
            PREFIX + "relayed_events",
            "Events that came by relays, by sending cluster and verdict.",
            labels=["broker", "cluster", "verdict"],
        )
        doubles = CounterMetricFamily(
            PREFIX + "relayed_duplicates",
            "Second copies that a group was not given, found when they were read.",
            labels=["broker"],
        )
        forgotten = CounterMetricFamily(
            PREFIX + "relayed_forgotten",
            "Identities forgotten before their day was over, for want of room.",
            labels=["broker"],
        )
        for home in self._mesh.homes():
            if home.receiver is not None:
                forgotten.add_metric([home.spec.key], home.receiver.forgotten)
                for (cluster, verdict), count in home.receiver.verdicts.items():
                    verdicts.add_metric([home.spec.key, cluster, verdict], count)
            if home.sieve is not None:
                doubles.add_metric([home.spec.key], home.sieve.duplicates)
        yield from (verdicts, doubles, forgotten)

    def _transports(self) -> Iterator[Metric]:
        up = GaugeMetricFamily(PREFIX + "transport_up", "1 while connected.", labels=["transport"])
        connects = CounterMetricFamily(
            PREFIX + "transport_connects", "Times connected.", labels=["transport"]
        )
        errors = CounterMetricFamily(PREFIX + "transport_errors", "Errors met.", labels=["transport"])
        drifts = GaugeMetricFamily(
            PREFIX + "channel_drifts",
            "Differences between channels and their documents, as of the last connect.",
            labels=["transport"],
        )
        for link in self._mesh.parts.links.values():
            up.add_metric([link.name], int(link.up.is_set()))
            connects.add_metric([link.name], link.reconnects)
            errors.add_metric([link.name], link.errors)
            drifts.add_metric([link.name], len(link.drifts))
        yield from (up, connects, errors, drifts)

    def _backlogs(self) -> Iterator[Metric]:
        labels = ["broker", "channel", "group"]
        events = GaugeMetricFamily(
            PREFIX + "backlog_events", "Events on the transport that a group has not settled.", labels=labels
        )
        oldest = GaugeMetricFamily(PREFIX + "backlog_oldest_seconds", "Age of the oldest.", labels=labels)
        for one in self._waiting:
            at = [one.broker, one.purpose.value, one.group]
            events.add_metric(at, one.backlog.events)
            if one.backlog.oldest_age is not None:
                oldest.add_metric(at, one.backlog.oldest_age)
        yield from (events, oldest)


def configuration(digest: str, reloads: Reloads) -> Iterator[Metric]:
    """What is served, and how reloading it has gone."""
    config = GaugeMetricFamily(PREFIX + "config_info", "The documents served.", labels=["hash", "generation"])
    config.add_metric([digest, str(reloads.generation)], 1)
    yield config
    counts = CounterMetricFamily(
        PREFIX + "config_reloads", "Reloads of the documents by result.", labels=["result"]
    )
    for result, count in reloads.counts.items():
        counts.add_metric([result], count)
    yield counts
    yield GaugeMetricFamily(
        PREFIX + "config_last_success_timestamp_seconds",
        "When the documents served were applied, or found to be the same.",
        value=reloads.last_success,
    )
    yield GaugeMetricFamily(
        PREFIX + "config_stale",
        "1 while the last reload was refused, and older documents are served.",
        value=int(reloads.refusal is not None),
    )


def _ends(trigger: Trigger) -> Iterator[tuple[str, str, int]]:
    """(outcome, code class, count) of everything that can happen to a copy."""
    counters = trigger.counters
    yield "ok", "2xx", counters.delivered
    for (outcome, code), count in counters.by_code.items():
        yield outcome, code, count
    yield "dead_letter_sink", "none", counters.dead_lettered
    yield "dead_letter_channel", "none", counters.stored_dead_letters


def _histogram(histogram: Histogram) -> tuple[list[tuple[str, float]], float]:
    """Cumulative buckets and the sum."""
    total = 0
    buckets: list[tuple[str, float]] = []
    for bound, count in zip([*map(str, BUCKETS), "+Inf"], histogram.counts, strict=True):
        total += count
        buckets.append((bound, total))
    return buckets, histogram.total
