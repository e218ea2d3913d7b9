"""strace on a running gateway: counts its system calls, or does something to the n-th of them.

It is attached when the gateway is ready, so the first call that counts is the first of the work that follows. It counts
each thread's calls by themselves.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import signal
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from tests.transports import REQUIRED

STRACE = shutil.which("strace") or os.environ.get("MESH_TEST_STRACE")

LIBRARIES = os.environ.get("MESH_TEST_STRACE_LIBRARIES", "")
"""Of the one that `scripts/services` has fetched; harmless to another."""

CALL = re.compile(r"^(?P<thread>\d+) +(?:<\.\.\. )?(?P<name>\w+)\(", re.MULTILINE)


def skip_without_strace() -> None:
    """Skip aloud without strace; fail where everything is required."""
    if STRACE is None:
        if REQUIRED:
            pytest.fail("there is no strace: scripts/services tools")
        pytest.skip("no strace: scripts/services tools, then eval its env")


@contextlib.asynccontextmanager
async def traced(pid: int, *words: str) -> AsyncIterator[None]:
    """strace attached to this process, with these words, for the block."""
    assert STRACE is not None
    strace = await asyncio.create_subprocess_exec(
        STRACE,
        "-f",
        "-p",
        str(pid),
        *words,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "LD_LIBRARY_PATH": LIBRARIES},
    )
    try:
        assert strace.stderr is not None
        said = await strace.stderr.readline()
        if b"attached" not in said:
            raise AssertionError(f"strace cannot be attached: {said.decode()}")
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            strace.send_signal(signal.SIGINT)  # it lets go of the process, which goes on
        await strace.communicate()


@contextlib.asynccontextmanager
async def injected(pid: int, call: str, what: str) -> AsyncIterator[None]:
    """What happens to calls of this name, in strace's words: `signal=KILL:when=7`, `error=EIO`."""
    async with traced(pid, "-o", os.devnull, "-e", f"trace={call}", "-e", f"inject={call}:{what}"):
        yield


@contextlib.asynccontextmanager
async def counted(pid: int, calls: Sequence[str], file: Path) -> AsyncIterator[Counter[str]]:
    """After the block: of each call, the most that one thread has made."""
    found: Counter[str] = Counter()
    async with traced(pid, "-o", str(file), "-e", f"trace={','.join(calls)}"):
        yield found
    by_thread = Counter((match["thread"], match["name"]) for match in CALL.finditer(file.read_text()))
    for (_, name), count in by_thread.items():
        found[name] = max(found[name], count)
