"""`lint`: every fault of every document, in one pass."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mesh_gateway.cli import options
from mesh_gateway.cli.exits import Exit
from mesh_gateway.cli.output import notice

if TYPE_CHECKING:
    from mesh_gateway.topology.faults import Fault
    from mesh_gateway.topology.spec import GatewaySpec

EXAMPLES = """\b
Examples:
  mesh-gateway lint -f mesh.yaml
  kubectl get broker,trigger -A -o yaml | mesh-gateway lint -f -
  mesh-gateway lint -f mesh/ --strict -o github        # annotations in a pull request
"""


@click.command("lint", epilog=EXAMPLES)
@options.documents
@click.option("--strict", is_flag=True, help="Unknown fields and kinds of Knative are errors too.")
@click.option("--partial", is_flag=True, help="A Trigger's Broker may be in files that are not here.")
@click.option(
    "--connect",
    is_flag=True,
    help="Also ask every transport that is used whether it can be reached, and those with `ensure: verify` for what "
    "they need.",
)
@options.output("text", "json", "github")
def command(
    files: tuple[str, ...], env_file: Path | None, strict: bool, partial: bool, connect: bool, form: str
) -> None:
    """Show every fault of every document in one pass.

    The exit code is 78 if there are errors, 1 if a check of --connect fails, else 0. Without -f,
    mesh.yaml is read. `mesh-gateway help CODE` explains a code.
    """
    from mesh_gateway.cli import documents
    from mesh_gateway.topology.faults import render
    from mesh_gateway.transport.plugins import load_plugins

    plugins = load_plugins()
    loaded = documents.read(files, env_file, plugins, strict=strict, partial=partial)
    if loaded.faults or form == "json":
        click.echo(
            render(loaded.faults, "json" if form == "json" else "github" if form == "github" else "text")
        )
    notice(summary(loaded.faults, loaded.spec))
    if loaded.errors:
        raise SystemExit(Exit.BAD_CONFIGURATION)
    if connect and loaded.spec is not None:
        from mesh_gateway.cli.connect import reachable

        if not reachable(loaded.spec, plugins):
            raise SystemExit(Exit.CHECK_FAILED)


def summary(faults: tuple[Fault, ...], spec: GatewaySpec | None) -> str:
    """`2 errors, 1 warning`, or what is fine."""
    counts = Counter(fault.severity for fault in faults)
    told = ", ".join(
        f"{count} {severity}{'' if count == 1 else 's'}"
        for severity in ("error", "warning", "notice")
        if (count := counts[severity])
    )
    if spec is None:
        return told
    what = f"{len(spec.brokers)} broker(s), {len(spec.triggers)} trigger(s)"
    return f"ok: {what}" + (f", {told}" if told else "")
