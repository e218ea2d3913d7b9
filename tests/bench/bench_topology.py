"""What reading documents costs: a mesh of 500 triggers."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

from mesh_gateway.topology import yaml
from mesh_gateway.topology.diff import diff
from mesh_gateway.topology.faults import Faults
from mesh_gateway.topology.kinds import Kinds
from mesh_gateway.topology.load import Source, load

TRIGGERS = 500
BROKER = "apiVersion: eventing.knative.dev/v1\nkind: Broker\nmetadata: {name: orders}\n"
TRIGGER = """---
apiVersion: eventing.knative.dev/v1
kind: Trigger
metadata:
  name: t%d
spec:
  broker: orders
  filters: [{any: [{exact: {type: order.created}}, {cesql: "type LIKE 'order.%%' AND EXISTS vip"}]}]
  subscriber: {uri: "http://billing-%d:8080/events"}
"""


def run() -> list[tuple[str, float, str]]:
    """Rows of (what, CPU µs per trigger, note)."""
    text = BROKER + "".join(TRIGGER % (i, i) for i in range(TRIGGERS))
    sources = [Source("mesh.yaml", text)]

    def whole() -> None:
        loaded = load(sources, environment={}, kinds=Kinds.builtin())
        assert loaded.spec is not None

    spec = load(sources, environment={}, kinds=Kinds.builtin()).spec
    assert spec is not None
    other = load(
        [Source("mesh.yaml", text.replace("vip", "vips"))], environment={}, kinds=Kinds.builtin()
    ).spec
    assert other is not None
    return [
        (
            "topology: YAML with places",
            per_trigger(lambda: yaml.read(sources[0], Faults())),
            f"{TRIGGERS} triggers",
        ),
        ("topology: documents to spec", per_trigger(whole), f"{TRIGGERS} triggers, YAML included"),
        ("topology: diff", per_trigger(lambda: diff(spec, other)), "every trigger changed"),
    ]


def per_trigger(work: Callable[[], object]) -> float:
    """Median of five runs, after one to warm up."""
    work()
    seconds = []
    for _ in range(5):
        begun = time.process_time()
        work()
        seconds.append(time.process_time() - begun)
    return statistics.median(seconds) * 1e6 / TRIGGERS
