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
    is in memory, gone at the end, unless --state keeps it. The files are watched: a change of them is
    served as soon as it is saved, and one that cannot be served is said and changes nothing.
    """
    from mesh_gateway.gateway.signals import Hangups

    hangups = Hangups()
    with serving.importing():
        from mesh_gateway.gateway.documents import Documents, nothing_to_read
        from mesh_gateway.gateway.run import serve
        from mesh_gateway.topology.dev import dev_spec, with_display
        from mesh_gateway.transport.plugins import load_plugins

    plugins = load_plugins()
    given = serving.given(ingress, admin, state) | {"dev"}

    def laid_over(spec: GatewaySpec) -> GatewaySpec:
        return serving.overlaid(with_display(spec, state), ingress, admin, state)

    if files:
        from mesh_gateway.cli.reading import Reading

        reading = Reading(files, env_file, plugins, laid_over)
        documents = Documents(reading.first(), reading.again, reading.changes, given, hangups)
    else:
        spec = dev_spec(state=state, ingress=IngressSpec(), admin=AdminSpec())
        documents = Documents(
            serving.overlaid(spec, ingress, admin, state), nothing_to_read, None, given, hangups
        )

    def announce(facts: Mapping[str, Any]) -> None:
        notice(ready_line(facts, documents.spec))

    raise SystemExit(serve(documents, plugins, dev=True, log_level=log_level, announce=announce))


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
