"""`run`: the gateway."""

from __future__ import annotations

from pathlib import Path

import click

from mesh_gateway.cli import options, serving

MOST_WORKERS = 256
"""More than one for each core gives nothing; 256 cores are more than one event store or broker can feed."""


@click.command("run")
@options.documents
@click.option("--watch", is_flag=True, help="Reload when the files change.")
@click.option(
    "--workers", type=click.IntRange(1, MOST_WORKERS), default=1, show_default=True, metavar="N",
    help="Processes that share the work, for more than one core.",
)  # fmt: skip
@serving.listeners
def command(
    files: tuple[str, ...], env_file: Path | None, watch: bool, workers: int, ingress: serving.Listen,
    admin: serving.Listen, state: Path | None, log_level: str,
) -> None:  # fmt: skip
    """Serve the documents until told to stop.

    Faults of the documents go to standard error; with an error among them nothing is started and
    the exit code is 78. The log line `ready` carries the addresses. SIGTERM or Ctrl-C finishes what
    is under way; a second one ends at once. The exit code is 74 if the store cannot be trusted any
    more. Without -f, mesh.yaml is served. SIGHUP reads the files again, as reload does.

    With --workers, N processes listen on the same port, and one more watches them: it starts again what dies, and
    has the admin API of them all. What N of them cannot keep a promise of is refused with 78.
    """
    from mesh_gateway.gateway.signals import Hangups

    hangups = Hangups()
    with serving.importing():
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
    raise SystemExit(serve(documents, plugins, log_level=log_level, workers=workers))
