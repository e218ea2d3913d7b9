"""The prober against a real gateway that is killed and stopped: it passes, and it has really seen something."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import sys
import uuid
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from mesh_gateway.cli.group import cli
from mesh_gateway.cli.probe_run import own_run
from mesh_gateway.testing.probe.gateway import GatewayFailed
from mesh_gateway.testing.probe.nemesis import FAULTS
from mesh_gateway.testing.probe.plan import Plan
from tests.faults.figures import figure
from tests.faults.scale import ALL, thorough
from tests.harness import GatewayProcess, running
from tests.transports import BACKINGS, Backing

BROKER = "apiVersion: eventing.knative.dev/v1\nkind: Broker\nmetadata: {name: orders, namespace: shop}\n"


def test_a_gateway_that_is_killed_and_stopped_loses_nothing(tmp_path: Path):
    kept = tmp_path / "history"

    run = CliRunner().invoke(
        cli, ["probe", "--seed", "7", "--seconds", "12", "--history", str(kept), "-o", "json"]
    )

    verdict = json.loads(run.stdout)
    assert verdict["verdict"] == "pass", (verdict["invalid"], verdict["anomalies"][:2])
    assert run.exit_code == 0
    counts = verdict["counts"]
    assert counts["acknowledged"] > 200
    assert all(ended >= 10 for ended in counts["ended"].values()), counts["ended"]
    assert counts["bit"]["kill"] >= 1
    assert counts["bit"]["terminate"] >= 1
    assert counts["requests"]["info"] >= 1
    assert counts["dead_letters"] > 0
    assert counts["again"]["D4"] == 0
    figure(1, "from a start to ready under the prober, longest", counts["seconds_to_ready"], "s")

    again = CliRunner().invoke(cli, ["probe", "check", str(kept), "-o", "json"])

    assert json.loads(again.stdout) == verdict, "a history that was kept is judged as the run was"


@pytest.mark.skipif(not ALL, reason="of make test-faults: a minute")
def test_with_every_fault_that_it_can_do_nothing_is_lost_either(tmp_path: Path):
    run = CliRunner().invoke(
        cli,
        ["probe", "--seed", "8", "--seconds", "20", "--faults", "all", "--history", str(tmp_path / "h"), "-o", "json"],
    )  # fmt: skip

    verdict = json.loads(run.stdout)
    assert verdict["verdict"] == "pass", (verdict["invalid"], verdict["anomalies"][:2])
    assert set(verdict["counts"]["bit"]) == set(FAULTS)


def test_a_gateway_that_ends_by_itself_ends_the_run(tmp_path: Path):
    started_once = "import pathlib, sys; p = pathlib.Path('once'); p.exists() and sys.exit(74); p.touch()"
    started_once += "; from mesh_gateway.cli import main; sys.argv[1:1] = ['run']; main()"
    dies = f"import os; os.chdir({str(tmp_path)!r}); {started_once}"
    plan = replace(Plan(), seconds=2.0, faults=("kill",))

    with pytest.raises(GatewayFailed, match="ended with 74 at its start"):
        own_run(plan, tmp_path, (), {}, [sys.executable, "-c", dies])


@thorough
async def test_somebody_elses_gateway_is_probed_with_faults_of_their_own(tmp_path: Path):
    first = free_range(len(Plan().sinks))
    printed = CliRunner().invoke(cli, ["probe", "documents", "shop/orders", "--port", str(first)]).stdout
    gateway = GatewayProcess(BROKER + printed, tmp_path)
    async with running(gateway):
        hurt = f"pause=kill -STOP {gateway.pid}; sleep 1; kill -CONT {gateway.pid}"
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "mesh_gateway", "probe", "--broker", f"{gateway.url}/shop/orders", "--port", str(first),
            "--seconds", "6", "--seed", "9", "--silence", "5", "--fault", hurt, "--history", str(tmp_path / "h"), "-o", "json",
            stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        said, _ = await process.communicate()

    verdict = json.loads(said)
    assert verdict["verdict"] == "pass", (verdict["invalid"], verdict["anomalies"][:2])
    assert process.returncode == 0
    assert verdict["counts"]["bit"]["pause"] >= 1


def free_range(count: int) -> int:
    """The first of so many ports in a row that nobody has at this moment."""
    for first in range(21_000, 30_000, count):
        with contextlib.ExitStack() as held, contextlib.suppress(OSError):
            for port in range(first, first + count):
                held.enter_context(socket.socket()).bind(("127.0.0.1", port))
            return first
    raise AssertionError("no free ports in a row")


@pytest.mark.skipif(not ALL, reason="of make test-faults: a minute for each server")
@pytest.mark.parametrize("backing", [one for one in BACKINGS if one.variable], ids=lambda one: one.kind)
def test_over_a_real_server_a_gateway_that_is_killed_loses_nothing(backing: Backing, tmp_path: Path):
    backing.skip_if_absent()
    file = tmp_path / "transport.yaml"
    file.write_text(backing.document(f"t{uuid.uuid4().hex[:10]}"))

    run = CliRunner().invoke(
        cli,
        ["probe", "-f", str(file), "--seed", "10", "--seconds", "15", "--faults", "kill", "--history", str(tmp_path / "h"),
         "-o", "json"],
    )  # fmt: skip

    verdict = json.loads(run.stdout)
    assert verdict["verdict"] == "pass", (verdict["invalid"], verdict["anomalies"][:2])
    assert verdict["counts"]["bit"]["kill"] >= 1
    assert ("ordered" in verdict["counts"]["ended"]) == ("order" not in backing.lacks)
