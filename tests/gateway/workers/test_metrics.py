"""The metrics of several workers as one."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client.parser import text_string_to_metric_families

from mesh_gateway.gateway.reload import Reloads
from mesh_gateway.gateway.workers.metrics import Exporter, Incarnation, Total

ACCEPTED = 'mesh_gateway_events_accepted_total{broker="ns/b"}'
WINDOW = 'mesh_gateway_window_copies{broker="ns/b",trigger="ns/t"}'
UP = 'mesh_gateway_transport_up{transport="main"}'
BACKLOG = 'mesh_gateway_backlog_events{broker="ns/b",channel="events",group="shared"}'
OLDEST = 'mesh_gateway_backlog_oldest_seconds{broker="ns/b",channel="events",group="shared"}'


def text(accepted: int, *, window: int = 0, up: int = 1, backlog: int = 0, oldest: float = 0.0) -> str:
    return (
        f"# TYPE mesh_gateway_events_accepted_total counter\n{ACCEPTED} {accepted}\n"
        f"# TYPE mesh_gateway_window_copies gauge\n{WINDOW} {window}\n"
        f"# TYPE mesh_gateway_transport_up gauge\n{UP} {up}\n"
        f"# TYPE mesh_gateway_backlog_events gauge\n{BACKLOG} {backlog}\n"
        f"# TYPE mesh_gateway_backlog_oldest_seconds gauge\n{OLDEST} {oldest}\n"
        "# TYPE mesh_gateway_delivery_duration_seconds histogram\n"
        f'mesh_gateway_delivery_duration_seconds_bucket{{le="+Inf"}} {accepted}\n'
        f"mesh_gateway_delivery_duration_seconds_sum {accepted / 2}\n"
        f"mesh_gateway_delivery_duration_seconds_count {accepted}\n"
        "# TYPE mesh_gateway_config_stale gauge\nmesh_gateway_config_stale 1\n"
    )


def rendered(total: Total, now: Iterable[Incarnation], *, local: bool = True) -> dict[str, float]:
    families = total.families(now, lambda broker: local)
    workers = [
        {"worker": 0, "state": "ready", "restarts": 0},
        {"worker": 1, "state": "waiting", "restarts": 2},
    ]
    found = Exporter(families, Reloads("digest"), "digest", workers).render().decode()
    return {
        sample.name + ("" if not sample.labels else str(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(found)
        for sample in family.samples
    }


def of(found: dict[str, float], name: str) -> float:
    return next(value for key, value in found.items() if key.startswith(f"mesh_gateway_{name}"))


def test_what_is_counted_is_added_up():
    total = Total()
    total.note((0, 0), text(3, window=1))
    total.note((1, 0), text(4, window=2))

    found = rendered(total, [(0, 0), (1, 0)])

    assert of(found, "events_accepted_total") == 7
    assert of(found, "window_copies") == 3
    assert of(found, "delivery_duration_seconds_bucket") == 7
    assert of(found, "delivery_duration_seconds_sum") == 3.5


def test_what_a_dead_worker_had_counted_stays_counted():
    total = Total()
    total.note((0, 0), text(3))
    total.note((1, 0), text(40, window=5))
    dead = rendered(total, [(0, 0)])
    total.note((1, 1), text(1))
    total.note((1, 2), text(2))

    found = rendered(total, [(0, 0), (1, 2)])

    assert of(dead, "events_accepted_total") == 43
    assert of(dead, "window_copies") == 0, "a gauge of a worker that is gone is gone"
    assert of(found, "events_accepted_total") == 46
    assert of(found, "delivery_duration_seconds_count") == 46


def test_something_is_up_where_all_workers_say_so():
    total = Total()
    total.note((0, 0), text(0, up=1))
    total.note((1, 0), text(0, up=0))

    assert of(rendered(total, [(0, 0), (1, 0)]), "transport_up") == 0


def test_what_waits_on_a_shared_broker_is_not_counted_twice():
    total = Total()
    total.note((0, 0), text(0, backlog=9, oldest=1.0))
    total.note((1, 0), text(0, backlog=8, oldest=2.0))

    assert of(rendered(total, [(0, 0), (1, 0)], local=False), "backlog_events") == 9
    assert of(rendered(total, [(0, 0), (1, 0)], local=True), "backlog_events") == 17
    assert of(rendered(total, [(0, 0), (1, 0)], local=True), "backlog_oldest_seconds") == 2.0


def test_the_documents_are_those_of_the_parent():
    total = Total()
    total.note((0, 0), text(0))

    found = rendered(total, [(0, 0)])

    assert of(found, "config_stale") == 0
    assert len([key for key in found if key.startswith("mesh_gateway_config_stale")]) == 1


def test_each_worker_is_seen_to_be_up_and_how_often_it_was_started_again():
    found = rendered(Total(), [])

    assert found["mesh_gateway_worker_up[('worker', '0')]"] == 1
    assert found["mesh_gateway_worker_up[('worker', '1')]"] == 0
    assert found["mesh_gateway_worker_restarts_total[('worker', '1')]"] == 2
