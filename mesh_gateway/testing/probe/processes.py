"""The senders and sinks of a run, as processes of their own."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from pathlib import Path

LISTENING = "listening"
"""The line that a sink prints, once for each start."""

START_SECONDS = 20.0
"""For a sink to listen. Python takes a fraction of a second, on a loaded machine several."""


class ChildFailed(Exception):
    """A sink or a sender could not do its work; the message says why."""


class Child:
    """A sender or a sink: `python -m` of its module with the run's folder and its name."""

    def __init__(self, module: str, directory: Path, name: str) -> None:
        self.name = name
        self._arguments = (
            sys.executable,
            "-m",
            f"mesh_gateway.testing.probe.{module}",
            str(directory),
            name,
        )
        self._log = directory / f"{module}-{name}.log"
        self._process: asyncio.subprocess.Process | None = None
        self._starts = 0

    async def start(self) -> None:
        """Start it; it is not yet listening."""
        self._starts += 1
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(*self._arguments, stdout=log, stderr=log)

    async def listening(self) -> None:
        """Returns once it takes connections. Raises `ChildFailed`."""
        try:
            async with asyncio.timeout(START_SECONDS):
                while self._said().count(f"{LISTENING}\n") < self._starts:
                    self.check()
                    await asyncio.sleep(0.02)
        except TimeoutError:
            raise ChildFailed(f"the sink {self.name} did not listen within {START_SECONDS:.0f} s") from None

    async def kill(self) -> None:
        """End it with kill -9."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    async def stop(self) -> None:
        """SIGTERM, and wait for its end."""
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.terminate()
            await self._process.wait()

    def check(self) -> None:
        """Raises `ChildFailed` with its last words if it ended by itself."""
        if self._process is not None and self._process.returncode not in (None, 0, -15, -9):
            raise ChildFailed(self._said()[-2000:].strip() or f"{self.name} ended")

    def _said(self) -> str:
        return self._log.read_text(encoding="utf-8", errors="replace")
