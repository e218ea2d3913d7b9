"""What reading documents costs: a mesh of 500 triggers."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from mesh_gateway.topology import yaml
from mesh_gateway.topology.diff import diff
from mesh_gateway.topology.faults import Faults
from mesh_gateway.topology.kinds import Kinds
from mesh_gateway.topology.load import Source, load
from mesh_gateway.topology.spec import GatewaySpec
from tests.bench.rows import Row, Sample
from tests.bench.sitting import Sitting

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


def run(sitting: Sitting) -> Iterator[Row]:
    """CPU µs per trigger."""
    text = BROKER + "".join(TRIGGER % (i, i) for i in range(TRIGGERS))
    sources = [Source("mesh.yaml", text)]
    spec, other = _spec(text), _spec(text.replace("vip", "vips"))
    per_trigger(lambda: _spec(text))  # warm

    def once() -> list[Sample]:
        return [
            Sample("topology: YAML with places", per_trigger(lambda: yaml.read(sources[0], Faults()))),
            Sample("topology: documents to spec", per_trigger(lambda: _spec(text)), note="YAML included"),
            Sample("topology: diff", per_trigger(lambda: diff(spec, other)), note="every trigger changed"),
        ]

    yield from sitting.rows(once, against=None)


def _spec(text: str) -> GatewaySpec:
    spec = load([Source("mesh.yaml", text)], environment={}, kinds=Kinds.builtin()).spec
    assert spec is not None
    return spec


def per_trigger(work: Callable[[], object]) -> float:
    """CPU µs of one trigger's share."""
    begun = time.process_time()
    work()
    return (time.process_time() - begun) * 1e6 / TRIGGERS
