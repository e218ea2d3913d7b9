"""The pages of what several workers refuse say what `run --workers` says."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from mesh_gateway.errors import TopologyError
from mesh_gateway.gateway.workers import shares, stores
from mesh_gateway.topology.kinds import Kinds
from mesh_gateway.topology.load import Source, load
from mesh_gateway.topology.spec import GatewaySpec, TransportSpec
from mesh_gateway.transport.contract import Capabilities
from mesh_gateway.transport.negotiation import declared
from mesh_gateway.transport.plugins import import_string, load_plugins
from tests.gateway.workers.test_stores import EVENTS, store
from tests.topology.harness import OF_WORKERS

PAGES = Path(__file__).parents[3] / "docs" / "errors"
PLUGINS = load_plugins()
BROKER = """
---
apiVersion: eventing.knative.dev/v1
kind: Broker
metadata: {name: orders}
"""


def page(code: str) -> str:
    return (PAGES / f"{code}.md").read_text(encoding="utf-8")


def examples(text: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def workers(text: str) -> int:
    found = re.search(r"`mesh-gateway run --workers (\d+)`", text)
    assert found is not None
    return int(found[1])


def served(text: str, state: Path) -> GatewaySpec:
    whole = text if "kind: Broker" in text else text + BROKER
    found = load([Source("mesh.yaml", whole)], environment={"EU_TOKEN": "x"}, kinds=Kinds.of(PLUGINS))
    assert found.spec is not None, found.faults
    return replace(found.spec, state_directory=state)


def can(spec: TransportSpec) -> Capabilities | None:
    return declared(PLUGINS.transports[spec.kind], spec.options, import_string)


@pytest.mark.parametrize("code", [code for code in OF_WORKERS if code != "MG058"])
def test_the_example_of_a_page_is_refused_as_it_says_and_the_mended_one_is_not(code: str, tmp_path: Path):
    text = page(code)
    broken, *mended = examples(text, "yaml")

    with pytest.raises(TopologyError) as refused:
        shares.refuse(served(broken, tmp_path), workers(text), can)
    assert f"{refused.value}\n" == examples(text, "text")[0]
    for one in mended:
        shares.refuse(served(one, tmp_path), workers(text), can)


async def test_the_example_of_another_number_of_workers_is_refused_as_its_page_says(tmp_path: Path):
    text = page("MG058")
    spec = served(examples(text, "yaml")[0], tmp_path)
    waits = replace(EVENTS, namespace="default", broker="orders")
    with stores.held(tmp_path):
        stores.note_number(tmp_path, 2)
        await store(stores.directory(tmp_path, 1), channel=waits, events=2, settled=1)

        with pytest.raises(TopologyError) as refused:
            shares.refuse_other_number(spec, workers(text))
        assert f"{refused.value}\n" == examples(text, "text")[0]
        shares.refuse_other_number(spec, 2)
