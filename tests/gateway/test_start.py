"""From start to ready: what a process imports, and what it imports only when it needs it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.harness import GatewayProcess, running

DOCUMENTS = """
apiVersion: eventing.knative.dev/v1
kind: Broker
metadata: {name: b}
---
apiVersion: eventing.knative.dev/v1
kind: Trigger
metadata: {name: t}
spec: {broker: b, filters: [FILTER], subscriber: {uri: "http://127.0.0.1:9/"}}
"""
SELDOM = {
    "aiokafka",
    "botocore",
    "boto3",
    "mesh_gateway.cli.admin",
    "mesh_gateway.filters.cesql",
    "pamqp",
    "rich.console",
    "rich.pretty",
}


async def imported(filter: str, directory: Path) -> set[str]:
    """The modules that a gateway has imported by the time it is ready."""
    gateway = GatewayProcess(DOCUMENTS.replace("FILTER", filter), directory, {"PYTHONPROFILEIMPORTTIME": "1"})
    async with running(gateway):
        assert await gateway.terminate() == 0
    lines = gateway.log.read_text().splitlines()
    return {line.rpartition("|")[2].strip() for line in lines if line.startswith("import time:")}


async def test_a_gateway_on_the_embedded_transport_imports_nothing_that_it_does_not_need(tmp_path: Path):
    modules = await imported("{exact: {type: t}}", tmp_path)

    assert {"mesh_gateway.gateway.run", "uvicorn", "structlog"} <= modules
    assert not SELDOM & modules


async def test_cesql_is_imported_with_the_first_expression(tmp_path: Path):
    assert "mesh_gateway.filters.cesql" in await imported('{cesql: "EXISTS x"}', tmp_path)


@pytest.mark.parametrize(("console", "shown"), [(True, "╭"), (False, "... +10")])
def test_rich_is_imported_with_the_first_traceback_that_is_logged(console: bool, shown: str):
    """`shown`: what structlog writes with rich and not without."""
    code = f"""
import json, sys
from mesh_gateway.cli import serving
with serving.importing():
    from mesh_gateway.gateway import logs
import structlog
logs.configure(console={console})
log = structlog.get_logger("test")
log.error("no traceback")
before = "rich" in sys.modules
try:
    many = list(range(20))
    1 / 0
except ZeroDivisionError as error:
    log.error("a traceback", exc_info=error)
print(json.dumps([before, "rich" in sys.modules]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert json.loads(done.stdout) == [False, True]
    assert "ZeroDivisionError" in done.stderr
    assert shown in done.stderr


def test_nothing_that_was_imported_is_looked_at_by_the_collector_again_and_it_goes_on_afterwards():
    code = """
import gc
from mesh_gateway.cli import serving
with serving.importing():
    from mesh_gateway.gateway import run
    assert not gc.isenabled()
assert gc.isenabled()
print(gc.get_freeze_count() > 10_000 > len(gc.get_objects()))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "True\n"
