"""A gateway at half of what it could take, and the pacer that watches it from outside."""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Iterator
from dataclasses import replace

from mesh_gateway.testing.ports import free_port
from tests.bench import processes
from tests.bench.pacer import Paced
from tests.bench.processes import Gateway
from tests.bench.rows import Sample
from tests.transports import EMBEDDED, Backing


@contextlib.contextmanager
def half_load(
    seconds: float, backing: Backing = EMBEDDED
) -> Iterator[tuple[Gateway, subprocess.Popen[bytes]]]:
    """The gateway, and the pacer that has begun."""
    port = free_port()
    with Gateway(processes.documents(100, port, backing)) as gateway:
        command = processes.module("tests.bench.pacer", str(gateway.ingress), str(port), str(seconds))
        with subprocess.Popen(
            [*processes.pinned(processes.OTHERS), *command], cwd=processes.ROOT, stdout=subprocess.PIPE
        ) as pacer:
            try:
                yield gateway, pacer
            finally:
                pacer.kill()


def result(pacer: subprocess.Popen[bytes]) -> Paced:
    """What the pacer says when it ends."""
    output, _ = pacer.communicate()
    if pacer.returncode:
        raise SystemExit(f"the pacer ended with {pacer.returncode}")
    return Paced(**json.loads(output))


def samples(prefix: str, paced: Paced, shares: tuple[str, ...]) -> list[Sample]:
    """A sample for each of these shares, of answers and of deliveries; what did not go as it should stands at the first."""
    notes = {"left out": paced.left_out, "refused": paced.refused}
    note = ", ".join(f"{count:,} {what}" for what, count in notes.items() if count)
    found = [
        Sample(f"{prefix}: {what} {share}", times[share], "ms", rate=paced.rate)
        for what, times in (("accept", paced.accept), ("end to end", paced.end))
        for share in shares
    ]
    return [replace(found[0], note=note), *found[1:]]
