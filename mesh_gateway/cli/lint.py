"""`lint`: every fault of every document, in one pass."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
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
  mesh-gateway lint -f eu/ -f us/                      # two gateways, and what leads from one to the other
"""


@click.command("lint", epilog=EXAMPLES)
@options.documents
@click.option("--strict", is_flag=True, help="Unknown fields and kinds of Knative are errors too.")
@click.option(
    "--partial", is_flag=True, help="The Broker of a Trigger or Relay may be in files that are not here."
)
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

    Where more than one -f has a Gateway document, each is a gateway by itself, and relays between them are
    followed: rings of relays are found over all of them.

    The exit code is 78 if there are errors, 1 if a check of --connect fails, else 0. Without -f,
    mesh.yaml is read. `mesh-gateway help CODE` explains a code.
    """
    from mesh_gateway.cli import documents
    from mesh_gateway.topology.faults import render
    from mesh_gateway.transport.plugins import load_plugins

    plugins = load_plugins()
    loaded = documents.read_each(files, env_file, plugins, strict=strict, partial=partial)
    faults = [fault for one in loaded for fault in one.faults]
    specs = [one.spec for one in loaded if one.spec is not None]
    if faults or form == "json":
        click.echo(render(faults, "json" if form == "json" else "github" if form == "github" else "text"))
    notice(summary(faults, specs if len(specs) == len(loaded) else []))
    if len(specs) < len(loaded):
        raise SystemExit(Exit.BAD_CONFIGURATION)
    if connect:
        from mesh_gateway.cli.connect import reachable

        answers = [reachable(spec, plugins) for spec in specs]
        if not all(answers):
            raise SystemExit(Exit.CHECK_FAILED)


def summary(faults: Sequence[Fault], specs: Sequence[GatewaySpec]) -> str:
    """`2 errors, 1 warning`, or what is fine; without specs, only what is not."""
    counts = Counter(fault.severity for fault in faults)
    told = ", ".join(
        f"{count} {severity}{'' if count == 1 else 's'}"
        for severity in ("error", "warning", "notice")
        if (count := counts[severity])
    )
    if not specs:
        return told
    gateways = [f"{len(specs)} gateways"] if len(specs) > 1 else []
    relays = sum(len(spec.relays) for spec in specs)
    what = [
        *gateways,
        f"{sum(len(spec.brokers) for spec in specs)} broker(s)",
        f"{sum(len(spec.triggers) for spec in specs)} trigger(s)",
        *([f"{relays} relay(s)"] if relays else []),
    ]
    return f"ok: {', '.join(what)}" + (f", {told}" if told else "")
