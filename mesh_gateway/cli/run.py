"""`run`: the gateway."""

from __future__ import annotations

from pathlib import Path

import click

from mesh_gateway.cli import options, serving


@click.command("run")
@options.documents
@serving.listeners
def command(
    files: tuple[str, ...], env_file: Path | None, ingress: serving.Listen, admin: serving.Listen,
    state: Path | None, log_level: str,
) -> None:  # fmt: skip
    """Serve the documents until told to stop.

    Faults of the documents go to standard error; with an error among them nothing is started and
    the exit code is 78. The log line `ready` carries the addresses. SIGTERM or Ctrl-C finishes what
    is under way; a second one ends at once. The exit code is 74 if the store cannot be trusted any
    more. Without -f, mesh.yaml is served.
    """
    from mesh_gateway.cli import documents
    from mesh_gateway.gateway.run import serve
    from mesh_gateway.transport.plugins import load_plugins

    plugins = load_plugins()
    loaded = documents.read(files, env_file, plugins)
    spec = documents.spec_of(loaded, show=("error", "warning", "notice"))
    spec = serving.overlaid(spec, ingress, admin, state)
    raise SystemExit(serve(spec, plugins, log_level=log_level))
