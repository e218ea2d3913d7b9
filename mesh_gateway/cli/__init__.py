"""The command line: one module per verb, named as the verb, holding a Click command called `command`.

Reading order: `group.py` (the verbs, and how each is imported only when it is used), `exits.py` (exit
codes), `output.py` (data to stdout, notices to stderr), `options.py` (what several verbs share),
`documents.py` (reading `-f`), `events.py` (an event from flags or a file), `http.py` and `admin.py`
(talking to a running gateway), `fate.py` (what became of a sent event); then any verb.

`mesh-gateway --help` answers in less than 200 ms: a verb imports what it needs inside of the function
that needs it, and rich is imported only to draw a table on a terminal.

May import: everything.
"""

from __future__ import annotations

import sys
from pathlib import Path

PROGRAM = "mesh-gateway"
ALIAS = "mgw"


def main(program: str | None = None) -> None:
    """Run the command line of this process and exit with its code."""
    from mesh_gateway.cli.group import cli

    cli.main(prog_name=program or Path(sys.argv[0]).name)
