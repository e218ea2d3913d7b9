"""A run of `probe`: its folder, the documents of its gateway, the run itself, and the verdict on it."""

from __future__ import annotations

import asyncio
import secrets
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mesh_gateway.cli.exits import BadConfiguration, CheckFailed
from mesh_gateway.cli.output import notice
from mesh_gateway.cli.probe_verdict import judge
from mesh_gateway.errors import MeshError

if TYPE_CHECKING:
    from mesh_gateway.testing.probe.plan import Plan
    from mesh_gateway.testing.probe.verdict import Verdict


@contextmanager
def folder(history: Path | None) -> Iterator[Path]:
    """Where the history goes. Raises `BadConfiguration` if it is in use; turns what ends a run into clear words."""
    from mesh_gateway.testing.probe.gateway import GatewayFailed
    from mesh_gateway.testing.probe.history import BadHistory
    from mesh_gateway.testing.probe.processes import ChildFailed

    if history is None:
        directory = Path(tempfile.mkdtemp(prefix="mesh-gateway-probe-"))
    else:
        directory = history
        try:
            directory.mkdir(parents=True, exist_ok=True)
            used = any(directory.iterdir())
        except OSError as error:
            raise BadConfiguration(f"{history} cannot be used: {error.strerror}") from error
        if used:
            raise BadConfiguration(f"{history} is not empty; give --history a new folder")
    try:
        yield directory
    except (GatewayFailed, ChildFailed, BadHistory, MeshError) as error:
        raise CheckFailed(
            f"the run could not be brought to its end: {error}\nHistory: {directory}"
        ) from error
    except KeyboardInterrupt:
        notice(f"stopped; the history so far: {directory}")
        raise


def for_users(plan: Plan, host: str, port: int) -> Plan:
    """The plan for a gateway that is somebody's: nothing that only its own process or store could answer."""
    plan = replace(plan.without("hopeless"), own=False, oversized=False, host=host)
    return replace(plan, ports={name: port + number for number, name in enumerate(plan.sinks)})


def own_run(
    plan: Plan,
    directory: Path,
    files: tuple[str, ...],
    commands: dict[str, str],
    gateway: Sequence[str] | None = None,
) -> Verdict:
    """A run with a gateway of its own; `gateway` is the command that starts it, if not `mesh-gateway run`."""
    from mesh_gateway.gateway.leftovers import leftovers
    from mesh_gateway.testing.ports import free_ports
    from mesh_gateway.testing.probe.gateway import COMMAND, Own
    from mesh_gateway.testing.probe.history import History
    from mesh_gateway.testing.probe.plan import BROKER, gateway_documents
    from mesh_gateway.testing.probe.run import Rest, run
    from mesh_gateway.transport.plugins import load_plugins

    plugins = load_plugins()
    ingress, admin, *ports = free_ports(2 + len(plan.sinks))
    transport = transport_in(files, plugins)
    namespace = "probe" if transport is None else f"probe-{secrets.token_hex(4)}"
    plan = replace(
        plan,
        namespace=namespace,
        broker=f"http://127.0.0.1:{ingress}/{namespace}/{BROKER}",
        ports=dict(zip(plan.sinks, ports, strict=True)),
    )
    mesh = directory / "mesh.yaml"
    plan = fitting(plan, mesh, files, transport, plugins)
    spec = loaded((*files, str(mesh)), plugins).spec
    assert spec is not None
    spec = replace(spec, state_directory=directory / "state")

    async def rest() -> Rest:
        found = await leftovers(spec, plugins)
        return Rest([(dict(event.attributes), event.data) for event in found.letters], found.unsettled)

    with History(directory, "nemesis") as history:
        own = Own(
            [*map(Path, files), mesh], directory / "state", directory / "gateway.log", ingress, admin, history,
            lambda epoch: gateway_documents(plan, transport, epoch), gateway or COMMAND,
        )  # fmt: skip
        tell(plan, directory, commands)
        asyncio.run(run(plan, directory, history, own=own, read_rest=rest, commands=commands, say=notice))
    return judge(directory)


def users_run(plan: Plan, directory: Path, commands: dict[str, str]) -> Verdict:
    """A run against a gateway that is somebody's."""
    from mesh_gateway.testing.probe.history import History
    from mesh_gateway.testing.probe.run import run

    with History(directory, "nemesis") as history:
        tell(plan, directory, commands)
        asyncio.run(run(plan, directory, history, commands=commands, say=notice))
    return judge(directory)


def tell(plan: Plan, directory: Path, commands: dict[str, str]) -> None:
    """Say what can be told before the run."""
    hurt = ", ".join((*plan.faults, *commands)) or "none"
    notice(f"seed {plan.seed}, {plan.rate:.0f} events a second, faults: {hurt}; history in {directory}")


def loaded(files: tuple[str, ...], plugins: Any) -> Any:
    """What stands in the files."""
    from mesh_gateway.cli import documents

    return documents.read(files, None, plugins, partial=True)


def transport_in(files: tuple[str, ...], plugins: Any) -> str | None:
    """The name of the one Transport in the files; None without files. Raises `BadConfiguration`."""
    from mesh_gateway.cli import documents

    if not files:
        return None
    spec = documents.spec_of(loaded(files, plugins))
    names = [name for name in spec.transports if name != "embedded"]
    if len(names) != 1:
        raise BadConfiguration(
            f"-f names {len(names)} Transport documents ({', '.join(names) or 'none'}); probe wants one"
        )
    return names[0]


def fitting(plan: Plan, mesh: Path, files: tuple[str, ...], transport: str | None, plugins: Any) -> Plan:
    """Write the documents; without the trigger that keeps order, where the transport cannot. Raises `BadConfiguration`."""
    from mesh_gateway.cli import documents
    from mesh_gateway.testing.probe.plan import gateway_documents

    for one in (plan, plan.without("ordered")):
        mesh.write_text(gateway_documents(one, transport), encoding="utf-8")
        found = loaded((*files, str(mesh)), plugins)
        if all(fault.code != "MG033" for fault in found.errors):
            break
        notice("this transport keeps no order: the run has no ordered trigger")
    documents.spec_of(found)
    return one
