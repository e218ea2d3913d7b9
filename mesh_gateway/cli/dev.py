"""`dev`: a gateway that needs no file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from mesh_gateway.cli import options, serving
from mesh_gateway.cli.output import notice
from mesh_gateway.topology.spec import AdminSpec, GatewaySpec, IngressSpec


@click.command("dev")
@options.documents
@serving.listeners
def command(
    files: tuple[str, ...], env_file: Path | None, ingress: serving.Listen, admin: serving.Listen,
    state: Path | None, log_level: str,
) -> None:  # fmt: skip
    """Serve one broker that prints what arrives; no file needed.

    The broker is default/default; its one trigger prints each event to standard output. With -f
    those documents are served instead, and every broker of them has such a trigger besides. State
    is in memory, gone at the end, unless --state keeps it.
    """
    from mesh_gateway.gateway.run import serve
    from mesh_gateway.topology.dev import dev_spec, with_display
    from mesh_gateway.transport.plugins import load_plugins

    plugins = load_plugins()
    if files:
        from mesh_gateway.cli import documents

        spec = documents.spec_of(
            documents.read(files, env_file, plugins), show=("error", "warning", "notice")
        )
        spec = with_display(spec, state)
    else:
        spec = dev_spec(state=state, ingress=IngressSpec(), admin=AdminSpec())
    spec = serving.overlaid(spec, ingress, admin, state)

    def announce(facts: Mapping[str, Any]) -> None:
        notice(ready_line(facts, spec))

    raise SystemExit(serve(spec, plugins, dev=True, log_level=log_level, announce=announce))


def ready_line(facts: Mapping[str, Any], spec: GatewaySpec) -> str:
    """Where to send events, where to look, and what becomes of the state."""
    kept = spec.state_directory
    parts = [
        "ready",
        *(f"ingress {url}" for url in facts["brokers"]),
        f"admin {facts['admin']}",
        "state: memory (--state DIR keeps it)" if kept is None else f"state: {kept}",
    ]
    return " · ".join(parts)
