"""Gateways that start in a sixth of the time: forked by a process that has imported everything already.

What runs is `mesh-gateway run`, from its command line on; only the imports are not done again. For tests that start it
hundreds of times.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

from tests.harness import GatewayProcess


class Nursery:
    """Has one child at a time."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def child(self, log: Path, environment: Mapping[str, str], *words: str) -> Child:
        """`mesh-gateway` with these words, in a process of its own; the one before has ended and was waited for."""
        assert self._process.stdin is not None
        request = {"log": str(log), "environment": dict(environment), "words": words}
        self._process.stdin.write(json.dumps(request).encode() + b"\n")
        return Child(self, int(await self.said()))

    async def said(self) -> str:
        """The nursery's next line."""
        assert self._process.stdout is not None
        return (await self._process.stdout.readline()).decode()


class Child:
    """A forked gateway, as `asyncio.subprocess.Process` would show it."""

    def __init__(self, nursery: Nursery, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._end = asyncio.ensure_future(self._reaped(nursery))

    async def _reaped(self, nursery: Nursery) -> int:
        self.returncode = int(await nursery.said())
        return self.returncode

    def send_signal(self, signal: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    async def wait(self) -> int:
        return await asyncio.shield(self._end)


@contextlib.asynccontextmanager
async def nursery(mutant: Callable[[], None] | None = None) -> AsyncIterator[Nursery]:
    """A nursery that ends with the block; all its gateways are this mutant, if one is given."""
    words = [] if mutant is None else [mutant.__name__]
    process = await asyncio.create_subprocess_exec(
        sys.executable, __file__, *words, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    try:
        yield Nursery(process)
    finally:
        process.kill()
        await process.wait()


class ForkedGateway(GatewayProcess):
    """A gateway out of a nursery."""

    def __init__(self, documents: str, directory: Path, nursery: Nursery) -> None:
        super().__init__(documents, directory)
        self._nursery = nursery

    async def _started(self, *words: str) -> Child:
        return await self._nursery.child(self.log, self.environment, *words)


# ── in the nursery ───────────────────────────────────────────────────────────────────────────────


IMPORTED = (
    "mesh_gateway.cli.run",
    "mesh_gateway.cli.documents",
    "mesh_gateway.gateway.run",
    "mesh_gateway.transport.embedded.transport",
)
"""What `run` imports when it is run."""


def main() -> None:
    """Fork a gateway for each line of standard input; print its pid, and its exit code when it has ended."""
    from mesh_gateway.cli import main as command_line

    for name in IMPORTED:
        importlib.import_module(name)
    for mutant in sys.argv[1:]:
        from tests.faults import lawless

        getattr(lawless, mutant)()
    while line := os.read(0, 2**20):
        request = json.loads(line)
        pid = os.fork()
        if pid == 0:
            _become(request)
            sys.argv = ["mesh-gateway", *request["words"]]
            command_line("mesh-gateway")
        print(pid, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)


def _become(request: dict[str, str]) -> None:
    log = os.open(request["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for given, wanted in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(given, wanted)
    os.environ.clear()
    os.environ |= request["environment"]  # type: ignore[arg-type]
    _let_be_traced()


def _let_be_traced() -> None:
    """By a process that is no ancestor, where the kernel asks (Yama's ptrace_scope 1)."""
    import ctypes

    pr_set_ptracer, anybody = 0x59616D61, ctypes.c_ulong(-1)
    ctypes.CDLL(None).prctl(pr_set_ptracer, anybody, 0, 0, 0)


if __name__ == "__main__":
    main()
