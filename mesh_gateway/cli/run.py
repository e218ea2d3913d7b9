"""`run`: the gateway."""

from __future__ import annotations

from pathlib import Path

import click

from mesh_gateway.cli import options, serving


@click.command("run")
@options.documents
@click.option("--watch", is_flag=True, help="Reload when the files change.")
@serving.listeners
def command(
    files: tuple[str, ...], env_file: Path | None, watch: bool, ingress: serving.Listen,
    admin: serving.Listen, state: Path | None, log_level: str,
) -> None:  # fmt: skip
    """Serve the documents until told to stop.

    Faults of the documents go to standard error; with an error among them nothing is started and
    the exit code is 78. The log line `ready` carries the addresses. SIGTERM or Ctrl-C finishes what
    is under way; a second one ends at once. The exit code is 74 if the store cannot be trusted any
    more. Without -f, mesh.yaml is served. SIGHUP reads the files again, as reload does.
    """
    from mesh_gateway.gateway.signals import Hangups

    hangups = Hangups()
    from mesh_gateway.cli.reading import Reading
    from mesh_gateway.gateway.documents import Documents
    from mesh_gateway.gateway.run import serve
    from mesh_gateway.transport.plugins import load_plugins

    plugins = load_plugins()
    reading = Reading(files, env_file, plugins, lambda spec: serving.overlaid(spec, ingress, admin, state))
    documents = Documents(
        reading.first(),
        reading.again,
        reading.changes if watch else None,
        serving.given(ingress, admin, state),
        hangups,
    )
    raise SystemExit(serve(documents, plugins, log_level=log_level))
