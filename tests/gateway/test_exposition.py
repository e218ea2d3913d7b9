"""The text of `/metrics`, read back by Prometheus's own client."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector, CollectorRegistry

from mesh_gateway.gateway.exposition import Page, labels


def samples(page: Page) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(page.render().decode())
        for sample in family.samples
    }


@given(value=st.text(), number=st.floats(allow_nan=False) | st.integers(0, 2**53))
def test_any_label_and_number_comes_back_as_it_was(value: str, number: float):
    page = Page()
    page.gauge("x", "What it is.").add(labels(one=value.encode(errors="replace").decode(), two="2"), number)

    assert samples(page) == {
        (
            "mesh_gateway_x",
            frozenset({("one", value.encode(errors="replace").decode()), ("two", "2")}),
        ): number
    }


def test_a_metric_is_described_once_and_also_while_it_has_no_samples():
    page = Page()
    page.counter("events", "Events.")
    page.gauge("up", "1 while up.").add("", 1)

    assert page.render().decode().splitlines() == [
        "# HELP mesh_gateway_events_total Events.",
        "# TYPE mesh_gateway_events_total counter",
        "# HELP mesh_gateway_up 1 while up.",
        "# TYPE mesh_gateway_up gauge",
        "mesh_gateway_up 1.0",
    ]


def test_a_histogram_is_what_the_client_library_makes_of_it():
    page = Page()
    page.histogram("seconds", "Duration.").add_histogram(
        labels(a="b"), [("0.5", 2), ("1.0", 0), ("+Inf", 3)], 7.25
    )

    class Same(Collector):
        def collect(self):
            family = HistogramMetricFamily("mesh_gateway_seconds", "Duration.", labels=["a"])
            family.add_metric(["b"], [("0.5", 2), ("1.0", 2), ("+Inf", 5)], 7.25)
            yield family

    registry = CollectorRegistry(auto_describe=False)
    registry.register(Same())
    assert page.render() == generate_latest(registry)
