"""What annotations set on a Trigger."""

from __future__ import annotations

import pytest

from mesh_gateway.topology.spec import StartSpec, TriggerSpec
from tests.topology.harness import BROKER, codes, loaded, the_trigger, to_billing, trigger


def annotated(**annotations: str) -> TriggerSpec:
    text = ", ".join(f'mesh-gateway.dev/{name}: "{value}"' for name, value in annotations.items())
    return the_trigger(BROKER, trigger(to_billing(), annotations=f"{{{text}}}"))


def test_without_annotations_the_defaults_count():
    found = the_trigger(BROKER, trigger(to_billing()))

    assert (found.order, found.parallelism, found.overflow, found.read) == ("unordered", 64, "park", "shared")
    assert (found.replies, found.window_events, found.window_bytes) == (True, 1_000, 16_777_216)


def test_each_sets_its_field():
    found = annotated(order="ordered", parallelism="8", overflow="block", read="dedicated", replies="off")

    assert (found.order, found.parallelism, found.overflow, found.read) == (
        "ordered",
        8,
        "block",
        "dedicated",
    )
    assert found.replies is False


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("500", (500, 16_777_216)),
        ("8MiB", (1_000, 8 * 2**20)),
        ("500, 8MiB", (500, 8 * 2**20)),
        ("500,64KiB", (500, 65_536)),
    ],
)
def test_a_window_is_events_bytes_or_both(text: str, expected: tuple[int, int]):
    found = annotated(window=text)

    assert (found.window_events, found.window_bytes) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("latest", StartSpec("latest")),
        ("earliest", StartSpec("earliest")),
        ("2026-11-24T08:00:00Z", StartSpec("timestamp", timestamp=1_795_507_200.0)),
        ("2026-11-24T09:00:00+01:00", StartSpec("timestamp", timestamp=1_795_507_200.0)),
        ("position:0/42", StartSpec("position", position="0/42")),
    ],
)
def test_a_start_is_a_word_a_time_or_a_position(text: str, expected: StartSpec):
    assert annotated(read="dedicated", start=text).start == expected


def test_ours_count_more_than_knatives():
    both = "{mesh-gateway.dev/order: unordered, kafka.eventing.knative.dev/delivery.order: ordered}"

    assert the_trigger(BROKER, trigger(to_billing(), annotations=both)).order == "unordered"


def test_knatives_order_is_read_in_any_case():
    kafka = "{kafka.eventing.knative.dev/delivery.order: Ordered}"

    assert the_trigger(BROKER, trigger(to_billing(), annotations=kafka)).order == "ordered"


@pytest.mark.parametrize("text", ["500 events", "8MB", ",", "", "0", "0MiB", "1,2", "2000000"])
def test_a_wrong_window_is_refused(text: str):
    found = loaded(BROKER, trigger(to_billing(), annotations=f'{{mesh-gateway.dev/window: "{text}"}}'))

    assert codes(found) == ["MG028"]


@pytest.mark.parametrize("text", ["2026-11-24T08:00:00", "position:", "yesterday", "LATEST"])
def test_a_wrong_start_is_refused(text: str):
    annotations = f'{{mesh-gateway.dev/read: dedicated, mesh-gateway.dev/start: "{text}"}}'

    assert codes(loaded(BROKER, trigger(to_billing(), annotations=annotations))) == ["MG028"]


def test_annotations_of_others_are_nobodys_business():
    found = loaded(BROKER, trigger(to_billing(), annotations='{argocd.argoproj.io/sync-wave: "3"}'))

    assert found.faults == ()


def test_interpolate_takes_true_or_false():
    found = loaded(BROKER, trigger(to_billing(), annotations='{mesh-gateway.dev/interpolate: "yes"}'))

    assert codes(found) == ["MG028"]
