"""`init`: documents to begin with."""

from __future__ import annotations

import json
from pathlib import Path

import click

from mesh_gateway.cli.exits import CheckFailed
from mesh_gateway.cli.files import write
from mesh_gateway.cli.options import DEFAULT_FILE
from mesh_gateway.cli.output import notice

SCHEMA_FILE = "mesh.schema.json"

DOCUMENTS = f"""\
# yaml-language-server: $schema=./{SCHEMA_FILE}
#
# A mesh to begin with. Documents are separated by ---; their order does not matter.
#
#   mesh-gateway lint                 # every fault of this file, with its line
#   mesh-gateway run                  # serve it; state in ./state
#   mesh-gateway receive              # in another terminal: a subscriber on port 9090
#   mesh-gateway send --type hello.world --field name=Ada --wait

apiVersion: mesh-gateway.dev/v1alpha1
kind: Gateway # at most one; everything in it has a default
metadata: {{name: my-mesh}}
spec:
  # ${{NAME:-default}} is filled in from the environment, or from --env-file.
  ingress: {{listen: "${{MESH_INGRESS:-127.0.0.1:8080}}"}}
  admin: {{listen: "${{MESH_ADMIN:-127.0.0.1:8081}}"}}
  state: {{directory: ./state}}
---
# Producers POST CloudEvents to http://127.0.0.1:8080/default/default (/NAMESPACE/NAME).
apiVersion: eventing.knative.dev/v1
kind: Broker
metadata: {{name: default, namespace: default}}
spec:
  # For Triggers that have no delivery of their own. What is still undelivered after the last retry
  # is kept: mesh-gateway dlq list.
  delivery: {{retry: 5, backoffPolicy: exponential, backoffDelay: PT0.2S}}
---
# Each Trigger gets a copy of every event that its filters let through.
apiVersion: eventing.knative.dev/v1
kind: Trigger
metadata: {{name: hello, namespace: default}}
spec:
  broker: default
  # All entries must hold. Dialects: exact, prefix, suffix, all, any, not, cesql.
  filters:
    - prefix: {{type: hello.}}
    # - cesql: "subject LIKE 'vip-%' OR EXISTS urgent"
  subscriber: {{uri: "http://127.0.0.1:9090/"}}
"""


@click.command("init")
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path), default=".", required=False)
@click.option("--force", is_flag=True, help="Overwrite what is there.")
def command(directory: Path, force: bool) -> None:
    """Write a commented mesh.yaml to begin with.

    Beside it goes the JSON Schema that the file's first line tells editors to use.
    """
    from mesh_gateway.topology.kinds import Kinds
    from mesh_gateway.topology.schema import json_schema
    from mesh_gateway.transport.plugins import load_plugins

    schema = json.dumps(json_schema(Kinds.of(load_plugins())), indent=2) + "\n"
    contents = {directory / DEFAULT_FILE: DOCUMENTS, directory / SCHEMA_FILE: schema}
    taken = [str(path) for path in contents if path.exists()]
    if taken and not force:
        raise CheckFailed(f"{' and '.join(taken)} exist(s) already; --force overwrites")
    write(contents)
    written = directory / DEFAULT_FILE
    notice(f"wrote {written} and {directory / SCHEMA_FILE} · next: mesh-gateway lint -f {written}")
