"""A gateway of the prober's own: a process that is started, hurt, and looked at from outside."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
import time
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

from mesh_gateway.testing.probe.history import History

COMMAND = (sys.executable, "-m", "mesh_gateway", "run")

START_SECONDS = 60.0
"""For a start, recovery of the store and the connections included; it takes about one."""

STOP_SECONDS = 60.0
"""For a stop in order: six times the `drainTimeout` of the prober's documents."""

LOOK_SECONDS = 0.03
"""Between two looks at a gateway that starts."""


class GatewayFailed(Exception):
    """The gateway did not start, or did not end; the message shows the end of its log."""


@dataclass(slots=True)
class Own:
    """`mesh-gateway run` on the same addresses and state at every start."""

    documents: Sequence[Path]
    state: Path
    log: Path
    ingress: int
    admin: int
    history: History
    render: Callable[[int], str]
    """The last of the documents in another epoch: what a reload changes."""
    command: Sequence[str] = COMMAND
    process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start it, and wait until it is ready. Raises `GatewayFailed`."""
        begun = time.monotonic_ns()
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *self.command, *(part for file in self.documents for part in ("-f", str(file))),
                "--state", str(self.state),
                "--ingress", f"127.0.0.1:{self.ingress}", "--admin", f"127.0.0.1:{self.admin}",
                "--log-level", "warning", stdout=log, stderr=log,
            )  # fmt: skip
        try:
            async with asyncio.timeout(START_SECONDS):
                while not await self._ready():
                    if self.process.returncode is not None:
                        raise GatewayFailed(
                            f"the gateway ended with {self.process.returncode} at its start:\n{self._said()}"
                        )
                    await asyncio.sleep(LOOK_SECONDS)
        except TimeoutError:
            raise GatewayFailed(
                f"the gateway was not ready after {START_SECONDS:.0f} s:\n{self._said()}"
            ) from None
        seconds = (time.monotonic_ns() - begun) / 1e9
        self.history.write("ready", pid=self.process.pid, seconds=round(seconds, 3), **self._size())

    async def kill(self) -> None:
        """End it with kill -9."""
        await self._signalled(signal.SIGKILL)

    async def terminate(self) -> None:
        """SIGTERM, and note with which code it ended. Raises `GatewayFailed` if it does not."""
        code = await self._signalled(signal.SIGTERM)
        self.history.write("exit", code=code)

    def pause(self) -> None:
        """SIGSTOP: everything it had in hand stays there."""
        self._running().send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        self._running().send_signal(signal.SIGCONT)

    def write(self, text: str) -> None:
        """Put another text in the place of the last document, whole, as an editor does."""
        file = self.documents[-1]
        new = file.with_suffix(".new")
        new.write_text(text, encoding="utf-8")
        new.replace(file)

    def reload(self) -> None:
        """SIGHUP: read the documents again."""
        self._running().send_signal(signal.SIGHUP)

    async def in_force(self) -> tuple[int, int]:
        """The epoch that is served, by the subscribers' paths, and how many reloads were refused. Raises `OSError`."""
        _, status = await self.get("/api/v1/status")
        paths = (one["subscriber"].rpartition("/")[2] for one in status["triggers"])
        epochs = [int(path) for path in paths if path.isdecimal()]
        return max(epochs, default=0), status["reload"]["counts"]["refused"]

    async def close(self) -> None:
        """It is surely gone afterwards."""
        if self.process is not None and self.process.returncode is None:
            self.process.kill()
            await self.process.wait()

    def sample(self) -> None:
        """Note how large the process is; nothing while there is none."""
        process = self.process
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(OSError, StopIteration):
            self.history.write("sample", pid=process.pid, **self._size())

    async def idle(self) -> bool:
        """Whether nothing waits in windows, nor on the transport for a reader or trigger, as far as the gateway says.

        What a killed gateway had in hand is given to the next one late: on SQS after its visibility timeout.
        """
        with contextlib.suppress(OSError, ValueError):
            _, status = await self.get("/api/v1/status")
            _, metrics = await self.get("/metrics")
            return all(one["window"] == 0 for one in status["triggers"]) and not waiting(metrics)
        return False

    async def get(self, path: str) -> tuple[int, Any]:
        """Status and JSON of a GET on the admin API. Raises `OSError`."""
        return await asyncio.to_thread(_get, f"http://127.0.0.1:{self.admin}{path}")

    async def _ready(self) -> bool:
        with contextlib.suppress(OSError, ValueError):
            return (await self.get("/readyz"))[0] == 200
        return False

    async def _signalled(self, number: signal.Signals) -> int:
        process = self._running()
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(number)
        try:
            async with asyncio.timeout(STOP_SECONDS):
                return await process.wait()
        except TimeoutError:
            raise GatewayFailed(
                f"the gateway did not end within {STOP_SECONDS:.0f} s of {number.name}:\n{self._said()}"
            ) from None

    def _running(self) -> asyncio.subprocess.Process:
        assert self.process is not None
        if self.process.returncode is not None:
            self.history.write("died", code=self.process.returncode)
            raise GatewayFailed(
                f"the gateway ended by itself with {self.process.returncode}:\n{self._said()}"
            )
        return self.process

    def _size(self) -> dict[str, int]:
        assert self.process is not None
        about = Path(f"/proc/{self.process.pid}")
        rss = next(line for line in (about / "status").read_text().splitlines() if line.startswith("VmRSS:"))
        return {"rss": int(rss.split()[1]) * 1024, "fds": sum(1 for _ in (about / "fd").iterdir())}

    def _said(self) -> str:
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join(lines[-20:])


def waiting(metrics: str) -> int:
    """Events that wait on the transports, dead letters apart, by the gateway's metrics."""
    lines = (line for line in metrics.splitlines() if line.startswith("mesh_gateway_backlog_events{"))
    return sum(int(float(line.rpartition(" ")[2])) for line in lines if 'channel="dead-letters"' not in line)


def _get(url: str) -> tuple[int, Any]:
    try:
        with urllib.request.urlopen(url, timeout=5) as response:  # noqa: S310 — our own http address
            text = response.read().decode()
            return response.status, json.loads(text) if text.startswith("{") else text
    except HTTPError as error:
        return error.code, None
